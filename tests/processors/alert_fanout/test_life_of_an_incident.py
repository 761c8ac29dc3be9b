"""The life of an incident, sent to one channel: what begins, ends, begins again, is missed, merged or kept quiet.

The cases are those that Alertmanager, OnCall and others are tested for, as far as they are about what we have.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processors.alert_fanout import steps, whether
from processors.alert_fanout.acts import ACKNOWLEDGE
from processors.alert_fanout.alerts import Alert
from processors.alert_fanout.channel_kind import ChannelSettings
from processors.alert_fanout.channels.teams import TeamsChannel
from processors.alert_fanout.channels.webex import WebexChannel
from processors.alert_fanout.channels.webhook import WebhookChannel
from processors.alert_fanout.delivery import DeliveryError
from processors.alert_fanout.health import fell_ill, is_well
from processors.alert_fanout.incidents import FLAPPING, Incident
from processors.alert_fanout.settings import RuleMeaning
from processors.alert_fanout.steps import failed, heard
from processors.alert_fanout.whether import Place
from processors.alert_fanout.why import verdicts
from processors.timestamps import format_time
from tests.processors.alert_fanout.city_life import AT_WORK, RULES, START, WEBEX, Lyon


@pytest.fixture
def lyon(make_row: Callable[..., dict[str, Any]]) -> Lyon:
    return Lyon(make_row)


class TestFlapping:
    def test_six_times_in_half_an_hour_are_one_flapping_incident(self, lyon: Lyon) -> None:
        titles: list[str] = []
        for _ in range(6):
            began = lyon.now
            lyon.happens(lyon.alert())
            titles += lyon.after(minutes=2)
            lyon.happens(lyon.alert("resolved", began))
            titles += lyon.after(minutes=3)
        name = "device offline, Room Bar 1, Lyon"
        assert list(dict.fromkeys(titles)) == [
            "Device offline: Room Bar 1, Lyon", f"Resolved: {name}", f"Flapping: {name}",
        ]  # fmt: skip
        assert [one.action for one in lyon.sent if one.action != "update"] == ["open", "close", "open"]
        assert "6 times since Tue 24 Nov 2026 11:00 (Europe/Paris)" in lyon.sent[-1].text
        assert lyon.after(minutes=11) == []
        assert lyon.after(minutes=2) == [f"Resolved: {name}"]
        assert "it began 6 times" in lyon.sent[-1].text

    @pytest.mark.parametrize("shuffled", [0, 1, 2])
    def test_what_ended_and_began_again_within_a_batch_is_the_same_with_whoever_has_it(self, lyon: Lyon, shuffled: int) -> None:
        """As after a pause of whoever reads: ends and beginnings of a device come together, in whatever order."""
        first = lyon.now
        lyon.happens(lyon.alert())
        assert lyon.after(minutes=1) == ["Device offline: Room Bar 1, Lyon"]
        (incident,) = lyon.book.incidents
        lyon.does(ACKNOWLEDGE, incident, until=first + timedelta(hours=4))
        backlog, began = [], first
        for _ in range(3):
            lyon.now += timedelta(minutes=2)
            backlog.append(lyon.alert("resolved", began))
            lyon.now += timedelta(minutes=2)
            began = lyon.now
            backlog.append(lyon.alert())
        random.Random(shuffled).shuffle(backlog)
        lyon.happens(*backlog)
        (same,) = lyon.book.incidents.values()
        assert (same.id, same.open, len(same.begun)) == (incident, True, 4)
        assert lyon.after(minutes=1) == ["Flapping: device offline, Room Bar 1, Lyon"]
        assert [one.action for one in lyon.sent] == ["open", "update"], "its message is edited, and nobody called"
        assert lyon.acts.unattended_since(same, lyon.now) is None

    def test_each_notification_has_a_key_and_an_incident_of_its_own(self, lyon: Lyon) -> None:
        began = lyon.now
        lyon.happens(lyon.alert())
        lyon.after(minutes=2)
        lyon.happens(lyon.alert("resolved", began))
        lyon.after(minutes=1)
        lyon.happens(lyon.alert())
        lyon.after(minutes=1)
        first, end, again = lyon.sent
        assert first.incident == end.incident != again.incident
        assert len({one.key for one in lyon.sent}) == 3
        assert again.ref is None, "no message of the first time is edited"

    @pytest.mark.parametrize(
        ("minutes", "other", "flaps"),
        [(14, {}, True), (16, {}, False), (1, {"number": 2}, False), (1, {"ruleId": "room-stuffy"}, False)],
    )
    def test_it_is_the_same_soon_after_only(self, lyon: Lyon, minutes: int, other: dict[str, Any], flaps: bool) -> None:
        began = lyon.now
        lyon.happens(lyon.alert())
        lyon.after(minutes=2)
        lyon.happens(lyon.alert("resolved", began))
        lyon.after(minutes=minutes)
        lyon.happens(lyon.alert(**other))
        assert lyon.after(seconds=3)[-1].startswith("Flapping") is flaps

    def test_an_outage_that_returns_is_sent_again_with_its_devices(self, lyon: Lyon) -> None:
        began = lyon.now
        lyon.happens(lyon.outage(), lyon.alert())
        lyon.after(seconds=3)
        lyon.now += timedelta(minutes=1)
        lyon.happens(lyon.outage("resolved", began), lyon.alert("resolved", began))
        lyon.after(seconds=3)
        again = lyon.now
        lyon.happens(lyon.outage(), lyon.alert())
        assert lyon.after(seconds=3) == ["Flapping: site outage, Lyon Part-Dieu, Lyon"]
        lyon.happens(lyon.outage("resolved", again), lyon.alert("resolved", again))
        assert lyon.after(minutes=16) == ["Resolved: site outage, Lyon Part-Dieu, Lyon"]

    def test_what_begins_again_while_its_end_is_sent_is_not_lost(self, lyon: Lyon) -> None:
        """A4, case 5."""
        began = lyon.now
        lyon.happens(lyon.alert())
        lyon.after(minutes=1)
        lyon.happens(lyon.alert("resolved", began))
        (ending,) = lyon.due()
        lyon.now += timedelta(seconds=5)
        lyon.happens(lyon.alert())
        heard(lyon.book, ending, None, lyon.now)
        assert lyon.after(seconds=3) == ["Flapping: device offline, Room Bar 1, Lyon"]

    def test_a_channel_that_breaks_and_mends_by_turns_is_one_incident(self, make_row: Callable[..., dict[str, Any]]) -> None:
        lyon = Lyon(make_row, (WEBEX, TeamsChannel(url_secret="t")))
        titles: list[str] = []
        for _ in range(4):
            fell_ill(lyon.book, "teams:t", "lyon", DeliveryError("down", unusable=True), 1.0, lyon.now)
            titles += lyon.after(minutes=1)
            is_well(lyon.book, "teams:t", lyon.now)
            titles += lyon.after(minutes=1)
        assert len(dict.fromkeys(titles)) == 3
        assert lyon.after(minutes=15) == ["Resolved: channel broken, teams:t, Lyon"]

    @settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(steps=st.lists(st.tuples(st.booleans(), st.integers(0, 1500)), max_size=12))
    def test_whoever_was_notified_of_a_beginning_is_notified_of_the_end(
        self, steps: list[tuple[bool, int]], make_row: Callable[..., dict[str, Any]]
    ) -> None:
        lyon = Lyon(make_row)
        began: datetime | None = None
        for fires, seconds in steps:
            if fires and began is None:
                began = lyon.now
                lyon.happens(lyon.alert())
            elif not fires and began is not None:
                lyon.happens(lyon.alert("resolved", began))
                began = None
            lyon.after(seconds=seconds)
        lyon.after(seconds=3)
        looks = [one.look for one in lyon.sent]
        assert began is None or looks[-1] == "fired"
        if began:
            lyon.happens(lyon.alert("resolved", began))
        lyon.after(seconds=3)
        lyon.after(seconds=FLAPPING.total_seconds())
        looks = [one.look for one in lyon.sent if one.action != "update"]
        assert looks == ["fired", "resolved"] * (len(looks) // 2)


class TestMissed:
    NIGHT = START + timedelta(hours=10)  # 21:00

    def at_night(self, make_row: Callable[..., dict[str, Any]], **city: Any) -> Lyon:
        return Lyon(make_row, (AT_WORK,), now=self.NIGHT, **city)

    def comes_and_goes(self, lyon: Lyon, *alerts: Alert) -> None:
        lyon.happens(*alerts)
        assert lyon.after(minutes=40) == []
        lyon.happens(*(replace(one, state="resolved", observed_at=format_time(lyon.now)) for one in alerts))
        assert lyon.after(minutes=1) == []

    def test_what_came_and_went_outside_the_hours_is_sent_when_they_begin(self, make_row: Callable[..., dict[str, Any]]) -> None:
        lyon = self.at_night(make_row)
        self.comes_and_goes(lyon, lyon.outage(), lyon.alert(number=1), lyon.alert(number=2))
        self.comes_and_goes(lyon, lyon.alert(number=3, locationId="elsewhere"))
        assert lyon.after(hours=6) == []
        assert lyon.after(hours=5) == ["Came and went outside your hours: 2 alerts, Lyon"]
        (message,) = lyon.sent
        assert message.look == "resolved"
        assert message.text.splitlines()[1:] == [
            "Site outage: Lyon Part-Dieu (100 % of devices down), Lyon, "
            "from Tue 24 Nov 2026 21:00 to Tue 24 Nov 2026 21:40 (Europe/Paris)",
            "Device offline: Room Bar 3, Lyon, from Tue 24 Nov 2026 21:41 to Tue 24 Nov 2026 22:21 (Europe/Paris)",
        ]
        assert lyon.after(hours=24) == []

    def test_what_is_still_open_is_sent_itself(self, make_row: Callable[..., dict[str, Any]]) -> None:
        lyon = self.at_night(make_row)
        lyon.happens(lyon.alert())
        assert lyon.after(hours=12) == ["Device offline: Room Bar 1, Lyon"]

    @pytest.mark.parametrize("quiet", [{"ruleId": "room-stuffy"}, {"entityId": "drill-1"}])
    def test_what_nobody_is_to_hear_of_is_not(self, make_row: Callable[..., dict[str, Any]], quiet: dict[str, Any]) -> None:
        lyon = self.at_night(make_row)
        self.comes_and_goes(lyon, lyon.alert(**quiet))
        assert lyon.after(hours=12) == []

    def test_what_is_muted_is_not(self, make_row: Callable[..., dict[str, Any]]) -> None:
        lyon = self.at_night(make_row, mutes={"device-offline": "2026-11-30"})
        self.comes_and_goes(lyon, lyon.alert())
        assert lyon.after(hours=12) == []

    def test_it_waits_for_a_weekend_to_end(self, make_row: Callable[..., dict[str, Any]]) -> None:
        lyon = Lyon(make_row, (AT_WORK,), now=datetime(2026, 11, 27, 22, tzinfo=UTC))  # Friday
        self.comes_and_goes(lyon, lyon.alert())
        lyon.happens(lyon.alert(number=9, locationId="x"))  # entering alerts forgets what is done with
        assert lyon.after(hours=30) == []
        assert "Came and went outside your hours: 1 alert, Lyon" in lyon.after(hours=32)


class TestMerged:
    def parts(self, make_row: Callable[..., dict[str, Any]], *channels: ChannelSettings) -> Lyon:
        lyon = Lyon(make_row, channels)
        lyon.happens(lyon.alert())
        lyon.after(seconds=3)
        lyon.happens(lyon.outage())
        return lyon

    def test_it_is_not_shown_as_resolved(self, make_row: Callable[..., dict[str, Any]]) -> None:
        lyon = self.parts(make_row, WEBEX)
        lyon.after(seconds=3)
        merged = next(one for one in lyon.sent if one.action == "merge")
        assert merged.look == "merged" and "Resolved" not in merged.title
        assert merged.lines[0].text.startswith("It is not over")

    @pytest.mark.parametrize(
        "kind", [WebexChannel(to="R", secret="b", severities=(2,)), TeamsChannel(url_secret="t", severities=(2,))]
    )
    def test_who_is_not_for_the_whole_hears_of_its_end_since_it_was_notified_of_a_part(
        self, make_row: Callable[..., dict[str, Any]], kind: WebexChannel | TeamsChannel
    ) -> None:
        lyon = self.parts(make_row, kind)
        assert lyon.after(seconds=3) == ["Part of an outage: device offline, Room Bar 1, Lyon"]
        lyon.happens(lyon.alert("resolved", START), lyon.outage("resolved", START + timedelta(seconds=3)))
        assert lyon.after(seconds=3) == ["Resolved: site outage, Lyon Part-Dieu, Lyon"]


class TestCounts:
    def test_two_alerts_of_a_device_are_a_device_and_two_devices_of_one_name_are_two(self, lyon: Lyon) -> None:
        one, same = lyon.alert(number=1), lyon.alert(number=1, alertId="another", startedAt="2026-11-24T09:00:00Z")
        twin = lyon.alert(number=2, name="Room Bar 1")
        room = lyon.alert(entity="workspace", entityId="workspace-1", name="Room 1")
        lyon.happens(lyon.outage(), one, same, twin, room)
        assert lyon.after(seconds=3) == ["Site outage: Lyon Part-Dieu (100 % of devices down), Lyon"]
        assert "Affected: 2 devices and 1 room: " in lyon.sent[-1].text

    @pytest.mark.parametrize("outage_first", [True, False])
    def test_another_alert_of_the_very_place_is_not_another_place(
        self, lyon: Lyon, monkeypatch: pytest.MonkeyPatch, outage_first: bool
    ) -> None:
        monkeypatch.setitem(RULES, "floor-down", RuleMeaning("A floor is down.", "docs/runbooks/x.md", ("site-outage",)))
        outage = lyon.outage()
        floor = lyon.alert(ruleId="floor-down", alertId="floor", entity="location", entityId="location-1", name="Lyon Part-Dieu")
        lyon.happens(*((outage, floor) if outage_first else (floor, outage)), lyon.alert())
        lyon.after(seconds=3)
        assert "Affected: 1 device: Room Bar 1" in lyon.sent[-1].text.splitlines()


class TestTheEndIsAlwaysSent:
    def test_an_update_that_was_given_up_after_a_day_keeps_nobody_from_hearing_the_end(self, lyon: Lyon) -> None:
        lyon.happens(lyon.outage())
        lyon.after(seconds=3)
        lyon.happens(lyon.alert())
        lyon.now += timedelta(minutes=2)
        (update,) = lyon.due()
        for hours in (0, 25):
            lyon.now += timedelta(hours=hours)
            failed(lyon.book, update, DeliveryError("down"), 1.0, lyon.now)
        lyon.happens(lyon.outage("resolved", START))
        lyon.now += timedelta(minutes=1)
        assert [step.action for step in lyon.due()] == ["close"]

    def test_a_broken_channel_is_reported_to_those_who_hear_the_worst_only(self, make_row: Callable[..., dict[str, Any]]) -> None:
        urgent = WebexChannel(to="R", secret="b", severities=(1,))
        lyon = Lyon(make_row, (urgent, TeamsChannel(url_secret="t")))
        fell_ill(lyon.book, "teams:t", "lyon", DeliveryError("down", unusable=True), 1.0, lyon.now)
        assert lyon.after(seconds=1) == ["Channel broken, teams:t, Lyon"]


class TestStorm:
    def test_what_has_nothing_new_is_not_weighed_again(self, lyon: Lyon, monkeypatch: pytest.MonkeyPatch) -> None:
        """A city's hundred open incidents are looked at with each one that comes: only what has changed may cost something."""
        lyon.channels = (WebhookChannel(url="http://hook.example"),)
        lyon.happens(*(lyon.alert(number=number) for number in range(60)))
        assert len(lyon.after(seconds=3)) == 60
        weighed: list[str] = []

        def weighs(incident: Incident, channel: ChannelSettings, place: Place) -> str:
            weighed.append(incident.id)
            return ""

        monkeypatch.setattr(steps, "outside_hours", weighs)
        monkeypatch.setattr(whether, "outside_hours", weighs)
        assert lyon.due() == []
        assert weighed == []
        lyon.happens(lyon.alert(number=60))
        lyon.now += timedelta(seconds=3)
        (due,) = lyon.due()
        assert weighed == [due.incident]


