"""Open alerts as incidents: one line for a dead site."""

from __future__ import annotations

from typing import Any

import sample_tiles
from hypothesis import given
from hypothesis import strategies as st

from local.dashboard.incidents import dark_locations, open_incidents


def test_an_outage_stands_for_the_offline_alerts_of_its_devices() -> None:
    estate = sample_tiles.darken(sample_tiles.Estate(sample_tiles.THREE_CITIES, sample_tiles.NOON), "singapore-0")
    (incident,) = open_incidents(estate.alerts)
    assert incident["ruleId"] == "site-outage"
    assert incident["folded"] == 24


def test_other_alerts_of_a_dark_location_stay_incidents() -> None:
    estate = sample_tiles.darken(sample_tiles.Estate(sample_tiles.THREE_CITIES, sample_tiles.NOON), "singapore-0")
    device = next(device for device in estate.devices() if device["locationId"] == "singapore-0")
    estate.fire("room-too-warm", 3, device, minutes=30, signal="temperature", value=31.0, entity="workspace")
    assert {incident["ruleId"] for incident in open_incidents(estate.alerts)} == {"site-outage", "room-too-warm"}


def test_without_an_outage_every_alert_is_an_incident() -> None:
    alerts = sample_tiles.normal().alerts
    assert [incident["alertId"] for incident in open_incidents(alerts)] == [alert["alertId"] for alert in alerts]


def alert(number: int, location: str | None, signal: str) -> dict[str, Any]:
    names = ("cityId", "locationName", "workspaceName", "entity", "name", "startedAt")
    fixed: dict[str, Any] = dict.fromkeys(names, "x")
    return fixed | {
        "alertId": str(number),
        "ruleId": signal,
        "severity": 1,
        "locationId": location,
        "signal": signal,
        "value": 1.0,
    }


SIGNALS = st.sampled_from(["offline", "offlineRatio", "temperature"])


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c", None]), SIGNALS)))
def test_no_alert_gets_lost_or_counted_twice_at_one_outage_a_location(places: list[tuple[str | None, str]]) -> None:
    seen: set[tuple[str | None, str]] = set()
    alerts = []
    for number, (location, signal) in enumerate(places):
        if signal == "offlineRatio" and (location, signal) in seen:
            continue  # a location has one outage at a time
        seen.add((location, signal))
        alerts.append(alert(number, location, signal))
    incidents = open_incidents(alerts)
    assert len(incidents) + sum(incident["folded"] for incident in incidents) == len(alerts)
    shown = {incident["alertId"] for incident in incidents}
    hidden = [entry for entry in alerts if entry["alertId"] not in shown]
    assert all(entry["signal"] == "offline" and entry["locationId"] in dark_locations(alerts) for entry in hidden)
