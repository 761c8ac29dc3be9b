"""The fan-out: one message for an outage and one for its end, whatever fails, whatever is repeated and whenever it is killed."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processors.alert_fanout import steps
from processors.alert_fanout.channels.inbox import Inbox, InboxChannel
from processors.alert_fanout.channels.teams import TeamsChannel
from processors.alert_fanout.channels.webex import WebexChannel
from processors.alert_fanout.channels.webhook import Webhook, WebhookChannel
from processors.alert_fanout.fan_out import FanOut
from processors.alert_fanout.settings import City, FanoutSettings, RuleMeaning
from processors.alert_fanout.state import SqliteTexts, State, StateError
from processors.contracts.facts import OfficeHours
from tests.processors.alert_fanout.conftest import Answer, Receiver
from tests.processors.conftest import StandingClock

RULES = {
    "device-offline": RuleMeaning("A room device has lost its connection.", "docs/runbooks/device-offline.md", ("site-outage",)),
    "site-outage": RuleMeaning("A site is unreachable.", "docs/runbooks/site-outage.md"),
    "room-stuffy": RuleMeaning("Stale air.", "docs/runbooks/x.md", ("outside-office-hours",), {"webhook": (4,)}),
    "room-too-warm": RuleMeaning("A room is too warm.", "docs/runbooks/room-too-warm.md"),
}


OpenFanOut = Callable[..., FanOut]
Later = Callable[..., None]


@pytest.fixture
def inbox(tmp_path: Path) -> Path:
    return tmp_path / "inbox.sqlite"


@pytest.fixture
def open_fan_out(tmp_path: Path, inbox: Path, receiver: Receiver, standing_clock: StandingClock) -> Iterator[OpenFanOut]:
    """Fan-outs that share one state folder, as one that is started again does. Lyon has a webhook besides the inbox."""
    opened: list[FanOut] = []

    def open_(*channels: Any, secrets: dict[str, str] | None = None, **city: Any) -> FanOut:
        taking = channels or (InboxChannel(path=inbox), WebhookChannel(url=receiver.url))
        cities = {
            "lyon": City("Lyon", "Europe/Paris", taking, **city),
            "*": City("Unassigned", "UTC", (InboxChannel(path=inbox),)),
        }
        state = State(SqliteTexts(tmp_path / "state" / "fanout.sqlite"))
        opened.append(FanOut(FanoutSettings(RULES, cities), state, secrets=(secrets or {}).__getitem__))
        return opened[-1]

    yield open_
    for one in opened:
        one.close()


@pytest.fixture
def later(standing_clock: StandingClock) -> Later:
    """Let time pass and let the fan-out tend to what waits."""

    def later_(fan_out: FanOut, seconds: float = 3) -> None:
        standing_clock.advance(seconds)
        fan_out.tend()

    return later_


def rows(inbox: Path) -> list[dict[str, Any]]:
    database = sqlite3.connect(inbox)
    database.row_factory = sqlite3.Row
    return [dict(row) for row in database.execute("SELECT * FROM inbox ORDER BY rowid")]


def states(inbox: Path) -> list[tuple[str, str]]:
    return [(row["entity_id"], row["state"]) for row in rows(inbox)] if inbox.exists() else []


class TestDelivering:
    def test_an_alert_reaches_every_channel_of_its_city(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        inbox: Path,
        receiver: Receiver,
        make_row: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        fan_out = open_fan_out()
        fan_out.handle([make_body(make_row())])
        later(fan_out)
        (row,) = rows(inbox)
        assert row["delivered_at"].endswith("Z")
        assert row["clock_delivered_at"] == "2026-11-24T10:00:06.000Z"
        assert (row["alert_id"], row["state"], row["rule_id"], row["severity"], row["city_id"], row["entity_id"]) == (
            "device-offline|device-1|2026-11-24T09:30:00.0000000Z",
            "fired",
            "device-offline",
            2,
            "lyon",
            "device-1",
        )
        ((key, content),) = receiver.got
        assert key == "device-offline|device-1|2026-11-24T09:30:00.0000000Z|open"
        assert (content["title"], content["state"], content["value"]) == (row["title"], "fired", 1.0)

    def test_what_nothing_else_can_explain_is_sent_at_once(
        self, open_fan_out: OpenFanOut, inbox: Path, make_outage: Callable[..., dict[str, Any]], make_body: Callable[..., bytes]
    ) -> None:
        open_fan_out().handle([make_body(make_outage())])
        assert states(inbox) == [("location-1", "fired")]

    def test_an_unknown_city_goes_to_the_default_channels(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        inbox: Path,
        receiver: Receiver,
        make_row: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        fan_out = open_fan_out()
        fan_out.handle([make_body(make_row(cityId="atlantis"))])
        later(fan_out)
        assert len(rows(inbox)) == 1
        assert receiver.got == []

    def test_the_beginning_is_sent_before_the_end_when_both_come_in_the_wrong_order(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        inbox: Path,
        receiver: Receiver,
        make_row: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        fan_out = open_fan_out()
        fan_out.handle([make_body(make_row(state="resolved")), make_body(make_row())])
        later(fan_out)
        later(fan_out)
        assert states(inbox) == [("device-1", "fired"), ("device-1", "resolved")]
        assert "already over" in receiver.got[0][1]["text"] and receiver.titles()[1].startswith("Resolved")

    def test_a_beginning_that_is_read_after_its_end_says_that_it_is_over(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        inbox: Path,
        receiver: Receiver,
        make_row: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        fan_out = open_fan_out()
        fan_out.handle([make_body(make_row(state="resolved"))])
        fan_out.handle([make_body(make_row())])
        later(fan_out)
        later(fan_out)
        assert "already over" in receiver.got[0][1]["text"]
        assert states(inbox) == [("device-1", "fired"), ("device-1", "resolved")]

    def test_a_key_of_any_letters_is_a_valid_header(
        self,
        open_fan_out: OpenFanOut,
        receiver: Receiver,
        make_outage: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        open_fan_out().handle([make_body(make_outage() | {"alertId": "ø|雪\n|x"})])
        assert receiver.got[0][0] == "%C3%B8|%E9%9B%AA%0A|x|open"

    def test_a_channel_hears_of_its_severities_only(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        receiver: Receiver,
        make_row: Callable[..., dict[str, Any]],
        make_outage: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        fan_out = open_fan_out(WebhookChannel(url=receiver.url, severities=(1,)))
        fan_out.handle([make_body(make_outage(), make_row(ruleId="room-too-warm", locationId="elsewhere"))])
        later(fan_out)
        fan_out.handle([make_body(make_outage("resolved"))])
        assert receiver.titles() == [
            "Site outage: Lyon Part-Dieu (98 % of devices down), Lyon",
            "Resolved: site outage, Lyon Part-Dieu, Lyon",
        ]

    def test_a_muted_rule_is_sent_to_nobody(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        inbox: Path,
        make_row: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        fan_out = open_fan_out(mutes={"device-offline": "2026-11-24"})
        fan_out.handle([make_body(make_row(1), make_row(1, state="resolved"))])
        later(fan_out)
        assert states(inbox) == []
        later(fan_out, 24 * 3600)
        fan_out.handle([make_body(make_row(2))])
        later(fan_out)
        assert states(inbox) == [("device-2", "fired")]

    def test_what_fired_under_a_mute_and_still_burns_when_it_ends_is_sent(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        inbox: Path,
        make_row: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        fan_out = open_fan_out(mutes={"device-offline": "2026-11-24"})
        fan_out.handle([make_body(make_row(1), make_row(2))])
        later(fan_out)
        fan_out.handle([make_body(make_row(2, state="resolved"))])
        later(fan_out, 60)
        assert states(inbox) == []
        for _ in range(2):
            later(fan_out, 12 * 3600)
        assert states(inbox) == [("device-1", "fired")], "and what was over by then is not"
        fan_out.handle([make_body(make_row(1, state="resolved"))])
        assert states(inbox) == [("device-1", "fired"), ("device-1", "resolved")]

    def test_the_end_of_what_was_sent_is_sent_under_a_mute(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        inbox: Path,
        make_row: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        fan_out = open_fan_out()
        fan_out.handle([make_body(make_row(1))])
        later(fan_out)
        fan_out.close()
        muted = open_fan_out(mutes={"device-offline": "2026-11-24"})
        muted.handle([make_body(make_row(1, state="resolved"))])
        assert states(inbox) == [("device-1", "fired"), ("device-1", "resolved")]

    def test_a_muted_outage_hides_no_device(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        inbox: Path,
        make_row: Callable[..., dict[str, Any]],
        make_outage: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        fan_out = open_fan_out(mutes={"site-outage": "2026-11-24"})
        fan_out.handle([make_body(make_row(1), make_outage(), make_row(2))])
        later(fan_out)
        assert sorted(states(inbox)) == [("device-1", "fired"), ("device-2", "fired")]


class TestIncidents:
    @pytest.mark.parametrize("order", ["outage first", "devices first", "devices a moment before", "devices 5 minutes later"])
    def test_an_outage_of_500_devices_is_one_message_and_one_resolve_on_every_channel(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        inbox: Path,
        receiver: Receiver,
        another_receiver: Receiver,
        answer: type[Answer],
        make_row: Callable[..., dict[str, Any]],
        make_outage: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
        order: str,
    ) -> None:
        teams, webex = TeamsChannel(url_secret="teams"), WebexChannel(to="someone@example.com", secret="bot")
        secrets = {"teams": another_receiver.url, "bot": "token"}
        webhook = WebhookChannel(url=receiver.url)
        pagerduty = WebhookChannel(url=another_receiver.url, template="pagerduty", secret="bot")
        another_receiver.always = answer(body={"id": "message-1", "roomId": "room-1"})
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("WEBEX_MESSAGES_API", another_receiver.url)
            fan_out = open_fan_out(InboxChannel(path=inbox), webhook, pagerduty, teams, webex, secrets=secrets)
        devices = [make_row(number) for number in range(500)]
        batches = [make_body(*devices[start : start + 100]) for start in range(0, 500, 100)]
        outage = [make_body(make_outage())]
        for events in [*outage, *batches] if order == "outage first" else [*batches, *outage]:
            if order == "devices a moment before" and events is outage[0]:
                later(fan_out, 1)
            if order != "devices 5 minutes later" or events is outage[0]:
                fan_out.handle([events])
        if order == "devices 5 minutes later":
            later(fan_out, 300)
            for events in batches:
                fan_out.handle([events])
        for _ in range(5):
            later(fan_out, 60)
        (row,) = rows(inbox)
        assert row["title"] == "Site outage: Lyon Part-Dieu (98 % of devices down), Lyon"
        assert "Affected: 500 devices: " in row["text"]
        fan_out.handle([make_body(make_outage("resolved"), *(make_row(number, state="resolved") for number in range(500)))])
        for _ in range(5):
            later(fan_out, 60)
        assert states(inbox) == [("location-1", "fired"), ("location-1", "resolved")]
        hooks = [content["state"] for _, content in receiver.got]
        assert (hooks[0], hooks[-1], set(hooks[1:-1])) == ("fired", "resolved", {"updated"} if hooks[1:-1] else set())
        pages = [request.json["event_action"] for request in another_receiver.requests if "event_action" in request.json]
        assert pages == ["trigger", "resolve"]
        cards = [request for request in another_receiver.requests if request.json.get("type") == "message"]
        posts = [r for r in another_receiver.requests if r.method == "POST" and r.path.endswith("/messages")]
        assert len(cards) == len(posts) == 2

    def test_an_alert_sent_before_the_outage_becomes_part_of_it(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        inbox: Path,
        receiver: Receiver,
        make_row: Callable[..., dict[str, Any]],
        make_outage: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        fan_out = open_fan_out()
        fan_out.handle([make_body(make_row())])
        later(fan_out)
        fan_out.handle([make_body(make_outage())])
        fan_out.handle([make_body(make_row(state="resolved"), make_outage("resolved"))])
        assert states(inbox) == [
            ("device-1", "fired"),
            ("device-1", "resolved"),
            ("location-1", "fired"),
            ("location-1", "resolved"),
        ]
        assert "Part of: Site outage: Lyon Part-Dieu" in rows(inbox)[1]["text"]

    def test_a_device_that_stays_down_after_the_outage_is_sent_by_itself(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        inbox: Path,
        make_row: Callable[..., dict[str, Any]],
        make_outage: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        fan_out = open_fan_out()
        fan_out.handle([make_body(make_outage(), make_row(1), make_row(2))])
        fan_out.handle([make_body(make_outage("resolved"), make_row(1, state="resolved"))])
        assert "Not back yet: 1 device" in rows(inbox)[-1]["text"]
        later(fan_out, 60)
        assert len(rows(inbox)) == 2
        later(fan_out, 61)
        assert states(inbox)[2:] == [("device-2", "fired")]
        fan_out.handle([make_body(make_row(2, state="resolved"))])
        assert states(inbox)[3:] == [("device-2", "resolved")]

    def test_many_devices_that_stay_down_are_one_incident_that_ends_with_the_last(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        inbox: Path,
        make_row: Callable[..., dict[str, Any]],
        make_outage: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        fan_out = open_fan_out()
        fan_out.handle([make_body(make_outage(), *(make_row(number) for number in range(50)))])
        fan_out.handle([make_body(make_outage("resolved"))])
        later(fan_out, 121)
        assert rows(inbox)[2]["title"] == "Still down after the outage, 50 devices, Lyon Part-Dieu, Lyon"
        assert "Since: Tue 24 Nov 2026 10:30 (Europe/Paris)" in rows(inbox)[2]["text"].splitlines()
        fan_out.handle([make_body(*(make_row(number, state="resolved") for number in range(49)))])
        assert len(rows(inbox)) == 3
        fan_out.handle([make_body(make_row(49, state="resolved"))])
        assert rows(inbox)[3]["title"].startswith("Resolved: still down after the outage, 50 devices")

    def test_a_device_that_is_down_when_the_outage_returns_is_part_of_the_new_one(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        inbox: Path,
        make_row: Callable[..., dict[str, Any]],
        make_outage: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        fan_out = open_fan_out()
        fan_out.handle([make_body(make_outage(), make_row())])
        fan_out.handle([make_body(make_outage("resolved"))])
        later(fan_out, 60)
        again = {"alertId": "site-outage|location-1|later"}
        fan_out.handle([make_body(make_outage() | again)])
        later(fan_out, 300)
        assert states(inbox) == [("location-1", "fired"), ("location-1", "resolved"), ("location-1", "fired")]
        assert rows(inbox)[2]["folded"] == '["Room Bar 1"]'

    def test_another_site_and_another_rule_are_sent_by_themselves(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        inbox: Path,
        make_row: Callable[..., dict[str, Any]],
        make_outage: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        fan_out = open_fan_out()
        elsewhere, warm = make_row(1, locationId="location-2"), make_row(2, ruleId="room-too-warm")
        fan_out.handle([make_body(make_outage(), elsewhere, warm)])
        later(fan_out)
        assert {entity for entity, _ in states(inbox)} == {"location-1", "device-1", "device-2"}

    def test_what_is_worse_than_the_outage_is_sent_by_itself(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        inbox: Path,
        make_row: Callable[..., dict[str, Any]],
        make_outage: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        fan_out = open_fan_out()
        fan_out.handle([make_body(make_outage() | {"severity": 3}, make_row())])
        later(fan_out)
        assert {entity for entity, _ in states(inbox)} == {"location-1", "device-1"}

    def test_a_growing_incident_updates_the_inbox_and_not_a_channel_that_can_t_be_edited(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        inbox: Path,
        receiver: Receiver,
        make_row: Callable[..., dict[str, Any]],
        make_outage: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        fan_out = open_fan_out(
            InboxChannel(path=inbox),
            WebhookChannel(url=receiver.url, template="servicenow", secret="user"),
            secrets={"user": "a:b"},
        )
        fan_out.handle([make_body(make_outage())])
        for number in range(3):
            fan_out.handle([make_body(make_row(number))])
        (row,) = rows(inbox)
        assert row["updated_at"] and row["folded"] == '["Room Bar 0", "Room Bar 1", "Room Bar 2"]'
        assert len(receiver.got) == 1

    def test_a_drill_is_marked_and_never_folded(
        self,
        open_fan_out: OpenFanOut,
        inbox: Path,
        receiver: Receiver,
        make_row: Callable[..., dict[str, Any]],
        make_outage: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        fan_out = open_fan_out()
        drill = make_row(alertId="device-offline|drill-7|x", entityId="drill-7", name="Drill")
        fan_out.handle([make_body(make_outage(), drill)])
        titles = {row["title"] for row in rows(inbox)}
        assert "DRILL · Device offline: Drill, Lyon" in titles
        assert [content.get("drill") for _, content in receiver.got] == [None, True]


class TestStorms:
    def test_a_channel_is_spared_the_eleventh_and_notified_how_many_more_there_are(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        inbox: Path,
        receiver: Receiver,
        make_row: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        fan_out = open_fan_out(InboxChannel(path=inbox), TeamsChannel(url_secret="teams"), secrets={"teams": receiver.url})
        fan_out.handle([make_body(*(make_row(number, ruleId="room-too-warm") for number in range(48)))])
        later(fan_out)
        later(fan_out, 11)
        titles = [_title_of(content["attachments"][0]["content"]) for _, content in receiver.got]
        assert len(titles) == 11 and titles[-1] == "And 38 more alerts, Lyon"
        assert len(rows(inbox)) == 48
        fan_out.handle([make_body(*(make_row(n, ruleId="room-too-warm", state="resolved") for n in range(48)))])
        later(fan_out)
        titles = [_title_of(content["attachments"][0]["content"]) for _, content in receiver.got]
        assert len(titles) == 22 and "Resolved: and 38 more alerts, Lyon" in titles

    def test_a_channel_that_fails_for_a_while_is_spared_nothing_for_it(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        receiver: Receiver,
        make_row: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        fan_out = open_fan_out(TeamsChannel(url_secret="teams"), secrets={"teams": receiver.url})
        receiver.always = 503
        fan_out.handle([make_body(*(make_row(number, ruleId="room-too-warm") for number in range(9)))])
        for _ in range(5):
            later(fan_out, 1)
        receiver.always = 200
        for _ in range(5):
            later(fan_out, 60)
        assert len(receiver.got) == 9
        assert not any("more alert" in request.body.decode() for request in receiver.requests)

    def test_the_inbox_says_who_was_spared(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        inbox: Path,
        receiver: Receiver,
        make_row: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        fan_out = open_fan_out(InboxChannel(path=inbox), TeamsChannel(url_secret="teams"), secrets={"teams": receiver.url})
        fan_out.handle([make_body(*(make_row(number, ruleId="room-too-warm") for number in range(12)))])
        later(fan_out)
        assert [row["held_back"] for row in rows(inbox)] == [0] * 10 + [1] * 2

    def test_severity_1_is_not_crowded_out(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        receiver: Receiver,
        make_row: Callable[..., dict[str, Any]],
        make_outage: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        fan_out = open_fan_out(TeamsChannel(url_secret="teams"), secrets={"teams": receiver.url})
        fan_out.handle([make_body(*(make_row(number, ruleId="room-too-warm") for number in range(48)))])
        fan_out.handle([make_body(make_outage())])
        assert "Site outage" in receiver.requests[-1].body.decode()


class TestOfficeHours:
    NIGHT = 10 * 3600  # from 11:00 to 21:00 in Lyon
    CHANNEL = "office-hours"

    def received(self, receiver: Receiver) -> list[str]:
        return [content["state"] for _, content in receiver.got]

    def test_what_happens_at_night_is_sent_at_opening_when_it_still_is(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        receiver: Receiver,
        standing_clock: StandingClock,
        make_outage: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        fan_out = open_fan_out(WebhookChannel(url=receiver.url, when="office-hours"))
        standing_clock.advance(self.NIGHT)
        fan_out.handle([make_body(make_outage())])
        later(fan_out, 10 * 3600 + 59 * 60 - 10)
        assert self.received(receiver) == []
        later(fan_out, 80)
        assert self.received(receiver) == ["fired"]

    def test_what_is_over_by_then_is_named_as_over(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        receiver: Receiver,
        standing_clock: StandingClock,
        make_outage: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        fan_out = open_fan_out(WebhookChannel(url=receiver.url, when="office-hours"))
        standing_clock.advance(self.NIGHT)
        fan_out.handle([make_body(make_outage())])
        fan_out.handle([make_body(make_outage("resolved"))])
        later(fan_out, 11 * 3600)
        later(fan_out, 11)
        assert receiver.titles() == ["Came and went outside your hours: 1 alert, Lyon"]
        assert self.received(receiver) == ["resolved"]

    def test_whoever_was_notified_hears_of_the_end_in_their_hours(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        receiver: Receiver,
        standing_clock: StandingClock,
        make_outage: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        fan_out = open_fan_out(WebhookChannel(url=receiver.url, when="office-hours"))
        fan_out.handle([make_body(make_outage())])
        standing_clock.advance(self.NIGHT)
        fan_out.handle([make_body(make_outage("resolved"))])
        assert self.received(receiver) == ["fired"]
        later(fan_out, 11 * 3600)
        assert self.received(receiver) == ["fired", "resolved"]

    def test_who_is_on_call_takes_over_what_is_open_at_closing(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        receiver: Receiver,
        make_outage: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        fan_out = open_fan_out(WebhookChannel(url=receiver.url, when="off-hours"), hours=OfficeHours())
        fan_out.handle([make_body(make_outage())])
        assert self.received(receiver) == []
        later(fan_out, 7 * 3600)
        assert self.received(receiver) == ["fired"]

    def test_a_rule_for_office_hours_waits_for_them_on_every_channel(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        inbox: Path,
        standing_clock: StandingClock,
        make_row: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        fan_out = open_fan_out()
        standing_clock.advance(self.NIGHT)
        fan_out.handle([make_body(make_row(1, ruleId="room-stuffy"), make_row(2, ruleId="room-too-warm"))])
        assert states(inbox) == [("device-2", "fired")]
        later(fan_out, 11 * 3600)
        assert states(inbox)[1:] == [("device-1", "fired")]

    def test_a_rule_says_too_at_which_severities_a_kind_of_contact_is_notified(
        self,
        open_fan_out: OpenFanOut,
        inbox: Path,
        receiver: Receiver,
        make_row: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        open_fan_out().handle([make_body(make_row(1, ruleId="room-stuffy"), make_row(2, ruleId="room-stuffy", severity=4))])
        assert len(rows(inbox)) == 2
        assert [content["entityId"] for _, content in receiver.got] == ["device-2"]


class TestOnce:
    def test_the_same_events_again_are_sent_once(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        inbox: Path,
        receiver: Receiver,
        make_row: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        for _ in range(2):
            fan_out = open_fan_out()
            for _ in range(2):
                fan_out.handle([make_body(make_row(), make_row(state="resolved"))])
                later(fan_out)
        assert states(inbox) == [("device-1", "fired"), ("device-1", "resolved")]
        assert len(receiver.requests) == 2

    def test_a_failed_channel_is_tried_again_without_repeating_the_others(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        inbox: Path,
        receiver: Receiver,
        make_outage: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        receiver.always = 503
        open_fan_out().handle([make_body(make_outage())])
        received = rows(inbox)
        receiver.always = 200
        later(open_fan_out(), 10)
        assert len(receiver.requests) == 1
        assert rows(inbox) == received

    def test_a_change_at_the_same_time_by_another_instance_is_not_lost(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        inbox: Path,
        make_row: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        one, other = open_fan_out(), open_fan_out()
        one.handle([make_body(make_row(1))])
        other.handle([make_body(make_row(2))])
        later(one)
        later(other)
        assert sorted(states(inbox)) == [("device-1", "fired"), ("device-2", "fired")]

    def test_while_one_instance_notifies_another_one_does_not(
        self,
        open_fan_out: OpenFanOut,
        inbox: Path,
        receiver: Receiver,
        tmp_path: Path,
        make_outage: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        one, other = open_fan_out(), open_fan_out()
        other._instance = "other"
        real, received = Inbox.send, []

        def send_and_meet(channel: Inbox, notice: Any) -> None:
            other.tend()
            received.append(notice.key)
            real(channel, notice)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Inbox, "send", send_and_meet)
            one.handle([make_body(make_outage())])
        assert len(received) == 1 and len(receiver.requests) == 1


class TestFailing:
    def test_a_dead_webhook_is_waited_for_once_and_the_inbox_gets_everything(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        inbox: Path,
        receiver: Receiver,
        make_row: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        receiver.always = 500
        fan_out = open_fan_out()
        fan_out.handle([make_body(*(make_row(n, ruleId="room-too-warm") for n in range(5)))])
        assert receiver.attempts == 1
        assert len(rows(inbox)) == 5

    def test_it_is_tried_with_growing_pauses(
        self,
        open_fan_out: OpenFanOut,
        standing_clock: StandingClock,
        receiver: Receiver,
        make_outage: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        receiver.always = 500
        fan_out = open_fan_out()
        fan_out.handle([make_body(make_outage())])
        for _ in range(600):
            standing_clock.advance(1)
            fan_out.tend()
        assert 6 <= receiver.attempts <= 10

    def test_a_service_is_left_alone_for_as_long_as_it_asks(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        receiver: Receiver,
        answer: type[Answer],
        make_outage: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        receiver.answers = [answer(429, {"Retry-After": "90"})]
        fan_out = open_fan_out()
        fan_out.handle([make_body(make_outage())])
        later(fan_out, 80)
        assert receiver.attempts == 1
        later(fan_out, 11)
        assert len(receiver.requests) == 1

    def test_what_is_refused_becomes_a_dead_letter_and_holds_up_nothing(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        receiver: Receiver,
        make_row: Callable[..., dict[str, Any]],
        make_outage: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        receiver.always = 404
        fan_out = open_fan_out()
        fan_out.handle([make_body(make_outage())])
        for _ in range(10):
            later(fan_out, 60)
        assert receiver.attempts == steps.REFUSED_TRIES
        incident = fan_out._state.book("lyon").incidents[make_outage()["alertId"]]
        assert "404" in (incident.deliveries[WebhookChannel(url=receiver.url).key].dead or "")
        receiver.always = 200
        fan_out.handle([make_body(make_row(locationId="elsewhere"))])
        later(fan_out)
        assert len(receiver.requests) == 1

    def test_news_of_yesterday_becomes_a_dead_letter(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        receiver: Receiver,
        make_outage: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        receiver.always = 500
        fan_out = open_fan_out()
        fan_out.handle([make_body(make_outage())])
        later(fan_out, 25 * 3600)
        receiver.always = 200
        later(fan_out, 3600)
        assert receiver.requests == []

    def test_rubbish_is_kept_counted_and_not_fatal(
        self,
        open_fan_out: OpenFanOut,
        inbox: Path,
        make_outage: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        fan_out = open_fan_out()
        with caplog.at_level(logging.INFO):
            for _ in range(2):
                fan_out.handle([b"<html>" + b"x" * 10_000, make_body(make_outage()), b"{}\n[]"])
            fan_out.tend()
        assert len(rows(inbox)) == 1
        assert [vars(record)["figures"] for record in caplog.records if record.name == "roompulse.figures"][-1] == {
            "deliveries": 2,
            "deliveries_pending": 0,
            "deliveries_dead": 0,
            "incidents_open": 1,
            "alerts_rejected": 3,
        }

    def test_the_address_of_a_webhook_is_a_secret(
        self,
        open_fan_out: OpenFanOut,
        receiver: Receiver,
        tmp_path: Path,
        make_outage: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        receiver.always = 500
        open_fan_out().handle([make_body(make_outage())])
        state = b"".join(path.read_bytes() for path in (tmp_path / "state").iterdir())
        assert "status 500" in str([record.ids for record in caplog.records if hasattr(record, "ids")])
        assert "secret-token" not in str([vars(record) for record in caplog.records])
        assert b"secret-token" not in state

    def test_a_missing_secret_is_named_and_tried_again(
        self,
        open_fan_out: OpenFanOut,
        tmp_path: Path,
        make_outage: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        from processors.alert_fanout.secrets import secret_from

        fan_out = open_fan_out(TeamsChannel(url_secret="teams-lyon"))
        fan_out._channels["teams:teams-lyon"] = TeamsChannel(url_secret="teams-lyon").open(secret_from({}))
        fan_out.handle([make_body(make_outage())])
        assert "SECRET_TEAMS_LYON" in str([vars(record) for record in caplog.records])

    def test_a_broken_inbox_does_not_keep_the_webhook_from_being_notified(
        self,
        open_fan_out: OpenFanOut,
        later: Later,
        inbox: Path,
        receiver: Receiver,
        make_outage: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        inbox.write_text("this is not a database " * 100)
        fan_out = open_fan_out()
        fan_out.handle([make_body(make_outage())])
        assert len(receiver.requests) == 1
        inbox.unlink()
        later(fan_out, 10)
        assert (len(rows(inbox)), len(receiver.requests)) == (1, 1)

    def test_a_state_that_can_not_be_used_says_which_file_to_move(self, open_fan_out: OpenFanOut, tmp_path: Path) -> None:
        (tmp_path / "state").mkdir()
        (tmp_path / "state" / "fanout.sqlite").write_text("rubbish " * 200)
        with pytest.raises(StateError, match=r"mv .*fanout\.sqlite"):
            open_fan_out()

    def test_nothing_is_sent_when_nothing_can_be_remembered(
        self,
        open_fan_out: OpenFanOut,
        inbox: Path,
        receiver: Receiver,
        make_row: Callable[..., dict[str, Any]],
        make_body: Callable[..., bytes],
    ) -> None:
        fan_out = open_fan_out()
        store = fan_out._state._store
        assert isinstance(store, SqliteTexts)
        database = store._database
        pages = database.execute("PRAGMA page_count").fetchone()[0]
        database.execute(f"PRAGMA max_page_count = {pages}")
        with pytest.raises(StateError, match="has room"):
            fan_out.handle([make_body(*(make_row(n) for n in range(200)))])
        assert not inbox.exists()
        assert receiver.requests == []


class Killed(BaseException):
    """The process ends here."""


PLACES = {
    "before the inbox": (Inbox, "send", False),
    "after the inbox": (Inbox, "send", True),
    "before the webhook": (Webhook, "send", False),
    "after the webhook": (Webhook, "send", True),
    "before a write of the state": (SqliteTexts, "save", False),
    "after a write of the state": (SqliteTexts, "save", True),
}


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kills=st.lists(st.tuples(st.sampled_from(sorted(PLACES)), st.integers(0, 6)), max_size=5))
def test_killed_anywhere_everything_arrives_and_is_seen_once(
    kills: list[tuple[str, int]],
    open_fan_out: OpenFanOut,
    later: Later,
    inbox: Path,
    receiver: Receiver,
    tmp_path: Path,
    make_row: Callable[..., dict[str, Any]],
    make_outage: Callable[..., dict[str, Any]],
    make_body: Callable[..., bytes],
) -> None:
    """Each run dies before or just after a certain call; the host gives the same events again, and then no more."""
    for old in [*tmp_path.glob("inbox.sqlite*"), *tmp_path.glob("state/*")]:
        old.unlink()
    receiver.requests.clear()
    rows_given = [
        make_row(1),
        make_outage(),
        make_row(2, ruleId="room-too-warm"),
        make_row(1, state="resolved"),
        make_outage("resolved"),
    ]
    events = [make_body(row) for row in rows_given]
    for kill in [*kills, None]:
        with pytest.MonkeyPatch.context() as patch:
            if kill is not None:
                _kill_at(patch, *PLACES[kill[0]], kill[1])
            try:
                fan_out = open_fan_out()
                fan_out.handle(events)
                later(fan_out)
            except Killed:
                continue
    for _ in range(3):
        later(fan_out)
    wanted = [("location-1", "fired"), ("location-1", "resolved"), ("device-2", "fired")]
    assert sorted(states(inbox)) == sorted(wanted)
    assert sorted((content["entityId"], content["state"]) for _, content in receiver.got) == sorted(wanted)


def _kill_at(patch: pytest.MonkeyPatch, owner: type, name: str, after: bool, number: int) -> None:
    real, calls = getattr(owner, name), iter(range(1000))

    def dying(*arguments: Any) -> Any:
        if next(calls) == number:
            if after:
                real(*arguments)
            raise Killed
        return real(*arguments)

    patch.setattr(owner, name, dying)


def _title_of(card: dict[str, Any]) -> str:
    return "".join(run["text"] for run in card["body"][0]["items"][0]["inlines"])
