"""A Stream Analytics job as a folder: the layout that the service's VS Code extension opens and its command line tool runs.

`asaproj.json` names the files: the query, `JobConfig.json` (time policy), `Inputs/*.json` and `Outputs/*.json`. Beside an input,
`Inputs/<name>.schema.json` (JSON Schema) may describe its events; only this engine reads it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asa_engine.errors import StreamEngineError
from asa_engine.time_policy import TimePolicy
from asa_engine.types import Schema, type_of_json_schema

LEVEL = "1.2"
"""The compatibility level whose rules the engine has."""


class JobFolderError(StreamEngineError):
    """A file of the job folder is missing or wrong. The text names it."""


@dataclass(frozen=True)
class JobInput:
    """An input: a stream, or reference data; `hub`, `consumer_group` and `partition_key` for streams."""

    name: str
    is_reference: bool
    hub: str | None
    consumer_group: str | None
    partition_key: str | None = None


@dataclass(frozen=True)
class JobOutput:
    """An output: a hub with its partition key and event properties, a Delta table, or one of another kind."""

    name: str
    hub: str | None = None
    partition_key: str | None = None
    property_columns: tuple[str, ...] = ()
    delta_table: str | None = None


@dataclass(frozen=True)
class JobFolder:
    """Everything a job folder says."""

    path: Path
    name: str
    query_file: Path
    query: str
    policy: TimePolicy
    inputs: dict[str, JobInput] = field(default_factory=dict)
    outputs: dict[str, JobOutput] = field(default_factory=dict)
    schemas: dict[str, Schema] = field(default_factory=dict)
    compatibility: str = LEVEL
    """The level JobConfig.json names; it decides what runs in parallel on Azure."""


def read_job_folder(path: Path) -> JobFolder:
    """Read a job folder. Raises JobFolderError naming the file at fault."""
    project = _json(path / "asaproj.json")
    query_file = path / str(project.get("startFile", ""))
    if not query_file.is_file():
        raise JobFolderError(f"{path / 'asaproj.json'}: startFile {project.get('startFile')!r} is not a file of the folder.")
    policy, compatibility = TimePolicy(), JobFolder.compatibility
    inputs: dict[str, JobInput] = {}
    outputs: dict[str, JobOutput] = {}
    for entry in project.get("configurations", []):
        file = path / str(entry["filePath"]).replace("\\", "/")
        match entry.get("subType"):
            case "JobConfig":
                policy = _policy(file)
                compatibility = str(_json(file).get("CompatibilityLevel", compatibility))
            case "Input":
                job_input = _input(_json(file), file)
                inputs[job_input.name] = job_input
            case "Output":
                output = _output(_json(file), file)
                outputs[output.name] = output
    schemas = {name: _schema(path / "Inputs" / f"{name}.schema.json") for name in inputs}
    query = query_file.read_text(encoding="utf-8-sig")
    return JobFolder(
        path, str(project.get("name", path.name)), query_file, query, policy, inputs, outputs, schemas, compatibility
    )


def start_of(path: Path) -> Path | None:
    """The query with which the job of a folder starts; None for a folder that is no job."""
    try:
        return (path / str(_json(path / "asaproj.json").get("startFile", ""))).resolve()
    except JobFolderError:
        return None


def mocks_of(path: Path) -> dict[str, Path]:
    """The local files that a project has for its inputs (subType InputMock). Raises JobFolderError."""
    entries = _json(path / "asaproj.json").get("configurations", [])
    files = [path / str(entry["filePath"]).replace("\\", "/") for entry in entries if entry.get("subType") == "InputMock"]
    mocks = [(file.parent, _json(file)) for file in files]
    return {str(mock.get("InputAlias")): beside / str(mock.get("FilePath")).replace("\\", "/") for beside, mock in mocks}


def _policy(file: Path) -> TimePolicy:
    config = _json(file)
    try:
        return TimePolicy.of_seconds(
            config["EventsLateArrivalMaxDelayInSeconds"],
            config["EventsOutOfOrderMaxDelayInSeconds"],
            config["EventsOutOfOrderPolicy"],
        )
    except KeyError as missing:
        raise JobFolderError(
            f"{file}: {missing.args[0]} is missing; without it Azure waits for late events for ever."
        ) from missing


def _input(config: dict[str, Any], file: Path) -> JobInput:
    hub = config.get("EventHubProperties") or {}
    return JobInput(
        _named(config, file),
        str(config.get("Type", "")).lower() == "reference data",
        hub.get("EventHubName"),
        hub.get("ConsumerGroupName"),
        config.get("PartitionKey"),
    )


def _output(config: dict[str, Any], file: Path) -> JobOutput:
    name = _named(config, file)
    if hub := config.get("EventHubProperties"):
        return JobOutput(name, hub.get("EventHubName"), hub.get("PartitionKey"), tuple(hub.get("PropertyColumns") or ()))
    return JobOutput(name, delta_table=(config.get("Serialization") or {}).get("DeltaTablePath"))


def _named(config: dict[str, Any], file: Path) -> str:
    if not isinstance(config.get("Name"), str):
        raise JobFolderError(f"{file}: Name is missing.")
    return str(config["Name"])


def _schema(file: Path) -> Schema:
    return Schema(dict(type_of_json_schema(_json(file)).fields)) if file.is_file() else Schema({})


def _json(file: Path) -> dict[str, Any]:
    try:
        content = json.loads(file.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise JobFolderError(f"{file} is missing.") from None
    except json.JSONDecodeError as fault:
        raise JobFolderError(f"{file}:{fault.lineno}: not JSON: {fault.msg}.") from fault
    if not isinstance(content, dict):
        raise JobFolderError(f"{file}: a JSON object expected.")
    return content
