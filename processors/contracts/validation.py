"""Checks messages and settings against the JSON Schemas in this folder, and lists every fault with its path at once.

Settings are always checked. Observations are right by construction and checked by the tests only: checking 10,000 of them a poll
would cost more CPU than the whole poll (figures in docs/stages/ingest.md).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
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
    """Settings can't be used. The text names the file or blob, every fault in it and the next step."""


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


def faults_of_settings(name: str, document: object) -> list[Fault]:
    """Everything wrong with a settings document: what breaks the schema `name`, otherwise time zones that don't exist."""
    return faults(name, document) or list(_unknown_time_zones(document))


def listed(found: Sequence[Fault]) -> str:
    """Faults, one to a line."""
    return "\n".join(f"  {fault}" for fault in found)


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


def _unknown_time_zones(document: Any) -> Iterator[Fault]:
    for slug, city in document["cities"].items():
        try:
            ZoneInfo(city["timeZone"])
        except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder, such as Europe
            yield Fault(f"cities/{slug}/timeZone", f"{city['timeZone']!r} is no IANA time zone such as Europe/Paris")
