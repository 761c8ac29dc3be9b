"""Whatever a channel, its secret or its address does: everybody else is notified, also that it is broken and why."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from processors.alert_fanout import fan_out as fan_out_module
from processors.alert_fanout import http_call
from processors.alert_fanout import state as state_module
from processors.alert_fanout.channel_kind import ChannelSettings
from processors.alert_fanout.channels.azure_monitor import AzureMonitorChannel
from processors.alert_fanout.channels.inbox import InboxChannel
from processors.alert_fanout.channels.slack import SlackChannel
from processors.alert_fanout.channels.teams import TeamsChannel
from processors.alert_fanout.channels.webex import WebexChannel
from processors.alert_fanout.channels.webhook import WebhookChannel
from processors.alert_fanout.fan_out import FanOut
from processors.alert_fanout.incidents import Book, ChannelHealth
from processors.alert_fanout.render import notice
from processors.alert_fanout.secrets import secret_from
from processors.alert_fanout.settings import City, FanoutSettings, RuleMeaning
from processors.alert_fanout.state import SqliteTexts, State, StateError
from tests.processors.alert_fanout.conftest import Receiver, serving
from tests.support.misbehaving import NOT_TAKING, TAKING, Behaviour, misbehaving

GENEROUS_SECONDS = 30.0
RULES = {"site-outage": RuleMeaning("A site is unreachable.", "docs/runbooks/site-outage.md")}


class Estate:
    """Lyon with a channel that misbehaves, a webhook and the inbox; Oslo with a webhook and the inbox."""

    def __init__(self, folder: Path, lyon: Receiver, oslo: Receiver) -> None:
        self._folder, self.lyon, self.oslo = folder, lyon, oslo
        self.inbox = folder / "inbox.sqlite"
        self.fan_out: FanOut

    def secret(self, name: str, value: bytes) -> str:
        (self._folder / "secrets").mkdir(exist_ok=True)
        (self._folder / "secrets" / name).write_bytes(value)
        return name

    def open(self, bad: ChannelSettings, instance: str = "local") -> FanOut:
        inbox = InboxChannel(path=self.inbox)
        cities = {
            "lyon": City("Lyon", "Europe/Paris", (bad, WebhookChannel(url=self.lyon.url), inbox)),
            "oslo": City("Oslo", "Europe/Oslo", (WebhookChannel(url=self.oslo.url), inbox)),
            "*": City("Any", "UTC", ()),
        }
        state = State(SqliteTexts(self._folder / "fanout.sqlite"))
        secrets = secret_from({"SECRETS_FOLDER": str(self._folder / "secrets")})
        self.fan_out = FanOut(FanoutSettings(RULES, cities), state, instance=instance, secrets=secrets)
        return self.fan_out

    def rows(self) -> list[tuple[str, str, str, str]]:
        if not self.inbox.exists():
            return []
        with contextlib.closing(sqlite3.connect(self.inbox)) as database, contextlib.suppress(sqlite3.OperationalError):
            return database.execute("SELECT city_id, rule_id, state, text FROM inbox").fetchall()
        return []

    def inbox_has(self, city: str, rule: str, state: str = "fired") -> bool:
        return (city, rule, state) in [row[:3] for row in self.rows()]


@pytest.fixture
def estate(tmp_path: Path, receiver: Receiver, another_receiver: Receiver, standing_clock: Any) -> Estate:
    return Estate(tmp_path, receiver, another_receiver)


def soon(what: Callable[[], bool]) -> None:
    """Wait for something to become true."""
    until = time.monotonic() + GENEROUS_SECONDS
    while not what():
        assert time.monotonic() < until, "it did not happen"
        time.sleep(0.005)


def rules_of(receiver: Receiver) -> list[str]:
    return [f"{content['ruleId']} {content['state']}" for _, content in receiver.got]


BEHAVIOURS: dict[str, Behaviour] = {**TAKING, **NOT_TAKING}


@contextlib.contextmanager
def served(behaviour: str, estate: Estate) -> Iterator[ChannelSettings]:
    with misbehaving(BEHAVIOURS[behaviour]) as service:
        yield WebhookChannel(url=f"http://{service.address}/hook")


@contextlib.contextmanager
def answered(status: int, estate: Estate) -> Iterator[ChannelSettings]:
    with serving(Receiver()) as bad:
        bad.always = status
        yield WebhookChannel(url=bad.url)


def spoilt(value: bytes) -> Callable[[Estate], ChannelSettings]:
    return lambda estate: WebexChannel(to="ROOM", secret=estate.secret("bot", value))


UNUSABLE: dict[str, tuple[Callable[[Estate], ChannelSettings], str]] = {
    "a token with a smart quote": (spoilt("\u201ctoken\u201d".encode()), "U+201C"),
    "a token with a zero-width space": (spoilt("to\u200bken".encode()), "U+200B"),
    "a token with a line feed": (spoilt(b"to\nken"), "U+000A"),
    "a secret that is not UTF-8": (spoilt(b"to\xffken"), "not UTF-8"),
    "a secret that is not there": (lambda estate: TeamsChannel(url_secret="teams-lyon"), "SECRET_TEAMS_LYON"),
    "a secret without address": (lambda estate: SlackChannel(url_secret=estate.secret("x", b"http://a..b/x")), "no address"),
    "a secret address without TLS": (
        lambda estate: TeamsChannel(url_secret=estate.secret("teams", b"http://example.com/")), "no https address",
    ),
    "an address that is none": (lambda estate: WebhookChannel(url="http://a..b/x"), "address"),
    "an address that can't be read": (lambda estate: WebhookChannel(url="http://[::1"), "address"),
    "an environment that lacks what it needs": (lambda estate: AzureMonitorChannel(audience="lyon/email"), "ALERT_LOG_ENDPOINT"),
}  # fmt: skip


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_while_a_channel_misbehaves_everybody_else_is_notified(
    estate: Estate, behaviour: str, make_outage: Any, make_body: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has half a minute for each request, and the others do not wait for that."""
    monkeypatch.setattr(http_call, "ANSWER_SECONDS", 25.0)
    with served(behaviour, estate) as bad:
        fan_out = estate.open(bad)
        fan_out.handle([make_body(make_outage(), make_outage(cityId="oslo", alertId="o"))])
        soon(lambda: "site-outage fired" in rules_of(estate.lyon))
        soon(lambda: "site-outage fired" in rules_of(estate.oslo))
        soon(lambda: estate.inbox_has("lyon", "site-outage") and estate.inbox_has("oslo", "site-outage"))
        fan_out.handle([make_body(make_outage("resolved"))])
        soon(lambda: "site-outage resolved" in rules_of(estate.lyon))
        soon(lambda: estate.inbox_has("lyon", "site-outage", "resolved"))
    fan_out.close()


