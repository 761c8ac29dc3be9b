"""Who has an incident travels to PagerDuty and ServiceNow, once, by the way they were notified; not what was done there."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from processors import clock
from processors.alert_fanout.acting import Actor, act_on, every_incident
from processors.alert_fanout.book_text import from_text, to_text
from processors.alert_fanout.channels.webex import WebexChannel
from processors.alert_fanout.channels.webhook import WebhookChannel
from processors.alert_fanout.delivery import DeliveryError
from processors.alert_fanout.fan_out import FanOut
from processors.alert_fanout.settings import City, FanoutSettings
from processors.alert_fanout.state import SqliteTexts, State
from processors.alert_fanout.steps import Step, failed, heard
from processors.alert_fanout.templates import payload
from processors.alert_fanout.why import timeline
from tests.processors.alert_fanout.city_life import RULES, WEBEX, Lyon
from tests.processors.alert_fanout.test_judged_messages import ROUTING_KEY, validator

PAGERDUTY = WebhookChannel(url="https://pd", template="pagerduty", secret="key")
SERVICENOW = WebhookChannel(url="https://sn", template="servicenow", secret="user")
PROGRAM = WebhookChannel(url="https://program")
TICKETS = (PAGERDUTY, SERVICENOW)
HELD = "Acknowledged: device offline, Room Bar 1, Lyon"


def lyon_with(make_row: Any, *channels: Any, **more: Any) -> tuple[Lyon, str]:
    """Lyon with these channels, which were notified of a device that is down."""
    lyon = Lyon(make_row, channels, **more)
    alert = lyon.alert()
    lyon.happens(alert)
    lyon.after(seconds=3)
    return lyon, alert.alert_id


def has_it(lyon: Lyon, incident: str, kind: str = "acknowledge", **fields: Any) -> None:
    lyon.does(kind, incident, until=lyon.now + timedelta(hours=1), **fields)


def sent_to(lyon: Lyon) -> list[str]:
    """Where what is due now goes, by who acts there; a note that all of it was heard."""
    steps = lyon.due()
    for step in steps:
        heard(lyon.book, step, None, lyon.now)
    known = {channel.key: channel.capabilities.acts_as for channel in lyon.channels}
    return [known[step.channel] for step in steps if step.action == "acknowledge"]


@pytest.mark.parametrize("kind", ["acknowledge", "take"])
@pytest.mark.parametrize(
    ("way", "expected"),
    [
        ("command line", ["pagerduty", "servicenow"]),
        ("page", ["pagerduty", "servicenow"]),
        ("pagerduty", ["servicenow"]),
        ("servicenow", ["pagerduty"]),
    ],
)
def test_who_has_it_is_sent_to_every_system_but_the_one_where_that_was_done(
    make_row: Any, kind: str, way: str, expected: list[str]
) -> None:
    lyon, incident = lyon_with(make_row, *TICKETS, WEBEX, PROGRAM)
    has_it(lyon, incident, kind, way=way)
    assert sent_to(lyon) == expected
    assert sent_to(lyon) == [], "once"


def test_it_is_sent_again_when_somebody_else_has_it_and_not_when_it_is_extended(make_row: Any) -> None:
    lyon, incident = lyon_with(make_row, PAGERDUTY)
    has_it(lyon, incident)
    assert sent_to(lyon) == ["pagerduty"]
    has_it(lyon, incident)
    assert sent_to(lyon) == []
    has_it(lyon, incident, "take", author="Grace")
    assert sent_to(lyon) == ["pagerduty"]
    lyon.does("unacknowledge", incident)
    assert sent_to(lyon) == []
    lyon.now += timedelta(minutes=1)
    has_it(lyon, incident)
    assert sent_to(lyon) == ["pagerduty"]


@pytest.mark.parametrize("kind", ["comment", "snooze"])
def test_what_gives_it_to_nobody_is_not_sent(make_row: Any, kind: str) -> None:
    lyon, incident = lyon_with(make_row, *TICKETS)
    has_it(lyon, incident, kind, text="Later.")
    assert sent_to(lyon) == []


def test_no_hours_and_no_silence_keep_from_them_that_they_need_not_call(make_row: Any) -> None:
    at_work = replace(PAGERDUTY, when="office-hours")
    lyon, incident = lyon_with(make_row, at_work, quiet=("18:00", "07:00"))
    has_it(lyon, incident, "snooze", text="At night.")
    lyon.now += timedelta(hours=10)
    has_it(lyon, incident)
    assert sent_to(lyon) == ["pagerduty"]


def test_a_system_that_has_not_opened_it_is_sent_its_beginning_first(make_row: Any) -> None:
    lyon = Lyon(make_row, (PAGERDUTY,))
    alert = lyon.alert()
    lyon.happens(alert)
    has_it(lyon, alert.alert_id)
    assert lyon.after(seconds=3) == ["Device offline: Room Bar 1, Lyon", HELD]


def test_what_begins_again_is_nobodys_there_until_it_hears_who_has_it(make_row: Any) -> None:
    lyon, incident = lyon_with(make_row, PAGERDUTY)
    has_it(lyon, incident)
    began = lyon.book.incidents[incident].lead.started_at
    assert lyon.after(seconds=1) == [HELD]
    lyon.happens(lyon.alert("resolved", startedAt=began, alertId=incident))
    assert lyon.after(seconds=1)[0].startswith("Resolved")
    lyon.happens(lyon.alert())
    again = lyon.after(seconds=3)
    assert [title.split(":")[0] for title in again] == ["Flapping", "Acknowledged"]
    assert payload("pagerduty", lyon.sent[-1], ROUTING_KEY)["dedup_key"].endswith("|1")


def test_what_is_over_is_not_acknowledged_and_its_end_is_sent(make_row: Any) -> None:
    lyon, incident = lyon_with(make_row, *TICKETS)
    began = lyon.book.incidents[incident].lead.started_at
    has_it(lyon, incident)
    lyon.happens(lyon.alert("resolved", startedAt=began, alertId=incident))
    lyon.after(seconds=1)
    assert [notice.action for notice in lyon.sent[2:]] == ["close", "close"]


def test_it_is_looked_at_again_right_before_it_is_sent(make_row: Any) -> None:
    lyon, incident = lyon_with(make_row, PAGERDUTY)
    has_it(lyon, incident)
    (planned,) = lyon.due()
    assert lyon.is_still_due(planned)
    has_it(lyon, incident, "take", author="Grace")
    assert not lyon.is_still_due(planned), "somebody else has it by now"
    lyon.does("unacknowledge", incident)
    assert not lyon.is_still_due(planned)


@pytest.mark.parametrize(("refused", "after"), [(True, []), (False, ["pagerduty"])])
def test_what_is_refused_is_let_go_and_what_was_not_reached_is_tried_again(
    make_row: Any, refused: bool, after: list[str]
) -> None:
    lyon, incident = lyon_with(make_row, PAGERDUTY)
    has_it(lyon, incident)
    (step,) = lyon.due()
    failed(lyon.book, step, DeliveryError("it said no", refused=refused), 1.0, lyon.now)
    lyon.now += timedelta(minutes=5)
    assert sent_to(lyon) == after
    assert "failed" in [entry.what for entry in lyon.book.incidents[incident].log]
    assert lyon.book.incidents[incident].deliveries[PAGERDUTY.key].dead is None, "its end is sent nevertheless"


def test_the_events_are_what_both_document(make_row: Any, standing_clock: Any) -> None:
    lyon, incident = lyon_with(make_row, *TICKETS)
    lyon.now += timedelta(minutes=1)
    has_it(lyon, incident, author="Ada", text="On my way.")
    lyon.after(seconds=0)
    opened, held = lyon.sent[0], lyon.sent[-1]
    clock.use(lambda: lyon.now)
    assert payload("pagerduty", held, ROUTING_KEY) == {
        "routing_key": ROUTING_KEY, "event_action": "acknowledge", "dedup_key": incident,
    }  # fmt: skip
    assert payload("pagerduty", opened, ROUTING_KEY)["dedup_key"] == incident
    content = payload("servicenow", held, None)
    assert not list(validator("servicenow-em-jsonv2").iter_errors(content))
    (event,), (before,) = content["records"], payload("servicenow", opened, None)["records"]
    assert {name for name in before if event.get(name) != before[name]} == {
        "additional_info", "description", "resolution_state", "time_of_event",
    }  # fmt: skip
    assert "resolution_state" not in event and event["time_of_event"] == "2026-11-24 10:01:03"
    assert event["description"].splitlines()[:3] == [
        HELD, "Has it: Ada, until Tue 24 Nov 2026 12:01 (Europe/Paris)", "Why: On my way.",
    ]  # fmt: skip
    assert "Has it: Ada" in json.loads(event["additional_info"])["acknowledged"]


def test_the_timeline_says_that_they_know_who_has_it_and_books_keep_it(make_row: Any) -> None:
    lyon, incident = lyon_with(make_row, PAGERDUTY)
    has_it(lyon, incident)
    lyon.after(seconds=1)
    found = lyon.book.incidents[incident]
    told = [(entry.what, entry.channel) for entry in timeline(found, lyon.acts)]
    assert told[-1] == ("notified of who has it", PAGERDUTY.key)
    lyon.book = from_text(to_text(lyon.book))
    assert sent_to(lyon) == []


def test_a_step_that_says_who_has_it_is_of_one_act() -> None:
    assert Step("i", "c", "acknowledge", "a") != Step("i", "c", "acknowledge", "b")


def test_the_fan_out_sends_it_by_the_way_of_every_notice(
    tmp_path: Path, receiver: Any, make_row: Any, make_body: Callable[..., bytes], standing_clock: Any
) -> None:
    """With a fault between: it is tried again, and is one request each in the end."""
    ticket = WebhookChannel(url=f"{receiver.url}/pd", template="pagerduty", secret="key")
    other = WebexChannel(to="ROOM", secret="missing")
    state = State(SqliteTexts(tmp_path / "state.sqlite"))
    settings = FanoutSettings(RULES, {"lyon": City("Lyon", "Europe/Paris", (ticket, other)), "*": City("Any", "UTC", ())})
    fan_out = FanOut(settings, state, secrets={"key": ROUTING_KEY}.__getitem__)
    fan_out.handle([make_body(make_row())])
    standing_clock.advance(5)
    fan_out.tend()
    (found,) = [one for one in every_incident(state) if one.incident.kind == "alert"]
    receiver.answers = [500]
    until = standing_clock.now + timedelta(hours=1)
    act_on(state, found, "acknowledge", Actor("Ada", "command line"), standing_clock.now, until=until)
    for _ in range(3):
        fan_out.tend()
        standing_clock.advance(60)
    fan_out.close()
    events = [request.json for request in receiver.requests if request.json["dedup_key"] == found.incident.id]
    assert [event["event_action"] for event in events] == ["trigger", "acknowledge"]
