"""What people do about incidents: what it does to notifying, what is refused, and that none of it is lost."""

from __future__ import annotations

import itertools
import json
import os
import signal
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.alert_fanout.acting import Actor, Found, Refusal, act_on, end_silence, find, silence
from processors.alert_fanout.acts import NOT_URGENT, Act, Acts, Scope, from_text, to_text
from processors.alert_fanout.channels.teams import TeamsChannel
from processors.alert_fanout.delivery import DeliveryError
from processors.alert_fanout.fan_out import FanOut
from processors.alert_fanout.health import fell_ill
from processors.alert_fanout.incidents import Book
from processors.alert_fanout.notice import Notice
from processors.alert_fanout.settings import FanoutSettings
from processors.alert_fanout.state import SqliteTexts, State, StateError
from processors.timestamps import format_time
from tests.processors.alert_fanout.city_life import AT_WORK, RULES, START, WEBEX, Lyon

ADA, BOB = Actor("Ada", "command line"), Actor("Bob", "page")
BEGINS, ENDS = "Device offline: Room Bar 1, Lyon", "Resolved: device offline, Room Bar 1, Lyon"
HIDING = ("snooze", "silence")


@pytest.fixture
def lyon(make_row: Any) -> Lyon:
    return Lyon(make_row)


def hide(lyon: Lyon, kind: str, incident: str, **span: float) -> Act:
    """Snooze an incident, or silence its room."""
    scope = {"scope": Scope(room="workspace-1")} if kind == "silence" else {}
    about = incident if kind == "snooze" else ""
    return lyon.does(kind, about, until=lyon.now + timedelta(**span), text="painters", **scope)


@pytest.mark.parametrize("kind", HIDING)
class TestWhatIsHidden:
    def test_it_is_sent_when_that_ends_and_it_still_fires(self, lyon: Lyon, kind: str) -> None:
        alert = lyon.alert()
        lyon.happens(alert)
        hide(lyon, kind, alert.alert_id, hours=2)
        assert lyon.after(seconds=3) == []
        assert lyon.after(minutes=119) == []
        assert lyon.after(minutes=1) == [BEGINS]

    def test_it_is_sent_as_soon_as_somebody_ends_it(self, lyon: Lyon, kind: str) -> None:
        alert = lyon.alert()
        lyon.happens(alert)
        hidden = hide(lyon, kind, alert.alert_id, hours=2)
        assert lyon.after(minutes=1) == []
        lyon.does("unsilence", "", ends=hidden.id)
        assert lyon.after(seconds=1) == [BEGINS]

    def test_what_ends_meanwhile_is_never_sent(self, lyon: Lyon, kind: str) -> None:
        alert = lyon.alert()
        lyon.happens(alert)
        hide(lyon, kind, alert.alert_id, hours=2)
        lyon.after(minutes=1)
        lyon.happens(lyon.alert("resolved", START))
        assert lyon.after(hours=3) == []

    def test_the_end_of_what_was_sent_is_sent(self, lyon: Lyon, kind: str) -> None:
        """A4, case 11: no peer has this right."""
        alert = lyon.alert()
        lyon.happens(alert)
        assert lyon.after(seconds=3) == [BEGINS]
        hide(lyon, kind, alert.alert_id, hours=2)
        assert lyon.after(minutes=1) == []
        lyon.happens(lyon.alert("resolved", START))
        assert lyon.after(seconds=1) == [ENDS]

    def test_what_is_folded_in_meanwhile_is_not_sent(self, make_row: Any, kind: str) -> None:
        lyon = Lyon(make_row)
        outage = lyon.outage(severity=2, workspaceId="workspace-1")
        lyon.happens(outage)
        lyon.after(seconds=3)
        hide(lyon, kind, outage.alert_id, hours=2)
        lyon.happens(lyon.alert(severity=3))
        assert lyon.after(minutes=5) == []
        assert len(lyon.after(hours=2)) == 1

    def test_the_latest_end_wins_where_two_overlap(self, lyon: Lyon, kind: str) -> None:
        alert = lyon.alert()
        lyon.happens(alert)
        hide(lyon, kind, alert.alert_id, hours=3)
        hide(lyon, kind, alert.alert_id, hours=1)
        assert lyon.after(hours=2) == []
        assert lyon.after(hours=1) == [BEGINS]

    def test_what_becomes_worse_is_sent(self, lyon: Lyon, kind: str) -> None:
        alert = lyon.alert()
        lyon.happens(alert)
        hide(lyon, kind, alert.alert_id, hours=2)
        lyon.happens(lyon.alert("resolved", START))
        lyon.now += timedelta(minutes=1)
        lyon.happens(lyon.alert(severity=1))
        assert lyon.after(minutes=1) == ["Flapping: device offline, Room Bar 1, Lyon"]

    def test_it_is_looked_at_again_right_before_it_is_sent(self, lyon: Lyon, kind: str) -> None:
        """A4, case 17."""
        alert = lyon.alert()
        lyon.happens(alert)
        lyon.now += timedelta(seconds=3)
        (planned,) = lyon.due()
        assert lyon.is_still_due(planned)
        hide(lyon, kind, alert.alert_id, hours=2)
        assert not lyon.is_still_due(planned)
        assert lyon.is_still_due(replace(planned, action="close"))

    def test_outside_a_channels_hours_it_is_not_in_the_summary_either(self, make_row: Any, kind: str) -> None:
        lyon = Lyon(make_row, (AT_WORK,), now=START + timedelta(hours=12))
        alert = lyon.alert()
        lyon.happens(alert)
        hide(lyon, kind, alert.alert_id, hours=14)
        lyon.after(minutes=1)
        lyon.happens(lyon.alert("resolved", START + timedelta(hours=12)))
        assert lyon.after(minutes=1) == []
        assert lyon.after(hours=11) == []


