"""The ingest as a function app: its binding, and how it recovers."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from event_hubs_local.server import EventHubsServer
from processors.ingest import function_app
from processors.ingest.environment import EnvironmentFault
from processors.ingest.poll import Poller
from processors.ingest.sinks import SendError
from tests.support.hub_reader import events_in
from tests.support.scripted_webex import ScriptedWebex
from tests.support.tiers import TIERS

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture(autouse=True)
def environment(
    estate: ScriptedWebex, event_hubs: EventHubsServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    city = {"name": "Lyon", "timeZone": "Europe/Paris", "webexLocations": ["Lyon Part-Dieu"], "rules": []}
    content = {
        "pollSeconds": 10,
        "snapshotMinutes": 15,
        "metricRequestsPerPoll": 0,
        "metrics": [],
        **TIERS,
        "cities": {"lyon": city},
    }
    (tmp_path / "ingest-settings.json").write_text(json.dumps(content), encoding="utf-8")
    monkeypatch.setenv("WEBEX_API_BASE", estate.base)
    monkeypatch.setenv("WEBEX_ACCESS_TOKEN", "token")
    monkeypatch.setenv("INGEST_SETTINGS", str(tmp_path / "ingest-settings.json"))
    monkeypatch.setenv("EVENT_HUBS", event_hubs.connection_string)
    monkeypatch.setenv("STATE_FOLDER", str(tmp_path / "state"))
    monkeypatch.setattr(function_app, "_organisations", None)
    monkeypatch.setattr(function_app, "_settings", None)
    yield
    if function_app._organisations:
        function_app._organisations.close()


def pollers() -> dict[str, Poller]:
    """The pollers of the process, by organisation."""
    assert function_app._organisations is not None
    return function_app._organisations.pollers


@cache
def the_function() -> Any:
    """The function as a host finds it; an app gives its functions once in a process."""
    return next(builder for builder in function_app.app.get_functions() if builder.get_function_name() == "poll")


def test_it_is_one_timer_with_the_schedule_from_the_app_settings() -> None:
    (binding,) = [json.loads(raw) for raw in the_function().get_raw_bindings()]
    assert (binding["type"], binding["schedule"], binding["name"]) == ("timerTrigger", "%POLL_SCHEDULE%", "timer")


def test_called_by_its_host_it_polls_and_keeps_its_connections(event_hubs: EventHubsServer) -> None:
    poll = the_function().get_user_function()
    poll(timer=None)
    first = pollers()[""]
    poll(timer=None)
    assert pollers() == {"": first}
    subjects = [json.loads(event.body)["subject"] for event in events_in(event_hubs.connection_string, "observations", 12)]
    assert {subject: subjects.count(subject) for subject in ("device-1", "location-1", "lyon")} == {
        "device-1": 1,
        "location-1": 2,
        "lyon": 2,
    }


def test_after_a_failure_the_next_poll_starts_from_what_is_durable(
    event_hubs: EventHubsServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("EVENT_HUBS", event_hubs.connection_string.replace(str(event_hubs.port), "9"))
    poll = the_function().get_user_function()
    with pytest.raises(SendError):
        poll(timer=None)
    assert pollers() == {}
    monkeypatch.setenv("EVENT_HUBS", event_hubs.connection_string)
    poll(timer=None)
    assert pollers()[""].state.devices


def test_a_missing_environment_lists_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("WEBEX_ACCESS_TOKEN", "EVENT_HUBS", "STATE_FOLDER", "INGEST_SETTINGS"):
        monkeypatch.delenv(name)
    with pytest.raises(EnvironmentFault) as caught:
        the_function().get_user_function()(timer=None)
    assert len(str(caught.value).splitlines()) == 4


def test_importing_it_loads_neither_the_event_hubs_client_nor_the_schema_validator() -> None:
    code = (
        "import sys, processors.ingest.function_app\n"
        "print([name for name in ('azure.eventhub', 'azure.identity', 'jsonschema') if name in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
