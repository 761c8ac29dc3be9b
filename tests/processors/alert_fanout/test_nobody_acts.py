"""What happens when nobody acts: escalation, reminders, quiet hours and the daily digest, sent to one channel each."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from processors.alert_fanout.channels.azure_monitor import AzureMonitorChannel
from processors.alert_fanout.channels.teams import TeamsChannel, adaptive_card
from processors.alert_fanout.channels.webex import WebexChannel
from processors.alert_fanout.channels.webhook import WebhookChannel
from processors.alert_fanout.delivery import DeliveryError
from processors.alert_fanout.routing import is_quiet_time, next_opening, severity_at
from processors.alert_fanout.settings import City
from processors.alert_fanout.steps import failed
from processors.alert_fanout.whether import Place, not_now
from processors.contracts.facts import OfficeHours
from tests.processors.alert_fanout.city_life import RULES, START, WEBEX, Lyon

SUBJECT = "device offline, Room Bar 1, Lyon"
BEGINS, ENDS = "Device offline: Room Bar 1, Lyon", f"Resolved: {SUBJECT}"
ESCALATES, AGAIN = f"Not acknowledged: {SUBJECT}", f"Still open: {SUBJECT}"
LATER = WebexChannel(to="BOSS", secret="bot", after=900)
REMINDED = WebexChannel(to="ROOM", secret="bot", repeat=1800)
DAILY = WebexChannel(to="ROOM", secret="bot", when="daily")


def lyon_with(make_row: Any, *channels: Any, **more: Any) -> tuple[Lyon, str]:
    """Lyon with these channels and a device that is down."""
    lyon = Lyon(make_row, channels, **more)
    alert = lyon.alert()
    lyon.happens(alert)
    return lyon, alert.alert_id


class TestEscalation:
    def test_it_comes_when_nobody_has_acknowledged(self, make_row: Any) -> None:
        lyon, _ = lyon_with(make_row, WEBEX, LATER)
        assert lyon.after(seconds=3) == [BEGINS]
        assert lyon.after(minutes=14) == []
        assert lyon.after(minutes=1) == [ESCALATES]
        assert lyon.sent[-1].lines[0].label == "Do"
        assert "open for 15 min, and nobody has it" in lyon.sent[-1].text
        assert lyon.sent[-1].escalated
        lyon.happens(lyon.alert("resolved", START))
        assert lyon.after(seconds=1) == [ENDS, ENDS]

    @pytest.mark.parametrize("kind", ["acknowledge", "take", "snooze"])
    def test_it_waits_while_somebody_has_it_and_begins_anew_when_that_ends(self, make_row: Any, kind: str) -> None:
        lyon, incident = lyon_with(make_row, LATER)
        lyon.after(minutes=5)
        lyon.does(kind, incident, until=lyon.now + timedelta(hours=1), text="on it")
        assert lyon.after(minutes=59) == []
        assert lyon.after(minutes=15) == []
        assert lyon.after(minutes=1) == [ESCALATES]

    def test_it_begins_anew_when_the_acknowledgement_is_taken_back(self, make_row: Any) -> None:
        lyon, incident = lyon_with(make_row, LATER)
        lyon.does("acknowledge", incident, until=lyon.now + timedelta(hours=8))
        lyon.after(minutes=30)
        lyon.does("unacknowledge", incident)
        assert lyon.after(minutes=14) == []
        assert lyon.after(minutes=1) == [ESCALATES]

    def test_what_is_over_before_never_escalates(self, make_row: Any) -> None:
        lyon, _ = lyon_with(make_row, LATER)
        lyon.after(minutes=5)
        lyon.happens(lyon.alert("resolved", START))
        assert lyon.after(hours=2) == []

    def test_what_gets_worse_escalates_though_it_is_acknowledged(self, make_row: Any) -> None:
        lyon, incident = lyon_with(make_row, LATER)
        lyon.does("acknowledge", incident, until=lyon.now + timedelta(hours=8))
        lyon.after(minutes=1)
        lyon.happens(lyon.alert("resolved", START))
        lyon.now += timedelta(minutes=1)
        lyon.happens(lyon.alert(severity=1))
        assert lyon.after(minutes=14) == []
        assert lyon.after(minutes=1) == [ESCALATES]

    def test_it_keeps_to_the_hours_of_its_contact(self, make_row: Any) -> None:
        night = START + timedelta(hours=12)
        lyon, _ = lyon_with(make_row, WebexChannel(to="BOSS", secret="bot", after=900, when="office-hours"), now=night)
        assert lyon.after(minutes=20) == []
        assert lyon.after(hours=8, minutes=40) == [ESCALATES]

    def test_a_step_that_was_planned_is_not_sent_when_somebody_took_it_meanwhile(self, make_row: Any) -> None:
        """A4, cases 16 and 17: stale timers do nothing."""
        lyon, incident = lyon_with(make_row, LATER)
        lyon.now += timedelta(minutes=16)
        (planned,) = lyon.due()
        assert lyon.is_still_due(planned)
        lyon.does("acknowledge", incident, until=lyon.now + timedelta(hours=1))
        assert not lyon.is_still_due(planned)

    def test_a_step_that_was_planned_is_not_sent_when_it_is_over_meanwhile(self, make_row: Any) -> None:
        lyon, _ = lyon_with(make_row, LATER)
        lyon.now += timedelta(minutes=16)
        (planned,) = lyon.due()
        lyon.happens(lyon.alert("resolved", START))
        assert not lyon.is_still_due(planned)

    def test_a_contact_that_was_taken_out_of_the_stack_is_not_notified(self, make_row: Any) -> None:
        """A4, case 18: the others' steps go on."""
        lyon, _ = lyon_with(make_row, LATER, WebexChannel(to="CHIEF", secret="bot", after=1800))
        lyon.after(minutes=5)
        lyon.channels = lyon.channels[1:]
        assert lyon.after(minutes=26) == [ESCALATES]
        assert [one.key for one in lyon.sent][-1].endswith("|open")

    def test_a_plan_that_was_changed_holds_from_then_on(self, make_row: Any) -> None:
        lyon, _ = lyon_with(make_row, LATER)
        lyon.after(minutes=5)
        lyon.channels = (WebexChannel(to="BOSS", secret="bot", after=3600),)
        assert lyon.after(minutes=50) == []
        assert lyon.after(minutes=5) == [ESCALATES]


