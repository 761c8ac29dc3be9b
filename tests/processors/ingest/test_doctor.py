"""The doctor: names what an administrator must fix, each with the fix, and goes on after every fault."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cli.ingest import _doctor
from event_hubs_local.server import EventHubsServer
from processors.ingest.doctor import Finding, examine
from tests.processors.conftest import StandingClock
from tests.support.blobs import Blobs
from tests.support.scripted_webex import Answer, ScriptedWebex, device, error, location
from tests.support.tiers import TIERS

DAY = 86_400_000


@pytest.fixture
def environment(
    estate: ScriptedWebex, event_hubs: EventHubsServer, tmp_path: Path, standing_clock: StandingClock
) -> dict[str, str]:
    """A healthy one: two cities, all locations known, ten days of token."""
    soon = int(standing_clock.now.timestamp() * 1000) + 10 * DAY
    estate.always["/authorizations/tokenExpiry"] = Answer(body=json.dumps({"exp": soon}).encode())
    estate.listings["/devices"] = [device(n, permissions=["xapi:readonly"]) for n in range(1, 5)]
    estate.always["/xapi/status"] = Answer(body=b'{"deviceId": "device-1", "result": {}}')
    cities = {
        slug: {"name": slug, "timeZone": "Europe/Paris", "webexLocations": [place], "rules": []}
        for slug, place in (("lyon", "Lyon Part-Dieu"), ("oslo", "oslo  lysaker"))
    }
    content = {"pollSeconds": 10, "snapshotMinutes": 15, "metricRequestsPerPoll": 5, "metrics": ["temperature"], **TIERS}
    path = tmp_path / "ingest-settings.json"
    path.write_text(json.dumps(content | {"cities": cities}), encoding="utf-8")
    return {
        "INGEST_SETTINGS": str(path),
        "WEBEX_API_BASE": estate.base,
        "WEBEX_ACCESS_TOKEN": "token",
        "EVENT_HUBS": event_hubs.connection_string,
    }


def bad(environment: dict[str, str]) -> list[Finding]:
    return [finding for finding in examine(environment) if finding.verdict != "ok"]


def test_all_is_well_where_all_is_well(environment: dict[str, str]) -> None:
    findings = list(examine(environment))
    assert {finding.verdict for finding in findings} == {"ok"}, findings
    assert {finding.check for finding in findings} >= {"token", "/devices", "/workspaceMetrics", "xAPI", "cities", "Event Hubs"}
    assert any("valid for 10.0 days" in finding.text for finding in findings)


@pytest.mark.parametrize(
    ("body", "verdict", "text"),
    [
        (b'{"incidents": []}', "ok", "Webex reports no incident"),
        (b'{"incidents": [{"name": "Meetings"}, {"name": "Calling"}]}', "ok", "Webex reports: Meetings, Calling"),
        (b"<html>", "warning", "Webex's status page can't be read: no proper answer"),
    ],
)
def test_what_webex_itself_reports_is_said(
    environment: dict[str, str], estate: ScriptedWebex, body: bytes, verdict: str, text: str
) -> None:
    estate.always["/unresolved-incidents.json"] = Answer(body=body)
    (found,) = (one for one in examine(environment | {"WEBEX_STATUS_BASE": estate.base}) if one.check == "status page")
    assert (found.verdict, found.text) == (verdict, text)


@pytest.mark.parametrize(
    ("path", "scope"),
    [
        ("/devices", "spark-admin:devices_read"),
        ("/workspaces", "spark-admin:workspaces_read"),
        ("/locations", "spark-admin:locations_read"),
        ("/workspaceMetrics", "spark-admin:workspace_metrics_read"),
        ("/xapi/status", "spark:xapi_statuses"),
    ],
)
def test_a_missing_scope_is_named(environment: dict[str, str], estate: ScriptedWebex, path: str, scope: str) -> None:
    estate.always[path] = error(403)
    (finding,) = [finding for finding in bad(environment) if finding.check == path]
    assert finding.verdict == "error" and scope in finding.fix and "ROUTER_TEST" in finding.text


def test_bookings_by_the_hour_are_asked_at_their_own_endpoint(environment: dict[str, str], estate: ScriptedWebex) -> None:
    path = Path(environment["INGEST_SETTINGS"])
    path.write_text(json.dumps(json.loads(path.read_text()) | {"metrics": ["temperature", "timeUsed"]}), encoding="utf-8")
    estate.listings["/workspaces"][0]["calendar"] = {"type": "microsoft"}
    assert {finding.check for finding in examine(environment)} >= {"/workspaceMetrics", "/workspaceDurationMetrics"}
    estate.always["/workspaceDurationMetrics"] = error(403)
    (finding,) = bad(environment)
    assert (finding.check, finding.verdict) == ("/workspaceDurationMetrics", "error")
    assert "spark-admin:workspace_metrics_read" in finding.fix


def test_other_organisations_are_named_and_each_is_looked_at_with_its_own_cities(
    environment: dict[str, str], estate: ScriptedWebex
) -> None:
    path = Path(environment["INGEST_SETTINGS"])
    document = json.loads(path.read_text())
    document["cities"]["oslo"]["organisation"] = "contoso"
    path.write_text(json.dumps(document), encoding="utf-8")
    estate.listings["/locations"] = [location(1, "Lyon Part-Dieu")]
    (finding,) = [one for one in bad(environment) if one.check == "organisations"]
    assert "partner contoso" in finding.text and "WEBEX_ORGANISATION=contoso" in finding.fix
    theirs = list(examine(environment | {"WEBEX_ORGANISATION": "contoso"}))
    assert "1 city of partner contoso" in next(one.text for one in theirs if one.check == "settings")
    assert any("stack's own organisation" in one.text for one in theirs if one.check == "organisations")


def test_a_refused_token_says_so_and_event_hubs_is_looked_at_all_the_same(
    environment: dict[str, str], estate: ScriptedWebex
) -> None:
    estate.always["/authorizations/tokenExpiry"] = error(401)
    findings = list(examine(environment))
    assert [finding.check for finding in findings if finding.verdict == "error"] == ["token"]
    assert findings[-1].check == "Event Hubs"
    assert "token" not in {finding.text for finding in findings}


def test_a_token_that_ends_soon_and_is_not_renewed_is_a_warning(
    environment: dict[str, str], estate: ScriptedWebex, standing_clock: StandingClock
) -> None:
    standing_clock.advance(9 * 86_400)
    (finding,) = bad(environment)
    assert finding.check == "token" and "1.0 days only" in finding.text and "WEBEX_TOKEN_FILE" in finding.fix


def test_webex_or_event_hubs_out_of_reach_are_named(environment: dict[str, str]) -> None:
    gone = environment | {"WEBEX_API_BASE": "http://127.0.0.1:1/v1"}
    assert [finding.check for finding in bad(gone)] == ["token"]
    hubs = re.sub(r":\d+", ":1", environment["EVENT_HUBS"], count=1)
    (finding,) = bad(environment | {"EVENT_HUBS": hubs})
    assert finding.check == "Event Hubs" and "firewall" in finding.fix


def test_the_container_of_the_state_is_looked_into(environment: dict[str, str], blobs: Blobs) -> None:
    blobs.put("ingest-state.jsonl.gz", b"")
    environment["STATE_BLOB_URL"] = blobs.url()
    assert [finding.text for finding in examine(environment) if finding.check == "state"] == ["container reached, 1 blobs"]
    blobs.remove_container()
    (fault,) = bad(environment)
    assert fault.verdict == "error" and re.search(r"404 ContainerNotFound.*pulumi up", fault.text)


def test_locations_without_a_city_come_with_the_line_to_add_and_misspelt_ones_with_a_guess(
    environment: dict[str, str], estate: ScriptedWebex
) -> None:
    estate.listings["/locations"] = [location(1, "Lyon Part-Dieux"), location(2, "Oslo Lysaker"), location(3, "Bergen Havn")]
    findings = bad(environment)
    texts = [f"{finding.verdict}: {finding.text} {finding.fix}" for finding in findings]
    assert any('warning: location "Bergen Havn" (0 devices)' in text and '["Bergen Havn"]' in text for text in texts)
    assert any("error: city lyon lists" in text and 'Did you mean "Lyon Part-Dieux"?' in text for text in texts)


def test_pages_smaller_than_asked_for_are_mentioned_and_followed(environment: dict[str, str], estate: ScriptedWebex) -> None:
    estate.page_cap = 3
    (finding,) = [finding for finding in examine(environment) if finding.check == "/devices"]
    assert finding.text == "4 records in 2 pages; asked for 1000, pages hold 3"


def test_what_the_ingest_maps_is_not_to_mend(environment: dict[str, str], estate: ScriptedWebex) -> None:
    """By an accent less, by another spacing and case, by an address, by what a city is called besides."""
    names = [("LYON  PART-DIÉU", None), ("Tower B", "Oslo"), ("Lysaker Brygge", "OSLO LYSAKER")]
    estate.listings["/locations"] = [
        location(n, name) | ({"address": {"city": city}} if city else {}) for n, (name, city) in enumerate(names, 1)
    ]
    estate.listings["/devices"] = [device(n, permissions=["xapi:all"], locationId=f"location-{n % 3 + 1}") for n in range(1, 8)]
    assert bad(environment) == []
    texts = [finding.text for finding in examine(environment) if finding.check == "cities"]
    assert texts == [
        "every one of 3 locations belongs to a city",
        "city lyon: 2 devices at 1 location",
        "city oslo: 5 devices at 2 locations",
    ]


def test_another_spelling_that_costs_no_location_is_to_look_at_only(environment: dict[str, str], estate: ScriptedWebex) -> None:
    path = Path(environment["INGEST_SETTINGS"])
    content = json.loads(path.read_text(encoding="utf-8"))
    content["cities"]["lyon"]["webexLocations"].append("Lugdunum")
    path.write_text(json.dumps(content), encoding="utf-8")
    (finding,) = bad(environment)
    assert (finding.verdict, finding.text) == ("warning", 'city lyon lists "Lugdunum", which Webex does not have')


def test_devices_count_for_the_city_of_their_room_and_those_of_persons_for_none(
    environment: dict[str, str], estate: ScriptedWebex
) -> None:
    estate.listings["/devices"] += [
        device(5, locationId=None, workspaceId="workspace-4"), device(6, locationId=None, workspaceId=None),
        device(7, workspaceId=None, personId="person-1"),
    ]  # fmt: skip
    findings = list(examine(environment))
    texts = {finding.text for finding in findings}
    assert {"city lyon: 4 devices at 1 location", "city oslo: 1 device at 1 location"} <= texts
    assert "1 device without a location: no city" in texts
    assert "7 records in 1 page; 1 belong to persons" in texts


@pytest.mark.parametrize("link", ["/v1/devices?start=4&max=4", "{base}/devices?start=4&x=a;b", "?start=4&max=null"])
def test_every_page_is_followed_as_the_ingest_does(environment: dict[str, str], estate: ScriptedWebex, link: str) -> None:
    estate.listings["/devices"] = [device(n, permissions=["xapi:all"]) for n in range(6)]
    rows = json.dumps({"items": estate.listings["/devices"][:4]}).encode()
    header = f'<{link.format(base=estate.base)}>; title="a=b"; rel="next"'
    estate.faults["/devices"] = [Answer(body=rows, headers={"Link": header})]
    (finding,) = [finding for finding in examine(environment) if finding.check == "/devices"]
    assert (finding.verdict, finding.text) == ("ok", "6 records in 2 pages; asked for 1000, pages hold 4")


def test_a_listing_whose_end_is_not_seen_is_to_mend(environment: dict[str, str], estate: ScriptedWebex) -> None:
    rows = json.dumps({"items": estate.listings["/devices"][:2]}).encode()
    estate.faults["/devices"] = [Answer(body=rows, headers={"Link": "<half a link"})]
    (finding,) = bad(environment)
    assert (finding.check, finding.verdict) == ("/devices", "error")
    assert "2 records in 1 page" in finding.text and "Link header can't be understood" in finding.text


@pytest.mark.parametrize("path", ["/devices", "/locations"])
def test_a_listing_of_nothing_names_the_admin_role(environment: dict[str, str], estate: ScriptedWebex, path: str) -> None:
    estate.listings[path] = []
    (finding,) = [finding for finding in bad(environment) if finding.check == path]
    assert finding.text == "0 records in 1 page" and "admin role" in finding.fix


def test_several_missing_scopes_are_named_at_once(environment: dict[str, str], estate: ScriptedWebex) -> None:
    for path in ("/locations", "/workspaces", "/devices"):
        estate.always[path] = error(403)
    assert [finding.check for finding in bad(environment)] == ["/locations", "/workspaces", "/devices"]


ODD: list[Any] = [None, True, 7, -1e300, "text", "\ud83d", [], [None], [7], {}, {"a": 1}]
FIELDS = {
    "/devices": ["id", "displayName", "connectionStatus", "permissions", "type", "errorCodes", "locationId", "tags"],
    "/workspaces": ["id", "displayName", "capabilities", "capacity", "locationId"],
    "/locations": ["id", "name", "address"],
}


@pytest.mark.parametrize(("path", "name"), [(path, name) for path, names in FIELDS.items() for name in names])
def test_odd_records_are_said_and_never_end_it(environment: dict[str, str], estate: ScriptedWebex, path: str, name: str) -> None:
    good = estate.listings[path]
    estate.listings[path] = [*good, "no record", *({**good[0], "id": f"odd-{n}", name: odd} for n, odd in enumerate(ODD))]
    findings = list(examine(environment))
    assert findings[-1].check == "Event Hubs"
    assert any(one.check == path and one.verdict == "warning" and "not an object" in one.text for one in findings)


@pytest.mark.parametrize(
    "answer", [*ODD, 1e30, {"exp": "soon"}, {"exp": 1e300}, {"exp": True}, {"exp": None}, {"exp": -1e18}], ids=repr
)
def test_an_odd_end_of_the_token_is_to_look_at_only(environment: dict[str, str], estate: ScriptedWebex, answer: Any) -> None:
    estate.always["/authorizations/tokenExpiry"] = Answer(body=json.dumps(answer).encode())
    assert [finding.check for finding in bad(environment) if finding.verdict == "error"] == []
    assert bad(environment)[0].check == "token"


def test_it_says_what_each_rule_would_fire_on_now(environment: dict[str, str], estate: ScriptedWebex) -> None:
    path = Path(environment["INGEST_SETTINGS"])
    content = json.loads(path.read_text(encoding="utf-8"))
    common = {"op": ">=", "threshold": 1, "forSeconds": 300, "severity": 2}
    rules = [
        {"id": "device-offline", "entity": "device", "signal": "offline", **common},
        {"id": "device-flapping", "entity": "device", "signal": "drops", **common},
        {"id": "site-outage", "entity": "location", "signal": "offlineRatio", **common, "forSeconds": 0},
        {"id": "room-too-warm", "entity": "workspace", "signal": "temperature", **common},
    ]
    content["cities"]["lyon"]["rules"] = rules
    path.write_text(json.dumps(content), encoding="utf-8")
    for each in estate.listings["/devices"]:
        each["connectionStatus"] = "disconnected"
    assert [finding.text for finding in examine(environment) if finding.check == "rules"] == [
        "device-flapping: nothing now",
        "device-offline: would fire on 4 devices, if it lasts 300 s: "
        "Room Bar 1 (lyon), Room Bar 2 (lyon), Room Bar 3 (lyon) and 1 more",
        "room-too-warm: not reported by one look, which asks no sensor",
        "site-outage: would fire on 1 location: Lyon Part-Dieu (lyon)",
    ]


def test_names_are_text_and_no_markup(
    environment: dict[str, str], estate: ScriptedWebex, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    estate.listings["/locations"].append(location(3, "[/bold] [link=x]Bergen[/]"))
    assert _doctor([]) == 0
    assert "[/bold] [link=x]Bergen[/]" in capsys.readouterr().out


def test_a_missing_environment_is_all_there_is_to_say() -> None:
    assert {finding.check for finding in examine({})} == {"environment"}


def test_the_command_prints_a_table_or_json_and_ends_with_one_when_something_is_to_mend(
    environment: dict[str, str], estate: ScriptedWebex, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert _doctor([]) == 0
    assert "0 to fix, 0 to look at." in capsys.readouterr().out
    estate.always["/devices"] = error(403)
    assert _doctor(["--json"]) == 1
    (finding,) = [one for one in json.loads(capsys.readouterr().out) if one["verdict"] == "error"]
    assert finding["fix"].startswith("Add the scope spark-admin:devices_read")
