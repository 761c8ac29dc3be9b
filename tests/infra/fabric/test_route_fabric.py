"""Everything inside Fabric: what is deployed, what is absent, and that the eventstream is the deployed query in another place."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import pytest

from asa_engine.commands import explain
from asa_engine.parallel import PARTITION as PARTITION_OF_THE_QUERY
from infra.fabric.eventhouse import ARRIVAL_COLUMNS, AVAILABLE, PARTITION, eventhouse_script, landing_columns
from infra.fabric.eventstream import eventstream, incident_stream
from infra.offline import Recording
from infra.plan import plan_of
from infra.policies.rules import at
from powerbi.items import FabricItem, Reference
from powerbi.kusto_schema import KustoTable, read_tables
from processors.ingest.cloud_events import sealed
from processors.ingest.environment import faults_of
from processors.ingest.sinks import destination_faults
from tests.infra.checks import eventstream_specification, findings
from tests.infra.deployments import city, record, recording, stack, with_cities
from tests.infra.fabric.eventstream_rules import faults
from tests.infra.fabric.test_route_azure import items
from tests.infra.recorded import of_type, ours
from tests.support.kusto_checker import check_kql
from tests.support.rules import RULES
from tests.support.shared_data import REPOSITORY

DATABASE, LAKEHOUSE = Reference("KQLDatabase", "roompulse", "id"), Reference("Lakehouse", "roompulse", "id")
QUERY = (REPOSITORY / "asa-queries" / "roompulse" / "roompulse.asaql").read_text(encoding="utf-8")


def topology() -> dict[str, Any]:
    item = eventstream(DATABASE, LAKEHOUSE, Reference("Reflex", "roompulse-alerts", "id"))
    return dict(json.loads(str(item.parts["eventstream.json"])))


def settings_of(recorded: Recording, app: str) -> dict[str, str]:
    return {setting["name"]: setting["value"] for setting in at(recorded[app].inputs, "siteConfig.appSettings")}


class TestDeployment:
    def test_the_lakehouse_shows_the_history_of_the_database_once_its_tables_are_there(self) -> None:
        shortcuts = {shortcut.inputs["name"]: shortcut for shortcut in ours(recording("fabric"), "Shortcut")}
        assert shortcuts.keys() == {"Alerts", "CityMinute", "IncidentSteps"} and shortcuts.keys() <= set(AVAILABLE)
        for name, shortcut in shortcuts.items():
            assert shortcut.inputs["path"] == "Tables"
            assert shortcut.inputs["target"]["oneLake"]["path"] == f"Tables/{name}"
            assert any(urn.endswith("::kql-schema") for urn in shortcut.depends_on)

    def test_nothing_is_wrong_with_it(self) -> None:
        assert findings(recording("fabric")) == []

    def test_what_fabric_takes_the_place_of_is_absent(self) -> None:
        kinds = {resource.type for resource in recording("fabric").resources}
        assert not [kind for kind in kinds if ":eventhub:" in kind or ":kusto:" in kind or kind.endswith("StreamAnalyticsJob")]
        assert "lake-account" not in {resource.name for resource in recording("fabric").resources}

    def test_every_item_is_a_resource_of_its_own(self) -> None:
        wanted = {"Eventhouse", "KQLDatabase", "Lakehouse", "Eventstream"}
        shown = {"SemanticModel RoomPulse", "Report RoomPulse all cities", "KQLDashboard RoomPulse live"}
        of_cities = {"Report Lyon", "Reflex Alerts Lyon", "Report Toronto", "Reflex Alerts Toronto"}
        assert items(recording("fabric")).keys() == (
            {f"{kind} roompulse" for kind in wanted}
            | {"Eventstream roompulse-incidents", "Reflex roompulse-alerts"}
            | shown
            | of_cities
        )

    def test_the_ingest_is_told_the_endpoint_it_sends_to_and_enters_without_a_key(self) -> None:
        settings = settings_of(recording("fabric"), "ingest-app")
        assert settings["EVENTSTREAM__eventHubName"] == "es_ingest-endpoint" and "EVENT_HUBS" not in settings
        assert destination_faults(settings) == [] and not [value for value in settings.values() if "SharedAccess" in value]
        environment = {**settings, "STATE_FOLDER": "x"}
        assert not [fault for fault in faults_of(environment, event_hubs=True, state=True) if "EVENT" in fault]

    def test_the_fan_out_is_told_the_endpoint_it_reads_from(self) -> None:
        settings = settings_of(recording("fabric"), "fanout-app")
        assert settings["EVENT_HUBS__fullyQualifiedNamespace"] == "eventstream.servicebus.windows.net"
        assert (settings["ALERTS_HUB"], settings["ALERTS_GROUP"]) == ("es_fanout-endpoint", "cg_fanout-endpoint")

    def test_the_fan_out_is_told_the_endpoint_it_sends_the_history_of_incidents_to(self) -> None:
        settings = settings_of(recording("fabric"), "fanout-app")
        assert settings["INCIDENTS_HUB"] == "es_steps-endpoint"
        assert settings["INCIDENTS_NAMESPACE"] == "eventstream.servicebus.windows.net"

    def test_both_programs_may_contribute_and_no_more(self) -> None:
        roles = {role.name: role.inputs["role"] for role in ours(recording("fabric"), "WorkspaceRoleAssignment")}
        assert roles.pop("workspace-viewer-3f6c1f0e-0f4e-4c57-9a53-7f0f5c2c9d11") == "Viewer"
        assert roles == {"workspace-ingest": "Contributor", "workspace-fanout": "Contributor"}

    def test_azure_monitor_watches_what_it_can_see(self) -> None:
        assert [alert.name for alert in of_type(recording("fabric"), "monitor:MetricAlert")] == ["functions-failing"]

    def test_a_new_city_adds_its_report_and_its_people(self) -> None:
        settings = stack("fabric")
        larger = with_cities(settings, [*settings.cities, city("reykjavik")])
        old, new = ({r.urn: r.inputs for r in one.resources} for one in (recording("fabric"), record(larger)))
        added = {urn.rsplit("::", 1)[-1] for urn in new.keys() - old.keys()}
        assert {f"{kind}-reykjavik" for kind in ("report", "reflex", "view", "ag-email", "apr-email")} <= added
        assert all("reykjavik" in name for name in added)
        assert {urn.rsplit("::", 1)[-1] for urn in old if old[urn] != new[urn]} == set()

    def test_the_plan_owns_up_to_the_keys_fabric_makes(self) -> None:
        told = plan_of(stack("fabric"), RULES)
        assert {line.split(":")[0] for line in told.keys} == {"fanout-endpoint", "ingest-endpoint", "steps-endpoint"}
        assert "Fabric (RoomPulse): with Entra tokens" in told.public

    def test_without_the_activator_nothing_of_it_is_there(self) -> None:
        settings = stack("fabric")
        assert settings.azure is not None and settings.azure.fabric is not None
        fabric = replace(settings.azure.fabric, content=("reports",))
        without = record(replace(settings, azure=replace(settings.azure, fabric=fabric)))
        assert findings(without) == [] and not [name for name in items(without) if name.startswith("Reflex")]
        assert "Activator" not in items(without)["Eventstream roompulse"].inputs["parts"]["eventstream.json"]

    def test_a_preview_shows_the_same_resources(self) -> None:
        assert {r.urn for r in recording("fabric", preview=True).registrations} == {
            r.urn for r in recording("fabric").registrations
        }


class TestEventstream:
    def test_it_is_what_the_specification_and_the_graph_want(self) -> None:
        assert faults(topology(), eventstream_specification()) == []

    def test_the_query_is_the_deployed_file_letter_by_letter(self) -> None:
        (operator,) = topology()["operators"]
        assert operator["properties"]["query"] == QUERY

    def test_time_policies_are_those_of_the_job(self) -> None:
        config = json.loads((REPOSITORY / "asa-queries" / "roompulse" / "JobConfig.json").read_text(encoding="utf-8"))
        told = topology()["operators"][0]["properties"]["advancedSettings"]
        assert told["eventsLateArrivalMaxDelayInSeconds"] == config["EventsLateArrivalMaxDelayInSeconds"]

    def test_every_output_of_the_query_has_a_way_out(self) -> None:
        named = set(re.findall(r"^INTO (\w+)", QUERY, re.MULTILINE))
        behind = {
            n["name"] for side in ("streams", "destinations") for n in topology()[side] if n["inputNodes"][0]["name"] == "query"
        }
        assert named == behind == {"processed", "cityminute", "alerts", "lake"}

    def test_a_changed_query_is_another_content(self, tmp_path: Path) -> None:
        project = tmp_path / "roompulse"
        (project / "Inputs").mkdir(parents=True)
        for name in ("JobConfig.json", "Inputs/observations.schema.json"):
            (project / name).write_text(
                (REPOSITORY / "asa-queries/roompulse" / name).read_text(encoding="utf-8"), encoding="utf-8"
            )
        (project / "roompulse.asaql").write_text(QUERY + "-- changed\n", encoding="utf-8")
        changed = eventstream(DATABASE, LAKEHOUSE, None, project)
        assert changed.content_hash != eventstream(DATABASE, LAKEHOUSE, None).content_hash


Change = Callable[[dict[str, Any]], object]


def node(side: str, called: str, /, **changes: Any) -> Change:
    def change(stream: dict[str, Any]) -> None:
        next(one for one in stream[side] if one["name"] == called).update(changes)

    return change


def properties(called: str, /, **changes: Any) -> Change:
    def change(stream: dict[str, Any]) -> None:
        next(one for one in stream["destinations"] if one["name"] == called)["properties"].update(changes)

    return change


def added(side: str, /, **more: Any) -> Change:
    return lambda stream: stream[side].append(more)


def gone(side: str, name: str) -> Change:
    return lambda stream: stream.update({side: [one for one in stream[side] if one["name"] != name]})


def query(old: str, new: str) -> Change:
    def change(stream: dict[str, Any]) -> None:
        told = stream["operators"][0]["properties"]
        assert old in told["query"]
        told["query"] = told["query"].replace(old, new)

    return change


def columns(one: dict[str, Any]) -> list[dict[str, Any]]:
    """The columns of a node's first input."""
    found: list[dict[str, Any]] = one["inputSchemas"][0]["schema"]["columns"]
    return found


