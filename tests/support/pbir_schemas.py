"""Checks files of PBIR and PBIP against Microsoft's published JSON Schemas (shared reference data)."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from jsonschema import Draft7Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT7

from tests.support.shared_data import shared_data

ADDRESS = "https://developer.microsoft.com/json-schemas/"


@cache
def registry() -> Registry[Any]:
    """Every published schema by its address."""
    folder = shared_data("fabric/json-schemas")
    found: Registry[Any] = Registry()
    for path in folder.rglob("*.json"):
        document = json.loads(path.read_text(encoding="utf-8-sig"))
        found = found.with_resource(
            ADDRESS + path.relative_to(folder).as_posix(), Resource.from_contents(document, default_specification=DRAFT7)
        )
    return found


@cache
def _validator(address: str) -> Draft7Validator:
    return Draft7Validator(registry().contents(address), registry=registry())


def schema_faults(parts: Mapping[str, str | bytes]) -> Iterator[str]:
    """What departs from the schema a file names, for every JSON file of a definition."""
    for path, part in parts.items():
        if not path.endswith((".json", ".pbir", ".pbism", ".platform", ".pbip")) or "StaticResources" in path:
            continue
        yield from (f"{path}{fault}" for fault in _faults(part))


@cache
def _faults(part: str | bytes) -> tuple[str, ...]:
    """What is wrong with a JSON file, as it goes on behind its path. From test to test most files are the same."""
    document = json.loads(part)
    if "$schema" not in document:
        return (": names no schema",)
    errors = _validator(document["$schema"]).iter_errors(document)
    return tuple(f" {'/'.join(map(str, error.absolute_path))}: {error.message[:200]}" for error in errors)