def test_a_city_whose_alert_can_not_be_sent_holds_up_no_other_city(
    estate: Estate, make_outage: Any, make_body: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(book: Any, step: Any, settings: Any, city: Any, acts: Any) -> Any:
        if city.name == "Lyon":
            raise LookupError("a bug in a message")
        return notice(book, step, settings, city, acts)

    fan_out = estate.open(WebhookChannel(url=estate.lyon.url + "/another"))
    monkeypatch.setattr(fan_out_module, "notice", broken)
    fan_out.handle([make_body(make_outage(), make_outage(cityId="oslo", alertId="o"))])
    soon(lambda: "site-outage fired" in rules_of(estate.oslo))
    fan_out.handle([make_body(make_outage(), make_outage("resolved", cityId="oslo", alertId="o"))])
    soon(lambda: "site-outage resolved" in rules_of(estate.oslo))
    with pytest.raises(LookupError, match="a bug in a message"):
        fan_out.tend()
    assert rules_of(estate.lyon) == []
    monkeypatch.setattr(fan_out_module, "notice", notice)
    fan_out.tend()
    soon(lambda: "site-outage fired" in rules_of(estate.lyon))
    fan_out.close()


@pytest.mark.parametrize("behaviour", BEHAVIOURS)
def test_that_a_channel_misbehaves_is_sent_to_the_others_of_its_city_with_the_reason(
    estate: Estate, behaviour: str, make_outage: Any, make_body: Any, monkeypatch: pytest.MonkeyPatch, standing_clock: Any
) -> None:
    monkeypatch.setattr(http_call, "ANSWER_SECONDS", 1.0)
    with served(behaviour, estate) as bad:
        fan_out = estate.open(bad)
        fan_out.handle([make_body(make_outage())])

        def notified() -> bool:
            standing_clock.advance(10)
            fan_out.handle([make_body(make_outage("resolved"))])  # who has taken the beginning is to be notified of that
            fan_out.tend()
            return "channel-broken fired" in rules_of(estate.lyon) and estate.inbox_has("lyon", "channel-broken")

        soon(notified)
        (text,) = {row[3] for row in estate.rows() if row[1] == "channel-broken"}
        assert "the webhook at 127.0.0.1" in text and "hook" not in text.replace("webhook", "")
        assert "channel-broken fired" not in rules_of(estate.oslo)
    fan_out.close()


@pytest.mark.parametrize("status", [301, 400, 401, 404, 410, 429, 500, 503])
def test_a_status_of_no_success_twice_is_sent_to_the_others_once_and_its_end_too(
    estate: Estate, status: int, make_outage: Any, make_body: Any, standing_clock: Any
) -> None:
    with serving(Receiver()) as bad:
        bad.always = status
        fan_out = estate.open(WebhookChannel(url=bad.url))
        fan_out.handle([make_body(make_outage())])
        for _ in range(3):
            standing_clock.advance(60)
            fan_out.tend()
        assert rules_of(estate.lyon) == ["site-outage fired", "channel-broken fired"]
        assert f"status {status}" in estate.lyon.got[1][1]["text"]
        bad.always = 200
        for _ in range(4):
            standing_clock.advance(300)
            fan_out.tend()
        assert rules_of(estate.lyon)[2:] == ["channel-broken resolved"]
        assert rules_of(bad) == ["site-outage fired"]
        assert rules_of(estate.oslo) == []
    fan_out.close()


@pytest.mark.parametrize("fault", UNUSABLE)
def test_what_can_not_work_is_said_at_the_start_before_any_alert_and_when_it_is_fixed(
    estate: Estate, fault: str, make_outage: Any, make_body: Any, standing_clock: Any
) -> None:
    make, reason = UNUSABLE[fault]
    fan_out = estate.open(make(estate))
    fan_out.tend()
    fan_out.tend()
    assert rules_of(estate.lyon) == ["channel-broken fired"] and estate.inbox_has("lyon", "channel-broken")
    assert reason in estate.lyon.got[0][1]["text"]
    fan_out.handle([make_body(make_outage(), make_outage(cityId="oslo", alertId="o"))])
    for _ in range(3):
        standing_clock.advance(400)
        fan_out.tend()
    assert rules_of(estate.lyon) == ["channel-broken fired", "site-outage fired"], "and once only"
    assert rules_of(estate.oslo) == ["site-outage fired"]
    assert estate.inbox_has("lyon", "site-outage") and estate.inbox_has("oslo", "site-outage")
    fan_out.close()


def test_a_secret_that_is_mended_is_noticed_without_an_alert(estate: Estate, standing_clock: Any) -> None:
    fan_out = estate.open(spoilt(b"to\xffken")(estate))
    for _ in range(2):
        fan_out.tend()
    estate.secret("bot", b"token")
    for _ in range(3):
        standing_clock.advance(400)
        fan_out.tend()
    assert rules_of(estate.lyon) == ["channel-broken fired", "channel-broken resolved"]
    fan_out.close()


def test_a_bug_of_one_kind_is_no_other_ones_business_and_gives_nothing_away(
    estate: Estate, make_outage: Any, make_body: Any, standing_clock: Any
) -> None:
    class Buggy:
        def check(self) -> None:
            raise KeyError("hunter2")

        def send(self, notice: Any) -> None:
            raise ZeroDivisionError("hunter2")

        def close(self) -> None: ...

    bad = WebhookChannel(url="https://example.com")
    fan_out = estate.open(bad)
    fan_out._channels[bad.key] = Buggy()
    fan_out.handle([make_body(make_outage())])
    for _ in range(3):
        standing_clock.advance(60)
        fan_out.tend()
    assert rules_of(estate.lyon) == ["site-outage fired", "channel-broken fired"]
    text = estate.lyon.got[1][1]["text"]
    assert "Error in test_bulkheads.py" in text and "hunter2" not in text
    fan_out.close()


def test_the_webhook_is_notified_of_a_broken_inbox(estate: Estate, make_outage: Any, make_body: Any, standing_clock: Any) -> None:
    estate.inbox.write_text("no database at all " * 100)
    fan_out = estate.open(WebhookChannel(url=estate.lyon.url, severities=(4,)))
    fan_out.handle([make_body(make_outage())])
    for _ in range(3):
        standing_clock.advance(60)
        fan_out.tend()
    assert rules_of(estate.lyon) == ["site-outage fired", "channel-broken fired"]
    assert "can't be written" in estate.lyon.got[1][1]["text"]
    fan_out.close()


def test_a_check_that_passes_does_not_make_a_service_well_that_refuses_everything(
    estate: Estate, make_outage: Any, make_body: Any, standing_clock: Any
) -> None:
    with serving(Receiver()) as bad:
        bad.always = 500
        fan_out = estate.open(WebhookChannel(url=bad.url))
        fan_out.handle([make_body(make_outage())])
        for _ in range(2):
            standing_clock.advance(60)
            fan_out.tend()
        fan_out.close()
        again = estate.open(WebhookChannel(url=bad.url))
        for _ in range(3):
            standing_clock.advance(400)
            again.tend()
        assert rules_of(estate.lyon) == ["site-outage fired", "channel-broken fired"]
        again.close()


def test_two_instances_send_nothing_twice_however_slow_a_channel_answers(
    estate: Estate, make_row: Any, make_body: Any, standing_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its answers take longer than a lease lasts: whoever holds it looks at it before each notice."""
    monkeypatch.setattr(http_call, "ANSWER_SECONDS", 3.0)
    monkeypatch.setattr(fan_out_module, "LEASE_SECONDS", 3.4)
    taken, answered = [], type(estate.lyon).answered

    def slowly(request: Any) -> Any:
        taken.append((request.headers["Idempotency-Key"], time.monotonic()))
        time.sleep(0.05)
        return answered(estate.lyon, request)

    monkeypatch.setattr(estate.lyon, "answered", slowly)
    rows = [make_row(number, ruleId="room-too-warm") for number in range(30)]
    instances = [estate.open(WebhookChannel(url=estate.oslo.url), instance=name) for name in ("one", "other")]
    instances[0].handle([make_body(*rows)])

    def tending(one: FanOut) -> None:
        until = time.monotonic() + GENEROUS_SECONDS
        while len(estate.lyon.requests) < len(rows) and time.monotonic() < until:
            one.tend()

    threads = [threading.Thread(target=tending, args=(one,)) for one in instances]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for one in instances:
        one.close()
    assert len({key for key, _ in taken}) == len(rows)
    assert len(taken) == len(rows)


class Killed(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("survivor", ["local", "other"])
def test_what_an_instance_was_sending_when_it_was_killed_is_sent_by_the_next_and_the_rest_at_once(
    estate: Estate, survivor: str, make_outage: Any, make_body: Any, standing_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http_call, "ANSWER_SECONDS", 0.2)
    monkeypatch.setattr(fan_out_module, "LEASE_SECONDS", 1.0)

    class Killing:
        def check(self) -> None: ...

        def send(self, notice: Any) -> None:
            raise Killed

        def close(self) -> None: ...

    with serving(Receiver()) as third:
        bad = WebhookChannel(url=third.url)
        dying = estate.open(bad)
        dying._channels[bad.key] = Killing()
        with pytest.raises(Killed):
            dying.handle([make_body(make_outage(), make_outage(cityId="oslo", alertId="o"))])
            dying.tend()
        after = estate.open(bad, instance=survivor)

        def notified() -> bool:
            after.tend()
            inboxes = all(estate.inbox_has(city, "site-outage") for city in ("lyon", "oslo"))
            return inboxes and all("site-outage fired" in rules_of(one) for one in (estate.lyon, estate.oslo, third))

        soon(notified)
        after.close()


class TestATextThatWasDamaged:
    """Of one city: whoever gives events in their order must get on to the next ones, which are other cities' too."""

    def damage(self, estate: Estate, name: str, text: str | None = "rubbish") -> None:
        with contextlib.closing(sqlite3.connect(estate.inbox.parent / "fanout.sqlite", isolation_level=None)) as database:
            if text is None:
                database.execute("DELETE FROM book WHERE name LIKE ?", (name,))
            else:
                database.execute("UPDATE book SET text = ?, version = version + 1 WHERE name LIKE ?", (text, name))

    def in_inbox(self, estate: Estate) -> list[str]:
        return sorted(row[0] for row in estate.rows() if row[1] == "device-offline")

    @pytest.mark.parametrize("restarted", [False, True])
    def test_of_a_city_without_its_book_the_alerts_wait_by_themselves_and_others_are_notified(
        self, estate: Estate, make_row: Callable[..., dict[str, Any]], make_body: Callable[..., bytes], restarted: bool,
        caplog: pytest.LogCaptureFixture,
    ) -> None:  # fmt: skip
        channel = WebhookChannel(url=f"{estate.lyon.url}/other")
        fan_out = estate.open(channel)
        fan_out.handle([make_body(make_row(1))])
        soon(lambda: self.in_inbox(estate) == ["lyon"])
        self.damage(estate, "lyon")
        for number in (2, 3):
            fan_out.handle([make_body(make_row(number), make_row(number, cityId="oslo", alertId=f"oslo-{number}"))])
        soon(lambda: self.in_inbox(estate) == ["lyon", "oslo", "oslo"])
        (said, *_) = [vars(record)["ids"] for record in caplog.records if record.getMessage() == "a city can't be notified"]
        assert (said["city"], said["alerts"]) == ("lyon", 1) and "Move it away" in said["fault"]
        with pytest.raises(StateError, match="Move it away"):
            fan_out.tend()
        self.damage(estate, "lyon", None)
        if restarted:
            fan_out.close()
            fan_out = estate.open(channel)
        fan_out.tend(["lyon"])
        soon(lambda: self.in_inbox(estate) == ["lyon", "lyon", "lyon", "oslo", "oslo"])
        assert fan_out._state.waiting("lyon") == []
        fan_out.close()

    def test_where_nothing_can_be_put_away_the_events_are_given_again(
        self, estate: Estate, make_row: Callable[..., dict[str, Any]], make_body: Callable[..., bytes],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        fan_out = estate.open(WebhookChannel(url=f"{estate.lyon.url}/other"))
        fan_out.handle([make_body(make_row(1))])
        self.damage(estate, "lyon")
        monkeypatch.setattr(state_module, "MOST_WAITING", 0)
        with pytest.raises(StateError, match="Move it away"):
            fan_out.handle([make_body(make_row(2), make_row(2, cityId="oslo", alertId="oslo-2"))])
        soon(lambda: self.in_inbox(estate) == ["lyon", "oslo"])
        fan_out.close()

    def test_a_note_of_what_a_channel_took_costs_a_repeat_at_most(
        self, estate: Estate, make_row: Callable[..., dict[str, Any]], make_body: Callable[..., bytes],
        caplog: pytest.LogCaptureFixture,
    ) -> None:  # fmt: skip
        fan_out = estate.open(WebhookChannel(url=f"{estate.lyon.url}/other"))
        key = InboxChannel(path=estate.inbox).key
        fan_out._state.note("lyon", key, "a lease", [])
        self.damage(estate, "told/%")

        def leave_it(book: Book) -> None:
            book.channels[key] = ChannelHealth(lease_holder="local", lease_until="2026-11-24T10:00:00.000Z")

        fan_out._state.change("lyon", leave_it)
        fan_out.handle([make_body(make_row(1))])
        soon(lambda: self.in_inbox(estate) == ["lyon"])
        assert "what a channel took last is not known, and may be repeated" in caplog.messages
        fan_out.close()
