"""Checks messages and settings against the JSON Schemas in this folder, and lists every fault with its path at once.

Settings are always checked. Observations are right by construction and checked by the tests only: checking 10,000 of them a poll
would cost more CPU than the whole poll (figures in docs/stages/ingest.md).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from processors.contracts.schema_faults import explained, strict_validator

_LABEL = re.compile(r"[a-z0-9_]([a-z0-9_-]{0,61}[a-z0-9_])?", re.IGNORECASE)
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
    found = [Fault(path, text) for path, text in explained(_validator(name).iter_errors(document), schema(name))]
    return sorted(found, key=lambda fault: (fault.path, fault.text))


def faults_of_settings(name: str, document: object) -> list[Fault]:
    """Everything wrong with a settings document: what breaks the schema `name`, otherwise what no schema can say.

    A document without faults can be used: whoever makes settings asks here before handing them over, and whoever reads them asks
    here again.
    """
    found = [*unwritable(document), *faults(name, document)]
    return found or [*_unknown_time_zones(document), *_unusable_addresses(document)]


def unwritable(value: object, path: str = "") -> Iterator[Fault]:
    """What JSON can't carry to every reader: halves of characters, and numbers that are none or too large."""
    if isinstance(value, str) and not _is_unicode(value):
        yield Fault(path, 'holds half a character (an escape such as "\\ud83d"): write the character itself.')
    elif isinstance(value, int | float) and not _is_finite(value):
        yield Fault(path, "is not a number that JSON can carry: write a smaller one.")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if isinstance(key, str) and not _is_unicode(key):
                yield Fault(path, 'has a key with half a character (an escape such as "\\ud83d"): write the character itself.')
            else:
                yield from unwritable(item, f"{path}/{key}".lstrip("/"))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from unwritable(item, f"{path}/{index}".lstrip("/"))


def is_web_address(text: str) -> bool:
    """Whether a request can be made to `text`: it is http or https, and has a host that can be one, and a port if it has any."""
    try:
        parts = urlsplit(text)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and port != 0 and "\\" not in parts.netloc and _is_host(host)


def is_this_machine(host: str) -> bool:
    """Whether a host of an address is a loopback one: nobody else gets what is sent there."""
    try:
        return host == "localhost" or ip_address(host).is_loopback
    except ValueError:
        return False


def _is_host(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return _is_host_name(host)
    return True


def _is_host_name(host: str) -> bool:
    try:
        ascii_name = host.encode("idna").decode("ascii")
    except UnicodeError:  # an empty label, one of more than 63 characters, or a character no name has
        return False
    labels = ascii_name.removesuffix(".").split(".")
    # Four numbers are an address, so a name doesn't end in a number: no resolver takes 300.1.1.1 or 1.2.3.
    return len(ascii_name) <= 253 and all(map(_LABEL.fullmatch, labels)) and not labels[-1].isdigit()


def listed(found: Sequence[Fault]) -> str:
    """Faults, one to a line."""
    return "\n".join(f"  {fault}" for fault in found)


@cache
def _validator(name: str) -> Any:
    return strict_validator(schema(name))


def _unknown_time_zones(document: Any) -> Iterator[Fault]:
    for slug, city in document["cities"].items():
        try:
            ZoneInfo(city["timeZone"])
        except (ZoneInfoNotFoundError, ValueError, OSError):  # OSError: the name of a folder, such as Europe
            yield Fault(f"cities/{slug}/timeZone", f"{city['timeZone']!r} is not an IANA time zone such as Europe/Paris")


def _unusable_addresses(document: Any) -> Iterator[Fault]:
    for slug, city in document["cities"].items():
        for index, channel in enumerate(city.get("channels", ())):
            if "url" in channel and not is_web_address(channel["url"]):
                path = f"cities/{slug}/channels/{index}/url"
                yield Fault(path, "is not an address that a request could be made to: see its host and port")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _is_finite(number: float) -> bool:
    try:
        return math.isfinite(number)
    except OverflowError:
        return False
