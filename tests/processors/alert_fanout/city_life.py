"""A city with one rule each for what matters, in which alerts happen, time passes and people act; no threads, no files."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from processors import clock
from processors.alert_fanout.acts import Act, Acts
from processors.alert_fanout.alerts import Alert, alerts_in
from processors.alert_fanout.channel_kind import ChannelSettings
from processors.alert_fanout.channels.webex import WebexChannel
from processors.alert_fanout.incidents import Book, settle, take
from processors.alert_fanout.notice import Notice
from processors.alert_fanout.render import notice
from processors.alert_fanout.settings import City, FanoutSettings, RuleMeaning
from processors.alert_fanout.steps import Step, heard, is_still_due, next_steps
from processors.alert_fanout.whether import Place
from processors.contracts.facts import OfficeHours
from processors.timestamps import format_time

START = datetime(2026, 11, 24, 10, tzinfo=UTC)  # a Tuesday, 11:00 in Lyon
RULES = {
    "device-offline": RuleMeaning("Lost.", "docs/runbooks/device-offline.md", ("site-outage",)),
    "site-outage": RuleMeaning("A site is unreachable.", "docs/runbooks/site-outage.md"),
    "room-stuffy": RuleMeaning("Stale air.", "docs/runbooks/x.md", ("outside-office-hours",)),
}
WEBEX = WebexChannel(to="ROOM", secret="bot")
AT_WORK = WebexChannel(to="ROOM", secret="bot", when="office-hours")


@dataclass
class Lyon:
    """A city with its book; `said` is what its channels were sent, as (channel's kind, look, title)."""

    make_row: Any
    channels: tuple[ChannelSettings, ...] = (WEBEX,)
    mutes: dict[str, str] = field(default_factory=dict)
    quiet: tuple[str, str] | None = None
    now: datetime = START
    book: Book = field(default_factory=Book)
    acts: Acts = field(default_factory=Acts)
    sent: list[Notice] = field(default_factory=list)

    @property
    def city(self) -> City:
        return City("Lyon", "Europe/Paris", self.channels, OfficeHours(), self.mutes, self.quiet)

    def alert(self, state: str = "fired", began: datetime | None = None, number: int = 1, **row: Any) -> Alert:
        started = format_time(began or self.now)
        rule = row.pop("ruleId", "device-offline")
        entity = row.get("entityId", f"device-{number}")
        fields = {
            "alertId": f"{rule}|{entity}|{started}",
            "ruleId": rule,
            "startedAt": started,
            "observedAt": format_time(self.now),
        }
        (read,) = alerts_in(json.dumps(self.make_row(number, state, **(fields | row))).encode())
        assert isinstance(read, Alert)
        return read

    def outage(self, state: str = "fired", began: datetime | None = None, **row: Any) -> Alert:
        place: dict[str, Any] = {
            "entity": "location",
            "entityId": "location-1",
            "name": "Lyon Part-Dieu",
            "severity": 1,
            "signal": "offlineRatio",
        }
        return self.alert(state, began, ruleId="site-outage", **(place | {"value": 1.0, "threshold": 0.5} | row))

    def happens(self, *alerts: Alert) -> None:
        take(self.book, alerts, self.city, RULES, self.now)

    def does(self, kind: str, incident: str, *, until: datetime | None = None, **fields: Any) -> Act:
        """Somebody does something about an incident now."""
        severity = self.book.incidents[incident].lead.severity if incident in self.book.incidents else 0
        values: dict[str, Any] = {"id": f"act-{len(self.acts.all)}", "author": "Ada", "way": "test", "severity": severity}
        values |= {"incident": incident, "until": format_time(until) if until else ""} | fields
        act = Act(kind=kind, at=format_time(self.now), **values)
        self.acts = self.acts.with_act(act)
        return act

    def after(self, **span: float) -> list[str]:
        """Let time pass and send what is due; the titles."""
        self.now += timedelta(**span)
        titles = []
        for _ in range(3):
            settle(self.book, self.city, RULES, self.now)
            for step in next_steps(self.book, self.city, RULES, self.now, acts=self.acts):
                self.sent.append(self.notice(step))
                titles.append(self.sent[-1].title)
                heard(self.book, step, "message|room", self.now)
        return titles

    def due(self) -> list[Step]:
        return next_steps(self.book, self.city, RULES, self.now, acts=self.acts)

    def is_still_due(self, step: Step) -> bool:
        """Whether the fan-out would send a step that was planned before."""
        channel = next(channel for channel in self.channels if channel.key == step.channel)
        return is_still_due(step, self.book, channel, Place(self.city, RULES, self.now, self.acts))

    def notice(self, step: Step) -> Notice:
        clock.use(lambda: self.now)
        try:
            return notice(self.book, step, FanoutSettings(RULES, {"lyon": self.city}), self.city, self.acts)
        finally:
            clock.use(None)
