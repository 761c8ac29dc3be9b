"""From the project folder VS Code opens to the body Azure takes, judged by Microsoft's own type definitions."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import Any

import pulumi
import pytest

from infra.providers.stream_analytics_job import StreamAnalyticsJobArgs, job_inputs
from infra.providers.stream_analytics_model import JobProperties, arm_body
from infra.stream_analytics_project import BlobBinding, EventHubBinding, ProjectError, job_body
from tests.infra.providers.bicep_types import BicepTypes
from tests.support.shared_data import REPOSITORY, shared_data

Bindings = dict[str, EventHubBinding | BlobBinding]

HUBS = EventHubBinding("evhns-dev")
BINDINGS: Bindings = {"observations": HUBS, "alerts": HUBS, "lake": BlobBinding("stlakedev", "lake")}

FILES: dict[str, Any] = {
    "asaproj.json": {
        "name": "roompulse",
        "startFile": "roompulse.asaql",
        "configurations": [
            {"filePath": "JobConfig.json", "subType": "JobConfig"},
            {"filePath": "Inputs/observations.json", "subType": "Input"},
            {"filePath": "Inputs/Local_observations.json", "subType": "InputMock"},
            {"filePath": "Outputs/alerts.json", "subType": "Output"},
            {"filePath": "Outputs\\lake.json", "subType": "Output"},
        ],
    },
    "JobConfig.json": {
        "ScriptType": "JobConfig",
        "DataLocale": "en-US",
        "OutputErrorPolicy": "Retry",
        "EventsLateArrivalMaxDelayInSeconds": 60,
        "EventsOutOfOrderMaxDelayInSeconds": 5,
        "EventsOutOfOrderPolicy": "Adjust",
        "StreamingUnits": 3,
        "CompatibilityLevel": "1.2",
    },
    "Inputs/observations.json": {
        "Name": "observations",
        "Type": "Data Stream",
        "DataSourceType": "Event Hub",
        "EventHubProperties": {
            "ServiceBusNamespace": "a-namespace",
            "EventHubName": "observations",
            "ConsumerGroupName": "streamjob",
            "SharedAccessPolicyKey": None,
            "AuthenticationMode": "Msi",
        },
        "Serialization": {"Type": "Json", "Encoding": "UTF8"},
        "PartitionKey": None,
        "ScriptType": "Input",
    },
    "Outputs/alerts.json": {
        "Name": "alerts",
        "DataSourceType": "Event Hub",
        "EventHubProperties": {
            "ServiceBusNamespace": "a-namespace",
            "EventHubName": "alerts",
            "PartitionKey": "entityId",
            "PropertyColumns": ["Table"],
        },
        "Serialization": {"Type": "Json", "Encoding": "UTF8", "Format": "LineSeparated"},
        "ScriptType": "Output",
    },
    "Outputs/lake.json": {
        "Name": "lake",
        "DataSourceType": "Blob storage",
        "BlobStorageProperties": {
            "StorageAccounts": [{"AccountName": "an-account", "AccountKey": None}],
            "Container": "a-container",
        },
        "Serialization": {"Type": "Delta", "DeltaTablePath": "readings", "PartitionColumns": ["date"]},
        "TimeWindow": "00:01:00",
        "SizeWindow": 2000,
        "ScriptType": "Output",
    },
    "roompulse.asaql": "SELECT * INTO alerts FROM observations",
}


def write(folder: Path, files: dict[str, Any]) -> Path:
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content))
    return folder


def declared(body: dict[str, Any]) -> JobProperties:
    args = StreamAnalyticsJobArgs("s-1", "rg-1", "asa-1", "westeurope", "/subscriptions/s-1/id", body, {"stack": "dev"})
    return job_inputs(args)  # type: ignore[return-value]


@pytest.fixture(scope="module")
def types() -> BicepTypes:
    """Microsoft's types; StandardV2 and the newer property sets are documented, and not in the enum."""
    file = shared_data("arm-types/Microsoft.StreamAnalytics_streamingjobs@2021-10-01-preview.json")
    return BicepTypes(file, also=frozenset({"StandardV2"}))


def test_the_body_is_what_azures_types_want(tmp_path: Path, types: BicepTypes) -> None:
    assert types.faults(arm_body(declared(job_body(write(tmp_path, FILES), BINDINGS)))) == []


def test_the_types_would_notice(tmp_path: Path, types: BicepTypes) -> None:
    body = arm_body(declared(job_body(write(tmp_path, FILES), BINDINGS)))
    body["properties"]["inputs"][0]["properties"]["datasource"]["properties"]["eventhubName"] = "x"
    body["properties"]["outputErrorPolicy"] = "Retry"
    del body["properties"]["outputs"][1]["properties"]["serialization"]["properties"]["deltaTablePath"]
    assert len(types.faults(body)) == 3