FAULTS: list[tuple[str, Change, str]] = [
    ("two default streams", added("streams", name="second", type="DefaultStream", properties={}, inputNodes=[{"name": "ingest"}]),
     "2 default streams"),
    ("no default stream", node("streams", "observations", type="DerivedStream"), "0 default streams"),
    ("a destination nothing flows into", node("destinations", "lake", inputNodes=[]), "lake: nothing flows into it"),
    ("a stream nobody reads", added("streams", name="dangling", type="DerivedStream", properties={},
                                    inputNodes=[{"name": "query"}]), "dangling: nothing reads it"),
    ("an input that does not exist", node("destinations", "fanout", inputNodes=[{"name": "alarms"}]), "input alarms does not"),
    ("a destination as input", node("destinations", "fanout", inputNodes=[{"name": "lake"}]), "lake is a destination"),
    ("two nodes of one name", node("destinations", "lake", name="alerts"), "alerts: 2 nodes of one name"),
    ("a name with a hyphen", node("sources", "ingest", name="in-gest"), "a name has 3 to 63 letters and digits"),
    ("an output the query does not have", node("destinations", "lake", name="history"), "writes nothing into it"),
    ("an output without a node", gone("destinations", "processed"), "writes INTO processed, which is no node behind it"),
    ("a query that reads something else", query("FROM observations o", "FROM events o"), "does not read observations"),
    ("a type of destination that does not exist", node("destinations", "lake", type="Warehouse"), "'Warehouse' is none of"),
    ("an operator that does not exist", node("operators", "query", type="Python"), "'Python' is none of"),
    ("no table", lambda stream: stream["destinations"][1]["properties"].pop("tableName"), "tableName: is missing"),
    ("a property that does not exist", properties("lake", table="readings"), "table: there is no such property"),
    ("an encoding that does not exist", properties("lake", inputSerialization={"type": "Json",
                                                                               "properties": {"encoding": "UTF-8"}}),
     "'UTF-8' is none of"),
    ("a way of ingestion that does not exist", properties("processed", dataIngestionMode="Fast"), "'Fast' is none of"),
    ("rows a minute as text", properties("lake", minimumRows="100000"), "not a whole number"),
    ("a delay beyond the limit", lambda stream: stream["operators"][0]["properties"]["advancedSettings"].update(
        eventsOutOfOrderMaxDelayInSeconds=7200), "within its bounds"),
    ("a type of column that does not exist", lambda stream: columns(stream["operators"][0])[0].update(type="String"),
     "'String' is none of"),
    ("a schema for another input", lambda stream: stream["operators"][0]["inputSchemas"][0].update(name="events"),
     "a schema for events"),
    ("no schema of the rows", lambda stream: stream["destinations"][1].pop("inputSchemas"), "no schema of the rows"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "named"), [case[1:] for case in FAULTS], ids=[case[0] for case in FAULTS])
