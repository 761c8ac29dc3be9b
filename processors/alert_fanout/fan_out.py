"""Takes alerts, makes incidents of them, and notifies every channel of their city of what it has not heard yet.

First everything is written down, then it is sent, and each notice is written down when its channel has it. So a failed channel
is tried again without repeating the others, and what a host moves on from after an exception is sent by the next run of `tend`.

Every channel of every city is notified by a thread of its own: whatever one does, no other one waits for it.
"""

from __future__ import annotations

import contextlib
import logging
import random
import threading
import time
import traceback
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from processors.alert_fanout import control_hub, http_call
from processors.alert_fanout.acts import Acts
from processors.alert_fanout.alerts import Alert, Rejected, alerts_in
from processors.alert_fanout.channel_kind import Channel, ChannelSettings
from processors.alert_fanout.delivery import DeliveryError
from processors.alert_fanout.health import fell_ill, is_left_alone, is_well
from processors.alert_fanout.history import History, HistoryError, begin, mark, unsent
from processors.alert_fanout.incidents import Book, ChannelHealth, settle, take
from processors.alert_fanout.notice import Notice
from processors.alert_fanout.render import notice
from processors.alert_fanout.secrets import Secrets, secret_from
from processors.alert_fanout.settings import FanoutSettings
from processors.alert_fanout.state import Damaged, State, StateError
from processors.alert_fanout.steps import Step, failed, heard, is_still_due, next_steps
from processors.alert_fanout.whether import Place
from processors.clock import utc_now
from processors.contracts.validation import SettingsError
from processors.timestamps import format_time, parse_time

LEASE_SECONDS = 60.0
"""How long an instance may notify a channel before another one goes on, in real time."""
BATCH = 50
"""How many notices a channel is given at once: a city's book is written once for all of them."""
PATIENCE_SECONDS = 2.0
"""How long `handle` and `tend` wait for a notice to be taken; a channel that takes longer goes on without them."""
LONGEST_WAIT_SECONDS = 10.0
"""How long they wait at all."""
LOOK_SECONDS = 60.0
"""How often it is looked whether alerts wait that another instance has put away."""

log = logging.getLogger("roompulse.fanout")
figures_log = logging.getLogger("roompulse.figures")
Desk = tuple[str, str]
"""A channel of a city: the city's slug and the channel's key."""
HISTORY: Desk = ("", "history")
"""The history of all cities: nobody's channel."""


@dataclass
class Batch:
    """What a channel is to be sent, under a lease that ends at `until` (of the monotonic clock). `check`: whether it could be."""

    lease: str
    until: float
    notices: list[tuple[Step, Notice]]
    check: bool


@dataclass(frozen=True)
class Result:
    """What became of a step (of a check where there is none), at a moment."""

    step: Step | None
    ref: str | None
    fault: DeliveryError | None
    at: datetime