class TestReminders:
    def test_they_come_while_it_is_open_and_nobody_has_it(self, make_row: Any) -> None:
        lyon, _ = lyon_with(make_row, REMINDED)
        assert lyon.after(seconds=3) == [BEGINS]
        assert lyon.after(minutes=29) == []
        assert lyon.after(minutes=1) == [AGAIN]
        assert lyon.after(minutes=29) == []
        assert lyon.after(minutes=1) == [AGAIN]
        lyon.happens(lyon.alert("resolved", START))
        assert lyon.after(seconds=1) == [ENDS]
        assert lyon.after(hours=3) == []
        assert len({one.key for one in lyon.sent}) == 4, "no reminder is taken for a repeat of another one"

    def test_who_asks_for_none_gets_none(self, make_row: Any) -> None:
        lyon, _ = lyon_with(make_row, WEBEX)
        lyon.after(seconds=3)
        assert lyon.after(days=1) == []

    @pytest.mark.parametrize("kind", ["acknowledge", "take", "snooze"])
    def test_somebody_who_has_it_is_left_alone_until_that_ends(self, make_row: Any, kind: str) -> None:
        lyon, incident = lyon_with(make_row, REMINDED)
        lyon.after(seconds=3)
        lyon.does(kind, incident, until=lyon.now + timedelta(hours=4), text="on it")
        assert lyon.after(hours=3, minutes=59) == []
        assert lyon.after(minutes=1) == [AGAIN]

    @pytest.mark.parametrize("channel", [WEBEX, REMINDED])
    def test_the_end_of_an_acknowledgement_is_said_to_everybody_who_was_notified(self, make_row: Any, channel: Any) -> None:
        lyon, incident = lyon_with(make_row, channel)
        lyon.after(seconds=3)
        lyon.does("acknowledge", incident, until=lyon.now + timedelta(minutes=10))
        assert lyon.after(minutes=10) == [AGAIN]
        assert lyon.after(minutes=10) == []

    @pytest.mark.parametrize(
        "channel",
        [
            WebhookChannel(url="https://x.example.com", template="pagerduty", secret="k", repeat=1800),
            AzureMonitorChannel(audience="lyon/email", repeat=1800),
        ],
    )
    def test_what_takes_a_reminder_for_a_repeat_gets_none(self, make_row: Any, channel: Any) -> None:
        lyon, incident = lyon_with(make_row, channel)
        lyon.after(seconds=3)
        lyon.does("acknowledge", incident, until=lyon.now + timedelta(minutes=10))
        assert lyon.after(hours=3) == []

    def test_they_stop_after_a_week(self, make_row: Any) -> None:
        """A4, case 16: not for ever."""
        lyon, _ = lyon_with(make_row, REMINDED)
        lyon.after(seconds=3)
        assert lyon.after(days=6, hours=23) == [AGAIN]
        assert lyon.after(hours=2) == []

    def test_one_that_is_refused_is_let_go_and_the_next_comes(self, make_row: Any) -> None:
        lyon, _ = lyon_with(make_row, REMINDED)
        lyon.after(seconds=3)
        lyon.now += timedelta(minutes=30)
        (planned,) = lyon.due()
        failed(lyon.book, planned, DeliveryError("no", refused=True), 1.0, lyon.now)
        assert lyon.after(minutes=1) == []
        assert lyon.after(minutes=29) == [AGAIN]
        assert lyon.book.incidents[planned.incident].deliveries[REMINDED.key].dead is None

    def test_they_keep_to_the_hours_of_the_contact(self, make_row: Any) -> None:
        lyon, _ = lyon_with(make_row, WebexChannel(to="ROOM", secret="bot", repeat=1800, when="office-hours"))
        lyon.after(seconds=3)
        lyon.now = START + timedelta(hours=8)
        assert lyon.after(hours=1) == []
        assert lyon.after(hours=13) == [AGAIN]


