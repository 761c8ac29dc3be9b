"""Payloads against the published OpenAPI files. Where those contradict themselves we follow their examples, and say so here."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import jsonschema
import pytest
from webex_world import World

from tests.support.shared_data import shared_data

MAINTENANCE = "device plannedMaintenance is text in the example and an object in the schema"
WIRELESS = "activeInterface allows wired only"
KNOWN_CONTRADICTIONS = {
    MAINTENANCE: r"plannedMaintenance: 'off' is not of type 'object'",
    "workspace capabilities are a map in the example and an array in the schema": r"capabilities: .* is not of type 'array'",
    "the level of a workspace issue is {Members} in the schema": r"health/issues/\d+/level: .* is not of type 'object'",
    WIRELESS: r"activeInterface: 'wireless' is not one of",
    "connectionStatus is older than pending": r"connectionStatus: 'pending' is not one of",
    "/locations refers to the legacy schema: address": r"address: .* is not of type 'string'",
    "/locations refers to the legacy schema: countryCode": r"'countryCode' is a required property",
    "/locations refers to the legacy schema: coordinates": r"(latitude|longitude): .* is not of type 'number'",
    "a location of no country has no coordinates": r"'(latitude|longitude)' is a required property",
}
"""What the files say wrongly, by name, and how it shows."""
TRAPS = {"a null where a field should be missing": r"mac: None is not of type 'string'"}
"""Where a record is wrong on purpose, because real ones were."""


@pytest.fixture(scope="module")
def schema_of() -> Callable[[str, str], dict[str, Any]]:
    """The schema of a GET, by file and path."""

    def find(name: str, path: str) -> dict[str, Any]:
        document = json.loads(shared_data(f"webex/openapi/{name}.json").read_text(encoding="utf-8"))
        response = document["paths"][path]["get"]["responses"]["200"]
        return {**response["content"]["application/json"]["schema"], "components": document["components"]}

    return find


def faults(document: Any, schema: dict[str, Any]) -> Iterator[str]:
    for error in jsonschema.Draft202012Validator(schema).iter_errors(document):
        path = "/".join(str(part) for part in error.absolute_path)
        yield f"{path}: {error.message}"


def explained(fault: str, names: dict[str, str]) -> str | None:
    return next((name for name, pattern in names.items() if re.search(pattern, fault)), None)


SEED = 3
"""Its estate shows everything there is to show in 800 devices."""
LISTINGS: tuple[tuple[str, dict[str, str]], ...] = (
    ("devices", {}),
    ("workspaces", {"includeDevices": "true", "includeCapabilities": "true"}),
    ("locations", {}),
)


def test_listings_are_as_published_but_for_the_named_contradictions(
    make_world: Callable[..., World], schema_of: Callable[[str, str], dict[str, Any]]
) -> None:
    world = make_world(devices=800, seed=SEED)
    found = [
        fault
        for name, query in LISTINGS
        for fault in faults({"items": world.all(f"/{name}", **query)}, schema_of(name, f"/{name}"))
    ]
    names = KNOWN_CONTRADICTIONS | TRAPS
    assert [fault for fault in found if not explained(fault, names)] == []
    assert {explained(fault, names) for fault in found} == set(names), "what no longer shows has to leave the list"


def test_without_traps_only_contradictions_of_every_estate_remain(
    make_world: Callable[..., World], schema_of: Callable[[str, str], dict[str, Any]]
) -> None:
    world = make_world(devices=500, traps=False)
    found = faults({"items": world.all("/devices")}, schema_of("devices", "/devices"))
    assert {explained(fault, KNOWN_CONTRADICTIONS) for fault in found} == {MAINTENANCE, WIRELESS}


def test_floors_metrics_and_statuses_are_as_published(world: World, schema_of: Callable[[str, str], dict[str, Any]]) -> None:
    location = world.all("/locations")[0]["id"]
    room = world.all("/workspaces", type="meetingRoom")[0]["id"]
    device = world.all("/devices", connectionStatus="connected", product="Cisco Room Kit EQ")[0]["id"]
    ask = {"workspaceId": room, "metricName": "soundLevel"}
    answers = [
        ("locations", "/locations/{locationId}/floors", world.get(f"/locations/{location}/floors")),
        ("workspace_metrics", "/workspaceMetrics", world.get("/workspaceMetrics", **ask, aggregation="none")),
        ("workspace_metrics", "/workspaceMetrics", world.get("/workspaceMetrics", **ask)),
        ("xapi", "/xapi/status", world.get("/xapi/status", deviceId=device, name="RoomAnalytics.*")),
    ]
    for file, path, answer in answers:
        assert answer.ok
        assert list(faults(answer.json(), schema_of(file, path))) == []


@pytest.mark.parametrize(
    ("path", "example"),
    [("/devices", "devices.list.json"), ("/workspaces", "workspaces.list.includeDevices.includeCapabilities.json")],
)
def test_records_have_no_field_the_examples_lack(world: World, path: str, example: str) -> None:
    """Catches a field misspelt: every schema property is optional, so a validator alone would not."""
    known = {name for item in json.loads(shared_data(f"webex/examples/{example}").read_text())["items"] for name in item}
    extra = {name for item in world.all(path, includeDevices="true", includeCapabilities="true") for name in item} - known
    assert extra <= {"floorId"}
