"""The tiers whose questions are one request each: the status of rooms in need (xAPI), workspace metrics, and for how long rooms
were booked and in use.

They come after the estate has been reported, within the budget of the poll, and what they can't have makes no poll partial. How
they ask, and who is left alone after a failure, is in `slow_tier.py`; here is what they ask for and what becomes of the answers.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from typing import Protocol

from processors.ingest import metrics, room_status, slow_tier
from processors.ingest.changes import Condition, KnownDevice, is_there
from processors.ingest.cloud_events import Event
from processors.ingest.details import About
from processors.ingest.device_words import DeviceWords
from processors.ingest.directory import Directory, Place
from processors.ingest.endpoint import DURATIONS, METRICS, ROOM_STATUS
from processors.ingest.observations import (
    PollContext,
    booking_observation,
    device_observation,
    metric_observation,
    use_observation,
)
from processors.ingest.push.coverage import Coverage, Pair
from processors.ingest.records import BadRecord
from processors.ingest.room_status import STANDBY_STATES, RoomStatus
from processors.ingest.room_use import RoomUses, Use
from processors.ingest.settings import IngestSettings
from processors.ingest.signals import RuleBook
from processors.ingest.slow_tier import SlowTier
from processors.ingest.state import IngestState, Watermark
from processors.ingest.unknowns import Unknowns
from processors.ingest.webex_client import Deadline, Page, WebexClient
from processors.timestamps import format_time, parse_time, slot_of

PUSHED_SAMPLE = 10
"""So many readings a poll asks for that are pushed: what differs shows that not everything arrives."""
GAPS_CLOSED_WITHIN = timedelta(hours=24)
"""How long it may take to ask every pushed sensor once for what came before its first push: the API looks back 47 hours."""
METRIC_EVENTS_AT_ONCE = 1000
"""Readings are sent when so many have come together: catching up after a long pause must not fill the memory."""


REPORTING_FOR = timedelta(minutes=15)
"""So long it holds what a room has said of its use, unless its device reports each change by itself."""


class Run(slow_tier.Run, Protocol):
    """The poll that the tiers are part of."""

    @property
    def unknowns(self) -> Unknowns:
        """What it meets that is unknown."""

    @property
    def context(self) -> PollContext:
        """What its observations say about it."""

    def send(self, events: list[Event]) -> None:
        """Send observations; returns when they are acknowledged."""

    def put_aside(self, fault: BadRecord, record: object, page: Page) -> None:
        """Quarantine a record."""


class SlowTiers:
    """Asks for the status of rooms and for workspace metrics. What was asked when is remembered as long as the process lives, and
    as what was asked is there.
    """

    def __init__(
        self,
        settings: IngestSettings,
        client: WebexClient,
        state: IngestState,
        book: RuleBook,
        coverage: Coverage,
        uses: RoomUses,
    ) -> None:
        self._settings = settings
        self._coverage = coverage
        self._uses = uses
        self._expressions = room_status.expressions(settings.bookings)
        self._client = client
        self._state = state
        self._book = book
        self._asked: dict[str, datetime] = {}
        self._answered: dict[str, datetime] = {}
        self._words: dict[str, DeviceWords] = {}
        poll, xapi, metric = (
            timedelta(seconds=s) for s in (settings.poll_seconds, settings.xapi_seconds, settings.metric_seconds)
        )
        of = client.endpoints.of
        self._rooms: SlowTier[KnownDevice, str, RoomStatus] = SlowTier(
            "roomStatus", ROOM_STATUS, of(ROOM_STATUS), self._ask, _device_id, _device_id, xapi, poll
        )
        self._by_path: dict[str, SlowTier[metrics.Ask, tuple[str, str], Page]] = {
            path: SlowTier(name, path, of(path), self._read, lambda ask: ask.key, lambda ask: ask.workspace.id, every, poll)
            for name, path, every in (("metrics", METRICS, metric), ("durations", DURATIONS, max(metric, metrics.HOUR)))
        }
        self._threads: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """Let go of the threads."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def barred(self, now: datetime) -> int:
        """How many devices and sensors are left alone for now, because Webex said not permitted or not there."""
        return self._rooms.barred(now) + sum(tier.barred(now) for tier in self._by_path.values())

    def forget_gone_devices(self) -> None:
        """Forget devices that the state doesn't know any more."""
        devices = self._state.devices
        for memory in (self._asked, self._answered, self._words):
            for device_id in memory.keys() - devices.keys():
                del memory[device_id]
        self._rooms.forget_gone(devices.__contains__)

    def forget_gone_workspaces(self, workspaces: Container[str]) -> None:
        """Forget sensors of others than these `workspaces`, and how far they have been read. Raises StateError."""
        with self._state.lock:
            self._state.forget_watermarks([pair for pair in self._state.watermarks if pair[0] not in workspaces])
        for tier in self._by_path.values():
            tier.forget_gone(lambda pair: pair[0] in workspaces)
        self._uses.forget_gone(workspaces.__contains__)

    def rooms_due(self, now: datetime) -> list[KnownDevice]:
        """The devices to ask for their status now."""
        if not self._client.rates.xapi_per_second:
            return []
        found = room_status.due(self._state.devices.values(), self._asked, now, self._settings.xapi_seconds)
        return [known for known in found if self._rooms.may_ask(known.device.id, known.place.city_id, now)]

    def metrics_due(self, directory: Directory, now: datetime, left: float) -> list[metrics.Ask]:
        """The metrics to read now, as many as a poll may: of those that are pushed a few, which come first. None of an
        endpoint that pauses for the `left` seconds of the poll.

        Each sensor that is pushed is read once, for what may be missing from before; then a sample of them again and again.
        """
        limit = self._settings.metric_requests_per_poll
        if not limit:
            return []
        every = timedelta(seconds=self._settings.metric_seconds)
        awake = [name for name in self._settings.metrics if self._client.endpoints.of(metrics.path_of(name)).within(left)]
        due = metrics.asks(directory, tuple(awake), self._state.watermarks, now, every)
        may = [ask for ask in due if self._tier_of(ask).may_ask(ask.key, _place(ask, directory).city_id, now)]
        pushed = [ask for ask in may if self._coverage.covers(ask.key)]
        reported = {ask.key for ask in pushed}
        return [*self._few_of(pushed, limit), *(ask for ask in may if ask.key not in reported)][:limit]

    def _few_of(self, pushed: Sequence[metrics.Ask], limit: int) -> list[metrics.Ask]:
        """Of what is pushed, what is asked for all the same; rooms that are not pushed keep at least half of the `limit`."""
        gaps = [ask for ask in pushed if not self._coverage.is_continuous(ask.key)]
        pace = math.ceil(len(pushed) * self._settings.poll_seconds / GAPS_CLOSED_WITHIN.total_seconds())
        closing = gaps[: max(PUSHED_SAMPLE, min(pace, limit // 2))]
        sample = [ask for ask in pushed if self._coverage.is_continuous(ask.key)]
        return [*sample[: max(0, PUSHED_SAMPLE - len(closing))], *closing]

    def about(self, known: KnownDevice, directory: Directory, now: datetime) -> About:
        """What is known of a device besides its record. What it said long ago holds no more, but for where it is plugged in."""
        room = directory.workspaces.get(known.device.workspace_id or "")
        words = self._words.get(known.device.id, DeviceWords())
        believed = self._answered.get(known.device.id, now) >= self._oldest_believed(now)
        return About(room, directory.floor_of(room), words if believed else words.lasting)

    def ask_rooms(self, run: Run, directory: Directory, due: Sequence[KnownDevice]) -> None:
        """Ask devices for their status, some at once; say what they say, and what we no longer know."""
        said: list[tuple[KnownDevice, RoomStatus]] = []
        in_cities = [(known, known.place.city_id) for known in due]
        for outcome in self._rooms.outcomes(run, in_cities, self._pool(), self._client.rates.in_flight):
            known, answer = outcome.item, outcome.answer
            self._asked[known.device.id] = run.slot
            if isinstance(answer, RoomStatus):
                self._answered[known.device.id] = run.slot
                said.append((known, answer))
                run.unknowns.note_odd("xapi/status", answer.odd)
                if answer.standby_text is not None and answer.standby_text not in STANDBY_STATES:
                    run.unknowns.note("Standby.State", answer.standby_text)
        self._report_rooms(run, directory, said)

    def read_metrics(self, run: Run, directory: Directory, due: Sequence[metrics.Ask]) -> None:
        """Read and send the readings of `due`."""
        for tier in self._by_path.values():
            self._read_tier(run, directory, tier, [ask for ask in due if self._tier_of(ask) is tier])

    def report_unattended(self, run: Run, directory: Directory) -> None:
        """Say anew how long rooms have been booked with nobody there: while nothing happens in them, no device says anything."""
        events = []
        for room_id, use in self._uses.unattended(self._is_believed(run.slot)):
            room, minutes = directory.workspaces.get(room_id), use.unattended_at(run.slot)
            if room is not None and minutes is not None and use.moment < run.slot:
                place = directory.place_of(room.location_id, room.id)
                values = {"booked": 1.0, "unattendedMinutes": minutes}
                events.append(booking_observation(run.context, self._book, place, room, values))
        if events:
            run.send(events)

    def count_use(self, rooms: Iterable[str], now: datetime) -> tuple[int, int]:
        """Of some rooms, how many say by now whether somebody is there, and in how many somebody is."""
        return self._uses.count(rooms, self._is_believed(now))

    def _is_believed(self, now: datetime) -> Callable[[Use], bool]:
        """Whether a word on a room holds: it is new, or its device is there and would say what has changed."""

        def believed(use: Use) -> bool:
            known = self._state.devices.get(use.device_id or "")
            covered = known is not None and is_there(known.device) and self._coverage.covers_device(known.device.id)
            return covered or now - use.moment <= REPORTING_FOR

        return believed

    def _tier_of(self, ask: metrics.Ask) -> SlowTier[metrics.Ask, tuple[str, str], Page]:
        return self._by_path[metrics.path_of(ask.metric)]

    def _read_tier(
        self, run: Run, directory: Directory, tier: SlowTier[metrics.Ask, tuple[str, str], Page], due: Sequence[metrics.Ask]
    ) -> None:
        events: list[Event] = []
        watermarks: dict[tuple[str, str], Watermark] = {}
        newest: dict[Pair, metrics.Reading | None] = {}
        asked_at = format_time(run.slot)
        in_cities = [(ask, _place(ask, directory).city_id) for ask in due]
        for outcome in tier.outcomes(run, in_cities, self._pool(), self._client.rates.in_flight):
            ask, place = outcome.item, _place(outcome.item, directory)
            read_to = ask.watermark.read_to if ask.watermark else None
            if isinstance(outcome.answer, Page):
                new = self._readings(run, outcome.answer, ask)
                missing = [reading for reading in new if not self._coverage.has_reported(ask.key, reading.time)]
                newest[ask.key] = new[-1] if new else None
                for reading in missing:
                    time = format_time(reading.time)
                    slot = format_time(slot_of(reading.time, self._settings.poll_seconds))
                    events.append(metric_observation(slot, self._book, place, ask.workspace, ask.metric, time, reading.value))
                if new and ask.metric == "peopleCount":
                    self._uses.note(ask.workspace.id, min(new[-1].time, run.slot), new[-1].value > 0)
                read_to = metrics.read_up_to(new, ask, run.slot)
            watermarks[ask.key] = Watermark(read_to, asked_at)
            if len(events) >= METRIC_EVENTS_AT_ONCE:
                self._send_readings(run, events, watermarks, newest)
        self._send_readings(run, events, watermarks, newest)

    def _pool(self) -> ThreadPoolExecutor:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._client.rates.in_flight, "slow-tier")
        return self._threads

    def _ask(self, known: KnownDevice, deadline: Deadline, slot: datetime) -> RoomStatus:
        return room_status.read_room_status(self._client.device_status(known.device.id, self._expressions, deadline))

    def _read(self, ask: metrics.Ask, deadline: Deadline, slot: datetime) -> Page:
        return self._client.get(metrics.path_of(ask.metric), metrics.query(ask, slot), deadline)

    def _report_rooms(self, run: Run, directory: Directory, said: Sequence[tuple[KnownDevice, RoomStatus]]) -> None:
        """Send what has changed with a device, how good its call is while it lasts, and how its room is used."""
        with self._state.lock:
            self._report_as_one(run, directory, [(self._state.devices.get(k.device.id, k), status) for k, status in said])

    def _report_as_one(self, run: Run, directory: Directory, said: Sequence[tuple[KnownDevice, RoomStatus]]) -> None:
        events: list[Event] = []
        changed: dict[str, KnownDevice] = {}
        rooms: set[str] = set()
        for known, status in said:
            now = known._replace(condition=self._with_answer(known, status))
            news = status.words != self._words.get(known.device.id, DeviceWords())
            self._words[known.device.id] = status.words
            workspace = directory.workspaces.get(known.device.workspace_id or "")
            if now != known or status.in_call or news:
                changed[known.device.id] = now
                about = self.about(now, directory, run.slot)
                events.append(device_observation(run.context, self._book, now, "metric", known, about))
            if workspace is not None and workspace.id not in rooms:
                rooms.add(workspace.id)
                booking = self._uses.note(workspace.id, run.slot, status.used, status.booked, known.device.id)
                events += use_observation(run.context, self._book, known.place, workspace, status, booking)
        for known in self._no_longer_believed(run.slot):
            now = known._replace(condition=room_status.forgotten(known.condition))
            changed[known.device.id] = now
            about = self.about(now, directory, run.slot)
            events.append(device_observation(run.context, self._book, now, "metric", known, about))
        self._state.announce(changed)
        run.send(events)
        self._state.commit_devices(changed)

    def _with_answer(self, known: KnownDevice, status: RoomStatus) -> Condition:
        """A device's condition after its answer. What it reports by itself is newer than an answer that was under way
        meanwhile."""
        covered = self._coverage.covers_device(known.device.id)
        return status.beside_push(known.condition) if covered else status.applied_to(known.condition)

    def _no_longer_believed(self, now: datetime) -> Iterator[KnownDevice]:
        """Devices that once said something, and have not been asked or not answered for long."""
        oldest = self._oldest_believed(now)
        for device_id, known in self._state.devices.items():
            if not known.condition.has_said_something or self._coverage.covers_device(device_id):
                continue
            if self._answered.setdefault(device_id, now) < oldest:
                yield known

    def _oldest_believed(self, now: datetime) -> datetime:
        return now - timedelta(seconds=self._settings.xapi_seconds * room_status.FORGOTTEN_AFTER)

    def _readings(self, run: Run, page: Page, ask: metrics.Ask) -> list[metrics.Reading]:
        understood = []
        read = metrics.read_duration if ask.metric in metrics.MEASUREMENTS else metrics.read_reading
        for item in page.items:
            try:
                understood.append(read(item, run.slot))
            except BadRecord as fault:
                run.put_aside(fault, item, page)
        return metrics.new_readings(understood, ask, run.slot)

    def _send_readings(
        self,
        run: Run,
        events: list[Event],
        watermarks: dict[tuple[str, str], Watermark],
        newest: dict[Pair, metrics.Reading | None],
    ) -> None:
        """Send, then remember, and only then say that there is no gap: what is pushed meanwhile moves no watermark over it."""
        with self._state.lock:
            run.send(events)
            before = {pair: self._state.watermarks.get(pair) for pair in newest}
            self._state.commit_watermarks({pair: self._not_before(pair, mark) for pair, mark in watermarks.items()})
            for pair, reading in newest.items():
                known = before[pair]
                self._coverage.polled(pair, reading, parse_time(known.read_to) if known else None)
        events.clear()
        watermarks.clear()
        newest.clear()

    def _not_before(self, pair: tuple[str, str], mark: Watermark) -> Watermark:
        """A watermark; never behind what was pushed meanwhile."""
        known = self._state.watermarks.get(pair)
        return mark._replace(read_to=max(mark.read_to or "", (known and known.read_to) or "") or None)


def _place(ask: metrics.Ask, directory: Directory) -> Place:
    return directory.place_of(ask.workspace.location_id, ask.workspace.id)


def _device_id(known: KnownDevice) -> str:
    return known.device.id
