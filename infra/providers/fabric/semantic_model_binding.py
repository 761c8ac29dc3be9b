"""Which connection a semantic model asks its data through. Without one, a model deployed by a service principal shows nothing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

import pulumi
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from infra.providers.base import Patience
from infra.providers.fabric.client import CONSISTENCY_PATIENCE_SECONDS, FabricClient
from infra.providers.fabric.provider import FabricProvider

UNBOUND = ""


class SemanticModelBindingProvider(FabricProvider):
    """Binds every data source of one kind that a model has to one connection."""

    declared: ClassVar = ("workspaceId", "semanticModelId", "connectionId", "sourceType", "modelHash")
    fixed: ClassVar = ("workspaceId", "semanticModelId", "sourceType")

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Bind the model's sources; those that are bound already stay."""
        client = _client(props)
        for source in self._sources(client, props, waiting=True):
            if source.get("id") != props["connectionId"]:
                _bind(client, props, source, {"id": props["connectionId"], "connectivityType": "ShareableCloud"})
        return CreateResult(f"{props['semanticModelId']}/{props['sourceType']}", self.inputs(props))

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Another connection, or a new definition of the model: the same as creating."""
        return UpdateResult(self.create(_news).outs)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Which connection the sources are bound to now."""
        client = _client(props)
        if client.get(_address(props, "items"), "reading the model") is None:
            return ReadResult("", {})
        bound = {str(source.get("id") or UNBOUND) for source in self._sources(client, props, waiting=False)}
        other = bound - {props["connectionId"]}
        live = self.inputs(props) | ({"connectionId": min(other, default=UNBOUND)} if other or not bound else {})
        return ReadResult(id_, dict(live), live)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Let go of the connection, so that it can be deleted; the model may be gone already."""
        client = _client(_props)
        if client.get(_address(_props, "items"), "reading the model") is None:
            return
        for source in self._sources(client, _props, waiting=False):
            if source.get("id") == _props["connectionId"]:
                _bind(client, _props, source, {"connectivityType": "None"})

    def _sources(self, client: FabricClient, props: dict[str, Any], *, waiting: bool) -> list[dict[str, Any]]:
        """The model's data sources of the declared kind. They are listed some time after the model is made."""
        patience = Patience(CONSISTENCY_PATIENCE_SECONDS if waiting else 0)
        while True:
            every = list(client.listed(f"{_address(props, 'items')}/connections", "listing its data sources"))
            found = [source for source in every if source["connectionDetails"]["type"] == props["sourceType"]]
            if found or not waiting:
                return found
            if not patience.wait(10.0):
                kinds = ", ".join(sorted({source["connectionDetails"]["type"] for source in every})) or "none"
                raise client.error(
                    f"it has no data source of type {props['sourceType']} (it has: {kinds})",
                    "look at expressions.tmdl of the model, fix the source and run pulumi up again",
                )


class SemanticModelBinding(Resource, module="roompulse", name="SemanticModelBinding"):
    """A model bound to a connection."""

    def __init__(
        self,
        resource_name: str,
        *,
        workspace_id: pulumi.Input[str],
        semantic_model_id: pulumi.Input[str],
        connection_id: pulumi.Input[str],
        source_type: str,
        model_hash: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`model_hash` is the model's content hash: a new definition may bring new sources, so it is bound again."""
        props = {
            "workspaceId": workspace_id,
            "semanticModelId": semantic_model_id,
            "connectionId": connection_id,
            "sourceType": source_type,
            "modelHash": model_hash,
        }
        super().__init__(SemanticModelBindingProvider(), resource_name, props, opts)


def _client(props: Mapping[str, Any]) -> FabricClient:
    return FabricClient(f"connection of semantic model {props['semanticModelId']}")


def _address(props: Mapping[str, Any], collection: str) -> str:
    return f"/v1/workspaces/{props['workspaceId']}/{collection}/{props['semanticModelId']}"


def _bind(client: FabricClient, props: Mapping[str, Any], source: Mapping[str, Any], binding: Mapping[str, str]) -> None:
    details = {name: source["connectionDetails"][name] for name in ("type", "path")}
    body = {"connectionBinding": {**binding, "connectionDetails": details}}
    client.operate("POST", f"{_address(props, 'semanticModels')}/bindConnection", body, "binding it")