@pytest.mark.parametrize(
    ("scope", "fits"),
    [
        (Scope(), True),
        (Scope(rule="device-offline"), True),
        (Scope(rule="site-outage"), False),
        (Scope(device="device-1"), True),
        (Scope(device="room bar 1"), True),
        (Scope(device="device-2"), False),
        (Scope(room="workspace-1"), True),
        (Scope(room="ROOM 1"), True),
        (Scope(room="Room Bar 1"), False),  # the name of the device
        (Scope(location="location-1"), True),
        (Scope(location="Lyon Part-Dieu"), True),
        (Scope(location="Lyon"), False),
        (Scope(severities=(3, 4)), False),
        (Scope(severities=(1, 2)), True),
        (Scope(rule="device-offline", room="Room 1", device="device-1"), True),
        (Scope(rule="device-offline", room="Room 2", device="device-1"), False),
    ],
)
def test_a_silence_is_about_what_fits_all_of_it(lyon: Lyon, scope: Scope, fits: bool) -> None:
    lyon.happens(lyon.alert())
    lyon.does("silence", "", until=lyon.now + timedelta(hours=1), scope=scope)
    assert lyon.after(seconds=3) == ([] if fits else [BEGINS])


@pytest.mark.parametrize(
    ("scope", "fits"),
    [
        (Scope(), False),  # nobody hides the worst without saying so
        (Scope(severities=(1,)), True),
        (Scope(location="Lyon Part-Dieu", severities=(1,)), True),
        (Scope(device="Lyon Part-Dieu", severities=(1,)), False),  # a site is not a device
    ],
)
def test_the_worst_is_silenced_by_name_only(lyon: Lyon, scope: Scope, fits: bool) -> None:
    lyon.happens(lyon.outage())
    lyon.does("silence", "", until=lyon.now + timedelta(hours=1), scope=scope)
    assert lyon.after(seconds=3) == ([] if fits else ["Site outage: Lyon Part-Dieu (100 % of devices down), Lyon"])


def test_what_lacks_a_part_of_a_scope_is_not_within_it(lyon: Lyon) -> None:
    """A4, case 19: an alert of no room is in no room."""
    lyon.happens(lyon.alert(workspaceId=None, workspaceName=None))
    lyon.does("silence", "", until=lyon.now + timedelta(hours=1), scope=Scope(room="workspace-1"))
    assert lyon.after(seconds=3) == [BEGINS]


