"""Evaluates the program without the Pulumi engine, an account or a network, and records what it would register.

Pulumi's own mocks drop parents, dependencies and options, so the recorder listens where the engine would, as resource monitor.
Used by the offline plan and by every test of the program.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest.mock import patch

import pulumi
from pulumi.output import _OutputData
from pulumi.runtime import mocks, resource, rpc, settings
from pulumi.runtime.proto import source_pb2
from pulumi.runtime.stack import run_in_stack

import infra.program  # noqa: F401  its parts say how what they make is named, once they are loaded
from activator.declarations import DeclarationError, Fault
from infra.parts import names_of

PROJECT = "roompulse"
SUBSCRIPTION = "00000000-0000-0000-0000-000000000001"
TENANT = "00000000-0000-0000-0000-000000000002"
OURS = "pulumi-python:dynamic/roompulse:"
"""How the types of our own providers begin."""
FABRIC = frozenset(
    {
        "Connection",
        "EventstreamEndpoint",
        "FabricItem",
        "KqlScript",
        "SemanticModelBinding",
        "Shortcut",
        "Workspace",
        "WorkspaceRoleAssignment",
    }
)
"""Those of Fabric, whose ids are GUIDs and no ARM ids."""
STACK_TYPE = "pulumi:pulumi:Stack"


@dataclass(frozen=True)
class Registration:
    """One resource as the engine would have heard of it. `inputs` are plain; `secrets` are the paths that were secret;
    `ignored` are those whose changes are never sent to a resource that exists; what is `retained` is forgotten, not deleted."""

    urn: str
    type: str
    name: str
    custom: bool
    inputs: dict[str, Any]
    secrets: frozenset[str]
    parent: str
    depends_on: tuple[str, ...]
    protect: bool
    ignored: tuple[str, ...]
    retained: bool = False


@dataclass(frozen=True)
class Recording:
    """Everything a run registered, in the order of the program, and what the stack exports."""

    registrations: tuple[Registration, ...]
    outputs: dict[str, Any] = field(default_factory=dict)

    @functools.cached_property
    def resources(self) -> tuple[Registration, ...]:
        """What exists in Azure, without the components that group it."""
        return tuple(registration for registration in self.registrations if registration.custom)

    def __getitem__(self, name: str) -> Registration:
        """The resource with this logical name."""
        return next(registration for registration in self.resources if registration.name == name)


class _Recorder(mocks.MockMonitor):
    """A resource monitor that keeps what it is asked to register."""

    def __init__(self, answers: mocks.Mocks) -> None:
        super().__init__(answers)
        self.registrations: list[Registration] = []
        self.stack_outputs: dict[str, Any] = {}
        self._stack_urn = ""

    def deployment_features(self) -> list[str]:
        """What an engine of this SDK's version can do."""
        return list(self.GetDeploymentInfo(None).supportedFeatures)  # type: ignore[no-untyped-call]

    def RegisterResource(self, request: Any) -> Any:
        response = super().RegisterResource(request)  # type: ignore[no-untyped-call]
        if request.type == STACK_TYPE:
            self._stack_urn = response.urn
            return response
        raw = rpc.deserialize_properties(request.object)
        self.registrations.append(
            Registration(
                urn=response.urn,
                type=request.type,
                name=request.name,
                custom=request.custom,
                inputs=_plain(raw),
                secrets=frozenset(_secret_paths(raw)),
                parent=request.parent,
                depends_on=tuple(request.dependencies),
                protect=request.protect,
                ignored=tuple(request.ignoreChanges),
                retained=request.retainOnDelete,
            )
        )
        return response

    def RegisterResourceOutputs(self, request: Any) -> Any:
        if request.urn == self._stack_urn:
            self.stack_outputs = rpc.deserialize_properties(request.outputs)
        return super().RegisterResourceOutputs(request)  # type: ignore[no-untyped-call]


class _Azure(mocks.Mocks):
    """Answers as Azure would: the outputs the program reads. In a preview nothing exists, so only names are known."""

    def __init__(self, preview: bool) -> None:
        self._preview = preview

    def new_resource(self, args: mocks.MockResourceArgs) -> tuple[str | None, dict[str, Any]]:
        outputs = dict(args.inputs)
        kind = args.typ.removeprefix("azure-native:")
        outputs["name"] = name_of(args.typ, args.name, outputs)
        _identities_as_map(outputs)
        if self._preview:
            return None, outputs
        if kind.removeprefix(OURS) in FABRIC:
            return f"id-of-{args.name}", outputs | _fabric_answers(kind.removeprefix(OURS), args.name)
        return f"/subscriptions/{SUBSCRIPTION}/{kind}/{outputs['name']}", outputs | _answers(kind, args.name, outputs)

    def call(self, args: mocks.MockCallArgs) -> Any:
        if args.token != "azure-native:authorization:getClientConfig":
            raise NotImplementedError(f"{args.token} has no offline answer: give it one in infra/offline.py")
        return {"clientId": "client", "objectId": "object", "subscriptionId": SUBSCRIPTION, "tenantId": TENANT}