class TestQuietHours:
    @pytest.mark.parametrize(
        ("quiet", "local", "is_quiet"),
        [
            (("22:00", "07:00"), "21:59", False),
            (("22:00", "07:00"), "22:00", True),
            (("22:00", "07:00"), "03:00", True),
            (("22:00", "07:00"), "06:59", True),
            (("22:00", "07:00"), "07:00", False),
            (("12:00", "14:00"), "13:00", True),
            (("12:00", "14:00"), "14:00", False),
            (("12:00", "14:00"), "03:00", False),
            (None, "03:00", False),
        ],
    )
    def test_they_may_go_over_midnight(self, quiet: tuple[str, str] | None, local: str, is_quiet: bool) -> None:
        city = City("Lyon", "Europe/Paris", (), quiet=quiet)
        assert is_quiet_time(city, datetime.fromisoformat(f"2026-11-24T{local}+01:00")) is is_quiet

    @pytest.mark.parametrize(("severity", "at_once"), [(1, True), (2, False), (4, False)])
    def test_only_the_worst_is_sent_in_them(self, make_row: Any, severity: int, at_once: bool) -> None:
        lyon = Lyon(make_row, now=START + timedelta(hours=12), quiet=("22:00", "07:00"))
        lyon.happens(lyon.alert(severity=severity))
        assert (lyon.after(minutes=1) == [BEGINS]) is at_once
        assert (lyon.after(hours=8) == [BEGINS]) is not at_once


