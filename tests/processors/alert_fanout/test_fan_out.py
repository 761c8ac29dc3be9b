"""The fan-out: every alert state reaches every channel of its city once, whatever fails and whatever is repeated."""

from __future__ import annotations

import logging
import sqlite3
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processors.alert_fanout import fan_out as fan_out_module
from processors.alert_fanout.alerts import Alert
from processors.alert_fanout.channels import DeliveryError, Inbox, Webhook
from processors.alert_fanout.deliveries import DeliveriesError
from processors.alert_fanout.fan_out import DeliveriesPending, FanOut
from processors.alert_fanout.render import Message
from processors.alert_fanout.settings import City, FanoutSettings, InboxChannel, RuleMeaning, WebhookChannel


@pytest.fixture
def inbox(tmp_path) -> Path:
    return tmp_path / "inbox.sqlite"


@pytest.fixture
def open_fan_out(tmp_path, inbox, receiver, standing_clock):
    """Fan-outs that share one state folder, as one that is started again does. Lyon has a webhook besides the inbox."""
    opened = []

    def open_() -> FanOut:
        told = FanoutSettings(
            {"device-offline": RuleMeaning("A room device has lost its connection.", "docs/runbooks/device-offline.md")},
            {
                "lyon": City("Lyon", "Europe/Paris", (InboxChannel(inbox), WebhookChannel(receiver.url))),
                "*": City("Unassigned", "UTC", (InboxChannel(inbox),)),
            },
        )
        opened.append(FanOut.open(told, tmp_path / "state"))
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


def rows(inbox: Path) -> list[dict[str, Any]]:
    database = sqlite3.connect(inbox)
    database.row_factory = sqlite3.Row
    return [dict(row) for row in database.execute("SELECT * FROM inbox ORDER BY rowid")]


def states(inbox: Path) -> list[tuple[str, str]]:
    return [(row["entity_id"], row["state"]) for row in rows(inbox)]


class TestDelivering:
    def test_an_alert_reaches_every_channel_of_its_city(self, open_fan_out, inbox, receiver, make_row, make_body) -> None:
        open_fan_out().handle([make_body(make_row())])
        (row,) = rows(inbox)
        assert row["delivered_at"].endswith("Z")
        assert row["clock_delivered_at"] == "2026-11-24T10:00:03.000Z"
        assert (row["alert_id"], row["state"], row["rule_id"], row["severity"], row["city_id"], row["entity_id"]) == (
            "device-offline|device-1|2026-11-24T09:30:00.0000000Z",
            "fired",
            "device-offline",
            2,
            "lyon",
            "device-1",
        )
        ((key, content),) = receiver.got
        assert key == "device-offline|device-1|2026-11-24T09:30:00.0000000Z|fired"
        assert (content["title"], content["state"], content["value"]) == (row["title"], "fired", 1.0)

    def test_an_unknown_city_goes_to_the_default_channels(self, open_fan_out, inbox, receiver, make_row, make_body) -> None:
        open_fan_out().handle([make_body(make_row(cityId="atlantis"))])
        assert len(rows(inbox)) == 1
        assert receiver.got == []

    def test_several_lines_and_events_at_once(self, open_fan_out, inbox, receiver, make_row, make_body) -> None:
        open_fan_out().handle([make_body(make_row(1), make_row(2)), make_body(make_row(3))])
        assert [entity for entity, _ in states(inbox)] == ["device-1", "device-2", "device-3"]
        assert len(receiver.got) == 3

    def test_the_beginning_is_told_before_the_end_when_both_come_in_the_wrong_order(
        self, open_fan_out, inbox, receiver, make_row, make_body
    ) -> None:
        open_fan_out().handle([make_body(make_row(state="resolved")), make_body(make_row())])
        assert states(inbox) == [("device-1", "fired"), ("device-1", "resolved")]
        assert receiver.titles()[1].startswith("Resolved")

    def test_a_beginning_that_comes_after_its_end_says_that_it_is_over(self, open_fan_out, receiver, make_row, make_body) -> None:
        fan_out = open_fan_out()
        fan_out.handle([make_body(make_row(state="resolved"))])
        fan_out.handle([make_body(make_row())])
        assert "already over" in receiver.got[1][1]["text"]

    def test_a_key_of_any_letters_is_a_valid_header(self, open_fan_out, receiver, make_row, make_body) -> None:
        open_fan_out().handle([make_body(make_row(alertId="ø|雪\n|x"))])
        assert receiver.got[0][0] == "%C3%B8|%E9%9B%AA%0A|x|fired"


