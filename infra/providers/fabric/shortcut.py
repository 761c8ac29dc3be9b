"""A OneLake shortcut: a table or folder of a lakehouse that lies somewhere else (ADLS Gen2, another item)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, ClassVar

import pulumi
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from infra.providers.base import AzureError, Patience, changed_properties, log
from infra.providers.fabric.client import FabricClient
from infra.providers.fabric.provider import FabricProvider

TARGETS = {
    "adlsGen2": frozenset({"location", "subpath", "connectionId"}),
    "oneLake": frozenset({"workspaceId", "itemId", "path"}),
}
"""The targets we use, and what describes each."""
TARGET_PATIENCE_SECONDS = 600.0
"""Roles on a storage account hold after up to ten minutes, and a Delta table exists from its first row on."""
NOT_THERE_YET = re.compile(
    r"forbidden|unauthori[sz]ed|not authori[sz]ed|access denied|does not exist|doesn't exist|not found", re.I
)
"""What Fabric says of a target it can't enter, or that isn't there."""


class ShortcutProvider(FabricProvider):
    """Creates, points elsewhere, reads and deletes shortcuts."""

    declared: ClassVar = ("workspaceId", "itemId", "path", "name", "target")
    fixed: ClassVar = ("workspaceId", "itemId", "path", "name")

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Create the shortcut; one of this name is pointed at the declared target."""
        self._write(props)
        return CreateResult(f"{props['itemId']}/{props['path']}/{props['name']}", self.inputs(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Point it elsewhere."""
        self._write(_news)
        return UpdateResult(self.inputs(_news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Where the shortcut points now."""
        client = _client(props)
        found = client.get(f"{_address(props)}/{props['path']}/{props['name']}", "reading it")
        if found is None:
            return ReadResult("", {})
        live = self.inputs(props)
        (kind,) = props["target"]
        reported = found["target"].get(kind) or {}
        if changed_properties(reported, props["target"][kind], tuple(TARGETS[kind])):
            live["target"] = {name: value for name, value in found["target"].items() if isinstance(value, Mapping)}
        return ReadResult(id_, dict(live), live)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Delete the shortcut; what it points at stays."""
        _client(_props).remove(f"{_address(_props)}/{_props['path']}/{_props['name']}", "deleting it")

    def _write(self, props: dict[str, Any]) -> None:
        client, patience = _client(props), Patience(TARGET_PATIENCE_SECONDS)
        body = {"path": props["path"], "name": props["name"], "target": props["target"]}
        while True:
            try:
                client.operate("POST", f"{_address(props)}?shortcutConflictPolicy=CreateOrOverwrite", body, "creating it")
            except AzureError as fault:
                if fault.status not in {400, 403, 404} or not NOT_THERE_YET.search(f"{fault.code} {fault.message}"):
                    raise
                if not patience.wait(20.0):
                    raise client.error(f"its target can't be entered: {fault.message}", _next(props)) from fault
                log.info("%s: the target can't be entered yet (%s), trying again", client.subject, fault.code)
            else:
                return


class Shortcut(Resource, module="roompulse", name="Shortcut"):
    """A shortcut within a lakehouse."""

    def __init__(
        self,
        resource_name: str,
        *,
        workspace_id: pulumi.Input[str],
        item_id: pulumi.Input[str],
        path: str,
        name: str,
        target: Mapping[str, Mapping[str, pulumi.Input[str]]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`target` is one kind of TARGETS with what describes it. A shortcut to a Delta table lies in path `Tables`."""
        if [(kind, frozenset(reported)) for kind, reported in target.items()] not in [[one] for one in TARGETS.items()]:
            raise ValueError(f"{resource_name}: a shortcut has one target of {TARGETS}.")
        given = {kind: dict(reported) for kind, reported in target.items()}
        props = {"workspaceId": workspace_id, "itemId": item_id, "path": path, "name": name, "target": given}
        super().__init__(ShortcutProvider(), resource_name, props, opts)


def _client(props: Mapping[str, Any]) -> FabricClient:
    return FabricClient(f"Fabric shortcut {props['path']}/{props['name']}")


def _address(props: Mapping[str, Any]) -> str:
    return f"/v1/workspaces/{props['workspaceId']}/items/{props['itemId']}/shortcuts"


def _next(props: Mapping[str, Any]) -> str:
    (reported,) = props["target"].values()
    where = " ".join(str(value) for name, value in sorted(reported.items()) if name != "connectionId")
    return (
        f"see that {where} exists (a Delta table does from its first row on: is the ingest polling?) and that the workspace's "
        "identity may read it, then run pulumi up again"
    )
