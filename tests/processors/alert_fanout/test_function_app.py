"""The fan-out as a function app: its binding, a batch as its host gives it, and failing so that the host repeats it."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import azure.functions as func
import pytest

from processors.alert_fanout import function_app
from processors.alert_fanout.state import StateError
from processors.alert_fanout.state_blobs import BlobTexts
from tests.processors.alert_fanout.conftest import Receiver
from tests.processors.conftest import StandingClock


@cache
def functions() -> dict[str, Any]:
    """The functions as a host finds them; an app gives its functions once in a process."""
    return {builder.get_function_name(): builder for builder in function_app.app.get_functions()}


def the_function(name: str = "deliver") -> Any:
    return functions()[name]


@pytest.fixture(autouse=True)
def environment(tmp_path: Path, receiver: Receiver, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
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


def sent(tmp_path: Path) -> int:
    count: int
    (count,) = sqlite3.connect(tmp_path / "inbox.sqlite").execute("SELECT count(*) FROM inbox").fetchone()
    return count


def test_it_reads_in_batches_the_hub_and_group_its_settings_name() -> None:
    (binding,) = [json.loads(raw) for raw in the_function().get_raw_bindings()]
    named = {"eventHubName": "%ALERTS_HUB%", "consumerGroup": "%ALERTS_GROUP%", "connection": "EVENT_HUBS"}
    assert binding.items() >= (named | {"type": "eventHubTrigger", "cardinality": "MANY"}).items()


def test_called_by_its_host_it_delivers(
    tmp_path: Path,
    receiver: Receiver,
    standing_clock: StandingClock,
    make_row: Callable[..., dict[str, Any]],
    make_body: Callable[..., bytes],
) -> None:
    events = [func.EventHubEvent(body=make_body(make_row(n), make_row(n, state="resolved"))) for n in range(3)]
    the_function().get_user_function()(events)
    for _ in range(2):
        standing_clock.advance(3)
        the_function("tend").get_user_function()(None)
    assert sent(tmp_path) == len(receiver.got) == 6


def test_what_a_channel_did_not_take_is_sent_by_the_timer(
    tmp_path: Path,
    receiver: Receiver,
    standing_clock: StandingClock,
    make_row: Callable[..., dict[str, Any]],
    make_body: Callable[..., bytes],
) -> None:
    receiver.always = 500
    the_function("deliver").get_user_function()([func.EventHubEvent(body=make_body(make_row()))])
    receiver.always = 200
    for _ in range(3):
        standing_clock.advance(10)
        the_function("tend").get_user_function()(None)
    assert sent(tmp_path) == len(receiver.got) == 1


def test_it_raises_when_nothing_could_be_written_down_and_its_host_gives_the_batch_again(
    tmp_path: Path, standing_clock: StandingClock, make_row: Callable[..., dict[str, Any]], make_body: Callable[..., bytes]
) -> None:
    (tmp_path / "state").write_text("a file where a folder should be")
    events = [func.EventHubEvent(body=make_body(make_row()))]
    with pytest.raises(StateError):
        the_function("deliver").get_user_function()(events)
    (tmp_path / "state").unlink()
    the_function("deliver").get_user_function()(events)
    standing_clock.advance(3)
    the_function("tend").get_user_function()(None)
    assert sent(tmp_path) == 1


def test_on_azure_the_batch_is_given_again_for_as_long_as_it_takes() -> None:
    """Without a retry policy Event Hubs' trigger moves its checkpoint on although the function raised."""
    retry = the_function("deliver").get_settings_dict("retry_policy")
    assert (retry["strategy"], retry["max_retry_count"]) == ("exponential_backoff", "-1")


def test_state_is_in_blobs_where_the_environment_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    store = function_app.store_of({"STATE_BLOB_URL": "http://127.0.0.1:1/state", "STATE_FOLDER": "/tmp/never"})
    assert isinstance(store, BlobTexts)


def test_a_missing_environment_lists_everything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("FANOUT_SETTINGS")
    monkeypatch.delenv("STATE_FOLDER")
    with pytest.raises(function_app.EnvironmentFault) as caught:
        the_function().get_user_function()([])
    assert len(str(caught.value).splitlines()) == 2