class TestOnce:
    def test_the_same_events_again_are_told_once(self, open_fan_out, inbox, receiver, make_row, make_body) -> None:
        for _ in range(2):
            fan_out = open_fan_out()
            for _ in range(2):
                fan_out.handle([make_body(make_row(), make_row(state="resolved"))])
        assert states(inbox) == [("device-1", "fired"), ("device-1", "resolved")]
        assert len(receiver.got) == 2

    def test_a_failed_channel_is_tried_again_without_repeating_the_others(
        self, open_fan_out, inbox, receiver, make_row, make_body
    ) -> None:
        receiver.always = 503
        fan_out = open_fan_out()
        with pytest.raises(DeliveriesPending, match="503"):
            fan_out.handle([make_body(make_row())])
        told = rows(inbox)
        receiver.always = 200
        open_fan_out().handle([make_body(make_row())])
        assert len(receiver.got) == 1
        assert rows(inbox) == told

    def test_pending_deliveries_are_made_by_the_next_invocation_even_if_the_host_moved_on(
        self, open_fan_out, receiver, make_row, make_body
    ) -> None:
        receiver.always = 503
        with pytest.raises(DeliveriesPending):
            open_fan_out().handle([make_body(make_row(1))])
        receiver.always = 200
        open_fan_out().handle([make_body(make_row(2))])
        assert [content["entityId"] for _, content in receiver.got] == ["device-1", "device-2"]


class TestFailing:
    def test_a_short_fault_of_a_webhook_is_ridden_out(self, open_fan_out, receiver, make_row, make_body) -> None:
        receiver.answers = [500, 429]
        open_fan_out().handle([make_body(make_row())])
        assert len(receiver.got) == 1

    def test_a_dead_webhook_is_waited_for_once_an_invocation_and_the_inbox_gets_everything(
        self, open_fan_out, inbox, receiver, make_row, make_body
    ) -> None:
        receiver.always = 500
        with pytest.raises(DeliveriesPending):
            open_fan_out().handle([make_body(*(make_row(n) for n in range(5)))])
        assert receiver.attempts == 3
        assert len(rows(inbox)) == 5

    def test_a_webhook_that_stays_dead_does_not_hold_up_the_hub_for_ever(
        self, open_fan_out, receiver, make_row, make_body
    ) -> None:
        receiver.always = 404
        fan_out = open_fan_out()
        for _ in range(fan_out_module.REPEATS - 1):
            with pytest.raises(DeliveriesPending):
                fan_out.handle([make_body(make_row())])
        fan_out.handle([make_body(make_row())])
        receiver.always = 200
        fan_out.handle([])
        assert len(receiver.got) == 1

    def test_news_of_yesterday_is_given_up(self, open_fan_out, receiver, make_row, make_body, standing_clock, caplog) -> None:
        receiver.always = 500
        fan_out = open_fan_out()
        with pytest.raises(DeliveriesPending):
            fan_out.handle([make_body(make_row())])
        receiver.always = 200
        standing_clock.advance(timedelta(hours=25).total_seconds())
        fan_out.handle([])
        assert receiver.got == []
        assert "given up" in caplog.text

    def test_rubbish_is_kept_counted_and_not_fatal(self, open_fan_out, inbox, tmp_path, make_row, make_body, caplog) -> None:
        fan_out = open_fan_out()
        with caplog.at_level(logging.INFO):
            for _ in range(2):
                fan_out.handle([b"<html>" + b"x" * 10_000, make_body(make_row()), b"{}\n[]"])
        assert len(rows(inbox)) == 1
        kept = sqlite3.connect(tmp_path / "state" / "fanout.sqlite").execute("SELECT record, reason FROM rejected").fetchall()
        assert len(kept) == 3
        assert max(len(record) for record, _ in kept) == 8192
        assert [record.figures for record in caplog.records if record.name == "roompulse.figures"][-1] == {
            "deliveries": 2,
            "deliveries_pending": 0,
            "alerts_rejected": 3,
        }

    def test_the_address_of_a_webhook_is_a_secret(self, open_fan_out, receiver, tmp_path, make_row, make_body, caplog) -> None:
        receiver.always = 500
        with pytest.raises(DeliveriesPending) as caught:
            open_fan_out().handle([make_body(make_row())])
        state = b"".join(path.read_bytes() for path in (tmp_path / "state").iterdir())
        assert "secret-token" not in caplog.text + str(caught.value)
        assert b"secret-token" not in state

    def test_a_broken_inbox_does_not_keep_the_webhook_from_being_told(
        self, open_fan_out, inbox, receiver, make_row, make_body
    ) -> None:
        inbox.write_text("this is no database " * 100)
        fan_out = open_fan_out()
        with pytest.raises(DeliveriesPending, match=r"inbox\.sqlite"):
            fan_out.handle([make_body(make_row())])
        assert len(receiver.got) == 1
        inbox.unlink()
        fan_out.handle([make_body(make_row())])
        assert (len(rows(inbox)), len(receiver.got)) == (1, 1)

    def test_a_state_that_can_not_be_used_says_which_file_to_move(self, open_fan_out, tmp_path) -> None:
        (tmp_path / "state").mkdir()
        (tmp_path / "state" / "fanout.sqlite").write_text("rubbish " * 200)
        with pytest.raises(DeliveriesError, match=r"mv .*fanout\.sqlite"):
            open_fan_out()

    def test_nothing_is_told_when_nothing_can_be_remembered(self, open_fan_out, inbox, receiver, make_row, make_body) -> None:
        fan_out = open_fan_out()
        database = fan_out._deliveries._database
        pages = database.execute("PRAGMA page_count").fetchone()[0]
        database.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(DeliveriesError, match="has room"):
            fan_out.handle([make_body(*(make_row(n) for n in range(200)))])
        assert not inbox.exists()
        assert receiver.got == []