@pytest.mark.parametrize(("rule", "hidden"), [("", False), ("channel-broken", True)])
def test_that_a_channel_is_broken_hides_behind_no_place(make_row: Any, rule: str, hidden: bool) -> None:
    lyon = Lyon(make_row, (WEBEX, TeamsChannel(url_secret="t")))
    lyon.does("silence", "", until=lyon.now + timedelta(hours=1), scope=Scope(rule=rule))
    fell_ill(lyon.book, "teams:t", "lyon", DeliveryError("down", unusable=True), 1.0, lyon.now)
    assert lyon.after(minutes=1) == ([] if hidden else ["Channel broken, teams:t, Lyon"])


def test_a_silence_that_begins_ends_and_is_made_again_mutes_passes_and_mutes(lyon: Lyon) -> None:
    """A4, case 9."""
    for number, quiet in enumerate((True, False, True), start=1):
        if quiet:
            lyon.does("silence", "", until=lyon.now + timedelta(minutes=30), scope=Scope(device=f"device-{number}"))
        lyon.happens(lyon.alert(number=number))
        assert (lyon.after(minutes=20) == []) is quiet


class TestAcknowledgement:
    def holder(self, lyon: Lyon, incident: str) -> str | None:
        held = lyon.acts.acknowledgement(lyon.book.incidents[incident], lyon.now)
        return held.author if held else None

    @pytest.fixture
    def incident(self, lyon: Lyon) -> str:
        alert = lyon.alert()
        lyon.happens(alert)
        lyon.after(seconds=3)
        return alert.alert_id

    def test_it_stops_no_end(self, lyon: Lyon, incident: str) -> None:
        lyon.does("acknowledge", incident, until=lyon.now + timedelta(hours=8))
        lyon.happens(lyon.alert("resolved", START))
        assert lyon.after(seconds=1) == [ENDS]

    def test_it_ends_by_itself(self, lyon: Lyon, incident: str) -> None:
        lyon.does("acknowledge", incident, until=lyon.now + timedelta(hours=1))
        assert self.holder(lyon, incident) == "Ada"
        lyon.now += timedelta(hours=1)
        assert self.holder(lyon, incident) is None

    def test_whoever_has_it_keeps_it_until_somebody_takes_it_over(self, lyon: Lyon, incident: str) -> None:
        until = lyon.now + timedelta(hours=1)
        for kind, author, has_it in (
            ("acknowledge", "Ada", "Ada"),
            ("acknowledge", "Bob", "Ada"),
            ("take", "Bob", "Bob"),
            ("acknowledge", "Ada", "Bob"),
            ("unacknowledge", "Ada", None),
            ("acknowledge", "Cleo", "Cleo"),
        ):
            lyon.does(kind, incident, until=until, author=author)
            assert self.holder(lyon, incident) == has_it

    def test_again_it_has_a_new_end(self, lyon: Lyon, incident: str) -> None:
        for hours in (4, 1):
            lyon.does("acknowledge", incident, until=lyon.now + timedelta(hours=hours))
        held = lyon.acts.acknowledgement(lyon.book.incidents[incident], lyon.now)
        assert held is not None
        assert held.until == format_time(lyon.now + timedelta(hours=1))

    @pytest.mark.parametrize(("severity", "has_it"), [(3, "Ada"), (2, "Ada"), (1, None)])
    def test_it_holds_when_it_begins_again_unless_it_is_worse(
        self, lyon: Lyon, incident: str, severity: int, has_it: str | None
    ) -> None:
        lyon.does("acknowledge", incident, until=lyon.now + timedelta(hours=1))
        lyon.happens(lyon.alert("resolved", START))
        lyon.now += timedelta(minutes=1)
        lyon.happens(lyon.alert(severity=severity))
        assert self.holder(lyon, incident) == has_it


@pytest.fixture
def state(tmp_path: Path, lyon: Lyon) -> Iterator[State]:
    """Two incidents, of which the second is over."""
    lyon.happens(lyon.alert(), lyon.alert(number=2), lyon.alert("resolved", number=2))
    opened = State(SqliteTexts(tmp_path / "fanout.sqlite"))
    opened.change("lyon", lambda book: book.incidents.update(lyon.book.incidents))
    yield opened
    opened.close()


def found(state: State, number: int) -> Found:
    return find(state, f"device-offline|device-{number}|{format_time(START)}")


OPEN, OVER = 1, 2


