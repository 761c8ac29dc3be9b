"""Dead letters are listed, and sent after all when somebody asks for it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from processors.alert_fanout.channels.webhook import WebhookChannel
from processors.alert_fanout.fan_out import FanOut
from processors.alert_fanout.replay import dead_letters, revive
from processors.alert_fanout.settings import City, FanoutSettings, RuleMeaning
from processors.alert_fanout.state import SqliteTexts, State
from tests.processors.alert_fanout.conftest import Receiver
from tests.processors.conftest import StandingClock


@pytest.fixture
def dead(
    tmp_path: Path,
    receiver: Receiver,
    standing_clock: StandingClock,
    make_outage: Callable[..., dict[str, Any]],
    make_body: Callable[..., bytes],
) -> Iterator[FanOut]:
    """A fan-out whose webhook has refused an outage for good."""
    city = City("Lyon", "Europe/Paris", (WebhookChannel(url=receiver.url),))
    settings = FanoutSettings({"site-outage": RuleMeaning("m", "r")}, {"lyon": city, "*": City("Any", "UTC", ())})
    fan_out = FanOut(settings, State(SqliteTexts(tmp_path / "fanout.sqlite")))
    receiver.always = 410
    fan_out.handle([make_body(make_outage())])
    for _ in range(10):
        standing_clock.advance(60)
        fan_out.tend()
    receiver.always = 200
    yield fan_out
    fan_out.close()


def test_a_dead_letter_says_what_where_and_why(dead: FanOut) -> None:
    (letter,) = dead_letters(dead._state)
    assert (letter.city, letter.title) == ("lyon", "site-outage · Lyon Part-Dieu")
    assert letter.channel.startswith("webhook:127.0.0.1") and "410" in letter.why


def test_they_can_be_narrowed_by_time_and_channel(dead: FanOut) -> None:
    assert dead_letters(dead._state, channel="teams") == []
    assert dead_letters(dead._state, since="2026-11-25") == []
    assert len(dead_letters(dead._state, since="2026-11-24", channel="webhook")) == 1


def test_listing_notifies_nobody(dead: FanOut, receiver: Receiver) -> None:
    dead_letters(dead._state)
    dead.tend()
    assert receiver.requests == []


def test_a_replayed_letter_is_sent_once(dead: FanOut, receiver: Receiver) -> None:
    revive(dead._state, dead_letters(dead._state))
    for _ in range(2):
        dead.tend()
    assert receiver.titles() == ["Site outage: Lyon Part-Dieu (98 % of devices down), Lyon"]
    assert dead_letters(dead._state) == []


def test_what_is_over_by_then_says_so_and_ends(
    dead: FanOut, receiver: Receiver, make_outage: Callable[..., dict[str, Any]], make_body: Callable[..., bytes]
) -> None:
    dead.handle([make_body(make_outage("resolved"))])
    revive(dead._state, dead_letters(dead._state))
    for _ in range(2):
        dead.tend()
    assert "already over" in receiver.got[0][1]["text"]
    assert [content["state"] for _, content in receiver.got] == ["fired", "resolved"]
