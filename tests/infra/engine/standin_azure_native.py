"""A stand-in for the plugin azure-native: Pulumi's resource provider protocol over a cloud that is a JSON file.

As far as the program can see it does what the real one is documented to do: names make a resource's id, what a name names can't
be made twice, another name replaces (and deletes first), outputs are those the offline plan knows; azure_laws.py has what Azure
refuses beside. It takes any body: what Azure takes is held by tests/infra/checks.py. Run by the engine, not by pytest.

STANDIN_CLOUD is the file. A file beside it, `.fail`, holds the logical name of a resource that Azure refuses; no change ends
while there is a `.hold`. STANDIN_BLOBS is JSON: the blob endpoint of a storage account by how its name starts. STANDIN_SECONDS
slows every change down, STANDIN_ROLE_LAG is how many changes it takes until a role is known. Names that a deletion keeps are
beside the cloud, in `.deleted`.
"""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from concurrent import futures
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime import rpc
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from infra.offline import SUBSCRIPTION, TENANT, _answers, _identities_as_map, name_of
from tests.infra.engine.azure_laws import Laws, Refused

CLOUD = Path(os.environ["STANDIN_CLOUD"])
BLOBS: dict[str, str] = json.loads(os.environ["STANDIN_BLOBS"])
NOT_OWN_NAMES = frozenset({"resourceGroupName"})
FIXED = frozenset({"scope", "location"})
"""What can't be changed in place, besides names."""
JSONObject = dict[str, Any]


