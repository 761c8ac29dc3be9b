"""Writes items to folders as Git integration and Power BI Desktop have them: `<name>.<type>`, a `.pbip` beside every report.

On disk a report names its model by path, the address of the database is that of the caller, and what only a
deployment knows has an id of its own that `parameter.yml` shows fabric-cicd how to replace.
A list of what was written lies beside it, so that the next time what is no longer there is removed, and nothing else.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from powerbi.ids import stable_id
from powerbi.items import WORKSPACE_ID, FabricItem, Reference, resolved
from powerbi.platform_file import SCHEMAS, as_json
from powerbi.report import local_definition
from powerbi.semantic_model import DATABASE, MODEL

REPORTS = "PowerBI-reports"
DASHBOARDS = "dashboards"
NO_DATABASE = "https://CLUSTER.REGION.kusto.windows.net"
"""Stands where the address of the database would be, when nobody has said it."""
MANIFEST = "roompulse-items.json"
PARAMETERS = "parameter.yml"
THIS_WORKSPACE = "00000000-0000-0000-0000-000000000000"
"""How Git integration and fabric-cicd write the workspace that an item is in."""
_FOLDER_OF = {"Report": REPORTS, "SemanticModel": REPORTS}


class FolderError(Exception):
    """The folders can't be written. The text names the place and the next step."""


@dataclass(frozen=True)
class Written:
    """An item on disk: its folder below the output, how many files it has, its content hash."""

    folder: str
    files: int
    content_hash: str


@dataclass(frozen=True)
class Build:
    """What a build wrote, and the folders and files it removed since nothing declares them any more."""

    written: tuple[Written, ...]
    removed: tuple[str, ...]


def write_items(items: Sequence[FabricItem], output: Path, kusto_uri: str = NO_DATABASE, eventhouse: str = DATABASE) -> Build:
    """Write `items`, which ask a database of `eventhouse`, below `output`. Raises FolderError when that can't be done."""
    try:
        before = _manifest(output)
        written = [_write(item, output, kusto_uri) for item in items]
        names = {entry.folder for entry in written} | {name for item in items for name in _shortcut(item)}
        removed = sorted(before - names)
        for name in removed:
            _remove(output, name)
        output.mkdir(parents=True, exist_ok=True)
        (output / PARAMETERS).write_text(_parameters(items, kusto_uri, eventhouse), encoding="utf-8")
        (output / MANIFEST).write_text(json.dumps(sorted(names), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    except OSError as fault:
        raise FolderError(f"{fault.filename or output}: {fault.strerror}. Fix that, or choose another folder.") from fault
    return Build(tuple(written), tuple(removed))


def folder_of(item: FabricItem) -> str:
    """Where an item lies below the output."""
    return f"{_FOLDER_OF.get(item.type, DASHBOARDS)}/{item.name}.{item.type}"


def _write(item: FabricItem, output: Path, kusto_uri: str) -> Written:
    folder = output / folder_of(item)
    parts = {path: _local(item, path, part, kusto_uri) for path, part in item.parts.items()}
    for stale in _files_below(folder) - set(parts):
        (folder / stale).unlink()
    for path, content in parts.items():
        target = folder / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(content)
    for name, shortcut in _shortcut(item).items():
        (output / name).write_text(shortcut, encoding="utf-8")
    return Written(folder_of(item), len(parts), item.content_hash)


def _local(item: FabricItem, path: str, part: str | bytes, kusto_uri: str) -> bytes:
    if isinstance(part, bytes):
        return part
    if item.type == "Report" and path == "definition.pbir":
        part = local_definition(f"{MODEL}.SemanticModel")
    return resolved(part, {reference.placeholder: _on_disk(reference, kusto_uri) for reference in item.references}).encode()


def _on_disk(reference: Reference, kusto_uri: str) -> str:
    """What stands for a reference: the same each time, so that it can be found and replaced."""
    if reference == WORKSPACE_ID:
        return THIS_WORKSPACE
    return kusto_uri if reference.wanted == "queryServiceUri" else stable_id(reference.type, reference.name)


def _parameters(items: Sequence[FabricItem], kusto_uri: str, eventhouse: str) -> str:
    """What fabric-cicd replaces when it publishes the folders, in any environment; a report finds its model by path."""
    references = sorted({reference for item in items if item.type != "Report" for reference in item.references})
    rules = [
        {"find_value": _on_disk(reference, kusto_uri), "replace_value": {"_ALL_": _variable(reference, eventhouse)}}
        for reference in references
    ]
    return yaml.safe_dump({"find_replace": rules}, sort_keys=False, allow_unicode=True)


def _variable(reference: Reference, eventhouse: str) -> str:
    """How fabric-cicd calls what a reference asks for. It knows where an eventhouse is queried, and of no database of one."""
    if reference == WORKSPACE_ID:
        return "$workspace.$id"
    if reference.wanted == "queryServiceUri":
        return f"$items.Eventhouse.{eventhouse}.$queryserviceuri"
    return f"$items.{reference.type}.{reference.name}.${reference.wanted.lower()}"


def _shortcut(item: FabricItem) -> Mapping[str, str]:
    """The `.pbip` that opens a report, by its path below the output."""
    if item.type != "Report":
        return {}
    document = {
        "$schema": f"{SCHEMAS}pbip/pbipProperties/1.0.0/schema.json",
        "version": "1.0",
        "artifacts": [{"report": {"path": f"{item.name}.Report"}}],
        "settings": {"enableAutoRecovery": True},
    }
    return {f"{REPORTS}/{item.name}.pbip": as_json(document)}


def _files_below(folder: Path) -> set[str]:
    def found() -> Iterator[str]:
        for path in folder.rglob("*"):
            if path.is_file() and ".pbi" not in path.relative_to(folder).parts:  # Desktop's own settings and cache
                yield path.relative_to(folder).as_posix()

    return set(found())


def _manifest(output: Path) -> set[str]:
    path = output / MANIFEST
    if not path.is_file():
        return set()
    try:
        names = json.loads(path.read_text(encoding="utf-8"))
        return {name for name in names if name.startswith((f"{REPORTS}/", f"{DASHBOARDS}/")) and ".." not in name}
    except (ValueError, TypeError, AttributeError) as fault:
        raise FolderError(f"{path} is damaged ({fault}): delete it; what removed cities left is then yours to delete.") from fault


def _remove(output: Path, name: str) -> None:
    path = output / name
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)