def test_a_seeded_fault_in_the_eventstream_is_found_and_named(change: Change, named: str) -> None:
    broken = copy.deepcopy(topology())
    change(broken)
    found = faults(broken, eventstream_specification())
    assert any(named in fault for fault in found), found


WITHIN: list[tuple[str, Change, str]] = [
    ("another query", query("TumblingWindow(minute, 1)", "TumblingWindow(minute, 5)"), "is not the deployed file"),
    ("a table that is not there", properties("cityminute", tableName="CityMinutes"), "have other columns"),
    ("another column", lambda stream: columns(stream["destinations"][1]).pop(), "have other columns"),
    ("another database", properties("arrivals", databaseName="rooms"), "goes to database rooms, which does not exist"),
]  # fmt: skip


@pytest.mark.parametrize(("change", "named"), [case[1:] for case in WITHIN], ids=[case[0] for case in WITHIN])
def test_a_seeded_fault_between_the_eventstream_and_its_neighbours_is_found(change: Change, named: str) -> None:
    good = recording("fabric")

    def broken(resource: Any) -> Any:
        if resource.name != "eventstream-roompulse":
            return resource
        inputs = copy.deepcopy(resource.inputs)
        stream = json.loads(inputs["parts"]["eventstream.json"])
        change(stream)
        inputs["parts"]["eventstream.json"] = json.dumps(stream)
        return replace(resource, inputs=inputs)

    found = findings(Recording(tuple(broken(resource) for resource in good.registrations), good.outputs))
    assert any(named in finding for finding in found), found