def name_of(kind: str, logical_name: str, inputs: Mapping[str, Any]) -> str:
    """The `name` output of a resource: the explicit name, or the logical one where it has none."""
    (*_, own) = ("name", *names_of(kind.removeprefix("azure-native:")))
    return str(inputs.get(own, logical_name))


def _answers(kind: str, logical_name: str, outputs: dict[str, Any]) -> dict[str, Any]:
    """What Azure decides and the program reads."""
    name = outputs["name"]
    match kind:
        case "managedidentity:UserAssignedIdentity":
            return {"principalId": f"principal of {logical_name}", "clientId": f"client of {logical_name}"}
        case "storage:StorageAccount":
            return {"primaryEndpoints": {"blob": f"https://{name}.blob.core.windows.net/"}}
        case "web:WebApp":
            return {"defaultHostName": f"{name}.azurewebsites.net"}
        case "applicationinsights:Component":
            return {"connectionString": "InstrumentationKey=00000000-0000-0000-0000-000000000000"}
        case "kusto:Cluster":
            return {"uri": f"https://{name}.{outputs['location']}.kusto.windows.net"}
        case "monitor:DataCollectionEndpoint":
            return {"logsIngestion": {"endpoint": "https://dce.example.ingest.monitor.azure.com"}}
        case "monitor:DataCollectionRule":
            return {"immutableId": "dcr-00000000000000000000000000000000"}
    return {}


def _fabric_answers(kind: str, logical_name: str) -> dict[str, Any]:
    """What Fabric decides and the program reads."""
    match kind:
        case "Workspace":
            names = ("identityApplicationId", "identityPrincipalId")
            return dict(zip(names, ("client of fabric-identity", "principal of fabric-identity"), strict=True))
        case "FabricItem":
            return {"queryServiceUri": f"https://{logical_name}.z0.kusto.fabric.microsoft.com"}
        case "EventstreamEndpoint":
            hub = {"eventHubName": f"es_{logical_name}", "consumerGroupName": f"cg_{logical_name}"}
            return {"fullyQualifiedNamespace": "eventstream.servicebus.windows.net", **hub}
    return {}


def evaluate(
    program: Callable[[], None], *, stack: str, config: Mapping[str, str] | None = None, preview: bool = False
) -> Recording:
    """Run `program` as stack `stack`; what it raises is raised here, and DeclarationError for two resources of one name, which
    Pulumi would refuse. `config` are secrets of the stack by key.

    `preview` leaves unknown what Azure decides, as in `pulumi preview`. Runs don't see each other.
    """
    recorder = _Recorder(_Azure(preview))

    def run() -> None:
        keys = {f"{PROJECT}:{key}": value for key, value in (config or {}).items()}
        pulumi.runtime.set_all_config(keys, list(keys))
        settings.configure(
            mocks.MockSettings(  # type: ignore[no-untyped-call]
                monitor=recorder,
                monitor_features=set(recorder.deployment_features()),
                engine=mocks.MockEngine(logging.getLogger("roompulse.offline")),
                project=PROJECT,
                stack=stack,
                dry_run=preview,
                organization="offline",
                callbacks=None,
            )
        )
        settings.SETTINGS.outputs.clear()
        settings.ROOT.set(None)
        loop = asyncio.new_event_loop()
        asyncio.set_event_loop(loop)
        try:
            with _threads_with_loops() as threads:
                loop.set_default_executor(threads)
                loop.run_until_complete(run_in_stack(program))
        finally:
            loop.close()
            asyncio.set_event_loop(None)

    with _declared() as declared:
        contextvars.copy_context().run(run)
    counted = Counter(registration.urn for registration in recorder.registrations)
    if twice := [urn for urn, times in counted.items() if times > 1]:
        says = "is declared twice, which Pulumi refuses: rename the city or the secret that it is made for."
        raise DeclarationError(f"Stack {stack} can't be deployed", [Fault(urn.rsplit("::", 1)[-1], says) for urn in twice])
    in_order = sorted(recorder.registrations, key=lambda one: declared.get((one.type, one.name), len(declared)))
    return Recording(tuple(in_order), _plain(recorder.stack_outputs))


