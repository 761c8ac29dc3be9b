"""The stand-in for azure-native refuses as Azure is documented to. Needs no engine: test_engine.py runs the program on it."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import grpc
import pytest
from google.protobuf import json_format, struct_pb2
from pulumi.runtime.proto import provider_pb2, provider_pb2_grpc

from infra.azure.limits import FIXED
from infra.offline import name_of
from tests.infra.deployments import recording
from tests.infra.engine.azure_laws import BLOB_METRICS, Laws, Refused
from tests.support.shared_data import REPOSITORY

PLUGIN = Path(__file__).with_name("standin_azure_native.py")

SCRIPT = {"clusterName": "adx", "databaseName": "d", "scriptName": "views"}
VAULT = {"vaultName": "kv"}
IDENTITY = "/subscriptions/s/managedidentity:UserAssignedIdentity/livestore-identity"
ROLE = {"principalId": "principal of livestore-identity", "scope": "/x"}
CONNECTION = {"clusterName": "adx", "managedIdentityResourceId": IDENTITY}


@pytest.fixture
def laws(tmp_path: Path) -> Laws:
    return Laws(tmp_path / "deleted", role_lag=2)


def test_two_scripts_of_a_cluster_at_once_are_refused_and_one_after_the_other_is_not(laws: Laws) -> None:
    with laws.changing("kusto:Script", SCRIPT):
        with pytest.raises(Refused, match=r"Status=409.*ServiceIsInMaintenance"), laws.changing("kusto:Script", SCRIPT):
            pass
        with laws.changing("kusto:Script", SCRIPT | {"clusterName": "another"}), laws.changing("storage:BlobContainer", {}):
            pass
    with laws.changing("kusto:Script", SCRIPT):
        pass


def test_a_change_that_fails_leaves_the_cluster_free(laws: Laws) -> None:
    with pytest.raises(RuntimeError), laws.changing("kusto:Script", SCRIPT):
        raise RuntimeError
    with laws.changing("kusto:Script", SCRIPT):
        pass


@pytest.mark.parametrize(("there", "refused"), [(49, False), (50, True)])
def test_a_cluster_has_fifty_scripts(laws: Laws, there: int, refused: bool) -> None:
    cloud: dict[str, Any] = {str(number): SCRIPT | {"scriptName": str(number)} for number in range(there)}
    cloud |= {"other": SCRIPT | {"clusterName": "another"}}
    if refused:
        with pytest.raises(Refused, match="TooManyScripts"):
            laws.create("kusto:Script", SCRIPT, cloud)
    else:
        laws.create("kusto:Script", SCRIPT, cloud)


CHANGES: list[tuple[str, dict[str, Any], dict[str, Any], bool]] = [
    ("eventhub:EventHub", {"partitionCount": 4}, {"partitionCount": 8}, True),
    ("eventhub:EventHub", {"partitionCount": 4}, {"partitionCount": 4, "retentionDescription": {}}, False),
    ("storage:StorageAccount", {"sku": {"name": "Standard_LRS"}}, {"sku": {"name": "Standard_ZRS"}}, True),
    ("storage:StorageAccount", {"isHnsEnabled": True}, {"isHnsEnabled": False}, True),
    ("storage:StorageAccount", {"sku": {"name": "Standard_LRS"}}, {"sku": {"name": "Standard_LRS"}, "tags": {}}, False),
    ("eventhub:Namespace", {"sku": {"name": "Standard"}}, {"sku": {"name": "Premium"}}, True),
    ("kusto:Cluster", {"sku": {"name": "a"}}, {"sku": {"name": "b"}}, False),
]


@pytest.mark.parametrize(("kind", "before", "after", "refused"), CHANGES)
def test_what_azure_takes_once_is_not_changed(
    laws: Laws, kind: str, before: dict[str, Any], after: dict[str, Any], refused: bool
) -> None:
    if refused:
        with pytest.raises(Refused, match=r"Status=400.*cannot be changed"):
            laws.update(kind, before, after)
    else:
        laws.update(kind, before, after)


def test_every_property_that_the_plan_holds_for_fixed_is_one_here() -> None:
    assert {kind for kind, _ in FIXED} <= {case[0] for case in CHANGES if case[3]}


def test_a_vault_that_was_deleted_keeps_its_name_over_every_run(laws: Laws, tmp_path: Path) -> None:
    laws.create("keyvault:Vault", VAULT, {})
    laws.delete("keyvault:Vault", VAULT)
    with pytest.raises(Refused, match=r"Status=409.*deleted state"):
        Laws(tmp_path / "deleted").create("keyvault:Vault", VAULT, {})
    laws.create("keyvault:Vault", {"vaultName": "kv2"}, {})


def test_a_secret_is_not_deleted_by_whoever_deploys(laws: Laws) -> None:
    with pytest.raises(Refused, match="Status=403"):
        laws.delete("keyvault:Secret", VAULT | {"secretName": "token"})


def test_a_role_is_known_some_changes_later_and_in_the_next_run(laws: Laws, tmp_path: Path) -> None:
    laws.create("authorization:RoleAssignment", ROLE, {})
    for _ in range(2):
        with pytest.raises(Refused, match=r"Status=400.*is not authorized"):
            laws.create("kusto:EventHubDataConnection", CONNECTION, {})
        with laws.changing("storage:BlobContainer", {}):
            pass
    laws.create("kusto:EventHubDataConnection", CONNECTION, {})
    Laws(tmp_path / "deleted", role_lag=2).create("kusto:EventHubDataConnection", CONNECTION, {})


def test_somebody_else_s_new_role_holds_nobody_up(laws: Laws) -> None:
    laws.create("authorization:RoleAssignment", ROLE | {"principalId": "principal of ingest-identity"}, {})
    laws.create("kusto:EventHubDataConnection", CONNECTION, {})


@pytest.mark.parametrize("place", ["/x/blobServices/default", "/x/keyvault:Vault/kv"])
def test_all_metrics_of_blobs_are_told_one_by_one(laws: Laws, place: str) -> None:
    told = [{"category": "AllMetrics", "enabled": True}]
    read = laws.read("monitor:DiagnosticSetting", {"resourceUri": place, "metrics": told})
    assert read["metrics"] == (BLOB_METRICS if "blobServices" in place else told)


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_what_we_declare_reads_as_it_was_declared(laws: Laws, name: str) -> None:
    """A refresh finds nothing to do: Azure tells each resource as we told it."""
    for resource in recording(name).resources:
        assert laws.read(resource.type.removeprefix("azure-native:"), resource.inputs) == resource.inputs


class Answered(Exception):
    """What the engine would be told."""


class Context:
    """The end of a call, as gRPC has it."""

    def abort(self, code: object, text: str) -> None:
        raise Answered(text)


class TestPlugin:
    """The plugin asks the rules at every call of the engine."""

    @pytest.fixture
    def plugin(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.setenv("STANDIN_CLOUD", str(tmp_path / "cloud.json"))
        monkeypatch.setenv("STANDIN_BLOBS", json.dumps({}))
        monkeypatch.setenv("STANDIN_ROLE_LAG", "9")
        module = importlib.reload(importlib.import_module("tests.infra.engine.standin_azure_native"))
        return module.Provider()

    def create(self, plugin: Any, kind: str, **inputs: Any) -> str:
        urn = f"urn:pulumi:dev::roompulse::azure-native:{kind}::one"
        answer = plugin.Create(provider_pb2.CreateRequest(urn=urn, properties=struct(inputs)), Context())
        return str(answer.id)

    def test_partitions_are_not_changed(self, plugin: Any) -> None:
        hub = {"resourceGroupName": "rg", "namespaceName": "n", "eventHubName": "alerts", "partitionCount": 4}
        id_ = self.create(plugin, "eventhub:EventHub", **hub)
        urn = "urn:pulumi:dev::roompulse::azure-native:eventhub:EventHub::one"
        request = provider_pb2.UpdateRequest(id=id_, urn=urn, news=struct(hub | {"partitionCount": 8}))
        with pytest.raises(Answered, match=r"Status=400.*partitionCount cannot be changed"):
            plugin.Update(request, Context())

    def test_a_deleted_vault_is_in_the_way_of_the_next(self, plugin: Any) -> None:
        id_ = self.create(plugin, "keyvault:Vault", resourceGroupName="rg", vaultName="kv")
        urn = "urn:pulumi:dev::roompulse::azure-native:keyvault:Vault::one"
        plugin.Delete(provider_pb2.DeleteRequest(id=id_, urn=urn), Context())
        with pytest.raises(Answered, match="deleted state"):
            self.create(plugin, "keyvault:Vault", resourceGroupName="rg", vaultName="kv")

    def test_a_fresh_role_is_not_known_yet(self, plugin: Any) -> None:
        self.create(plugin, "authorization:RoleAssignment", roleAssignmentName="r", **ROLE)
        with pytest.raises(Answered, match="is not authorized"):
            self.create(plugin, "kusto:EventHubDataConnection", resourceGroupName="rg", dataConnectionName="c", **CONNECTION)

    def test_metrics_of_blobs_are_read_one_by_one(self, plugin: Any) -> None:
        metrics = [{"category": "AllMetrics", "enabled": True}]
        id_ = self.create(plugin, "monitor:DiagnosticSetting", name="to", resourceUri="/x/blobServices/default", metrics=metrics)
        urn = "urn:pulumi:dev::roompulse::azure-native:monitor:DiagnosticSetting::one"
        read = plugin.Read(provider_pb2.ReadRequest(id=id_, urn=urn), Context())
        assert json_format.MessageToDict(read.inputs)["metrics"] == BLOB_METRICS


@pytest.fixture(scope="module")
def started(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """The plugin as the engine starts it, in a process that has loaded nothing else."""
    folder = tmp_path_factory.mktemp("plugin")
    standin = {"STANDIN_CLOUD": str(folder / "cloud.json"), "STANDIN_BLOBS": "{}"}
    environment = {**os.environ, **standin, "PYTHONPATH": str(REPOSITORY)}
    with subprocess.Popen([sys.executable, PLUGIN], env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        with grpc.insecure_channel(f"127.0.0.1:{process.stdout.readline().strip()}") as channel:
            yield provider_pb2_grpc.ResourceProviderStub(channel)
        process.kill()


@pytest.mark.parametrize("name", ["dev", "prod", "fabric"])
def test_the_plugin_answers_all_that_a_stack_asks_of_azure(started: Any, name: str) -> None:
    """Each resource in a preview: named as the plan names it, or this test of `make test` is red before `make test-engine` is."""
    azure = [one for one in recording(name).resources if one.type.startswith("azure-native:")]
    named = {}
    for one in azure:
        request = provider_pb2.CreateRequest(urn=one.urn, properties=struct(one.inputs), preview=True)
        named[one.urn] = json_format.MessageToDict(started.Create(request).properties)["name"]
    assert named == {one.urn: name_of(one.type, one.name, one.inputs) for one in azure}


def struct(properties: dict[str, Any]) -> struct_pb2.Struct:
    message = struct_pb2.Struct()
    message.update(properties)
    return message
