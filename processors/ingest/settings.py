"""Settings of the ingest, made from the stack file and the alert rules (processors/settings_source.py says where they lie)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from processors.contracts.facts import REMOVAL_HOLD_HOURS
from processors.ingest.token_bucket import CAUTIOUS, RequestRates


@dataclass(frozen=True)
class AlertRule:
    """An alert rule of one city, overrides resolved: `signal` of `entity`, compared (`op`) with `threshold` for `for_seconds`.

    `fewest_devices`: a place with fewer never breaches it.
    """

    id: str
    entity: str
    signal: str
    op: str
    threshold: float
    for_seconds: int
    severity: int
    fewest_devices: int = 0


@dataclass(frozen=True)
class City:
    """A city: its slug, its name, the Webex locations (names or ids) in it, its rules, and whether its rooms may report by
    themselves what they measure.
    """

    slug: str
    name: str
    webex_locations: tuple[str, ...]
    rules: tuple[AlertRule, ...]
    push: bool = False


@dataclass(frozen=True)
class IngestSettings:
    """What to poll, how often, and for which cities.

    `metric_seconds`: how often the same sensor is read at most.
    `xapi_seconds`: how often a room in need is asked for its status; rooms with a device that has one of `priority_tags` always
    are. `location_minutes`: how often locations are listed. `personal_devices`: whether devices of persons are observed at all.
    `removal_hold_hours`: how long devices that go missing in bulk are kept. `bookings`: whether rooms are asked if they are
    booked. `organisation`: the slug of the partner whose organisation this is; empty for the stack's own.
    """

    poll_seconds: float
    snapshot_minutes: float
    metric_requests_per_poll: int
    metrics: tuple[str, ...]
    cities: tuple[City, ...]
    rates: RequestRates = CAUTIOUS
    xapi_seconds: float = 300
    metric_seconds: float = 60
    location_minutes: float = 1440
    priority_tags: tuple[str, ...] = ()
    personal_devices: bool = False
    removal_hold_hours: float = REMOVAL_HOLD_HOURS
    bookings: bool = False
    organisation: str = ""


def organisations_in(document: dict[str, Any]) -> list[str]:
    """The organisations that have cities in a checked document: slugs of partners, and empty for the stack's own."""
    return sorted({city.get("organisation", "") for city in document["cities"].values()})


def ingest_settings_of(document: dict[str, Any], organisation: str = "") -> IngestSettings:
    """The settings that a checked document holds for one organisation."""
    own = {slug: city for slug, city in document["cities"].items() if city.get("organisation", "") == organisation}
    return IngestSettings(
        poll_seconds=document["pollSeconds"],
        snapshot_minutes=document["snapshotMinutes"],
        metric_requests_per_poll=document["metricRequestsPerPoll"],
        metrics=tuple(document["metrics"]),
        cities=tuple(_city(slug, city) for slug, city in own.items()),
        rates=CAUTIOUS._replace(per_second=document["requestsPerSecond"], xapi_per_second=document["xapiRequestsPerSecond"]),
        xapi_seconds=document["xapiSeconds"],
        metric_seconds=document["metricSeconds"],
        location_minutes=document["locationMinutes"],
        priority_tags=tuple(document["priorityTags"]),
        personal_devices=document["personalDevices"],
        removal_hold_hours=document.get("removalHoldHours", REMOVAL_HOLD_HOURS),
        bookings=document.get("bookings", False),
        organisation=organisation,
    )


def _city(slug: str, city: dict[str, Any]) -> City:
    rules = tuple(
        AlertRule(
            id=rule["id"],
            entity=rule["entity"],
            signal=rule["signal"],
            op=rule["op"],
            threshold=rule["threshold"],
            for_seconds=rule["forSeconds"],
            severity=rule["severity"],
            fewest_devices=rule.get("fewestDevices", 0),
        )
        for rule in city["rules"]
    )
    return City(
        slug=slug,
        name=city["name"],
        webex_locations=tuple(city["webexLocations"]),
        rules=rules,
        push=city.get("push", False),
    )
