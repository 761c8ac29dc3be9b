"""The fan-out as a function app: its binding, a batch as its host gives it, and failing so that the host repeats it."""

from __future__ import annotations

import json
import sqlite3
from functools import cache

import azure.functions as func
import pytest

from processors.alert_fanout import function_app
from processors.alert_fanout.state import StateError
from processors.alert_fanout.state_blobs import BlobTexts


@cache
def functions():
    """The functions as a host finds them; an app gives its functions once in a process."""
    return {builder.get_function_name(): builder for builder in function_app.app.get_functions()}


def the_function(name: str = "deliver"):
    return functions()[name]


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
    monkeypatch.setattr(function_app, "_settings", None)
    yield
    if function_app._fan_out:
        function_app._fan_out.close()


def told(tmp_path) -> int:
    (count,) = sqlite3.connect(tmp_path / "inbox.sqlite").execute("SELECT count(*) FROM inbox").fetchone()
    return count


def test_it_reads_in_batches_the_hub_and_group_its_settings_name() -> None:
    (binding,) = [json.loads(raw) for raw in the_function().get_raw_bindings()]
    named = {"eventHubName": "%ALERTS_HUB%", "consumerGroup": "%ALERTS_GROUP%", "connection": "EVENT_HUBS"}
    assert binding.items() >= (named | {"type": "eventHubTrigger", "cardinality": "MANY"}).items()


def test_called_by_its_host_it_delivers(tmp_path, receiver, standing_clock, make_row, make_body) -> None:
    events = [func.EventHubEvent(body=make_body(make_row(n), make_row(n, state="resolved"))) for n in range(3)]
    the_function().get_user_function()(events)
    for _ in range(2):
        standing_clock.advance(3)
        the_function("tend").get_user_function()(None)
    assert told(tmp_path) == len(receiver.got) == 6


def test_what_a_channel_did_not_take_is_told_by_the_timer(tmp_path, receiver, standing_clock, make_row, make_body) -> None:
    receiver.always = 500
    the_function("deliver").get_user_function()([func.EventHubEvent(body=make_body(make_row()))])
    receiver.always = 200
    for _ in range(3):
        standing_clock.advance(10)
        the_function("tend").get_user_function()(None)
    assert told(tmp_path) == len(receiver.got) == 1


def test_it_raises_when_nothing_could_be_written_down_and_its_host_gives_the_batch_again(
    tmp_path, standing_clock, make_row, make_body
) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")
    events = [func.EventHubEvent(body=make_body(make_row()))]
    with pytest.raises(StateError):
        the_function("deliver").get_user_function()(events)
    (tmp_path / "state").unlink()
    the_function("deliver").get_user_function()(events)
    standing_clock.advance(3)
    the_function("tend").get_user_function()(None)
    assert told(tmp_path) == 1


def test_on_azure_the_batch_is_given_again_for_as_long_as_it_takes() -> None:
    """Without a retry policy Event Hubs' trigger moves its checkpoint on although the function raised."""
    retry = the_function("deliver").get_settings_dict("retry_policy")
    assert (retry["strategy"], retry["max_retry_count"]) == ("exponential_backoff", "-1")


def test_state_is_in_blobs_where_the_environment_says_so(monkeypatch) -> None:
    store = function_app.store_of({"STATE_BLOB_URL": "http://127.0.0.1:1/state", "STATE_FOLDER": "/tmp/never"})
    assert isinstance(store, BlobTexts)


def test_a_missing_environment_lists_everything(monkeypatch) -> None:
    monkeypatch.delenv("FANOUT_SETTINGS")
    monkeypatch.delenv("STATE_FOLDER")
    with pytest.raises(function_app.EnvironmentFault) as caught:
        the_function().get_user_function()([])
    assert len(str(caught.value).splitlines()) == 2
