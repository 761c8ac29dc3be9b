"""Open alerts as incidents: one line for a dead site."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from local.dashboard.incidents import open_incidents
from processors.alert_fanout.alerts import Alert, alerts_in
from processors.alert_fanout.incidents import Book, take
from processors.alert_fanout.settings import City, RuleMeaning
from tests.local.dashboard import sample_tiles

CAUSES = sample_tiles.CAUSES


def test_an_outage_stands_for_the_offline_alerts_of_its_devices() -> None:
    estate = sample_tiles.darken(sample_tiles.Estate(sample_tiles.THREE_CITIES, sample_tiles.NOON), "singapore-0")
    (incident,) = open_incidents(estate.alerts, CAUSES)
    assert incident["ruleId"] == "site-outage"
    assert incident["folded"] == 24


def test_other_alerts_of_a_dark_location_stay_incidents() -> None:
    estate = sample_tiles.darken(sample_tiles.Estate(sample_tiles.THREE_CITIES, sample_tiles.NOON), "singapore-0")
    device = next(device for device in estate.devices() if device["locationId"] == "singapore-0")
    estate.fire("room-too-warm", 3, device, minutes=30, signal="temperature", value=31.0, entity="workspace")
    assert {incident["ruleId"] for incident in open_incidents(estate.alerts, CAUSES)} == {"site-outage", "room-too-warm"}


def test_what_is_worse_than_the_outage_is_sent_by_itself() -> None:
    estate = sample_tiles.darken(sample_tiles.Estate(sample_tiles.THREE_CITIES, sample_tiles.NOON), "singapore-0")
    estate.alerts[0]["severity"] = 3
    assert len(open_incidents(estate.alerts, CAUSES)) == 25


def test_rules_that_explain_each_other_lose_no_alert() -> None:
    alerts = [alert(rule, "device", "room-bar-1", "a") for rule in ("device-offline", "call-quality")]
    both = {"device-offline": ("call-quality",), "call-quality": ("device-offline",)}
    assert len(open_incidents(alerts, both)) == 2


def test_without_an_outage_every_alert_is_an_incident() -> None:
    alerts = sample_tiles.normal().alerts
    assert [incident["alertId"] for incident in open_incidents(alerts, CAUSES)] == [alert["alertId"] for alert in alerts]


def alert(rule: str, entity: str, entity_id: str, location: str, severity: int = 2) -> dict[str, Any]:
    """An open alert in Lyon; a device is in the room `room-<its last letter>`."""
    started = "2026-11-24T09:30:00.0000000Z"
    return {
        "alertId": f"{rule}|{entity_id}|{started}",
        "ruleId": rule,
        "severity": severity,
        "state": "fired",
        "entity": entity,
        "entityId": entity_id,
        "name": entity_id,
        "cityId": "lyon",
        "locationId": location,
        "locationName": location,
        "workspaceId": None if entity == "location" else entity_id if entity == "workspace" else f"room-{entity_id[-1]}",
        "workspaceName": None,
        "signal": "offline",
        "value": 1.0,
        "threshold": 1.0,
        "startedAt": started,
        "observedAt": "2026-11-24T09:35:00.0000000Z",
    }


RULES = {"device-offline": "device", "call-quality": "device", "room-too-warm": "workspace", "site-outage": "location"}
PLACES = st.tuples(st.sampled_from(list(RULES)), st.sampled_from("abc"), st.sampled_from("12"), st.integers(1, 4))


@given(st.lists(PLACES, unique_by=lambda place: place[:3]))
def test_the_page_folds_as_the_fan_out_does(places: list[tuple[str, str, str, int]]) -> None:
    alerts: dict[str, dict[str, Any]] = {}
    for rule, location, number, severity in places:
        entity = RULES[rule]
        entity_id = location if entity == "location" else f"{entity}-{location}{number}"
        one = alert(rule, entity, entity_id, location, severity)
        alerts.setdefault(one["alertId"], one)
    book = Book()
    told = [
        entry for entry in alerts_in("\n".join(json.dumps(one) for one in alerts.values()).encode()) if isinstance(entry, Alert)
    ]
    meanings = {rule: RuleMeaning("", "", CAUSES.get(rule, ())) for rule in RULES}
    take(book, told, City("Lyon", "Europe/Paris", ()), meanings, datetime(2026, 11, 24, 10, tzinfo=UTC))
    incidents = open_incidents(alerts.values(), CAUSES)
    assert {one["alertId"]: one["folded"] for one in incidents} == {
        incident.id: len(incident.members) for incident in book.incidents.values() if incident.open
    }
    assert len(incidents) + sum(incident["folded"] for incident in incidents) == len(alerts)


def test_it_counts_devices_and_rooms_and_not_alerts() -> None:
    estate = sample_tiles.darken(sample_tiles.Estate(sample_tiles.THREE_CITIES, sample_tiles.NOON), "singapore-0")
    twice = [alert | {"alertId": f"{alert['alertId']}|2"} for alert in estate.alerts if alert["entity"] == "device"]
    room = twice[0] | {"alertId": "room", "entity": "workspace", "entityId": "a-room"}
    incident = open_incidents([*estate.alerts, *twice, room], CAUSES)[0]
    assert (incident["devicesFolded"], incident["roomsFolded"], incident["folded"]) == (24, 1, 49)