@pytest.mark.parametrize(
    ("name", "named"),
    [
        ("workspace-ingest", "does not wait"),
        ("fanout-endpoint", "which is no endpoint"),
        ("ingest-endpoint", "which is no endpoint"),
        ("kql-schema", "have other columns"),
    ],
)
def test_a_forgotten_part_is_found(name: str, named: str) -> None:
    good = recording("fabric")
    rest = [replace(r, depends_on=tuple(u for u in r.depends_on if not u.endswith(f"::{name}"))) for r in good.registrations]
    if name != "workspace-ingest":
        rest = [resource for resource in rest if resource.name != name]
    found = findings(Recording(tuple(rest), good.outputs))
    assert any(named in finding for finding in found), found


class TestHistoryOfIncidents:
    STREAM: ClassVar[dict[str, Any]] = json.loads(str(incident_stream(DATABASE).parts["eventstream.json"]))

    def test_nothing_is_wrong_with_its_eventstream(self) -> None:
        assert faults(self.STREAM, eventstream_specification()) == []

    def test_a_row_lands_in_the_columns_that_the_fan_out_sends(self) -> None:
        (destination,) = self.STREAM["destinations"]
        assert destination["properties"]["tableName"] == "IncidentStepsLanding"
        (schema,) = destination["inputSchemas"]
        landed = {column["name"]: column["type"] for column in schema["schema"]["columns"]}
        assert list(landed) == list(read_tables()["IncidentSteps"].types)
        assert landed["startedAt"] == "Nvarchar(max)" and landed["severity"] == "BigInt"


