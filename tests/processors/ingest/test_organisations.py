"""Partners: several organisations polled by one process, their tokens, states, budgets and unplaced devices apart."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from processors.contracts.facts import is_unassigned, unassigned_in
from processors.ingest import environment as environments
from processors.ingest.organisations import Organisations
from processors.ingest.settings import ingest_settings_of, organisations_in
from processors.ingest.token_stores import INTEGRATION_SECRETS, SERVICE_APP_SECRETS
from processors.settings_source import Settings, settings_at
from tests.processors.ingest.conftest import KeptEvents
from tests.support.scripted_webex import ScriptedWebex, device, error, location, serving, workspace
from tests.support.tiers import TIERS


def city(name: str, *locations: str, **more: Any) -> dict[str, Any]:
    return {"name": name, "timeZone": "Europe/Paris", "webexLocations": list(locations), "rules": [], **more}


DOCUMENT: dict[str, Any] = {
    "pollSeconds": 10, "snapshotMinutes": 15, "metricRequestsPerPoll": 0, "metrics": [], **TIERS,
    "cities": {"lyon": city("Lyon", "Lyon Part-Dieu"), "pune": city("Pune", "Pune Kharadi", organisation="contoso")},
}  # fmt: skip


@pytest.fixture
def partner() -> Iterator[ScriptedWebex]:
    """The organisation of a partner, with an office in Pune and a device that is nowhere."""
    with serving(ScriptedWebex()) as served:
        served.tokens = {"contoso-token"}
        served.listings["/locations"] = [location(7, "Pune Kharadi")]
        served.listings["/workspaces"] = [workspace(71, locationId="location-7")]
        served.listings["/devices"] = [device(71, locationId="location-7"), device(72, locationId=None, workspaceId=None)]
        yield served


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    path = tmp_path / "ingest-settings.json"
    path.write_text(json.dumps(DOCUMENT), encoding="utf-8")
    return settings_at(path, "ingest-settings")


@pytest.fixture
def both(
    estate: ScriptedWebex, partner: ScriptedWebex, kept: KeptEvents, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Organisations]:
    estate.listings["/devices"] = [device(1), device(2, locationId=None, workspaceId=None)]
    monkeypatch.setattr(environments, "EventHubsSink", lambda _: kept)
    made = Organisations(
        {
            "WEBEX_API_BASE": estate.base,
            "WEBEX_ACCESS_TOKEN": "token",
            "WEBEX_API_BASE__contoso": partner.base,
            "WEBEX_ACCESS_TOKEN__contoso": "contoso-token",
            "STATE_FOLDER": str(tmp_path / "state"),
        }
    )
    yield made
    made.close()


def test_each_is_polled_for_its_own_cities_with_its_own_token_and_state(
    both: Organisations, settings: Settings, estate: ScriptedWebex, partner: ScriptedWebex, kept: KeptEvents, tmp_path: Path
) -> None:
    both.poll(settings)
    data = kept.taken()
    assert {one["entityId"]: one["cityId"] for one in data if one["entity"] == "device"} == {
        "device-1": "lyon", "device-2": "unassigned", "device-71": "pune", "device-72": "unassigned-contoso",
    }  # fmt: skip
    cities = [one["entityId"] for one in data if one["entity"] == "city"]
    assert sorted(cities) == ["lyon", "pune", "unassigned", "unassigned-contoso"], "each once: no row of one hides the other's"
    assert {request.headers["authorization"] for request in partner.requests} == {"Bearer contoso-token"}
    assert {request.headers["authorization"] for request in estate.requests} == {"Bearer token"}
    assert {path.relative_to(tmp_path / "state").as_posix() for path in (tmp_path / "state").rglob("*.sqlite")} == {
        "ingest.sqlite", "contoso/ingest.sqlite",
    }  # fmt: skip
    assert set(both.pollers[""].state.devices) == {"device-1", "device-2"}
    assert set(both.pollers["contoso"].state.devices) == {"device-71", "device-72"}


@pytest.mark.parametrize(
    "answer", [error(401), error(429, Retry_After="60"), error(500), error(403)], ids=lambda a: str(a.status)
)
def test_what_one_is_answered_is_nothing_to_the_other(
    both: Organisations, settings: Settings, partner: ScriptedWebex, kept: KeptEvents, answer: Any
) -> None:
    both.poll(settings)
    kept.taken()
    partner.always = dict.fromkeys(("/devices", "/workspaces", "/locations"), answer)
    both.poll(settings)
    partial = {one["entityId"]: one["partial"] for one in kept.taken("city")}
    assert (partial["lyon"], partial["pune"]) == (False, True)
    assert both.pollers[""].client.endpoints is not both.pollers["contoso"].client.endpoints
    assert both.pollers[""].client.throttled == 0


def test_one_without_a_token_is_said_and_the_other_polls_on(
    estate: ScriptedWebex, kept: KeptEvents, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environments, "EventHubsSink", lambda _: kept)
    environment = {
        "WEBEX_API_BASE": estate.base,
        "WEBEX_ACCESS_TOKEN": "token",
        "WEBEX_TOKEN_FILE__contoso": str(tmp_path / "no"),
    }
    made = Organisations(environment)
    made.poll(settings)
    cities = {one["entityId"]: one["partial"] for one in kept.taken("city")}
    made.close()
    assert (cities["lyon"], cities["pune"]) == (False, True)


def test_a_stack_without_partners_has_one_and_names_nothing_anew() -> None:
    alone = {**DOCUMENT, "cities": {"lyon": DOCUMENT["cities"]["lyon"]}}
    assert organisations_in(alone) == [""]
    assert SERVICE_APP_SECRETS.of("") == SERVICE_APP_SECRETS
    assert unassigned_in("") == "unassigned"


def test_what_belongs_to_a_partner_bears_its_slug() -> None:
    assert organisations_in(DOCUMENT) == ["", "contoso"]
    assert [c.slug for c in ingest_settings_of(DOCUMENT, "contoso").cities] == ["pune"]
    assert [c.slug for c in ingest_settings_of(DOCUMENT).cities] == ["lyon"]
    assert SERVICE_APP_SECRETS.of("contoso") == (
        "webex-token-set-contoso", "webex-client-secret-contoso", "webex-token.turn-contoso",
    )  # fmt: skip
    assert len({*SERVICE_APP_SECRETS, *INTEGRATION_SECRETS, *SERVICE_APP_SECRETS.of("a"), *INTEGRATION_SECRETS.of("a")}) == 12
    assert is_unassigned(unassigned_in("contoso")) and not is_unassigned("pune")