def test_the_project_says_what_and_the_bindings_say_where(tmp_path: Path) -> None:
    properties = job_body(write(tmp_path, FILES), BINDINGS, streaming_units=10)["properties"]
    assert properties["transformation"]["properties"] == {"streamingUnits": 10, "query": FILES["roompulse.asaql"]}
    assert properties["outputErrorPolicy"] == "Stop"
    (observations,) = properties["inputs"]
    assert observations["properties"]["datasource"]["properties"] == {
        "serviceBusNamespace": "evhns-dev",
        "eventHubName": "observations",
        "consumerGroupName": "streamjob",
        "authenticationMode": "Msi",
    }
    alerts, lake = properties["outputs"]
    assert alerts["properties"]["datasource"]["properties"]["propertyColumns"] == ["Table"]
    assert lake["properties"] == {
        "datasource": {
            "type": "Microsoft.Storage/Blob",
            "properties": {"storageAccounts": [{"accountName": "stlakedev"}], "container": "lake", "authenticationMode": "Msi"},
        },
        "serialization": {"type": "Delta", "properties": {"deltaTablePath": "readings", "partitionColumns": ["date"]}},
        "timeWindow": "00:01:00",
        "sizeWindow": 2000,
    }


async def test_values_pulumi_knows_later_are_placed_untouched(tmp_path: Path) -> None:
    later = pulumi.Output.from_input("evhns-later")
    bindings = BINDINGS | {"observations": EventHubBinding(later, hub=later, consumer_group=later)}
    (observations,) = job_body(write(tmp_path, FILES), bindings)["properties"]["inputs"]
    datasource = observations["properties"]["datasource"]["properties"]
    assert (
        datasource["serviceBusNamespace"] is later
        and datasource["eventHubName"] is later
        and datasource["consumerGroupName"] is later
    )


def test_laying_the_body_out_as_properties_and_back_loses_nothing(tmp_path: Path) -> None:
    body = job_body(write(tmp_path, FILES), BINDINGS)
    assert arm_body(declared(body))["properties"] == body["properties"]


BROKEN: dict[str, tuple[dict[str, Any], str]] = {
    "a query that is not there": (
        {"asaproj.json": {**FILES["asaproj.json"], "startFile": "gone.asaql"}},
        "gone.asaql: no such file",
    ),
    "JSON with a mistake": ({"Outputs/alerts.json": '{\n "Name": }'}, "Outputs/alerts.json:2: not JSON"),
    "a policy left to chance": (
        {"JobConfig.json": {k: v for k, v in FILES["JobConfig.json"].items() if k != "EventsLateArrivalMaxDelayInSeconds"}},
        "JobConfig.json: EventsLateArrivalMaxDelayInSeconds is missing; write the value",
    ),
    "an unknown policy": (
        {"JobConfig.json": {**FILES["JobConfig.json"], "OutputErrorPolicy": "Ignore"}},
        "JobConfig.json: OutputErrorPolicy is 'Ignore'; write one of Retry, Stop, Drop",
    ),
    "an output nobody bound": (
        {"Outputs/alerts.json": {**FILES["Outputs/alerts.json"], "Name": "alarms"}},
        "output 'alarms' has no binding",
    ),
    "a binding for nothing": (
        {"Outputs/alerts.json": {**FILES["Outputs/alerts.json"], "Name": "alarms"}},
        "binding 'alerts': the project has no such input or output",
    ),
    "a sink that can't be": (
        {"Outputs/alerts.json": {**FILES["Outputs/alerts.json"], "DataSourceType": "Power BI"}},
        "DataSourceType 'Power BI' can't be bound to EventHubBinding",
    ),
    "reference data": (
        {"Inputs/observations.json": {**FILES["Inputs/observations.json"], "Type": "Reference data"}},
        "only data streams",
    ),
    "a key": (
        {"Outputs/alerts.json": {**FILES["Outputs/alerts.json"], "EventHubProperties": {"SharedAccessPolicyKey": "c2VjcmV0"}}},
        "must be null; the job uses its managed identity",
    ),
    "no format": (
        {"Outputs/alerts.json": {**FILES["Outputs/alerts.json"], "Serialization": {}}},
        "Serialization.Type is missing",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_project_that_cannot_be_deployed_says_why(tmp_path: Path, name: str) -> None:
    changes, message = BROKEN[name]
    with pytest.raises(ProjectError) as fault:
        job_body(write(tmp_path, copy.deepcopy(FILES) | changes), BINDINGS)
    assert message in str(fault.value) and "c2VjcmV0" not in str(fault.value)


def test_every_fault_is_told_at_once(tmp_path: Path) -> None:
    files = {name: content for name, content in FILES.items() if name not in {"roompulse.asaql", "JobConfig.json"}}
    with pytest.raises(ProjectError, match=r"can't be deployed \(10 faults\)"):
        job_body(write(tmp_path, files), {name: binding for name, binding in BINDINGS.items() if name != "lake"})


def test_a_folder_without_a_project_says_only_that(tmp_path: Path) -> None:
    with pytest.raises(ProjectError, match=r"\(1 faults\):\n  asaproj\.json: no such file$"):
        job_body(tmp_path, BINDINGS)


def test_our_own_project_is_what_azures_types_want(types: BicepTypes) -> None:
    folder = REPOSITORY / "asa-queries" / "roompulse"
    lake = BlobBinding("stlakedev", "lake")
    bindings: Bindings = {"observations": HUBS, "processed": HUBS, "cityminute": HUBS, "alerts": HUBS, "lake": lake}
    body = job_body(folder, bindings)
    assert types.faults(arm_body(declared(body))) == []
    assert body["properties"]["transformation"]["properties"]["query"] == (folder / "roompulse.asaql").read_text(encoding="utf-8")
