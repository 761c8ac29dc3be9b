"""Reads a Stream Analytics project folder (the layout VS Code's extension opens) into what Azure wants.

The folder says what the job is: query, inputs, outputs, policies. The bindings say where it runs: which namespace, which storage
account. Their values may be Pulumi outputs; they are placed, never looked into.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import pulumi

JSONObject = dict[str, Any]


class ProjectError(Exception):
    """The project folder can't be deployed. The text lists every fault with its file and what to write instead."""


@dataclass(frozen=True)
class EventHubBinding:
    """The Event Hubs namespace behind an input or output; hub and consumer group are the project's own unless given."""

    namespace: pulumi.Input[str]
    hub: pulumi.Input[str] | None = None
    consumer_group: pulumi.Input[str] | None = None


@dataclass(frozen=True)
class BlobBinding:
    """The storage account and container behind an output; the path within is the project's own."""

    storage_account: pulumi.Input[str]
    container: pulumi.Input[str] | None = None


Binding = EventHubBinding | BlobBinding

POLICIES = {
    "DataLocale": "dataLocale",
    "CompatibilityLevel": "compatibilityLevel",
    "OutputErrorPolicy": "outputErrorPolicy",
    "EventsLateArrivalMaxDelayInSeconds": "eventsLateArrivalMaxDelayInSeconds",
    "EventsOutOfOrderMaxDelayInSeconds": "eventsOutOfOrderMaxDelayInSeconds",
    "EventsOutOfOrderPolicy": "eventsOutOfOrderPolicy",
}
"""JobConfig.json's names to Azure's. All are required: what is left out, Azure fills with values nobody chose (late arrival:
for ever)."""
ERROR_POLICIES = {"Retry": "Stop", "Stop": "Stop", "Drop": "Drop"}
"""The extension calls Retry what Azure calls Stop: keep trying the row, and hold back what is behind it."""
STREAM_INPUT = {"data stream", "datastream", "stream"}
EVENT_HUB = {"event hub", "eventhub"}
KEYS = {"sharedAccessPolicyName", "sharedAccessPolicyKey"}
BLOB = {"blob storage", "blob storage/adls gen2", "data lake storage gen2", "adls gen2"}


def job_body(
    folder: Path, bindings: Mapping[str, Binding], streaming_units: int | None = None, beside: Path | None = None
) -> JSONObject:
    """The ARM body of the job in `folder`, without location, identity and tags: `{"properties": {...}}`.

    `bindings` is by input and output name, exactly those of the project. `streaming_units` (1/3 V2 unit = 3) overrides
    JobConfig.json. `beside` is a folder with more statements over the steps of the first one, and their inputs and outputs.
    Raises ProjectError with every fault at once.
    """
    more = [_Project(beside)] if beside else []
    return _Project(folder).body(bindings, streaming_units, more)


