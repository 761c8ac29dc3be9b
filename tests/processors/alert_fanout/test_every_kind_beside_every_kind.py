"""Every misbehaviour, in a channel of every kind at once, beside a good channel of every kind and another city.

A request may take two minutes here, and nobody who misbehaves lets go before the others have been notified: so nobody waits.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from processors.alert_fanout import fan_out as fan_out_module
from processors.alert_fanout import http_call
from processors.alert_fanout.channel_kind import Channel, ChannelSettings
from processors.alert_fanout.channel_kinds import channel_settings
from processors.alert_fanout.channels import azure_monitor
from processors.alert_fanout.fan_out import FanOut
from processors.alert_fanout.settings import City, FanoutSettings
from processors.alert_fanout.state import SqliteTexts, State
from tests.processors.alert_fanout.conftest import Answer, Receiver, serving
from tests.processors.alert_fanout.test_bulkheads import BEHAVIOURS, RULES, soon
from tests.processors.alert_fanout.test_every_kind import CASES, Case
from tests.support.misbehaving import misbehaving

SPOILT = b"\xff"
TAKEN = Answer(body={"id": "MESSAGE", "roomId": "ROOM"})


@pytest.fixture(autouse=True)
def _no_identity(monkeypatch: pytest.MonkeyPatch, standing_clock: Any) -> None:
    monkeypatch.setattr(azure_monitor, "_token_of", lambda client_id: lambda: "an-azure-token")
    monkeypatch.setattr(http_call, "ANSWER_SECONDS", 120.0)
    monkeypatch.setattr(fan_out_module, "LEASE_SECONDS", 300.0)
    monkeypatch.setattr(fan_out_module, "PATIENCE_SECONDS", 0.1)


@contextlib.contextmanager
def served(behaviour: str) -> Iterator[str]:
    with misbehaving(BEHAVIOURS[behaviour]) as service:
        yield f"http://{service.address}/hook"


@contextlib.contextmanager
def answering(answer: Answer) -> Iterator[str]:
    with serving(Receiver()) as service:
        service.always = answer
        yield service.url


@contextlib.contextmanager
def without_tls() -> Iterator[str]:
    with serving(Receiver()) as service:
        yield service.url.replace("http://", "https://")


MISBEHAVIOURS: dict[str, Callable[[], contextlib.AbstractContextManager[str]]] = {
    **{behaviour: lambda behaviour=behaviour: served(behaviour) for behaviour in BEHAVIOURS},  # type: ignore[misc]
    "429, try in a quarter of an hour": lambda: answering(Answer(429, {"Retry-After": "900"})),
    "503": lambda: answering(Answer(503)),
    "410": lambda: answering(Answer(410)),
    "no TLS": without_tls,
    "an address that is none": lambda: contextlib.nullcontext("http://a..b/x"),
    "a host that is not there": lambda: contextlib.nullcontext("http://127.0.0.1:9/x"),
    "a secret that was spoilt": lambda: contextlib.nullcontext("http://127.0.0.1:9/x"),
}


class Estate:
    """Cities with a channel of every kind, opened each with its own secrets and environment."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._folder, self._monkeypatch = folder, monkeypatch
        self._numbers = itertools.count()
        self.channels: dict[str, Channel] = {}

    def every_kind(self, url: str, *, spoilt: bool = False) -> tuple[ChannelSettings, ...]:
        """A channel of each kind at an address of its own below `url`."""
        return tuple(self._one(case, f"{url}/{name}", spoilt) for name, case in CASES.items())

    def _one(self, which: tuple[Any, int], url: str, spoilt: bool) -> ChannelSettings:
        folder = self._folder / str(next(self._numbers))
        folder.mkdir()
        case = Case(*which, folder, self._monkeypatch)
        secrets = dict.fromkeys(case.example(url).secrets, SPOILT) if spoilt else {}
        settings = channel_settings(case.example(url).settings)
        settings = replace(settings, rules=("site-outage", "channel-broken", folder.name))  # a key of its own
        self.channels[settings.key] = case.at(url, **secrets)
        return settings


@pytest.mark.parametrize("misbehaviour", MISBEHAVIOURS)
def test_a_good_channel_of_every_kind_is_notified_while_one_of_every_kind_misbehaves(
    misbehaviour: str,
    tmp_path: Path,
    receiver: Any,
    make_outage: Any,
    make_body: Any,
    standing_clock: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    receiver.always = TAKEN
    estate = Estate(tmp_path, monkeypatch)
    with MISBEHAVIOURS[misbehaviour]() as bad_url:
        bad = estate.every_kind(bad_url, spoilt="secret" in misbehaviour)
        good, oslo = estate.every_kind(f"{receiver.url}/lyon"), estate.every_kind(f"{receiver.url}/oslo")
        cities = {
            "lyon": City("Lyon", "Europe/Paris", (*bad, *good)),
            "oslo": City("Oslo", "Europe/Oslo", oslo),
            "*": City("Any", "UTC", ()),
        }
        state = State(SqliteTexts(tmp_path / "state.sqlite"))
        fan_out = FanOut(FanoutSettings(RULES, cities), state, channels=estate.channels)
        fan_out.handle([make_body(make_outage(), make_outage(cityId="oslo", alertId="o"))])
        wanted = {f"{city}/{name}" for city in ("lyon", "oslo") for name in CASES}

        def notified() -> bool:
            standing_clock.advance(1)
            fan_out.tend()
            return wanted == {one for one in wanted for request in receiver.requests if f"/{one}" in request.path}

        soon(notified)
    fan_out.close()