@pytest.mark.parametrize(
    ("number", "kind", "hours", "text", "why"),
    [
        (OPEN, "acknowledge", None, "", "needs an end"),
        (OPEN, "acknowledge", 0, "", "needs an end"),
        (OPEN, "acknowledge", -1, "", "needs an end"),
        (OPEN, "acknowledge", 169, "", "7 days is the longest"),
        (OPEN, "take", 169, "", "7 days is the longest"),
        (OPEN, "snooze", 2, "", "needs a reason"),
        (OPEN, "snooze", 2, " \n​", "needs a reason"),
        (OPEN, "snooze", None, "painters", "needs an end"),
        (OPEN, "comment", None, "\t", "needs a text"),
        (OPEN, "unacknowledge", None, "", "nothing to take back"),
        *((OVER, kind, 2, "why", "only a comment") for kind in ("acknowledge", "take", "snooze", "unacknowledge")),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_written(
    state: State, number: int, kind: str, hours: float | None, text: str, why: str
) -> None:
    until = START + timedelta(hours=hours) if hours is not None else None
    with pytest.raises(Refusal, match=why):
        act_on(state, found(state, number), kind, ADA, START, until=until, text=text)
    assert state.acts("lyon") == Acts()


@pytest.mark.parametrize(("hours", "text", "why"), [(0, "why", "an end"), (169, "why", "a mute"), (1, "", "a reason")])
def test_a_silence_needs_an_end_and_a_reason(state: State, hours: float, text: str, why: str) -> None:
    with pytest.raises(Refusal, match=why):
        silence(state, "lyon", Scope(), ADA, START, until=START + timedelta(hours=hours), text=text)


def test_nobody_in_particular_does_nothing(state: State) -> None:
    with pytest.raises(Refusal, match="Who are you"):
        act_on(state, found(state, OPEN), "comment", Actor(" ​", "page"), START, text="hello")


def test_what_is_over_can_be_commented_on(state: State) -> None:
    act_on(state, found(state, OVER), "comment", ADA, START, text="it was\nthe plug")
    (act,) = state.acts("lyon").about(found(state, OVER).incident.id)
    assert (act.author, act.way, act.text) == ("Ada", "command line", "it was the plug")


def test_what_is_done_twice_is_done_once(state: State) -> None:
    for _ in range(2):
        act_on(state, found(state, OPEN), "comment", ADA, START, text="on my way", id_="nonce")
    assert len(state.acts("lyon").all) == 1


def test_a_silence_ends_once(state: State) -> None:
    """A4, case 10: to end it twice is fine, and so is one that is over."""
    made = silence(state, "lyon", Scope(), ADA, START, until=START + timedelta(hours=1), text="painters")
    for minutes, author in ((10, ADA), (20, BOB), (90, ADA)):
        end_silence(state, "lyon", made.id[:8], author, START + timedelta(minutes=minutes))
    acts = state.acts("lyon")
    assert acts.end_of(made) == format_time(START + timedelta(minutes=10))
    assert [act.author for act in acts.all] == ["Ada", "Ada"]


@pytest.mark.parametrize("id_", ["nonsense", "", "abc"])
def test_a_silence_that_is_not_there_ends_with_a_hint(state: State, id_: str) -> None:
    with pytest.raises(Refusal, match="roompulse alerts silences"):
        end_silence(state, "lyon", id_, ADA, START)


class TestFinding:
    def test_by_id_by_handle_and_by_its_beginning(self, state: State) -> None:
        incident = found(state, OPEN).incident
        for name in (incident.id, incident.handle, incident.handle[:4]):
            assert find(state, name).incident.id == incident.id

    def test_by_an_alert_that_is_folded_into_it(self, state: State) -> None:
        incident = found(state, OPEN).incident
        state.change("lyon", lambda book: book.incidents[incident.id].members.update({"room-too-warm|r": incident.lead}))
        assert find(state, "room-too-warm|r").incident.id == incident.id

    def test_by_what_a_channel_calls_it_that_was_notified_of_it_anew(self, state: State, lyon: Lyon) -> None:
        lyon.now += timedelta(minutes=1)
        lyon.after(seconds=3)
        lyon.happens(lyon.alert("resolved", START))
        lyon.after(seconds=3)
        lyon.happens(lyon.alert())
        lyon.after(seconds=3)
        state.change("lyon", lambda book: book.incidents.update(lyon.book.incidents))
        assert find(state, f"{lyon.sent[-1].incident}").incident.open

    @pytest.mark.parametrize("name", ["", "abc", "zzzzzzzzzz", "device-offline|device-1"])
    def test_what_is_not_there_says_where_to_look(self, state: State, name: str) -> None:
        with pytest.raises(Refusal, match="roompulse alerts list"):
            find(state, name)


def act(number: int, **fields: Any) -> Act:
    return Act(f"act-{number}", "comment", format_time(START), "Ada", "page", "incident-1", text="é\"'<b>", **fields)


def test_two_writers_at_once_lose_none(tmp_path: Path) -> None:
    def write(first: int) -> None:
        state = State(SqliteTexts(tmp_path / "fanout.sqlite"))
        for number in range(first, 40, 2):
            state.add("lyon", act(number), (), START)
        state.close()

    writers = [threading.Thread(target=write, args=(first,)) for first in (0, 1)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join()
    written = State(SqliteTexts(tmp_path / "fanout.sqlite")).acts("lyon").all
    assert sorted(one.id for one in written) == sorted(f"act-{number}" for number in range(40))


class Dying(SqliteTexts):
    """A store whose process dies before or after its write number so many."""

    def __init__(self, path: Path, number: int, *, after: bool) -> None:
        super().__init__(path)
        self._left, self._after = number, after

    def save(self, name: str, text: str, version: str | None) -> str:
        self._left -= 1
        if self._left == 0 and not self._after:
            raise KeyboardInterrupt
        saved = super().save(name, text, version)
        if self._left == 0:
            raise KeyboardInterrupt
        return saved


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("dies_at", range(1, 6))
def test_what_was_acknowledged_survives_a_crash_between_any_two_writes(tmp_path: Path, dies_at: int, after: bool) -> None:
    path = tmp_path / "fanout.sqlite"
    state, safe = State(Dying(path, dies_at, after=after)), []
    with pytest.raises(KeyboardInterrupt):
        for number in range(9):
            if number % 2:
                state.change("lyon", lambda book, number=number: book.seen.update({str(number): "now"}))  # type: ignore[misc]
            else:
                state.add("lyon", act(number), (), START)
                safe.append(f"act-{number}")
    again = State(SqliteTexts(path))
    assert [one.id for one in again.acts("lyon").all][: len(safe)] == safe
    for number in range(9):
        again.add("lyon", act(number), (), START)
    assert len(again.acts("lyon").all) == 9


def _act_for_ever(path: Path, saying: int) -> None:
    state = State(SqliteTexts(path))
    for number in itertools.count():
        kind = "acknowledge" if number % 2 else "silence"
        one = replace(act(number), kind=kind, until=format_time(START + timedelta(hours=1)), scope=Scope(room="r"))
        state.add("lyon", one, (), START)
        os.write(saying, f"{one.id}\n".encode())


@pytest.mark.parametrize("written", [1, 2, 3, 5, 8, 13])
def test_killed_for_real_no_acknowledgement_and_no_silence_is_lost(tmp_path: Path, written: int) -> None:
    """A process that acts and says so is killed (SIGKILL) while it goes on: what it said is there, and can be read."""
    path = tmp_path / "fanout.sqlite"
    said, saying = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            _act_for_ever(path, saying)
        finally:
            os._exit(1)  # whatever happens: this is not a second test run
    os.close(saying)
    with os.fdopen(said) as lines:
        heard = [next(lines).strip() for _ in range(written)]
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        heard += [line.strip() for line in lines]
    found = State(SqliteTexts(path)).acts("lyon")
    assert {one.id for one in found.all} >= set(heard) and len(heard) >= written
    assert len(found.silences(START)) == sum(one.kind == "silence" for one in found.all)


def test_what_was_done_is_not_a_city(tmp_path: Path) -> None:
    state = State(SqliteTexts(tmp_path / "fanout.sqlite"))
    for city in ("lyon", "*"):
        state.add(city, act(1), (), START)
    assert state.cities() == []
    assert state.acts("*").all == (act(1),)


def test_a_release_that_knows_no_acts_reads_an_empty_book() -> None:
    from processors.alert_fanout.book_text import from_text as book_of

    assert book_of(to_text(Acts((act(1),)))) == Book()


def test_what_only_a_newer_release_knows_is_kept() -> None:
    document = json.loads(to_text(Acts((act(1),))))
    document["acts"][0]["novelty"] = [1]
    assert json.loads(to_text(from_text(json.dumps(document)))) == document


def test_acts_that_can_not_be_read_say_where_they_are(tmp_path: Path) -> None:
    store = SqliteTexts(tmp_path / "fanout.sqlite")
    store.save("acts/lyon", '{"acts": 3}', None)
    with pytest.raises(StateError, match="Move acts/lyon away"):
        State(store).acts("lyon")


@given(
    st.builds(
        Act,
        id=st.text(min_size=1),
        kind=st.sampled_from(["silence", "snooze", "comment"]),
        at=st.just(format_time(START)),
        author=st.text(min_size=1),
        way=st.text(min_size=1),
        text=st.text(),
        scope=st.none() | st.builds(Scope, rule=st.text(), room=st.text(), severities=st.sampled_from([NOT_URGENT, (1,)])),
    )
)
def test_an_act_is_read_as_it_was_written(one: Act) -> None:
    assert from_text(to_text(Acts((one,)))).all == (one,)


@pytest.mark.parametrize(
    ("days", "incident_known", "kept"), [(7, False, True), (9, False, False), (9, True, True), (40, True, True)]
)
def test_acts_are_kept_while_somebody_may_ask(days: float, incident_known: bool, kept: bool) -> None:
    acts = Acts((act(1, until=format_time(START)),))
    after = acts.kept(["incident-1"] if incident_known else [], START + timedelta(days=days))
    assert bool(after.all) is kept


class Listener:
    """A channel that does something when it is sent its first notice."""

    def __init__(self, at_first: Any = None) -> None:
        self.titles: list[str] = []
        self._at_first = at_first

    def check(self) -> None:
        return

    def send(self, notice: Notice) -> None:
        self.titles.append(notice.title)
        if self._at_first and len(self.titles) == 1:
            self._at_first()

    def close(self) -> None:
        return


def test_what_is_silenced_while_a_channel_is_being_notified_is_not_sent(
    tmp_path: Path, lyon: Lyon, make_row: Any, make_body: Any, standing_clock: Any
) -> None:
    """A4, case 17, through the whole fan-out: three are planned, two of them are silenced when the first is out."""
    path = tmp_path / "fanout.sqlite"

    def hide_the_rest() -> None:
        other = State(SqliteTexts(path))
        until = standing_clock.now + timedelta(hours=1)
        silence(other, "lyon", Scope(rule="room-too-warm"), ADA, standing_clock.now, until=until, text="painters")
        other.close()

    listener = Listener(hide_the_rest)
    settings = FanoutSettings(RULES, {"lyon": lyon.city})
    fan_out = FanOut(settings, State(SqliteTexts(path)), channels={WEBEX.key: listener})
    fan_out.handle([make_body(*(make_row(number, ruleId="room-too-warm") for number in (1, 2, 3)))])
    assert len(listener.titles) == 1
    fan_out.handle([make_body(make_row(1, "resolved", ruleId="room-too-warm"))])
    assert len(listener.titles) == 2
    standing_clock.advance(3600)
    fan_out.tend()
    assert sorted(listener.titles) == [
        "Resolved: room too warm, Room Bar 1, Lyon", *(f"Room too warm: Room Bar {number}, Lyon" for number in (1, 2, 3)),
    ]  # fmt: skip
    fan_out.close()


@pytest.mark.parametrize(("kind", "author"), [("acknowledge", "Ada"), ("take", "Bob")])
def test_the_end_that_was_said_last_holds_though_an_earlier_one_was_later(lyon: Lyon, kind: str, author: str) -> None:
    alert = lyon.alert()
    lyon.happens(alert)
    incident = lyon.book.incidents[alert.alert_id]
    lyon.does("acknowledge", incident.id, until=START + timedelta(hours=8))
    lyon.now += timedelta(minutes=1)
    lyon.does(kind, incident.id, until=START + timedelta(hours=1), author=author)
    held = lyon.acts.acknowledgement(incident, START + timedelta(minutes=59))
    assert held is not None and held.author == author
    over = START + timedelta(hours=1)
    assert lyon.acts.acknowledgement(incident, over) is None
    assert lyon.acts.unattended_since(incident, over) == format_time(over)