class TestDigest:
    def test_it_names_everything_of_a_day_when_the_office_opens(self, make_row: Any) -> None:
        lyon, _ = lyon_with(make_row, DAILY)
        assert lyon.after(hours=1) == []
        lyon.happens(lyon.alert(number=2), lyon.alert("resolved", START))
        assert lyon.after(hours=19) == []
        assert lyon.after(hours=1) == ["In the last day: 2 alerts, Lyon"]
        first, second = lyon.sent[-1].text.splitlines()[1:]
        assert first.startswith(f"{BEGINS}, from Tue 24 Nov 2026")
        assert second.endswith("(Europe/Paris), and still so")
        assert lyon.after(days=3) == []

    def test_it_is_one_a_day(self, make_row: Any) -> None:
        lyon, _ = lyon_with(make_row, DAILY)
        lyon.after(seconds=3)
        lyon.after(hours=22)
        lyon.happens(lyon.alert(number=2))
        lyon.after(seconds=3)
        assert lyon.after(hours=24) == ["In the last day: 1 alert, Lyon"]

    def test_on_friday_it_waits_for_monday(self, make_row: Any) -> None:
        lyon, _ = lyon_with(make_row, DAILY, now=START + timedelta(days=3))
        assert lyon.after(days=2) == []
        assert lyon.after(days=1) == ["In the last day: 1 alert, Lyon"]

    def test_what_is_silenced_is_not_in_it(self, make_row: Any) -> None:
        lyon, incident = lyon_with(make_row, DAILY)
        lyon.does("snooze", incident, until=lyon.now + timedelta(days=2), text="painters")
        assert lyon.after(days=1) == []

    @pytest.mark.parametrize(
        ("now", "opens"),
        [
            ("2026-11-24T06:59+01:00", "2026-11-24T08:00+01:00"),
            ("2026-11-24T08:00+01:00", "2026-11-25T08:00+01:00"),
            ("2026-11-27T09:00+01:00", "2026-11-30T08:00+01:00"),
            ("2026-03-27T09:00+01:00", "2026-03-30T08:00+02:00"),
            ("2026-10-23T09:00+02:00", "2026-10-26T08:00+01:00"),
        ],
    )
    def test_the_office_opens_by_the_clock_on_the_wall(self, now: str, opens: str) -> None:
        """A4, case 14: over both changes of the clocks."""
        city = City("Lyon", "Europe/Paris", ())
        assert next_opening(city, datetime.fromisoformat(now)) == datetime.fromisoformat(opens)

    def test_an_office_that_never_opens_has_its_digest_every_day(self) -> None:
        city = City("Lyon", "UTC", (), OfficeHours(()))
        assert next_opening(city, datetime(2026, 11, 28, 9, tzinfo=UTC)) == datetime(2026, 11, 29, 8, tzinfo=UTC)


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ((), None),
        ((WEBEX,), "Notified: Webex, and nobody there has it"),
        (
            (WEBEX, AzureMonitorChannel(audience="lyon/email"), WebhookChannel(url="https://x", template="pagerduty")),
            "Notified: Webex, E-mail or text message, PagerDuty, and nobody there has it",
        ),
        ((WEBEX, WebexChannel(to="ANOTHER", secret="bot")), "Notified: Webex, and nobody there has it"),
        ((WebexChannel(to="ROOM", secret="bot", severities=(1,)),), None),
    ],
)
def test_whoever_is_asked_next_reads_who_else_was_notified(make_row: Any, others: tuple[Any, ...], said: str | None) -> None:
    lyon, _ = lyon_with(make_row, *others, LATER)
    lyon.after(seconds=3)
    assert lyon.after(minutes=15) == [ESCALATES]
    told = [line for line in lyon.sent[-1].text.splitlines() if line.startswith("Notified")]
    assert told == ([said] if said else [])


AT_WORK_ONLY = {
    "webex": (WebexChannel(to="ROOM", secret="bot", when="office-hours"), True),
    "teams": (TeamsChannel(url_secret="t", when="office-hours"), True),
    "a program": (WebhookChannel(url="https://x", when="office-hours"), True),
    "mail": (AzureMonitorChannel(audience="lyon/email", when="office-hours"), False),
    "PagerDuty": (WebhookChannel(url="https://x", template="pagerduty", when="office-hours"), False),
    "ServiceNow": (WebhookChannel(url="https://x", template="servicenow", when="office-hours"), False),
}


@pytest.mark.parametrize(("channel", "takes_it"), AT_WORK_ONLY.values(), ids=AT_WORK_ONLY)
def test_what_came_and_went_at_night_is_named_or_noted_as_never_heard(make_row: Any, channel: Any, takes_it: bool) -> None:
    """A row or an event that closes what was never opened is taken by those services, and nobody sees it."""
    began = START + timedelta(hours=12)
    lyon, incident = lyon_with(make_row, channel, now=began)
    lyon.after(minutes=5)
    lyon.happens(lyon.alert("resolved", began))
    summary = "Came and went outside your hours: 1 alert, Lyon"
    lyon.after(hours=12)
    assert lyon.after(seconds=11) == ([summary] if takes_it else [])
    notes = {entry.what: entry.detail for entry in lyon.book.incidents[incident].log}
    assert ("takes no summary" in notes.get("never notified", "")) is not takes_it


def test_a_digest_of_what_goes_on_looks_like_no_end(make_row: Any) -> None:
    """In green, and to a program as `resolved`, it looked as if all were over."""
    lyon, _ = lyon_with(make_row, DAILY)
    lyon.after(seconds=3)
    lyon.after(days=1)
    summary = lyon.sent[-1]
    assert (summary.state, summary.look, summary.mark) == ("digest", "digest", "📋")
    assert adaptive_card(summary)["body"][0]["style"] == "emphasis"


