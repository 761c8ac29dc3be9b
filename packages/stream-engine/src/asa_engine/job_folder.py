"""A Stream Analytics job as a folder: the layout that the service's VS Code extension opens and its command line tool runs.

`asaproj.json` names the files: the query, `JobConfig.json` (time policy), `Inputs/*.json` and `Outputs/*.json`. Beside an input,
`Inputs/<name>.schema.json` (JSON Schema) may describe its events; only this engine reads it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from asa_engine.configuration import Configuration, JobFolderError, text_of
from asa_engine.time_policy import TimePolicy
from asa_engine.types import Schema, type_of_json_schema

LEVEL = "1.2"
"""The compatibility level whose rules the engine has."""


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


_WITHOUT = "without it Azure waits for late events for ever"


def read_job_folder(path: Path) -> JobFolder:
    """Read a job folder. Raises JobFolderError naming the file at fault."""
    project = Configuration.read(path / "asaproj.json")
    query_file = path / (project.text("startFile") or "")
    if not query_file.is_file():
        raise JobFolderError(f"{project.file}: startFile {project.text('startFile')!r} is not a file of the folder.")
    policy, compatibility = TimePolicy(), JobFolder.compatibility
    inputs: dict[str, JobInput] = {}
    outputs: dict[str, JobOutput] = {}
    for entry in project.parts("configurations"):
        match entry.text("subType"):
            case "JobConfig":
                config = Configuration.read(entry.beside(path, "filePath"))
                policy, compatibility = _policy(config), config.text("CompatibilityLevel") or compatibility
            case "Input":
                job_input = _input(Configuration.read(entry.beside(path, "filePath")))
                inputs[job_input.name] = job_input
            case "Output":
                output = _output(Configuration.read(entry.beside(path, "filePath")))
                outputs[output.name] = output
    schemas = {name: _schema(path / "Inputs" / f"{name}.schema.json") for name in inputs}
    name = project.text("name") or path.name
    return JobFolder(path, name, query_file, text_of(query_file), policy, inputs, outputs, schemas, compatibility)


def start_of(path: Path) -> Path | None:
    """The query with which the job of a folder starts; None for a folder that is not a job."""
    try:
        return (path / (Configuration.read(path / "asaproj.json").text("startFile") or "")).resolve()
    except JobFolderError:
        return None


def mocks_of(path: Path) -> dict[str, Path]:
    """The local files that a project has for its inputs (subType InputMock). Raises JobFolderError."""
    entries = Configuration.read(path / "asaproj.json").parts("configurations")
    mocks = [Configuration.read(one.beside(path, "filePath")) for one in entries if one.text("subType") == "InputMock"]
    return {mock.needed_text("InputAlias"): mock.beside(mock.file.parent, "FilePath") for mock in mocks}


def _policy(config: Configuration) -> TimePolicy:
    late = config.number("EventsLateArrivalMaxDelayInSeconds", _WITHOUT)
    out_of_order = config.number("EventsOutOfOrderMaxDelayInSeconds", _WITHOUT)
    return TimePolicy.of_seconds(late, out_of_order, config.needed_text("EventsOutOfOrderPolicy"))


def _input(config: Configuration) -> JobInput:
    hub = config.part("EventHubProperties")
    is_reference = (config.text("Type") or "").lower() == "reference data"
    key = config.text("PartitionKey")
    return JobInput(config.needed_text("Name"), is_reference, hub.text("EventHubName"), hub.text("ConsumerGroupName"), key)


def _output(config: Configuration) -> JobOutput:
    name, hub = config.needed_text("Name"), config.part("EventHubProperties")
    if hub.values:
        return JobOutput(name, hub.text("EventHubName"), hub.text("PartitionKey"), hub.texts("PropertyColumns"))
    return JobOutput(name, delta_table=config.part("Serialization").text("DeltaTablePath"))


def _schema(file: Path) -> Schema:
    if not file.is_file():
        return Schema({})
    try:
        return Schema(dict(type_of_json_schema(Configuration.read(file).values).fields))
    except (AttributeError, KeyError, TypeError, RecursionError) as fault:
        raise JobFolderError(f"{file} is not a JSON Schema that describes events: {type(fault).__name__}: {fault}.") from fault
