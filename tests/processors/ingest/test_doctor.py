"""The doctor: names what an administrator must mend, each with the fix, and goes on after every fault."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from blobs import Blobs
from scripted_webex import Answer, ScriptedWebex, device, error, location
from tiers import TIERS

from cli.ingest import _doctor
from event_hubs_local.server import EventHubsServer
from processors.ingest.doctor import Finding, examine

DAY = 86_400_000


@pytest.fixture
def environment(estate: ScriptedWebex, event_hubs: EventHubsServer, tmp_path: Path, standing_clock) -> dict[str, str]:
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


def test_a_refused_token_says_so_and_event_hubs_is_looked_at_all_the_same(
    environment: dict[str, str], estate: ScriptedWebex
) -> None:
    estate.always["/authorizations/tokenExpiry"] = error(401)
    findings = list(examine(environment))
    assert [finding.check for finding in findings if finding.verdict == "error"] == ["token"]
    assert findings[-1].check == "Event Hubs"
    assert "token" not in {finding.text for finding in findings}


def test_a_token_that_ends_soon_and_is_not_renewed_is_a_warning(
    environment: dict[str, str], estate: ScriptedWebex, standing_clock
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


def test_a_missing_environment_is_all_there_is_to_say() -> None:
    assert {finding.check for finding in examine({})} == {"environment"}


def test_the_command_prints_a_table_or_json_and_ends_with_one_when_something_is_to_mend(
    environment: dict[str, str], estate: ScriptedWebex, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert _doctor([]) == 0
    assert "0 to mend, 0 to look at." in capsys.readouterr().out
    estate.always["/devices"] = error(403)
    assert _doctor(["--json"]) == 1
    (finding,) = [one for one in json.loads(capsys.readouterr().out) if one["verdict"] == "error"]
    assert finding["fix"].startswith("Add the scope spark-admin:devices_read")
