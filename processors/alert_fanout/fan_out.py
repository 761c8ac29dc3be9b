"""Takes alerts, makes incidents of them, and tells every channel of their city what it has not heard yet.

First everything is written down, then it is told, and each telling is written down when the channel has it. So a failed channel
is tried again without repeating the others, and what a host moves on from after an exception is told by the next run of `tend`.
"""

from __future__ import annotations

import logging
import random
from collections.abc import Iterable, Mapping
from datetime import timedelta

from processors.alert_fanout.alerts import Alert, Rejected, alerts_in
from processors.alert_fanout.channel_kind import Channel
from processors.alert_fanout.delivery import DeliveryError
from processors.alert_fanout.incidents import Book, settle, take
from processors.alert_fanout.render import notice
from processors.alert_fanout.secrets import Secrets, secret_from
from processors.alert_fanout.settings import FanoutSettings
from processors.alert_fanout.state import State, StateError
from processors.alert_fanout.steps import Step, failed, heard, next_steps
from processors.clock import utc_now
from processors.timestamps import format_time

TELLING = timedelta(minutes=2)
"""How long an instance may take to tell what is due in a city before another one goes on."""

log = logging.getLogger("roompulse.fanout")
figures_log = logging.getLogger("roompulse.figures")


class FanOut:
    """Tells people. Not for use by several threads at once; several instances may share a state.

    `instance` tells instances apart; one that starts again under its name goes on at once where it was. `channels` by their
    settings' keys stand for those the settings describe: for whoever wants to know what would be told.
    """

    def __init__(
        self,
        settings: FanoutSettings,
        state: State,
        *,
        instance: str = "local",
        secrets: Secrets | None = None,
        channels: Mapping[str, Channel] | None = None,
    ) -> None:
        self._settings, self._state, self._instance = settings, state, instance
        self._channels = channels if channels is not None else _channels(settings, secrets or secret_from())
        self._delivered = 0

    def close(self) -> None:
        """Close connections and state."""
        for channel in self._channels.values():
            channel.close()
        self._state.close()

    def handle(self, bodies: Iterable[bytes]) -> None:
        """Enter the alerts in these event bodies and tell what is due in their cities.

        Raises StateError when something could not be written down: give the same events again, what is known changes nothing.
        """
        entries = [entry for body in bodies for entry in alerts_in(body)]
        rejected = [entry for entry in entries if isinstance(entry, Rejected)]
        by_city: dict[str, list[Alert]] = {}
        for entry in entries:
            if isinstance(entry, Alert):
                by_city.setdefault(self._settings.slug_of(entry.city_id), []).append(entry)
        self._enter(by_city, rejected)
        self.tend(by_city)

    def tend(self, cities: Iterable[str] | None = None) -> None:
        """Tell what is due (in all cities when none are named): what waited, what failed, what has changed."""
        figures = {"deliveries": 0, "deliveries_pending": 0, "deliveries_dead": 0, "incidents_open": 0}
        for slug in self._settings.cities if cities is None else cities:
            self._tend(slug)
        if cities is not None:
            return
        for slug in self._settings.cities:
            for name, value in _figures(self._state.book(slug)).items():
                figures[name] += value
        figures |= {"deliveries": self._delivered, "alerts_rejected": self._state.rejected_count()}
        figures_log.info("figures", extra={"figures": figures})

    def _enter(self, by_city: dict[str, list[Alert]], rejected: list[Rejected]) -> None:
        """Write down everything that can be; then raise the first fault."""
        faults: list[StateError] = []
        for bad in rejected:
            log.warning("a line is no alert", extra={"ids": {"reason": bad.reason, "record": bad.record[:200]}})
        try:
            if rejected:
                self._state.reject(rejected, utc_now())
        except StateError as fault:
            faults.append(fault)
        for slug, alerts in by_city.items():
            try:
                self._state.change(slug, lambda book, slug=slug, alerts=alerts: self._take(book, slug, alerts))  # type: ignore[misc]
            except StateError as fault:
                faults.append(fault)
        if faults:
            raise faults[0]

    def _take(self, book: Book, slug: str, alerts: list[Alert]) -> None:
        take(book, alerts, self._settings.cities[slug], self._settings.rules, utc_now())

    def _tend(self, slug: str) -> None:
        steps = self._state.change(slug, lambda book: self._begin(book, slug))
        if not steps:
            return
        failing: set[str] = set()
        try:
            for step in steps:
                if step.channel not in failing:  # a dead address is not waited for again and again
                    self._tell(slug, step, failing)
        finally:
            self._state.change(slug, self._end)

    def _begin(self, book: Book, slug: str) -> list[Step]:
        """What has to be told by us; nothing while another instance is telling."""
        now = utc_now()
        if book.teller not in (None, self._instance) and book.telling_until and format_time(now) < book.telling_until:
            return []
        settle(book, self._settings.rules, now)
        steps = next_steps(book, self._settings.cities[slug], self._settings.rules, now)
        if steps:
            book.teller, book.telling_until = self._instance, format_time(now + TELLING)
        return steps

    def _end(self, book: Book) -> None:
        if book.teller == self._instance:
            book.teller = book.telling_until = None

    def _tell(self, slug: str, step: Step, failing: set[str]) -> None:
        told = notice(self._state.book(slug), step, self._settings, self._settings.cities[slug])
        ids = {"incident": step.incident, "action": step.action, "channel": step.channel}
        try:
            ref = self._channels[step.channel].send(told)
        except DeliveryError as fault:
            failing.add(step.channel)
            jitter = random.uniform(0.8, 1.2)
            text, refused, pause = str(fault), fault.refused, fault.pause
            log.error("a channel failed", extra={"ids": {**ids, "fault": text}})
            self._state.change(
                slug,
                lambda book: failed(book, step, text, refused=refused, pause=pause, jitter=jitter, now=utc_now()),
            )
        else:
            self._state.change(slug, lambda book: heard(book, step, ref, utc_now()))
            self._delivered += 1
            log.info("delivered", extra={"ids": ids})


def _figures(book: Book) -> dict[str, int]:
    told = [told for incident in book.incidents.values() for told in incident.told.values()]
    return {
        "incidents_open": sum(incident.open for incident in book.incidents.values()),
        "deliveries_pending": sum(bool(one.attempts) and not one.dead for one in told),
        "deliveries_dead": sum(bool(one.dead) for one in told),
    }


def _channels(settings: FanoutSettings, secrets: Secrets) -> dict[str, Channel]:
    """Every channel of the settings once, by its key."""
    distinct = {channel.key: channel for city in settings.cities.values() for channel in city.channels}
    return {key: channel.open(secrets) for key, channel in distinct.items()}