def landed() -> dict[str, KustoTable]:
    """The tables that get rows inside Fabric: all of them."""
    return read_tables()


class TestDatabase:
    def test_rows_land_in_the_columns_of_the_output(self) -> None:
        landing = landing_columns()
        for output in explain(REPOSITORY / "asa-queries" / "roompulse").outputs:
            if (name := {"processed": "Processed", "cityminute": "CityMinute", "alerts": "Alerts"}.get(output.name)) is not None:
                assert {column for column, _ in output.columns} == set(landing[f"{name}Landing"])

    def test_everything_that_arrives_has_a_column(self) -> None:
        assert list(json.loads(sealed("t", "s", "2026-01-01T00:00:00Z", {}).body)) == list(ARRIVAL_COLUMNS)

    @pytest.mark.parametrize("table", [*read_tables()])
    def test_every_table_gets_its_rows_by_a_policy_that_fills_every_column(self, table: str) -> None:
        script = eventhouse_script()
        (function,) = re.findall(rf"\b({table}From\w+)\(\)\n\{{", script)
        (body,) = re.findall(rf"{function}\(\)\n\{{\n\s+(.*)\n\}}", script)
        projected = [part.split(" = ")[0].strip() for part in body.rsplit("| project ", 1)[1].split(", ")]
        assert projected == list(read_tables()[table].types)
        (policy,) = re.findall(rf"\.alter table {table} policy update\n```\n(.*)\n```", script)
        assert json.loads(policy)[0]["Query"] == f"{function}()"

    def test_the_partition_is_called_as_the_query_calls_it(self) -> None:
        assert PARTITION == PARTITION_OF_THE_QUERY

    def test_every_time_that_is_text_becomes_a_time(self) -> None:
        for name, table in landed().items():
            for column, kind in table.types.items():
                if kind == "datetime" and column != "windowEnd":
                    (body,) = re.findall(rf"{name}From\w+\(\)\n\{{\n\s+(.*)\n\}}", eventhouse_script())
                    assert f"{column} = todatetime(" in body

    @pytest.mark.kusto
    def test_kusto_s_own_parser_takes_the_policies_queries_and_they_give_the_columns_of_their_tables(self) -> None:
        script = eventhouse_script()
        landing = "\n\n".join(re.findall(r"^\.create-merge table \w+ \(\['.*", script, re.MULTILINE))
        queries = dict(re.findall(r"(\w+)From\w+\(\)\n\{\n\s+(.*)\n\}", script))
        found = check_kql(queries, {"landing": landing})
        assert found.faults == ()
        assert {name: found.columns[name] for name in queries} == {name: table.types for name, table in landed().items()}

    def test_commands_stand_apart_by_a_blank_line_as_kusto_wants_it(self) -> None:
        for command in re.split(r"\n\n(?=\.)", eventhouse_script().strip()):
            assert command.startswith(".") and "\n\n" not in command

    def test_its_days_are_those_of_the_stack(self) -> None:
        database = items(recording("fabric"))["KQLDatabase roompulse"]
        told = json.loads(database.inputs["parts"]["DatabaseProperties.json"])
        assert (told["oneLakeCachingPeriod"], told["oneLakeStandardStoragePeriod"]) == ("P7D", "P365D")
        assert told["parentEventhouseItemId"] == Reference("Eventhouse", "roompulse", "id").placeholder


def test_an_item_rendered_twice_is_the_same() -> None:
    one, two = (eventstream(DATABASE, LAKEHOUSE, None) for _ in range(2))
    assert isinstance(one, FabricItem) and one.content_hash == two.content_hash
