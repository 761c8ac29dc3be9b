"""Whatever happens, in any order, with channels of every sort of terms: nobody is left with a beginning, nothing is a repeat."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processors.alert_fanout.acts import Scope
from processors.alert_fanout.channel_kind import ChannelSettings
from processors.alert_fanout.channels.teams import TeamsChannel
from processors.alert_fanout.channels.webex import WebexChannel
from processors.alert_fanout.channels.webhook import WebhookChannel
from processors.alert_fanout.incidents import settle
from processors.alert_fanout.steps import heard, next_steps
from processors.alert_fanout.whether import Place
from processors.alert_fanout.why import WAITS, timeline, verdicts
from tests.processors.alert_fanout.city_life import RULES, START, WEBEX, Lyon

CHANNELS: tuple[ChannelSettings, ...] = (
    WEBEX,
    WebhookChannel(url="https://example.com/x"),
    WebhookChannel(url="https://example.com/y", template="pagerduty", secret="key"),
    TeamsChannel(url_secret="teams", repeat=1800),
    WebexChannel(to="WORK", secret="bot", when="office-hours"),
    WebexChannel(to="LATER", secret="bot", after=900, repeat=900),
    WebexChannel(to="WORST", secret="bot", severities=(1,)),
    WebexChannel(to="DIGEST", secret="bot", when="daily"),
)
HEARS_MERGES = {channel.key: channel.capabilities.hears_merges for channel in CHANNELS}
OUTAGE = 0
"""What stands for the outage among the numbers of devices."""
SPANS = st.sampled_from([0, 0.5, 2, 3, 60, 118, 119, 120, 121, 300, 899, 900, 901, 1800, 3600, 7200, 36000])
ENDS = (60, 900, 3600, 7200)
ACTS = st.sampled_from(["acknowledge", "take", "unacknowledge", "snooze", "silence", "unsilence"])
EVENTS = st.one_of(st.tuples(st.integers(OUTAGE, 3), st.just(0), SPANS), st.tuples(ACTS, st.integers(0, 5), SPANS))


class Sent(NamedTuple):
    """What a channel was sent: the kind of incident it is about, and the id and key under which the channel knows it."""

    channel: str
    action: str
    kind: str
    incident: str
    key: str


class Life(Lyon):
    """A city that looks at everything that is sent."""

    def __init__(self, make_row: Callable[..., dict[str, Any]], now: datetime, quiet: tuple[str, str] | None) -> None:
        super().__init__(make_row, CHANNELS, now=now, quiet=quiet)
        self.all_sent: list[Sent] = []
        self.began: dict[int, datetime] = {}

    def turns(self, number: int) -> None:
        """A device, or the site, goes down, or comes back."""
        began = self.began.pop(number, None)
        if began is None:
            self.began[number] = self.now
        state = "resolved" if began else "fired"
        self.happens(self.outage(state, began) if number == OUTAGE else self.alert(state, began, number))

    def acts_on(self, kind: str, number: int) -> None:
        """Somebody does something about one of the incidents."""
        incidents = list(self.book.incidents.values())
        if not incidents:
            return
        about, until = incidents[number % len(incidents)], self.now + timedelta(seconds=ENDS[number % len(ENDS)])
        lasting = [act.id for act in self.acts.all if act.kind in ("snooze", "silence")]
        if kind == "silence":
            self.does(kind, "", until=until, text="x", scope=Scope(about.lead.rule_id, severities=(1, 2, 3, 4)))
        elif kind == "unsilence" and lasting:
            self.does(kind, "", ends=lasting[number % len(lasting)])
        elif kind == "unacknowledge" or (kind != "unsilence" and about.open):
            self.does(kind, about.id, until=until, text="x")

    def passes(self, seconds: float) -> None:
        """Time passes, and what is due is sent."""
        self.now += timedelta(seconds=seconds)
        for _ in range(4):
            settle(self.book, self.city, RULES, self.now)
            for step in next_steps(self.book, self.city, RULES, self.now, acts=self.acts):
                incident = self.book.incidents[step.incident]
                if step.action in ("open", "escalate", "remind", "update"):
                    assert self.acts.silence(incident, self.now) is None, f"{step} though it is kept quiet"
                notice = self.notice(step)
                self.all_sent.append(Sent(step.channel, step.action, incident.kind, notice.incident, notice.key))
                heard(self.book, step, "message|room", self.now)
        for incident in self.book.incidents.values():
            timeline(incident, self.acts)
            for one in verdicts(self.book, incident, Place(self.city, RULES, self.now, self.acts)):
                assert one.why and (one.verdict, one.why) != (WAITS, "it is due now"), (incident.id, one)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    events=st.lists(EVENTS, max_size=14),
    hours=st.sampled_from([0, 9, 14]),
    quiet=st.sampled_from([None, ("22:00", "07:00")]),
)
def test_whoever_hears_of_a_beginning_hears_of_its_end_once_and_of_nothing_twice(
    events: list[tuple[Any, int, float]], hours: int, quiet: tuple[str, str] | None, make_row: Callable[..., dict[str, Any]]
) -> None:
    city = Life(make_row, START + timedelta(hours=hours), quiet)
    for what, number, seconds in events:
        if isinstance(what, int):
            city.turns(what)
        else:
            city.acts_on(what, number)
        city.passes(seconds)
    for number in list(city.began):
        city.turns(number)
    city.passes(3)
    for _ in range(60):
        city.passes(1800)
    assert len({(one.channel, one.key) for one in city.all_sent}) == len(city.all_sent)
    heard_of: dict[tuple[str, str], list[str]] = defaultdict(list)
    for one in city.all_sent:
        if one.kind != "missed":
            heard_of[one.channel, one.incident].append(one.action)
    for (channel, incident), actions in heard_of.items():
        ends = [action for action in actions if action in ("close", "merge")]
        assert ends == actions[-1:] or (ends == [] and not HEARS_MERGES[channel]), (channel, incident, actions)
    stages = {one.stage for incident in city.book.incidents.values() for one in incident.deliveries.values()}
    assert stages <= {"closed", "skipped", "held back"}
