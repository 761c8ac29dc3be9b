"""A connection: how Fabric enters a data source outside it. Ours enter as the identity of the workspace that uses them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pulumi
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from infra.providers.base import AzureError, ProviderError
from infra.providers.fabric.client import NAME_TAKEN, FabricClient, first_named
from infra.providers.fabric.provider import FabricProvider

CREDENTIAL = "WorkspaceIdentity"
"""How ours enter. One that enters as a person is that person's, wherever it leads."""


class ConnectionProvider(FabricProvider):
    """Creates, reads and deletes connections without a key. Another source is another connection."""

    declared: ClassVar = ("name", "type", "creationMethod", "parameters")
    fixed: ClassVar = declared

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Create the connection; one of this name and source is taken up, and one of this name alone is somebody else's."""
        client = _client(props["name"])
        try:
            made = client.made_or_taken_up(
                lambda: client.operate("POST", "/v1/connections", _body(props), "creating the connection"),
                lambda: _taken_up(client, props),
            )
        except AzureError as fault:
            if fault.code not in NAME_TAKEN:
                raise
            raise _taken(client, "that the deploying principal can't see") from fault
        return CreateResult(made["id"], {**self.inputs(props), "path": made["connectionDetails"].get("path", "")})

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """Nothing can change without another connection."""
        return UpdateResult({**self.inputs(_news), "path": _olds.get("path", "")})

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """The connection's name and kind; its path is what Fabric made of the parameters."""
        found = _client(props["name"]).get(f"/v1/connections/{id_}", "reading the connection")
        if found is None:
            return ReadResult("", {})
        live = {**self.inputs(props), "name": found["displayName"], "type": found["connectionDetails"]["type"]}
        return ReadResult(id_, {**live, "path": found["connectionDetails"].get("path", "")}, live)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Delete the connection."""
        _client(_props["name"]).remove(f"/v1/connections/{_id}", "deleting the connection")


class Connection(Resource, module="roompulse", name="Connection"):
    """A connection; `id` is its GUID."""

    path: pulumi.Output[str]

    def __init__(
        self,
        resource_name: str,
        *,
        name: str,
        type_: str,
        creation_method: str,
        parameters: dict[str, pulumi.Input[str]],
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`type_`, `creation_method` and the parameters' names are those of GET /v1/connections/supportedConnectionTypes."""
        props = {"name": name, "type": type_, "creationMethod": creation_method, "parameters": parameters}
        super().__init__(ConnectionProvider(), resource_name, {**props, "path": None}, opts)


def _client(name: str) -> FabricClient:
    return FabricClient(f"Fabric connection {name}")


def _taken_up(client: FabricClient, props: Mapping[str, Any]) -> dict[str, Any] | None:
    """The connection of this name, if it is ours; None when none is listed, or the one listed was deleted a moment ago."""
    listed = first_named(client.listed("/v1/connections", "listing the connections"), props["name"])
    found = client.get(f"/v1/connections/{listed['id']}", "reading the connection") if listed else None
    if found is not None and not _is_ours(found, props):
        raise _taken(client, f"to something else, or entered otherwise: {' '.join(_reported(found))}")
    return found


def _taken(client: FabricClient, by: str) -> ProviderError:
    return client.error(
        f"the name is taken by a connection {by}",
        "delete or rename it (app.fabric.microsoft.com > Settings > Manage connections and gateways)",
    )


def _is_ours(found: Mapping[str, Any], props: Mapping[str, Any]) -> bool:
    """Whether a connection is of the declared kind, leads to the whole of the declared source and enters it as we do."""
    kind, path, credential = _reported(found)
    declared = sorted(filter(None, map(_plain, props["parameters"].values())))
    return (kind, credential) == (props["type"], CREDENTIAL) and sorted(_values(path)) == declared


def _reported(found: Mapping[str, Any]) -> tuple[str, str, str]:
    details, credentials = found.get("connectionDetails") or {}, found.get("credentialDetails") or {}
    return str(details.get("type")), str(details.get("path", "")), str(credentials.get("credentialType"))


def _values(path: str) -> list[str]:
    """What a path was made of: Fabric writes `server;database`, JSON, or an address with the path behind it."""
    if path.startswith("{"):
        return [_plain(value) for value in json.loads(path).values()]
    if ";" in path:
        return [_plain(value) for value in path.split(";")]
    split = urlsplit(path)
    return [value for value in (_plain(f"{split.scheme}://{split.netloc}"), _plain(split.path)) if value]


def _plain(value: object) -> str:
    return str(value).strip("/").casefold()


def _body(props: dict[str, Any]) -> dict[str, Any]:
    parameters = [{"dataType": "Text", "name": name, "value": value} for name, value in props["parameters"].items()]
    return {
        "connectivityType": "ShareableCloud",
        "displayName": props["name"],
        "privacyLevel": "Organizational",
        "connectionDetails": {"type": props["type"], "creationMethod": props["creationMethod"], "parameters": parameters},
        "credentialDetails": {
            "singleSignOnType": "None",
            "connectionEncryption": "NotEncrypted",
            "skipTestConnection": True,  # the identity is that of whichever workspace uses the connection
            "credentials": {"credentialType": CREDENTIAL},
        },
    }
