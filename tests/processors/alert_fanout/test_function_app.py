"""The fan-out as a function app: its binding, a batch as its host gives it, and failing so that the host repeats it."""

from __future__ import annotations

import json
import sqlite3
from functools import cache

import azure.functions as func
import pytest

from processors.alert_fanout import function_app
from processors.alert_fanout.fan_out import DeliveriesPending


@cache
def the_function():
    """The function as a host finds it; an app gives its functions once in a process."""
    (builder,) = function_app.app.get_functions()
    return builder


@pytest.fixture(autouse=True)
def environment(tmp_path, receiver, monkeypatch):
    channels = [{"type": "inbox", "path": str(tmp_path / "inbox.sqlite")}, {"type": "webhook", "url": receiver.url}]
    hours = {"days": ["mon"], "from": "08:00", "to": "18:00"}
    city = {"name": "Any", "timeZone": "UTC", "officeHours": hours, "channels": channels}
    rules = {"device-offline": {"meaning": "A room device is offline.", "runbook": "docs/runbooks/device-offline.md"}}
    (tmp_path / "fanout-settings.json").write_text(json.dumps({"rules": rules, "cities": {"*": city}}), encoding="utf-8")
    monkeypatch.setenv("FANOUT_SETTINGS", str(tmp_path / "fanout-settings.json"))
    monkeypatch.setenv("STATE_FOLDER", str(tmp_path / "state"))
    monkeypatch.setattr(function_app, "_fan_out", None)
    yield
    if function_app._fan_out:
        function_app._fan_out.close()


def told(tmp_path) -> int:
    (count,) = sqlite3.connect(tmp_path / "inbox.sqlite").execute("SELECT count(*) FROM inbox").fetchone()
    return count


def test_it_reads_the_hub_alerts_in_batches_as_the_group_fanout() -> None:
    (binding,) = [json.loads(raw) for raw in the_function().get_raw_bindings()]
    expected = {"type": "eventHubTrigger", "eventHubName": "alerts", "consumerGroup": "fanout", "connection": "EVENT_HUBS"}
    assert binding.items() >= (expected | {"cardinality": "MANY"}).items()


def test_called_by_its_host_it_delivers(tmp_path, receiver, make_row, make_body) -> None:
    events = [func.EventHubEvent(body=make_body(make_row(n), make_row(n, state="resolved"))) for n in range(3)]
    the_function().get_user_function()(events)
    assert told(tmp_path) == len(receiver.got) == 6


def test_it_raises_when_a_channel_failed_so_that_the_host_repeats_the_batch(tmp_path, receiver, make_row, make_body) -> None:
    deliver = the_function().get_user_function()
    events = [func.EventHubEvent(body=make_body(make_row()))]
    receiver.always = 500
    with pytest.raises(DeliveriesPending):
        deliver(events)
    receiver.always = 200
    deliver(events)
    assert told(tmp_path) == len(receiver.got) == 1


def test_a_missing_environment_lists_everything(monkeypatch) -> None:
    monkeypatch.delenv("FANOUT_SETTINGS")
    monkeypatch.delenv("STATE_FOLDER")
    with pytest.raises(function_app.EnvironmentFault) as caught:
        the_function().get_user_function()([])
    assert len(str(caught.value).splitlines()) == 2