def some_message() -> Message:
    alert = Alert("a", "r", 1, "fired", "device", "d", "n", "lyon", None, None, "offline", 1, 1, "t", "t")
    return Message(alert, "title", "text")


def test_an_inbox_keeps_the_first_of_two_deliveries_of_the_same(inbox, standing_clock) -> None:
    channel = Inbox(inbox)
    channel.deliver(some_message())
    first = rows(inbox)
    standing_clock.advance(60)
    channel.deliver(some_message())
    channel.close()
    assert rows(inbox) == first


class Killed(BaseException):
    """The process ends here."""


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kills=st.lists(st.tuples(st.sampled_from(["Inbox", "Webhook"]), st.integers(0, 3), st.booleans()), max_size=4))
def test_killed_at_any_delivery_everything_arrives_and_is_seen_once(
    kills, open_fan_out, inbox, receiver, tmp_path, make_row, make_body
):
    """Each run dies before (or just after) a certain delivery of a channel; the host gives the same events again."""
    for old in [*tmp_path.glob("inbox.sqlite*"), *tmp_path.glob("state/*")]:
        old.unlink()
    receiver.got.clear()
    events = [make_body(make_row(1), make_row(2)), make_body(make_row(1, state="resolved"))]
    for kill in [*kills, None]:
        with pytest.MonkeyPatch.context() as patch:
            if kill is not None:
                _kill_at(patch, *kill)
            fan_out = open_fan_out()
            try:
                fan_out.handle(events)
            except Killed:
                continue
    expected = [("device-1", "fired"), ("device-1", "resolved"), ("device-2", "fired")]
    assert sorted(states(inbox)) == expected
    # A receiver that heeds Idempotency-Key sees each alert state once.
    by_key = {key: (content["entityId"], content["state"]) for key, content in receiver.got}
    assert sorted(by_key.values()) == expected


def _kill_at(patch: pytest.MonkeyPatch, channel: str, survived: int, delivered: bool) -> None:
    kind = {"Inbox": Inbox, "Webhook": Webhook}[channel]
    original = kind.deliver
    calls = [0]

    def deliver(self, message) -> None:
        calls[0] += 1
        if calls[0] <= survived:
            return original(self, message)
        if delivered:
            original(self, message)
        raise Killed

    patch.setattr(kind, "deliver", deliver)


def test_a_webhook_that_is_not_there_names_its_host_only() -> None:
    with pytest.raises(DeliveryError, match=r"webhook at 127\.0\.0\.1") as caught:
        Webhook("http://127.0.0.1:9/secret").deliver(some_message())
    assert "secret" not in str(caught.value)
