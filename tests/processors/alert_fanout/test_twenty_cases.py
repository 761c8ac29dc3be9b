"""The twenty cases that matter in the life of an alert, which Alertmanager, OnCall, Keep and others are tested for: one table.

A case that another module's tests have already is named in TABLE, and has to be there; the others are here.
"""

from __future__ import annotations

import importlib
from datetime import timedelta
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from processors.alert_fanout.acting import Actor, act_on, find, silence
from processors.alert_fanout.acts import Scope
from processors.alert_fanout.book_text import from_text, to_text
from processors.alert_fanout.channels.webex import WebexChannel
from processors.alert_fanout.delivery import DeliveryError
from processors.alert_fanout.fan_out import FanOut
from processors.alert_fanout.settings import FanoutSettings
from processors.alert_fanout.state import SqliteTexts, State
from tests.processors.alert_fanout.city_life import RULES, START, WEBEX, Lyon

TABLE = {
    1: ("a notification is sent for what is new, what is over and what is due again", "test_twenty_cases.TestWhatIsSent"),
    2: (
        "the good channel hears once, the failing one in the end",
        "test_twenty_cases.test_a_failing_channel_hears_once_in_the_end",
    ),
    3: (
        "a body that drips is cut off",
        "test_every_kind.test_who_takes_it_and_goes_on_without_end_is_cut_short_and_not_notified_again",
    ),
    4: ("after an end, the next beginning is news", "test_twenty_cases.TestWhatIsSent.test_after_an_end_a_beginning_is_news"),
    5: (
        "what begins again while its end is sent",
        "test_life_of_an_incident.TestFlapping.test_what_begins_again_while_its_end_is_sent_is_not_lost",
    ),
    6: ("hundreds at once are one", "test_twenty_cases.test_hundreds_at_once_are_one_incident_whatever_their_order"),
    7: ("a restart neither repeats nor forgets", "test_twenty_cases.test_a_restart_neither_repeats_nor_forgets"),
    8: ("several instances, one message", "test_bulkheads.test_two_instances_send_nothing_twice_however_slow_a_channel_answers"),
    9: ("silenced, passed, silenced", "test_acts.test_a_silence_that_begins_ends_and_is_made_again_mutes_passes_and_mutes"),
    10: ("a silence ends once, silence-all is refused", "test_acts.test_a_silence_ends_once"),
    11: ("resolved inside a silence is sent", "test_acts.TestWhatIsHidden.test_the_end_of_what_was_sent_is_sent"),
    12: ("inhibition ends with its source", "test_twenty_cases.TestInhibition"),
    13: (
        "an old message is not edited",
        "test_life_of_an_incident.TestFlapping.test_each_notification_has_a_key_and_an_incident_of_its_own",
    ),
    14: ("hours over both changes of the clocks", "test_nobody_acts.TestDigest.test_the_office_opens_by_the_clock_on_the_wall"),
    15: ("reports in any order", "test_twenty_cases.test_reports_in_any_order_give_the_same"),
    16: ("stale timers do nothing, reminders end", "test_nobody_acts.TestReminders.test_they_stop_after_a_week"),
    17: (
        "what changed after planning is not sent",
        "test_acts.test_what_is_silenced_while_a_channel_is_being_notified_is_not_sent",
    ),
    18: (
        "escalation survives a changed plan",
        "test_nobody_acts.TestEscalation.test_a_contact_that_was_taken_out_of_the_stack_is_not_notified",
    ),
    19: ("what burned under a mute is sent after it", "test_twenty_cases.test_what_burned_under_a_mute_is_sent_after_it"),
    20: ("no city sees or acts on another's", "test_twenty_cases.test_what_is_done_in_one_city_changes_no_other"),
}
"""The cases by number: what holds, and the test that shows it."""
BEGINS, ENDS = "Device offline: Room Bar 1, Lyon", "Resolved: device offline, Room Bar 1, Lyon"


@pytest.fixture
def lyon(make_row: Any) -> Lyon:
    return Lyon(make_row)


@pytest.mark.parametrize("number", range(1, 21))
def test_each_case_has_its_test(number: int) -> None:
    module, *names = TABLE[number][1].split(".")
    found: Any = importlib.import_module(f"tests.processors.alert_fanout.{module}")
    for name in names:
        found = getattr(found, name)


class TestWhatIsSent:
    @pytest.mark.parametrize("seen_while_open", [True, False])
    def test_what_begins_and_ends_is_sent_as_two(self, lyon: Lyon, seen_while_open: bool) -> None:
        lyon.happens(lyon.alert())
        titles = lyon.after(seconds=3) if seen_while_open else []
        lyon.happens(lyon.alert("resolved", START))
        assert titles + lyon.after(seconds=3) == [BEGINS, ENDS]

    def test_an_end_without_a_beginning_sends_nothing(self, lyon: Lyon) -> None:
        lyon.happens(lyon.alert("resolved", START))
        assert lyon.after(hours=1) == []

    def test_a_new_one_is_sent_and_the_old_ones_are_not(self, lyon: Lyon) -> None:
        lyon.happens(lyon.alert())
        lyon.after(seconds=3)
        lyon.happens(lyon.alert(began=START), lyon.alert(number=2))
        assert lyon.after(seconds=3) == ["Device offline: Room Bar 2, Lyon"]

    @pytest.mark.parametrize(("repeat", "minutes", "sent"), [(0, 600, 0), (3600, 59, 0), (3600, 60, 1)])
    def test_the_same_waits_for_its_repeat_interval(self, make_row: Any, repeat: int, minutes: int, sent: int) -> None:
        lyon = Lyon(make_row, (WebexChannel(to="ROOM", secret="bot", repeat=repeat),))
        lyon.happens(lyon.alert())
        lyon.after(seconds=3)
        assert len(lyon.after(minutes=minutes)) == sent

    def test_after_an_end_a_beginning_is_news(self, lyon: Lyon) -> None:
        for _ in range(2):
            began = lyon.now
            lyon.happens(lyon.alert())
            assert lyon.after(minutes=1) == [BEGINS]
            lyon.happens(lyon.alert("resolved", began))
            assert lyon.after(minutes=20) == [ENDS]


