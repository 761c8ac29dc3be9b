"""Checks messages and settings against the JSON Schemas in this folder, and lists every fault with its path at once.

Settings are always checked. Observations are right by construction and checked by the tests only: checking 10,000 of them a poll
would cost more CPU than the whole poll (figures in docs/stages/ingest.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

OBSERVATION = "observation.v1"
QUARANTINED = "quarantined.v1"
ALERT = "alert"
INGEST_SETTINGS = "ingest-settings"
FANOUT_SETTINGS = "fanout-settings"


@dataclass(frozen=True)
class Fault:
    """One thing that is wrong with a document: where (`cities/lyon/timeZone`) and what."""

    path: str
    text: str

    def __str__(self) -> str:
        return f"{self.path or '(top)'}: {self.text}"


class SettingsError(Exception):
    """A settings file can't be used. The text names the file, every fault in it and the next step."""


@cache
def schema(name: str) -> dict[str, Any]:
    """A JSON Schema of this folder by its name, such as `observation.v1`."""
    path = Path(__file__).with_name(f"{name}.schema.json")
    document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return document


def faults(name: str, document: object) -> list[Fault]:
    """Everything in `document` that breaks the schema `name`, in the order of its paths; nothing when it is valid."""
    found = [Fault("/".join(map(str, error.absolute_path)), _text(error)) for error in _validator(name).iter_errors(document)]
    return sorted(found, key=lambda fault: (fault.path, fault.text))


def read_settings(path: Path, name: str) -> dict[str, Any]:
    """A settings file as checked JSON; raises SettingsError with every fault (schema and time zones)."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except OSError as fault:
        raise SettingsError(f"{path} can't be read ({fault.strerror}): give the path of a {name} file.") from fault
    except ValueError as fault:
        raise SettingsError(f"{path} is no JSON ({fault}): write it again with `pulumi up` or `roompulse run`.") from fault
    found = faults(name, document) or list(_unknown_time_zones(document))
    if found:
        listing = "\n".join(f"  {fault}" for fault in found)
        raise SettingsError(f"{path} is no valid {name} file ({len(found)} faults). Mend the stack it is made from:\n{listing}")
    checked: dict[str, Any] = document
    return checked


@cache
def _validator(name: str) -> Any:
    from jsonschema import Draft202012Validator  # 60 ms: not while a function app starts

    return Draft202012Validator(schema(name))


def _text(error: Any) -> str:
    description = error.schema.get("description") if isinstance(error.schema, dict) else None
    text = str(error.message)
    if len(text) > 300:
        text = text[:300] + "..."
    return f"{text} (expected: {description})" if description else text


def _unknown_time_zones(document: dict[str, Any]) -> Iterator[Fault]:
    for slug, city in document["cities"].items():
        try:
            ZoneInfo(city["timeZone"])
        except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder, such as Europe
            yield Fault(f"cities/{slug}/timeZone", f"{city['timeZone']!r} is no IANA time zone such as Europe/Paris")
