"""Signals: the numbers of an observation, each with the alert rules that apply to it in its city.

Rules ride with the data, so the stream query needs no reference data and a new threshold restarts nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from processors.ingest.error_codes import critical_codes
from processors.ingest.fleet import CityTally, LocationTally
from processors.ingest.health import health_of
from processors.ingest.records import Device
from processors.ingest.settings import City

Signal = dict[str, Any]


class RuleBook:
    """The alert rules by city, entity and signal, in the form they have on a signal."""

    def __init__(self, cities: Iterable[City]) -> None:
        self._rules: dict[tuple[str, str, str], list[dict[str, Any]]] = {}
        for city in cities:
            for rule in city.rules:
                on_signal = {
                    "id": rule.id,
                    "severity": rule.severity,
                    "op": rule.op,
                    "threshold": rule.threshold,
                    "forSeconds": rule.for_seconds,
                }
                self._rules.setdefault((city.slug, rule.entity, rule.signal), []).append(on_signal)

    def signal(self, city_id: str, entity: str, name: str, value: float) -> Signal:
        """The signal `name` of an entity in a city, with its rules attached."""
        return {"name": name, "value": value, "rules": self._rules.get((city_id, entity, name), [])}


def device_signals(book: RuleBook, city_id: str, device: Device, status_since: str | None) -> list[Signal]:
    """`offline` (since when, while it is 1), `issues` and `criticalIssues` (with their codes as text) of a device."""
    offline = book.signal(city_id, "device", "offline", int(health_of(device.connection_status) == "down"))
    if offline["value"] and status_since:
        offline["since"] = status_since
    issues = book.signal(city_id, "device", "issues", len(device.error_codes))
    critical = critical_codes(device.error_codes) if device.error_codes else []
    critical_issues = book.signal(city_id, "device", "criticalIssues", len(critical))
    if device.error_codes:
        issues["text"] = ", ".join(device.error_codes)
    if critical:
        critical_issues["text"] = ", ".join(critical)
    return [offline, issues, critical_issues]


def removed_signals(book: RuleBook, city_id: str) -> list[Signal]:
    """Signals of a device that left the organisation: all quiet, so that its open alerts resolve."""
    return [book.signal(city_id, "device", name, 0) for name in ("offline", "issues", "criticalIssues")]


def location_signals(book: RuleBook, city_id: str, count: LocationTally) -> list[Signal]:
    """`offlineRatio` and `devices` of a location."""
    values = {"offlineRatio": count.offline_ratio, "devices": count.devices}
    return [book.signal(city_id, "location", name, value) for name, value in values.items()]


def city_signals(book: RuleBook, slug: str, count: CityTally, requests: int, quarantined: int) -> list[Signal]:
    """Devices by health and rooms of a city, and of the poll its requests so far and the records it did not understand."""
    values = {
        "devices": count.devices,
        **{f"devices{health.capitalize()}": number for health, number in count.by_health.items()},
        "rooms": len(count.rooms),
        "roomsUsable": len(count.rooms) - len(count.unusable_rooms),
        "requests": requests,
        "quarantined": quarantined,
    }
    return [book.signal(slug, "city", name, value) for name, value in values.items()]
