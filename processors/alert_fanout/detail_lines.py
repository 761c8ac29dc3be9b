"""The details of an alert as lines of a message: what is lost, what Cisco recommends, where the device is found, and what Webex
itself reports.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from processors.alert_fanout.details import Words
from processors.alert_fanout.notice import Line
from processors.alert_fanout.wording import moment

_STATUS_WORDS = {"LostConnection": "connection lost", "ResponseTimedOut": "does not answer", "Unpairing": "being unpaired"}
"""Statuses of a peripheral for people; others are shown as the device gives them."""
_NETWORK = (("switch", "switch"), ("port", "port"), ("ip", "IP"), ("mac", "MAC"))
_INNER_CAPITAL = re.compile(r"(?<=[a-z])(?=[A-Z])")

Kept = Mapping[str, Any]


def advice(kept: Kept) -> list[Line]:
    """What Cisco recommends for the issues of the room."""
    actions = dict.fromkeys(issue["recommendedAction"] for issue in kept.get("issues", ()) if "recommendedAction" in issue)
    return [Line(action, "Cisco recommends") for action in actions]


def facts(kept: Kept, time_zone: str) -> list[Line]:
    """What is lost, in whose words, and how the device is found."""
    return [
        *(Line(_lost(one), "Lost") for one in kept.get("lost", ())),
        *(Line(_joined(": ", one.get("level"), one.get("description")), "Device says") for one in kept.get("messages", ())),
        *(Line(_since(one["title"], one, time_zone), "Webex says") for one in kept.get("issues", ()) if "title" in one),
        *([Line(kept["serial"], "Serial number")] if "serial" in kept else []),
        *_network(kept),
    ]


def webex_reports(kept: Kept, time_zone: str) -> list[Line]:
    """What Webex's own status page reports."""
    incidents = kept.get("incidents", ())
    return [Line(_since(_joined(", ", one.get("name"), one.get("status")), one, time_zone), "Webex reports") for one in incidents]


def as_of(kept: Kept, text: str | None, observed_at: str, time_zone: str) -> list[Line]:
    """Of when the words about a device are, where there are any: an alert keeps those of the observation that fired it, and is
    sent, and read, at any time after: when quiet hours or a silence end, when the channel works again, when somebody opens it.
    """
    if not kept and not text:
        return []
    when = f"as of {moment(observed_at, time_zone)} ({time_zone})"
    return [Line(f"{when}, and may have changed since", "Details")]


def _lost(peripheral: Words) -> str:
    kind = _INNER_CAPITAL.sub(" ", peripheral.get("type", "")).capitalize()
    name, status = peripheral.get("name", ""), peripheral.get("status", "")
    what = _joined(" ", kind, name) if kind.lower() != name.lower() else name
    serial = f"serial number {peripheral['serial']}" if "serial" in peripheral else ""
    return _joined(", ", what or "A peripheral", serial, _STATUS_WORDS.get(status, status))


def _network(kept: Kept) -> list[Line]:
    named = [f"{label} {kept[name]}" for name, label in _NETWORK if name in kept]
    return [Line(", ".join(named), "Network")] if named else []


def _since(text: str, record: Words, time_zone: str) -> str:
    return f"{text}, since {moment(record['since'], time_zone)} ({time_zone})" if "since" in record else text


def _joined(between: str, *parts: str | None) -> str:
    return between.join(part for part in parts if part)