@contextmanager
def _threads_with_loops() -> Iterator[ThreadPoolExecutor]:
    """Threads that have an event loop each, until the end: Pulumi's mocks make one wherever there is none, and never close it."""
    loops: list[asyncio.AbstractEventLoop] = []

    def start() -> None:
        loops.append(asyncio.new_event_loop())
        asyncio.set_event_loop(loops[-1])

    try:
        with ThreadPoolExecutor(initializer=start) as threads:
            yield threads
    finally:
        for loop in loops:
            loop.close()


@contextmanager
def _declared() -> Iterator[dict[tuple[str, str], int]]:
    """The place of each resource (type and name) in the program: they are registered side by side, in no order.

    Spares what is of no use without an engine: the aliases for old API versions (up to 33 per resource, three quarters of the
    time), where in the source each was declared (a fifth of what is left), four of the five futures of each output (an eighth),
    the address that a resource without a monitor would have, and words for Pulumi's log.
    """
    declared: dict[tuple[str, str], int] = {}
    original = pulumi.Resource.__init__

    @functools.wraps(original)
    def lean(
        self: Any, kind: str, name: str, custom: bool, props: Any = None, opts: Any = None, *rest: Any, **named: Any
    ) -> None:
        declared.setdefault((kind, name), len(declared))
        if opts is not None and kind.startswith("azure-native:"):
            opts.aliases = None
        original(self, kind, name, custom, props, opts, *rest, **named)

    nowhere = source_pb2.StackTrace()
    with (
        patch.object(pulumi.Resource, "__init__", lean),
        patch.object(resource, "_get_stack_trace", lambda: nowhere),
        patch.object(resource, "create_urn", lambda *_: _Unasked()),
        patch.object(pulumi.log, "debug", lambda *_: None),
        patch.object(rpc, "transfer_properties", _give_outputs),
    ):
        yield declared


class _Unasked:
    """Stands for an output that nobody reads."""

    async def future(self) -> None:
        """Nothing."""


def _give_outputs(made: pulumi.Resource, names: Iterable[str], custom: bool) -> dict[str, rpc.Resolver]:
    """Gives a resource its outputs, as `rpc.transfer_properties` does, but one future for each. Returns what settles them.

    Pulumi's list of unsettled outputs is without them: the registration that settles them is awaited, and raises what fails.
    """
    settling: dict[str, rpc.Resolver] = {}
    for name in names:
        if name == "urn" or (name == "id" and custom):  # Pulumi gives them elsewhere
            continue
        data: asyncio.Future[_OutputData[Any]] = asyncio.Future()
        settling[name] = functools.partial(_settle, made, data)
        made.__dict__[name] = output = object.__new__(pulumi.Output)
        output._data = data
    return settling


def _settle(
    made: pulumi.Resource,
    data: asyncio.Future[_OutputData[Any]],
    value: Any,
    is_known: bool,
    is_secret: bool,
    needs: Iterable[pulumi.Resource] | None,
    failed: Exception | None,
) -> None:
    if failed is not None:
        data.set_exception(failed)
        data.exception()  # seen: the registration raises it as well
    else:
        data.set_result(_OutputData({made, *(needs or ())}, value, is_known, is_secret))


def _identities_as_map(outputs: dict[str, Any]) -> None:
    """User-assigned identities go in as a list of ids and come out as a map."""
    identity = outputs.get("identity")
    if isinstance(identity, dict) and isinstance(identity.get("userAssignedIdentities"), list):
        ids: dict[str, Any] = {str(id_): {} for id_ in identity["userAssignedIdentities"]}
        outputs["identity"] = {**identity, "userAssignedIdentities": ids}


def _is_secret(value: Any) -> bool:
    return isinstance(value, dict) and value.get(rpc._special_sig_key) == rpc._special_secret_sig


def _plain(value: Any) -> Any:
    if _is_secret(value):
        return _plain(value["value"])
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    if isinstance(value, float) and value.is_integer():
        return int(value)  # the wire has no integers
    return value


def _secret_paths(value: Any, path: str = "") -> Iterator[str]:
    if _is_secret(value):
        yield path
    elif isinstance(value, dict):
        for key, inner in value.items():
            yield from _secret_paths(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _secret_paths(inner, f"{path}[{index}]")