class FanOut:
    """Notifies people. `handle` and `tend` are not for several threads at once; several instances may share a state.

    `instance` distinguishes instances; one that starts again under its name goes on at once where it was. `channels` by their
    settings' keys stand for those the settings describe: for whoever wants to know what would be sent.
    """

    def __init__(
        self,
        settings: FanoutSettings,
        state: State,
        *,
        instance: str = "local",
        secrets: Secrets | None = None,
        channels: Mapping[str, Channel] | None = None,
        history: History | None = None,
    ) -> None:
        self._settings, self._state, self._instance = settings, state, instance
        self._channels = dict(channels or {})
        self._secrets = secrets or secret_from()
        self._history = history
        self._opened: dict[Desk, Channel] = {}
        self._open_what_can_be()
        self._delivered = 0
        self._changed = threading.Condition(threading.RLock())
        """Held by whoever uses the state or what is below; woken when a channel is due for nothing more."""
        self._busy: set[Desk] = set()
        self._progress: dict[Desk, float] = {}
        self._checked: set[Desk] = set()
        self._unwritten: dict[Desk, list[Result]] = {}
        self._crash: BaseException | None = None
        self._is_closed = False
        self._look_at: dict[str, float] = {}
        """When to look whether alerts of a city wait by themselves, by the monotonic clock; at once where it says nothing."""

    def _open_what_can_be(self) -> None:
        for slug, city in self._settings.cities.items():
            for channel in city.channels:
                with contextlib.suppress(SettingsError, ValueError):  # said, to the others too, when there is something to send
                    self._channel(slug, channel)

    def close(self) -> None:
        """Let channels finish what they are sent just now; close connections and state."""
        with self._changed:
            self._is_closed = True
            self._changed.wait_for(lambda: not self._busy, http_call.ANSWER_SECONDS + 1)
            for channel in {id(channel): channel for channel in (*self._opened.values(), *self._channels.values())}.values():
                channel.close()
            if self._history:
                self._history.close()
            self._state.close()

    def handle(self, bodies: Iterable[bytes]) -> None:
        """Enter the alerts in these event bodies and send what is due in their cities.

        Raises StateError when something could not be written down: give the same events again, what is known changes nothing.
        Where a city alone can't be tended its alerts wait by themselves, so that others need not wait for their next events.
        """
        entries = [entry for body in bodies for entry in alerts_in(body)]
        rejected = [entry for entry in entries if isinstance(entry, Rejected)]
        by_city: dict[str, list[Alert]] = {}
        for entry in entries:
            if isinstance(entry, Alert):
                by_city.setdefault(self._settings.slug_of(entry.city_id), []).append(entry)
        rejection = self._reject(rejected)
        self._tend_each(by_city)
        if rejection:
            raise rejection

    def tend(self, cities: Iterable[str] | None = None) -> None:
        """Send what is due (in all cities when none are named): what waited, what failed, what has changed."""
        try:
            self._tend_each(dict.fromkeys(self._settings.cities if cities is None else cities, ()))
            if cities is None:
                with self._changed:
                    control_hub.compare(self._state, self._settings, utc_now())
                    self._log_figures()
        finally:
            if cities is None:
                self._begin_to_send_history()  # whatever is wrong with one city

    def _begin_to_send_history(self) -> None:
        """By a thread of its own: whoever is to be notified waits for no hub."""
        with self._changed:
            if self._history is None or HISTORY in self._busy or self._is_closed:
                return
            self._busy.add(HISTORY)
            threading.Thread(target=self._send_history, args=(self._history,), daemon=True).start()

    def _send_history(self, history: History) -> None:
        try:
            for slug in self._settings.cities:
                with self._changed:
                    if self._is_closed:
                        return
                    left = unsent(*self._state.remembered(slug))
                if left.rows:
                    history.send(left.rows)
                    with self._changed:
                        self._state.change(slug, lambda book, left=left: mark(book, left.sent))  # type: ignore[misc]
        except (HistoryError, StateError) as fault:
            log.warning("the history of incidents waits", extra={"ids": {"fault": str(fault)}})
        finally:
            with self._changed:
                self._busy.discard(HISTORY)
                self._changed.notify_all()

    def _log_figures(self) -> None:
        figures = {"deliveries": 0, "deliveries_pending": 0, "deliveries_dead": 0, "incidents_open": 0}
        for slug in self._settings.cities:
            for name, value in _figures(self._state.book(slug)).items():
                figures[name] += value
        figures |= {"deliveries": self._delivered, "alerts_rejected": self._state.rejected_count()}
        figures_log.info("figures", extra={"figures": figures})

    def _tend_each(self, alerts_by_city: Mapping[str, Collection[Alert]]) -> None:
        """Tend cities, each with its alerts; what is wrong with one is raised when the others have been notified."""
        begun: list[Desk] = []
        faults: list[Exception] = []
        for slug, alerts in alerts_by_city.items():
            try:
                begun += self._tend(slug, alerts)
            except Exception as fault:  # noqa: BLE001 (whatever is wrong with one city is no other one's business)
                ids = {"city": slug, "fault": _said(fault), "alerts": len(alerts)}
                log.error("a city can't be notified", extra={"ids": ids})
                if not self._wait_by_themselves(slug, alerts):
                    faults.append(fault)
        self._wait_for(begun)
        if faults:
            raise faults[0]

    def _wait_by_themselves(self, slug: str, alerts: Collection[Alert]) -> bool:
        """Put away the alerts of a city that can't be tended; whether that could be done."""
        if not alerts:
            return False
        try:
            with self._changed:
                self._state.wait(slug, alerts)
                self._look_at.pop(slug, None)
        except StateError as fault:
            log.error("its alerts can't wait by themselves", extra={"ids": {"city": slug, "fault": str(fault)}})
            return False
        return True

    def _reject(self, rejected: list[Rejected]) -> StateError | None:
        """Write down lines that are not alerts; the fault that kept them from it."""
        for bad in rejected:
            log.warning("a line is not an alert", extra={"ids": {"reason": bad.reason, "record": bad.record[:200]}})
        try:
            if rejected:
                with self._changed:
                    self._state.reject(rejected, utc_now())
        except StateError as fault:
            return fault
        return None

    def _tend(self, slug: str, alerts: Collection[Alert] = ()) -> list[Desk]:
        """Enter alerts of a city, and have each channel notified of what is due by its own thread; which of them have begun."""
        with self._changed:
            free = [channel for channel in self._settings.cities[slug].channels if (slug, channel.key) not in self._busy]
            looks = time.monotonic() >= self._look_at.get(slug, 0.0)
            waiting = self._state.waiting(slug) if looks else []
            batches = self._plan(slug, free, [*waiting, *alerts])
            if waiting:
                self._state.entered(slug, waiting)
            if looks:
                self._look_at[slug] = time.monotonic() + LOOK_SECONDS
            for channel in free:
                if channel.key in batches:
                    self._busy.add((slug, channel.key))
                    work = threading.Thread(target=self._work, args=(slug, channel, batches[channel.key]), daemon=True)
                    work.start()
        return [(slug, key) for key in batches]

    def _wait_for(self, desks: Collection[Desk]) -> None:
        """Wait for channels that have begun, but for none that is stuck: it goes on without us."""
        began = time.monotonic()
        with self._changed:
            while not self._crash and self._going(desks, began) and time.monotonic() - began < LONGEST_WAIT_SECONDS:
                self._changed.wait(0.1)
            if self._crash:
                raise self._crash

    def _going(self, desks: Collection[Desk], began: float) -> bool:
        newest = time.monotonic() - PATIENCE_SECONDS
        return any(max(began, self._progress.get(desk, began)) > newest for desk in self._busy.intersection(desks))

    def _plan(self, slug: str, channels: Collection[ChannelSettings], alerts: Collection[Alert] = ()) -> dict[str, Batch]:
        """Write down alerts and what these channels have taken, and lease to us those that are to be sent something; what each
        is sent.
        """
        if not (channels or alerts):
            return {}
        acts = self._state.acts(slug)
        batches = self._state.change(slug, lambda book: self._entered(book, slug, channels, alerts, acts))
        for channel in channels:
            self._unwritten.pop((slug, channel.key), None)
        return batches

    def _entered(
        self, book: Book, slug: str, channels: Collection[ChannelSettings], alerts: Collection[Alert], acts: Acts
    ) -> dict[str, Batch]:
        for channel in channels:
            self._apply(book, slug, channel.key, self._unwritten.get((slug, channel.key), []))
        if alerts:
            take(book, alerts, self._settings.cities[slug], self._settings.rules, utc_now())
        if self._history:
            begin(book)
        return self._begin(book, slug, channels, acts)

    def _begin(self, book: Book, slug: str, channels: Collection[ChannelSettings], acts: Acts) -> dict[str, Batch]:
        now, city = utc_now(), self._settings.cities[slug]
        if book.lease_holder not in (None, self._instance) and book.lease_until and format_time(now) < book.lease_until:
            return {}  # an instance of an earlier release notifies the whole city
        ours = [channel for channel in channels if self._take_over(book, slug, channel.key)]
        settle(book, city, self._settings.rules, now)
        ready = [channel for channel in ours if not is_left_alone(book, channel.key, now)]
        steps: dict[str, list[Step]] = {}
        for step in next_steps(book, city, self._settings.rules, now, ready, acts):
            steps.setdefault(step.channel, []).append(step)
        batches = {}
        for channel in ready:
            due = steps.get(channel.key, [])[:BATCH]
            check = self._needs_check(book, slug, channel.key)
            if due or check:
                notices = [(step, notice(book, step, self._settings, city, acts)) for step in due]
                batches[channel.key] = self._leased(book, channel.key, notices, check)
        return batches

    def _needs_check(self, book: Book, slug: str, key: str) -> bool:
        return (slug, key) not in self._checked or _is_unusable(book, key)

    def _leased(self, book: Book, key: str, notices: list[tuple[Step, Notice]], check: bool) -> Batch:
        health = book.channels.setdefault(key, ChannelHealth())
        health.lease_holder = self._instance
        health.lease_until = format_time(datetime.now(UTC) + timedelta(seconds=LEASE_SECONDS))
        return Batch(health.lease_until, time.monotonic() + LEASE_SECONDS, notices, check)

    def _take_over(self, book: Book, slug: str, key: str) -> bool:
        """Whether nobody else is notifying the channel. Whoever was killed while it did has left a note of what was taken."""
        health = book.channels.get(key)
        if health is None or health.lease_holder is None or health.lease_until is None:
            return True
        if health.lease_holder != self._instance and format_time(datetime.now(UTC)) < health.lease_until:
            return False
        for incident, action, ref, at in self._noted(slug, key, health.lease_until):
            heard(book, Step(str(incident), key, str(action)), ref, parse_time(str(at)) or utc_now())
        _free(book, key)
        return True

    def _noted(self, slug: str, key: str, lease: str) -> list[list[str | None]]:
        """What was noted for a channel under a lease. A note that was damaged costs a repeat, and no city."""
        try:
            noted_under, entries = self._state.journal(slug, key)
        except Damaged as fault:
            log.error("what a channel took last is not known, and may be repeated", extra={"ids": {"fault": str(fault)}})
            return []
        return entries if noted_under == lease else []

    def _apply(self, book: Book, slug: str, key: str, results: list[Result]) -> None:
        """Enter what became of a batch, and end its lease."""
        for result in results:
            if result.step and (result.fault is None or result.fault.taken):
                heard(book, result.step, result.ref, result.at)
            if result.fault:
                self._enter_fault(book, slug, key, result, result.fault)
            elif result.step or _is_unusable(book, key):
                is_well(book, key, result.at)
        if results:
            _free(book, key)

    def _enter_fault(self, book: Book, slug: str, key: str, result: Result, fault: DeliveryError) -> None:
        jitter = random.uniform(0.8, 1.2)
        fell_ill(book, key, slug, fault, jitter, result.at)
        if result.step and not fault.taken:
            failed(book, result.step, fault, jitter, result.at)

    def _work(self, slug: str, channel: ChannelSettings, batch: Batch | None) -> None:
        """Notify a channel batch after batch, until nothing is left or it fails."""
        desk = slug, channel.key
        try:
            while batch:
                results = self._sent(slug, channel, batch)
                with self._changed:
                    self._progress[desk] = time.monotonic()
                    self._unwritten[desk] = results
                    batch = self._plan(slug, [channel]).get(channel.key)
                    if batch is None or self._is_closed:
                        return
        except Exception as fault:  # noqa: BLE001 (what it has taken is kept, and entered by the next run)
            ids = {"channel": desk[1], "fault": _said(fault)}
            log.error("what a channel has taken could not be written down", extra={"ids": ids})
        except BaseException as fault:  # noqa: BLE001 (raised again by whoever waits)
            self._crash = fault
        finally:
            with self._changed:
                self._is_closed = self._is_closed or self._crash is not None
                self._busy.discard(desk)
                self._changed.notify_all()

    def _sent(self, slug: str, channel: ChannelSettings, batch: Batch) -> list[Result]:
        """What becomes of a batch, up to the first failure or the end of its lease."""
        results: list[Result] = []
        if batch.check:
            self._checked.add((slug, channel.key))
            results.append(self._result(slug, channel, None, lambda: self._channel(slug, channel).check()))
        for number, (step, due) in enumerate(batch.notices, start=1):
            if _has_failed(results) or self._is_closed or time.monotonic() + http_call.ANSWER_SECONDS > batch.until:
                break
            if not self._is_still_due(slug, channel, step):
                results.append(Result(None, None, None, utc_now()))
                continue
            results.append(self._result(slug, channel, step, lambda due=due: self._channel(slug, channel).send(due)))  # type: ignore[misc]
            if number < len(batch.notices) and not _has_failed(results):
                with self._changed:
                    self._progress[slug, channel.key] = time.monotonic()
                    self._state.note(slug, channel.key, batch.lease, [_entry(result) for result in results if _is_noted(result)])
        return results

    def _is_still_due(self, slug: str, channel: ChannelSettings, step: Step) -> bool:
        """Whether nobody has done anything since it was planned that makes a notice needless."""
        with self._changed:
            acts = self._state.acts(slug)
            if not acts.all and step.action not in ("escalate", "remind", "acknowledge"):
                return True  # the book of a storm is not read for each of its notices
            place = Place(self._settings.cities[slug], self._settings.rules, utc_now(), acts)
            return is_still_due(step, self._state.book(slug), channel, place)

    def _result(self, slug: str, channel: ChannelSettings, step: Step | None, what: Callable[[], str | None]) -> Result:
        ids = {"incident": step.incident, "action": step.action} if step else {"action": "check"}
        try:
            ref = what()
        except DeliveryError as fault:
            error: DeliveryError | None = fault
        except SettingsError as fault:
            error = DeliveryError(str(fault), unusable=True)
        except Exception as fault:  # noqa: BLE001 (whatever is wrong with one channel is no other one's business)
            error = DeliveryError(f"it failed in a way it should not ({_said(fault)}): report that")
        else:
            error = None
        if error:
            log.error("a channel failed", extra={"ids": {**ids, "channel": channel.key, "fault": str(error)}})
            return Result(step, None, error, utc_now())
        if step:
            self._delivered += 1
            log.info("delivered", extra={"ids": {**ids, "channel": channel.key}})
        return Result(step, ref, None, utc_now())

    def _channel(self, slug: str, channel: ChannelSettings) -> Channel:
        if channel.key in self._channels:
            return self._channels[channel.key]
        desk = slug, channel.key
        if desk not in self._opened:
            self._opened[desk] = channel.open(self._secrets)
        return self._opened[desk]