class Failing:
    """A channel that fails so often before it takes anything."""

    def __init__(self, failures: int) -> None:
        self.failures, self.taken = failures, list[str]()

    def check(self) -> None:
        return

    def send(self, notice: Any) -> None:
        if self.failures:
            self.failures -= 1
            raise DeliveryError("away")
        if notice.incident.startswith("room-too-warm"):
            self.taken.append(notice.title)

    def close(self) -> None:
        return


def test_a_failing_channel_hears_once_in_the_end(tmp_path: Path, make_row: Any, make_body: Any, standing_clock: Any) -> None:
    other = WebexChannel(to="OTHER", secret="bot")
    lyon, good, bad = Lyon(make_row, (WEBEX, other)), Failing(0), Failing(3)
    state = State(SqliteTexts(tmp_path / "fanout.sqlite"))
    fan_out = FanOut(FanoutSettings(RULES, {"lyon": lyon.city}), state, channels={WEBEX.key: good, other.key: bad})
    fan_out.handle([make_body(make_row(1, ruleId="room-too-warm", alertId="room-too-warm|1"))])
    for _ in range(6):
        standing_clock.advance(60)
        fan_out.tend()
    fan_out.close()
    assert (len(good.taken), len(bad.taken)) == (1, 1)


@pytest.mark.parametrize("outage_at", [0, 150, 300])
def test_hundreds_at_once_are_one_incident_whatever_their_order(lyon: Lyon, outage_at: int) -> None:
    devices = [lyon.alert(number=number) for number in range(300)]
    for alert in (*devices[:outage_at], lyon.outage(), *devices[outage_at:]):
        lyon.happens(alert)
    assert lyon.after(seconds=3) == ["Site outage: Lyon Part-Dieu (100 % of devices down), Lyon"]
    assert "Affected: 300 devices: " in lyon.sent[-1].text


@pytest.mark.parametrize("notified_before", [True, False])
def test_a_restart_neither_repeats_nor_forgets(lyon: Lyon, notified_before: bool) -> None:
    alert = lyon.alert()
    lyon.happens(alert)
    first = lyon.after(seconds=3) if notified_before else []
    lyon.book = from_text(to_text(lyon.book))
    lyon.happens(alert)
    assert first + lyon.after(hours=1) == [BEGINS]


class TestInhibition:
    def test_it_ends_with_its_source(self, lyon: Lyon) -> None:
        lyon.happens(lyon.outage(), lyon.alert())
        lyon.after(seconds=3)
        lyon.happens(lyon.outage("resolved", START))
        lyon.after(seconds=3)
        assert lyon.after(minutes=3) == [BEGINS]

    def test_nothing_inhibits_itself_nor_another_place(self, lyon: Lyon) -> None:
        lyon.happens(lyon.outage(), lyon.alert(locationId="location-2"), lyon.alert(number=2, locationId=None))
        assert sorted(lyon.after(seconds=3)) == [
            BEGINS, "Device offline: Room Bar 2, Lyon", "Site outage: Lyon Part-Dieu (100 % of devices down), Lyon",
        ]  # fmt: skip


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_reports_in_any_order_give_the_same(lyon: Lyon, order: tuple[int, ...]) -> None:
    alert = lyon.alert()
    reports = (alert, alert, lyon.alert("resolved", START), lyon.alert("resolved", START))
    for index in order:
        lyon.happens(reports[index])
    assert lyon.after(seconds=3) == [BEGINS, ENDS]
    assert lyon.after(hours=1) == []


@pytest.mark.parametrize("still_burns", [True, False])
def test_what_burned_under_a_mute_is_sent_after_it(make_row: Any, still_burns: bool) -> None:
    lyon = Lyon(make_row, mutes={"device-offline": "2026-11-24"})
    lyon.happens(lyon.alert())
    assert lyon.after(hours=12) == []
    if not still_burns:
        lyon.happens(lyon.alert("resolved", START))
        lyon.after(seconds=3)
    assert lyon.after(hours=2) == ([BEGINS] if still_burns else [])


def test_what_is_done_in_one_city_changes_no_other(tmp_path: Path, make_row: Any) -> None:
    state, cities = State(SqliteTexts(tmp_path / "fanout.sqlite")), {name: Lyon(make_row) for name in ("lyon", "oslo")}
    for name, city in cities.items():
        city.happens(city.alert(number=len(name), entityId=f"device-{name}"))
        state.change(name, lambda book, city=city: book.incidents.update(city.book.incidents))  # type: ignore[misc]
    by, until = Actor("Ada", "page"), START + timedelta(hours=1)
    (incident,) = cities["lyon"].book.incidents
    act_on(state, find(state, incident), "acknowledge", by, START, until=until)
    silence(state, "lyon", Scope(severities=(1, 2, 3, 4)), by, START, until=until, text="painters")
    for name, city in cities.items():
        city.acts = state.acts(name)
    assert (len(cities["lyon"].acts.all), len(cities["oslo"].acts.all)) == (2, 0)
    assert cities["lyon"].after(seconds=3) == []
    assert cities["oslo"].after(seconds=3) != []
    state.close()