class _Project:
    """One reading of a folder; faults are collected and raised together."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._faults: list[str] = []
        self._project = self._json("asaproj.json")
        if self._faults:
            raise self._error()

    def body(self, bindings: Mapping[str, Binding], streaming_units: int | None, more: Sequence[_Project] = ()) -> JSONObject:
        """The whole body; `more` are projects whose statements, inputs and outputs belong to the same job."""
        projects = (self, *more)
        inputs = _by_name(one._connected("Input", bindings, one._input) for one in projects)
        outputs = _by_name(one._connected("Output", bindings, one._output) for one in projects)
        names = [part["name"] for part in (*inputs, *outputs)]
        self._faults += [
            f"binding {name!r}: the project has no such input or output" for name in sorted(set(bindings) - set(names))
        ]
        config = self._config()
        policies = {azure: config[name] for name, azure in POLICIES.items() if name in config}
        self._faults += [
            f"JobConfig.json: {name} is missing; write the value the job shall have" for name in POLICIES if name not in config
        ]
        if "outputErrorPolicy" in policies:
            policies["outputErrorPolicy"] = self._known(
                ERROR_POLICIES, str(policies["outputErrorPolicy"]), "JobConfig.json: OutputErrorPolicy"
            )
        units = streaming_units or config.get("StreamingUnits")
        if not units:
            self._faults.append("JobConfig.json: StreamingUnits is missing (3 is a third of a V2 unit)")
        query = "\n".join(one._text(str(one._project.get("startFile", ""))) for one in projects)
        if faulty := [str(one._error()) for one in projects if one._faults]:
            raise ProjectError("\n".join(faulty))
        return {
            "properties": {
                **policies,
                "jobType": "Cloud",
                "contentStoragePolicy": "SystemAccount",
                "sku": {"name": "StandardV2"},
                "inputs": inputs,
                "outputs": outputs,
                "transformation": {"name": "Transformation", "properties": {"streamingUnits": units, "query": query}},
            }
        }

    def _error(self) -> ProjectError:
        listed = "\n".join(f"  {fault}" for fault in self._faults)
        return ProjectError(f"{self._folder} can't be deployed ({len(self._faults)} faults):\n{listed}")

    def _connected(
        self, kind: str, bindings: Mapping[str, Binding], render: Callable[[str, JSONObject, Binding], JSONObject]
    ) -> list[JSONObject]:
        rendered = []
        for file in self._files(kind):
            declared = self._json(file)
            name = str(declared.get("Name", ""))
            binding = bindings.get(name)
            if binding is None:
                self._faults.append(f"{file}: {kind.lower()} {name!r} has no binding; say which Azure resource it is")
            else:
                rendered.append({"name": name, "properties": render(file, declared, binding)})
        return rendered

    def _input(self, file: str, declared: JSONObject, binding: Binding) -> JSONObject:
        if str(declared.get("Type", "")).lower() not in STREAM_INPUT:
            self._faults.append(f"{file}: Type {declared.get('Type')!r}; only data streams are used (rules ride with the data)")
        properties: JSONObject = {
            "type": "Stream",
            "datasource": self._datasource(file, declared, binding),
            "serialization": self._serialization(file, declared),
        }
        if declared.get("PartitionKey"):
            properties["partitionKey"] = declared["PartitionKey"]
        return properties

    def _output(self, file: str, declared: JSONObject, binding: Binding) -> JSONObject:
        properties = {
            "datasource": self._datasource(file, declared, binding),
            "serialization": self._serialization(file, declared),
        }
        for name, azure in (("TimeWindow", "timeWindow"), ("SizeWindow", "sizeWindow")):
            if declared.get(name) is not None:
                properties[azure] = declared[name]
        return properties

    def _datasource(self, file: str, declared: JSONObject, binding: Binding) -> JSONObject:
        kind = str(declared.get("DataSourceType", "")).lower()
        own = {
            azure_name(name): value
            for key, section in declared.items()
            if key.endswith("Properties") and isinstance(section, dict)
            for name, value in section.items()
            if value not in (None, "", [])
        }
        keys = [name for name in own if name in KEYS]
        self._faults += [f"{file}: {name} must be null; the job uses its managed identity" for name in keys]
        own["authenticationMode"] = "Msi"
        if kind in EVENT_HUB and isinstance(binding, EventHubBinding):
            own["serviceBusNamespace"] = binding.namespace
            own |= _given(eventHubName=binding.hub, consumerGroupName=binding.consumer_group)
            return {"type": "Microsoft.EventHub/EventHub", "properties": own}
        if kind in BLOB and isinstance(binding, BlobBinding):
            own["storageAccounts"] = [{"accountName": binding.storage_account}]
            own |= _given(container=binding.container)
            return {"type": "Microsoft.Storage/Blob", "properties": own}
        self._faults.append(
            f"{file}: DataSourceType {declared.get('DataSourceType')!r} can't be bound to {type(binding).__name__}"
        )
        return {}

    def _serialization(self, file: str, declared: JSONObject) -> JSONObject:
        own = dict(declared.get("Serialization") or {})
        kind = str(own.pop("Type", ""))
        if not kind:
            self._faults.append(f"{file}: Serialization.Type is missing (Json or Delta)")
        return {
            "type": kind,
            "properties": {azure_name(name): value for name, value in own.items() if value not in (None, "", [])},
        }

    def _files(self, kind: str) -> list[str]:
        listed = self._project.get("configurations", [])
        return [str(entry["filePath"]).replace("\\", "/") for entry in listed if entry.get("subType") == kind]

    def _config(self) -> JSONObject:
        files = self._files("JobConfig")
        return self._json(files[0]) if files else {}

    def _json(self, file: str) -> JSONObject:
        text = self._text(file)
        try:
            content = json.loads(text or "{}")
        except json.JSONDecodeError as fault:
            self._faults.append(f"{file}:{fault.lineno}: not JSON: {fault.msg}")
            return {}
        return content if isinstance(content, dict) else {}

    def _text(self, file: str) -> str:
        path = self._folder / file
        if not file or not path.is_file():
            self._faults.append(f"{file or 'asaproj.json: startFile'}: no such file")
            return ""
        return path.read_text(encoding="utf-8-sig")

    def _known(self, table: Mapping[str, str], value: str, where: str) -> str:
        if value not in table:
            self._faults.append(f"{where} is {value!r}; write one of {', '.join(table)}")
        return table.get(value, value)


def azure_name(name: str) -> str:
    """`EventHubName` as Azure spells it: `eventHubName`."""
    return name[:1].lower() + name[1:]


def _by_name(parts: Iterable[list[JSONObject]]) -> list[JSONObject]:
    return sorted(chain.from_iterable(parts), key=lambda part: str(part["name"]))


def _given(**values: pulumi.Input[str] | None) -> JSONObject:
    return {name: value for name, value in values.items() if value is not None}