class Cloud:
    """What exists, by id, in a file that is replaced whole."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def read(self) -> JSONObject:
        return json.loads(CLOUD.read_text(encoding="utf-8")) if CLOUD.exists() else {}

    def change(self, id_: str, inputs: JSONObject | None) -> bool:
        """Write a resource, or delete it; whether it was there before."""
        with self.lock:
            cloud = self.read()
            existed = cloud.pop(id_, None) is not None
            if inputs is not None:
                cloud[id_] = inputs
            unfinished = CLOUD.with_suffix(".part")
            unfinished.write_text(json.dumps(cloud), encoding="utf-8")
            unfinished.replace(CLOUD)
            return existed


class Provider(provider_pb2_grpc.ResourceProviderServicer):
    """The protocol, as far as the engine asks."""

    def __init__(self) -> None:
        self.cloud = Cloud()
        self.laws = Laws(CLOUD.with_suffix(".deleted"), int(os.environ.get("STANDIN_ROLE_LAG", "0")))

    def GetPluginInfo(self, request: Any, context: Any) -> Any:
        return plugin_pb2.PluginInfo(version="3.29.0")

    def CheckConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: Any) -> Any:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: Any) -> Any:
        return provider_pb2.ConfigureResponse(supportsPreview=True)

    def Cancel(self, request: Any, context: Any) -> Any:
        return empty_pb2.Empty()

    def Invoke(self, request: Any, context: Any) -> Any:
        assert request.tok == "azure-native:authorization:getClientConfig", request.tok
        answer = {"clientId": "client", "objectId": "object", "subscriptionId": SUBSCRIPTION, "tenantId": TENANT}
        return provider_pb2.InvokeResponse(**{"return": _wire(answer)})

    def Check(self, request: Any, context: Any) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def Diff(self, request: Any, context: Any) -> Any:
        olds, news = _plain(request.old_inputs), _plain(request.news)
        changed = [name for name in sorted(olds.keys() | news.keys()) if olds.get(name) != news.get(name)]
        changed = [name for name in changed if name not in request.ignoreChanges]
        replaces = [name for name in changed if _fixed(name) and rpc.UNKNOWN not in json.dumps(news.get(name))]
        response = provider_pb2.DiffResponse
        kind = response.DIFF_SOME if changed else response.DIFF_NONE
        return response(changes=kind, diffs=changed, replaces=replaces, deleteBeforeReplace=bool(replaces))

    def Create(self, request: Any, context: Any) -> Any:
        inputs = _plain(request.properties)
        outputs = _outputs(request.urn, inputs)
        if request.preview:
            known = {name: value for name, value in outputs.items() if name in inputs or name == "name"}
            return provider_pb2.CreateResponse(properties=_wire(known))
        id_, kind = _id(request.urn, inputs, outputs), _kind(request.urn).removeprefix("azure-native:")
        with _told(context), self.laws.changing(kind, inputs):
            _act(request.urn, context)
            if id_ in self.cloud.read():
                context.abort(grpc.StatusCode.ALREADY_EXISTS, f"cannot create already existing resource {id_}")
            self.laws.create(kind, inputs, self.cloud.read())
            self.cloud.change(id_, inputs)
        return provider_pb2.CreateResponse(id=id_, properties=_wire(outputs))

    def Update(self, request: Any, context: Any) -> Any:
        inputs = _plain(request.news)
        if not request.preview:
            _act(request.urn, context)
            with _told(context):
                self.laws.update(_kind(request.urn).removeprefix("azure-native:"), self.cloud.read().get(request.id, {}), inputs)
            self.cloud.change(request.id, inputs)
        return provider_pb2.UpdateResponse(properties=_wire(_outputs(request.urn, inputs)))

    def Read(self, request: Any, context: Any) -> Any:
        inputs = self.cloud.read().get(request.id)
        if inputs is None:
            return provider_pb2.ReadResponse(id="")
        inputs = dict(self.laws.read(_kind(request.urn).removeprefix("azure-native:"), inputs))
        outputs = _wire(_outputs(request.urn, inputs))
        return provider_pb2.ReadResponse(id=request.id, properties=outputs, inputs=_wire(inputs))

    def Delete(self, request: Any, context: Any) -> Any:
        deleted, kind = self.cloud.read()[request.id], _kind(request.urn).removeprefix("azure-native:")
        with _told(context), self.laws.changing(kind, deleted):
            _act(request.urn, context)
            self.laws.delete(kind, deleted)
            self.cloud.change(request.id, None)
        if _kind(request.urn) == "azure-native:keyvault:Vault":  # its secrets go with it
            for id_, inputs in self.cloud.read().items():
                if inputs.get("vaultName") == deleted["vaultName"]:
                    self.cloud.change(id_, None)
        return empty_pb2.Empty()


@contextmanager
def _told(context: Any) -> Iterator[None]:
    """Tell the engine what Azure refuses, as the plugin does."""
    try:
        yield
    except Refused as refused:
        context.abort(grpc.StatusCode.UNKNOWN, str(refused))


def _act(urn: str, context: Any) -> None:
    """Take the time a change takes, and refuse what is to be refused."""
    time.sleep(float(os.environ.get("STANDIN_SECONDS", "0")))
    while CLOUD.with_suffix(".hold").exists():
        time.sleep(0.05)
    refused = CLOUD.with_suffix(".fail")
    if refused.exists() and urn.endswith(f"::{refused.read_text(encoding='utf-8').strip()}"):
        context.abort(grpc.StatusCode.UNKNOWN, 'Status=409 Code="Conflict" Message="seeded"')


def _kind(urn: str) -> str:
    return urn.split("::")[2].rsplit("$", 1)[-1]


def _outputs(urn: str, inputs: JSONObject) -> JSONObject:
    kind, logical_name = _kind(urn), urn.rsplit("::", 1)[-1]
    outputs = {**inputs, "name": name_of(kind, logical_name, inputs)}
    outputs |= _answers(kind.removeprefix("azure-native:"), logical_name, outputs)
    for start, url in BLOBS.items():
        if kind.endswith("storage:StorageAccount") and outputs["name"].startswith(start):
            outputs["primaryEndpoints"] = {"blob": url}
    _identities_as_map(outputs)
    return outputs


def _id(urn: str, inputs: JSONObject, outputs: JSONObject) -> str:
    place = inputs.get("resourceGroupName") or inputs.get("scope") or inputs.get("resourceUri") or ""
    names = [str(inputs[name]) for name in sorted(inputs) if name.endswith("Name") and name not in NOT_OWN_NAMES]
    kind = _kind(urn).removeprefix("azure-native:")
    return f"/subscriptions/{SUBSCRIPTION}/{place}/{kind}/{'/'.join(names) or outputs['name']}"


def _fixed(name: str) -> bool:
    return name.endswith("Name") or name in FIXED


def _plain(struct: Any) -> JSONObject:
    plain: JSONObject = _unwrapped(json_format.MessageToDict(struct))
    return plain


def _unwrapped(value: Any) -> Any:
    """The value without the marks of secrets."""
    if isinstance(value, dict):
        if value.get(rpc._special_sig_key) == rpc._special_secret_sig:
            return _unwrapped(value["value"])
        return {name: _unwrapped(inner) for name, inner in value.items()}
    return [_unwrapped(inner) for inner in value] if isinstance(value, list) else value


def _wire(properties: JSONObject) -> Any:
    struct = struct_pb2.Struct()
    struct.update(properties)
    return struct


def main() -> None:
    """Serve; the engine reads the port from standard output."""
    server = grpc.server(futures.ThreadPoolExecutor(max_workers=8))
    provider_pb2_grpc.add_ResourceProviderServicer_to_server(Provider(), server)
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    server.start()
    server.wait_for_termination()


if __name__ == "__main__":
    main()