class TestAfterAnOutage:
    """What was sent before an outage, became part of it, and stays when that is over."""

    @pytest.mark.parametrize("hours", [0, 30], ids=["soon", "next day"])
    @pytest.mark.parametrize(
        "channel", [WEBEX, WebhookChannel(url="https://example.com/x"), TeamsChannel(url_secret="t")], ids=lambda one: one.key
    )
    def test_it_is_sent_anew_and_not_as_a_repeat(
        self, make_row: Callable[..., dict[str, Any]], channel: ChannelSettings, hours: float
    ) -> None:
        lyon = Lyon(make_row, (channel,))
        device = lyon.alert()
        lyon.happens(device)
        first = lyon.after(seconds=5)
        outage = lyon.now
        lyon.happens(lyon.outage())
        lyon.after(hours=hours, seconds=30)
        lyon.happens(lyon.alert("resolved", began=START, number=2))  # whatever comes, what is long over is forgotten
        lyon.happens(lyon.outage("resolved", outage))
        assert lyon.after(seconds=30) == ["Resolved: site outage, Lyon Part-Dieu, Lyon"]
        assert lyon.after(minutes=3) == first == ["Device offline: Room Bar 1, Lyon"]
        lyon.happens(lyon.alert("resolved", began=START))
        assert lyon.after(minutes=1) == ["Resolved: device offline, Room Bar 1, Lyon"]
        assert len({one.key for one in lyon.sent}) == len(lyon.sent)
        assert lyon.sent[0].incident != lyon.sent[-1].incident == lyon.sent[-2].incident
        assert [entry.what for entry in lyon.book.incidents[device.alert_id].log].count("began") == 1

    def test_it_stays_as_quiet_as_somebody_made_it(self, lyon: Lyon) -> None:
        device = lyon.alert()
        lyon.happens(device)
        lyon.after(seconds=5)
        lyon.does("snooze", device.alert_id, until=lyon.now + timedelta(hours=2), text="painters")
        outage = lyon.now
        lyon.happens(lyon.outage())
        lyon.after(minutes=10)
        lyon.happens(lyon.outage("resolved", outage))
        assert lyon.after(minutes=5) == ["Resolved: site outage, Lyon Part-Dieu, Lyon"]
        assert lyon.after(minutes=100) == []
        assert lyon.after(minutes=10) == ["Device offline: Room Bar 1, Lyon"]

    def test_what_an_outage_that_flaps_leaves_each_time_ends_each_time(self, lyon: Lyon) -> None:
        outages = []
        for first in (1, 3):
            outages.append(lyon.now)
            lyon.happens(lyon.outage(), *(lyon.alert(number=number) for number in (first, first + 1)))
            lyon.after(minutes=1)
            lyon.happens(lyon.outage("resolved", outages[-1]))
            lyon.after(minutes=5)
        for first, began in zip((1, 3), outages, strict=True):
            lyon.happens(*(lyon.alert("resolved", began, number) for number in (first, first + 1)))
        lyon.after(minutes=20)
        left = [one for one in lyon.sent if one.incident.startswith("leftover")]
        assert [one.action for one in left] == ["open", "open", "close", "close"]
        assert len({one.key for one in left}) == 4

    def test_a_part_of_an_outage_is_not_kept_for_a_digest_that_will_not_name_it(
        self, make_row: Callable[..., dict[str, Any]]
    ) -> None:
        lyon = Lyon(make_row, (WebexChannel(to="ROOM", secret="bot", when="daily"),))
        began = lyon.now
        lyon.happens(lyon.alert(number=1))
        lyon.happens(lyon.outage())
        lyon.after(minutes=1)
        lyon.happens(lyon.alert("resolved", began, 1), lyon.outage("resolved", began))
        lyon.after(hours=30)
        lyon.happens(lyon.alert(number=9))
        assert [one for one in lyon.book.incidents.values() if one.merged_into] == []


def test_who_was_notified_says_when_that_was_first_and_when_it_was_updated(lyon: Lyon) -> None:
    def why() -> str:
        (said,) = verdicts(lyon.book, next(iter(lyon.book.incidents.values())), Place(lyon.city, RULES, lyon.now, lyon.acts))
        return f"{said.verdict} {said.why}"

    lyon.happens(lyon.outage())
    lyon.after(seconds=3)
    assert why() == f"notified at {format_time(START + timedelta(seconds=3))}"
    lyon.happens(lyon.alert())
    lyon.after(minutes=2)
    updated = format_time(START + timedelta(minutes=2, seconds=3))
    assert why() == f"notified at {format_time(START + timedelta(seconds=3))}, updated at {updated}"
    lyon.happens(lyon.outage("resolved", START))
    lyon.after(minutes=1)
    assert why() == f"notified of its end at {format_time(START + timedelta(minutes=3, seconds=3))}"