def _free(book: Book, key: str) -> None:
    """End the lease of a channel; what is well needs no entry."""
    health = book.channels.get(key)
    if health:
        health.lease_holder = health.lease_until = None
        if not health.failures and not health.more:
            del book.channels[key]


def _said(fault: Exception) -> str:
    """What may be said of an exception. The text of one that nobody expected may hold an address, a token or a name."""
    if isinstance(fault, StateError):
        return str(fault)
    *_, last = traceback.extract_tb(fault.__traceback__)
    return f"{type(fault).__name__} in {Path(last.filename).name}:{last.lineno}"


def _is_unusable(book: Book, key: str) -> bool:
    """Whether nothing could be sent when it was last tried, so that a check is all it takes to see that it is fixed."""
    return key in book.channels and book.channels[key].unusable


def _has_failed(results: list[Result]) -> bool:
    return any(result.fault for result in results)


def _is_noted(result: Result) -> bool:
    """Whether a kill must not repeat it. To hear again who has it changes nothing, and an earlier release can't read of that."""
    return result.step is not None and result.step.action != "acknowledge"


def _entry(result: Result) -> list[str | None]:
    assert result.step is not None
    return [result.step.incident, result.step.action, result.ref, format_time(result.at)]


def _figures(book: Book) -> dict[str, int]:
    deliveries = [delivery for incident in book.incidents.values() for delivery in incident.deliveries.values()]
    return {
        "incidents_open": sum(incident.open for incident in book.incidents.values()),
        "deliveries_pending": sum(bool(one.attempts) and not one.dead for one in deliveries),
        "deliveries_dead": sum(bool(one.dead) for one in deliveries),
    }