class TestRules:
    @pytest.mark.parametrize(("rules", "notified"), [(("device-offline",), True), (("site-outage",), False), ((), True)])
    def test_a_contact_may_be_for_some_rules_only(self, make_row: Any, rules: tuple[str, ...], notified: bool) -> None:
        lyon, _ = lyon_with(make_row, TeamsChannel(url_secret="t", rules=rules))
        assert (lyon.after(seconds=3) == [BEGINS]) is notified


@pytest.mark.parametrize(
    ("audience", "kind"),
    [
        ("lyon/email", "email"),
        ("lyon/sms-12", "sms"),
        ("lyon/email_off-hours", "email"),
        ("lyon/sms-1_off-hours", "sms"),
        ("lyon/sms_after-15m", "sms"),
        ("unassigned", None),
    ],
)
def test_an_audience_is_of_its_kind_whatever_its_terms(audience: str, kind: str | None) -> None:
    assert AzureMonitorChannel(audience=audience).contact_kind == kind


class TestSeverityByTheHour:
    """A rule that is 2 while people are there and 3 at night: who is woken, and who hears of it in the morning."""

    URGENT = WebexChannel(to="PHONE", secret="bot", severities=(1, 2))
    NIGHT = WebexChannel(to="NIGHT", secret="bot", severities=(3,))
    EVENING = datetime(2026, 11, 24, 22, tzinfo=UTC)  # 23:00 in Lyon, which opens at 8:00

    def lyon(self, make_row: Any, monkeypatch: pytest.MonkeyPatch, *channels: Any, **more: Any) -> tuple[Lyon, str]:
        rule = replace(RULES["device-offline"], outside_severity=3)
        monkeypatch.setitem(RULES, "device-offline", rule)
        return lyon_with(make_row, *channels, now=self.EVENING, **more)

    def test_at_night_it_is_less_urgent_and_in_the_morning_what_still_is_so_is_not(
        self, make_row: Any, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        lyon, _ = self.lyon(make_row, monkeypatch, self.URGENT, WEBEX)
        assert lyon.after(seconds=3) == [BEGINS]
        assert (lyon.sent[-1].lead.severity, "Minor (3 of 4, 1 is worst)" in lyon.sent[-1].text) == (3, True)
        assert lyon.after(hours=8, minutes=59) == []
        assert lyon.after(minutes=1) == [BEGINS]
        assert lyon.sent[-1].lead.severity == 2
        assert [delivery.stage for delivery in next(iter(lyon.book.incidents.values())).deliveries.values()] == ["opened"] * 2
        lyon.happens(lyon.alert("resolved", self.EVENING))
        assert lyon.after(seconds=1) == [ENDS, ENDS]

    def test_what_is_over_before_the_morning_is_news_to_nobody(self, make_row: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        lyon, incident = self.lyon(make_row, monkeypatch, self.URGENT)
        lyon.after(hours=8)
        lyon.happens(lyon.alert("resolved", self.EVENING))
        assert lyon.after(hours=2) == []
        assert lyon.book.incidents[incident].deliveries[self.URGENT.key].stage == "skipped"

    def test_whoever_has_the_night_hears_at_night_only(self, make_row: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        lyon, _ = self.lyon(make_row, monkeypatch, self.NIGHT)
        assert lyon.after(seconds=3) == [BEGINS]
        by_day, _ = lyon_with(make_row, self.NIGHT)
        assert by_day.after(hours=2) == []

    def test_why_says_so(self, make_row: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        lyon, incident = self.lyon(make_row, monkeypatch, self.URGENT)
        lyon.after(seconds=3)
        place = Place(lyon.city, RULES, lyon.now, lyon.acts)
        assert not_now(lyon.book.incidents[incident], self.URGENT, place) == "it has severity 3 outside office hours"

    @pytest.mark.parametrize(("severity", "shown"), [(1, 3), (2, 3), (3, 3), (4, 4)])
    def test_it_makes_nothing_more_urgent(
        self, make_row: Any, monkeypatch: pytest.MonkeyPatch, severity: int, shown: int
    ) -> None:
        """A city may have lowered the severity already."""
        city = Lyon(make_row, (WEBEX,)).city
        rule = replace(RULES["device-offline"], outside_severity=3)
        assert (severity_at(severity, rule, city, self.EVENING), severity_at(severity, rule, city, START)) == (shown, severity)
