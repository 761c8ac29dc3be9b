"""Commands run in a KQL database: its tables, policies and views. They bear being run again, and are when the text changes."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Iterator, Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

import pulumi
import requests
from pulumi.dynamic import CreateResult, ReadResult, Resource, UpdateResult

from infra.providers.base import AzureClient, AzureError, Patience, ProviderError, log
from infra.providers.credentials import access_token
from infra.providers.fabric.client import CONSISTENCY_PATIENCE_SECONDS
from infra.providers.fabric.provider import FabricProvider

SCOPE = "https://kusto.kusto.windows.net/.default"
HOSTS = (".kusto.fabric.microsoft.com", ".kusto.data.microsoft.com", ".kusto.windows.net")
"""Where a token for Kusto may be sent."""
_MADE = re.compile(
    r"^\.create\S* (?:table|function|materialized-view)(?:\s+with\s*\((?:[^()\"]|\"(?:[^\"\\]|\\.)*\")*\))?\s+(\w+)", re.MULTILINE
)
CHANGED_ELSEWHERE = "changed by somebody else"


class KqlScriptProvider(FabricProvider):
    """Runs a script in a database as one command, and remembers the schema that came of it."""

    declared: ClassVar = ("queryServiceUri", "database", "script")
    fixed: ClassVar = ("database",)

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Run the script."""
        database = _Database(props)
        database.run(props["script"])
        made = database.schema_seen(entities(props["script"]))
        return CreateResult(f"{props['database']}/script", {**self.inputs(props), "schemaHash": made})

    def update(self, _id: str, _olds: dict[str, Any], _news: dict[str, Any]) -> UpdateResult:
        """The same as creating."""
        return UpdateResult(self.create(_news).outs)

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Whether what the script made is still as it left it; otherwise the next update runs it again.

        With its database it is gone.
        """
        live, remembered = self.inputs(props), props.get("schemaHash")
        try:
            if remembered and _Database(props).schema_hash(entities(props["script"])) != remembered:
                live["script"] = CHANGED_ELSEWHERE
        except AzureError as fault:
            if not _says_unknown(fault):
                raise
            return ReadResult("", {})
        return ReadResult(id_, {**props, **live}, live)

    def delete(self, _id: str, _props: dict[str, Any]) -> None:
        """Nothing to do: tables go with their database."""


class KqlScript(Resource, module="roompulse", name="KqlScript"):
    """A script that has run in a database."""

    def __init__(
        self,
        resource_name: str,
        *,
        query_service_uri: pulumi.Input[str],
        database: str,
        script: str,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """`script` is commands with a blank line between them; every one must bear being run again."""
        props = {"queryServiceUri": query_service_uri, "database": database, "script": script, "schemaHash": None}
        super().__init__(KqlScriptProvider(), resource_name, props, opts)


def entities(script: str) -> frozenset[str]:
    """The tables, functions and views that a script makes."""
    return frozenset(_MADE.findall(script))


class _Database:
    def __init__(self, props: Mapping[str, Any]) -> None:
        self._name = str(props["database"])
        address = str(props["queryServiceUri"])
        self._client = AzureClient(f"KQL database {self._name}", address, lambda: access_token(SCOPE))
        if not _is_kusto(address):
            raise self._client.error(f"{address} is not an address of Kusto", "pulumi refresh, then run pulumi up again")

    def run(self, script: str) -> None:
        """Run commands to the first that fails. A database that was just made may take minutes to be known to its engine."""
        patience = Patience(CONSISTENCY_PATIENCE_SECONDS)
        command = f".execute database script with (ContinueOnErrors=false, ThrowOnErrors=true) <|\n{script}"
        while True:
            try:
                rows = self._management(command, "running the script")
            except AzureError as fault:
                fresh = _says_unknown(fault) or fault.status == requests.codes.not_found
                if not fresh or not patience.wait(10.0):
                    raise
                log.info("KQL database %s: not known yet, trying again", self._name)
            else:
                break
        for row in rows:
            if row.get("Result") == "Failed":
                command = " ".join(str(row.get("CommandText", "")).split())[:120]
                raise self._client.error(f"`{command}` failed: {row.get('Reason')}", "fix it and run pulumi up again")

    def schema_seen(self, names: frozenset[str]) -> str:
        """The same after a run, which nothing depends on: "" where it can't be read, and then no drift is seen."""
        try:
            return self.schema_hash(names)
        except ProviderError as fault:
            log.warning("KQL database %s: reading the schema failed, so changes by others are not seen: %s", self._name, fault)
            return ""

    def schema_hash(self, names: frozenset[str]) -> str:
        """A hash over what the database's schema says of these entities: other scripts make others."""
        rows = self._management(f".show database ['{self._name}'] schema as csl script", "reading the schema")
        about = [row for row in rows if names & set(re.findall(r"\w+", json.dumps(row, ensure_ascii=False)))]
        return hashlib.sha256(json.dumps(about, sort_keys=True).encode()).hexdigest()

    def _management(self, command: str, doing: str) -> list[dict[str, Any]]:
        response = self._client.send("POST", "/v1/rest/mgmt", json={"db": self._name, "csl": command})
        if response.status_code != requests.codes.ok:
            raise self._failure(response, doing)
        return list(_rows(self._client.json(response, doing)))

    def _failure(self, response: requests.Response, doing: str) -> ProviderError:
        """Kusto names its errors `@message`, beside a short `message`."""
        fault = self._client.failure(response, doing)
        try:
            fault.message = str(response.json()["error"]["@message"])
        except (ValueError, KeyError, TypeError):
            return fault
        text = f"KQL database {self._name}: {doing} failed: {fault.code}: {fault.message} Next: fix it and run pulumi up again."
        return AzureError(text, fault.status, fault.code, fault.message)


def _says_unknown(fault: AzureError) -> bool:
    """Whether Kusto does not know the database; a 404 alone may be of a cluster that is on its way up."""
    return "EntityNotFound" in f"{fault.code} {fault.message}"


def _rows(answer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    """The rows of the first table, by column."""
    table = answer["Tables"][0]
    columns = [column["ColumnName"] for column in table["Columns"]]
    yield from (dict(zip(columns, row, strict=True)) for row in table["Rows"])


def _is_kusto(address: str) -> bool:
    split = urlsplit(address)
    if "ROOMPULSE_FABRIC_ENDPOINT" in os.environ:
        return True
    return split.scheme == "https" and str(split.hostname).endswith(HOSTS)
