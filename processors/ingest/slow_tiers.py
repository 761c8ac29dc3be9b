"""The two tiers whose questions are one request each: the status of rooms in need (xAPI), and workspace metrics.

They come after the estate has been told, within the budget of the poll, and what they can't have makes no poll partial. Whoever
was asked longest ago comes first, so every room has its turn. A question that fails goes to the end of the queue; after one that
found nobody at home, the other rooms of that city wait for the next poll, so that a failing city holds up no other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from datetime import datetime, timedelta
from typing import Protocol, TypeVar

from processors.ingest import metrics, room_status
from processors.ingest.changes import KnownDevice
from processors.ingest.cloud_events import Event
from processors.ingest.directory import Directory
from processors.ingest.observations import PollContext, device_observation, metric_observation, use_observation
from processors.ingest.records import BadRecord
from processors.ingest.room_status import BARRED_FOR, STANDBY_STATES, RoomStatus
from processors.ingest.settings import IngestSettings
from processors.ingest.signals import RuleBook
from processors.ingest.state import IngestState, Watermark
from processors.ingest.unknowns import Unknowns
from processors.ingest.webex_client import (
    Deadline,
    DeadlinePassed,
    NotPermitted,
    Page,
    TurnsUsedUp,
    Unavailable,
    WebexClient,
    WebexError,
)
from processors.timestamps import format_time, slot_of

Key = TypeVar("Key", str, tuple[str, str])

METRIC_EVENTS_AT_ONCE = 1000
"""Readings are sent when so many have come together: catching up after a long pause must not fill the memory."""


class Run(Protocol):
    """The poll that the tiers are part of."""

    @property
    def slot(self) -> datetime:
        """Its time slot."""

    @property
    def deadline(self) -> Deadline:
        """By when the slow tiers have to be over."""

    @property
    def unknowns(self) -> Unknowns:
        """What it meets that is unknown."""

    @property
    def made(self) -> Counter[str]:
        """Its requests so far, by tier."""

    @property
    def context(self) -> PollContext:
        """What its observations say about it."""

    def fault(self, fault: WebexError) -> None:
        """Remember what could not be had; the poll does not become partial."""

    def send(self, events: list[Event]) -> None:
        """Send observations; returns when they are acknowledged."""

    def put_aside(self, fault: BadRecord, record: object, page: Page) -> None:
        """Quarantine a record."""


class SlowTiers:
    """Asks for the status of rooms and for workspace metrics. What was asked when is remembered as long as the process lives."""

    def __init__(self, settings: IngestSettings, client: WebexClient, state: IngestState, book: RuleBook) -> None:
        self._settings = settings
        self._client = client
        self._state = state
        self._book = book
        self._asked: dict[str, datetime] = {}
        self._answered: dict[str, datetime] = {}
        self._barred_devices: dict[str, datetime] = {}
        self._barred_metrics: dict[tuple[str, str], datetime] = {}
        self._refused: set[str | tuple[str, str]] = set()
        """What Webex refused when it was last asked for."""
        self._threads: ThreadPoolExecutor | None = None

    def close(self) -> None:
        """Let go of the threads."""
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def barred(self, now: datetime) -> int:
        """How many devices and sensors are left alone for now, because Webex said not permitted or not there."""
        bars = [*self._barred_devices.values(), *self._barred_metrics.values()]
        return sum(until > now for until in bars)

    def rooms_due(self, now: datetime) -> list[KnownDevice]:
        """The devices to ask for their status now."""
        if not self._client.rates.xapi_per_second:
            return []
        devices = self._state.devices.values()
        return room_status.due(devices, self._asked, self._barred_devices, now, self._settings.xapi_seconds)

    def metrics_due(self, directory: Directory, now: datetime) -> list[metrics.Ask]:
        """The metrics to read now, as many as a poll may."""
        limit = self._settings.metric_requests_per_poll
        if not limit:
            return []
        every = timedelta(seconds=self._settings.metric_seconds)
        barred = {key for key, until in self._barred_metrics.items() if until > now}
        return metrics.asks(directory, self._settings.metrics, self._state.watermarks, now, limit, barred, every)

    def ask_rooms(self, run: Run, directory: Directory, due: Sequence[KnownDevice]) -> None:
        """Ask devices for their status, some at once; tell what they say, and what we no longer know."""
        said: list[tuple[KnownDevice, RoomStatus]] = []
        for known, outcome in self._outcomes(run, due):
            device_id = known.device.id
            if isinstance(outcome, RoomStatus):
                self._answered[device_id] = run.slot
                self._refused.discard(device_id)
                said.append((known, outcome))
                if outcome.standby_text is not None and outcome.standby_text not in STANDBY_STATES:
                    run.unknowns.note("Standby.State", outcome.standby_text)
            elif isinstance(outcome, NotPermitted):
                self._refuse(self._barred_devices, device_id, run.slot)
        self._tell_rooms(run, directory, said)

    def read_metrics(self, run: Run, directory: Directory, due: Sequence[metrics.Ask]) -> None:
        """Read and send the readings of `due`."""
        events: list[Event] = []
        watermarks: dict[tuple[str, str], Watermark] = {}
        silent_cities: set[str] = set()
        asked_at = format_time(run.slot)
        for ask in due:
            place = directory.place_of(ask.workspace.location_id, ask.workspace.id)
            if place.city_id in silent_cities:
                continue
            read_to = ask.watermark.read_to if ask.watermark else None
            try:
                run.made["metrics"] += 1
                page = self._client.get("/workspaceMetrics", metrics.query(ask, run.slot), run.deadline)
            except DeadlinePassed as fault:
                run.made["metrics"] -= 1
                if not isinstance(fault, TurnsUsedUp):
                    run.fault(fault)
                break
            except NotPermitted as fault:
                run.fault(fault)
                self._refuse(self._barred_metrics, ask.key, run.slot)
            except WebexError as fault:
                run.fault(fault)
                silent_cities.add(place.city_id)
            else:
                self._refused.discard(ask.key)
                for reading in self._readings(run, page, ask):
                    read_to = format_time(reading.time)
                    slot = format_time(slot_of(reading.time, self._settings.poll_seconds))
                    event = metric_observation(slot, self._book, place, ask.workspace, ask.metric, read_to, reading.value)
                    events.append(event)
            watermarks[ask.key] = Watermark(read_to, asked_at)
            if len(events) >= METRIC_EVENTS_AT_ONCE:
                self._send_readings(run, events, watermarks)
        self._send_readings(run, events, watermarks)

    def _outcomes(self, run: Run, due: Sequence[KnownDevice]) -> Iterator[tuple[KnownDevice, RoomStatus | WebexError]]:
        """Ask with as many requests in flight as are allowed; ends early when the time of the poll does."""
        if not due:
            return
        if self._threads is None:
            self._threads = ThreadPoolExecutor(self._client.rates.xapi_in_flight, "xapi")
        waiting = iter(due)
        flying: dict[Future[RoomStatus], KnownDevice] = {}
        silent_cities: set[str] = set()
        over = False
        while True:
            while not over and len(flying) < self._client.rates.xapi_in_flight:
                known = next((each for each in waiting if each.place.city_id not in silent_cities), None)
                if known is None:
                    break
                self._asked[known.device.id] = run.slot
                run.made["roomStatus"] += 1
                flying[self._threads.submit(self._ask, known.device.id, run.deadline)] = known
            if not flying:
                return
            for future in wait(flying, return_when=FIRST_COMPLETED).done:
                known = flying.pop(future)
                try:
                    yield known, future.result()
                except WebexError as fault:
                    if isinstance(fault, DeadlinePassed):
                        del self._asked[known.device.id]
                        run.made["roomStatus"] -= 1
                        over = True
                    elif isinstance(fault, Unavailable):
                        silent_cities.add(known.place.city_id)
                    if not isinstance(fault, TurnsUsedUp):
                        run.fault(fault)
                    yield known, fault

    def _refuse(self, barred: dict[Key, datetime], key: Key, now: datetime) -> None:
        """Webex refused something: a second time in a row it is left alone for a while; once may be a slip."""
        if key in self._refused:
            barred[key] = now + BARRED_FOR
        self._refused.add(key)

    def _ask(self, device_id: str, deadline: Deadline) -> RoomStatus:
        return room_status.read_room_status(self._client.device_status(device_id, room_status.EXPRESSIONS, deadline))

    def _tell_rooms(self, run: Run, directory: Directory, said: Sequence[tuple[KnownDevice, RoomStatus]]) -> None:
        """Send what has changed with a device, how good its call is while it lasts, and how its room is used."""
        events: list[Event] = []
        changed: dict[str, KnownDevice] = {}
        rooms: set[str] = set()
        for known, status in said:
            now = known._replace(condition=status.applied_to(known.condition))
            if now != known or status.in_call:
                changed[known.device.id] = now
                events.append(device_observation(run.context, self._book, now, "metric", known))
            workspace = directory.workspaces.get(known.device.workspace_id or "")
            if workspace is not None and workspace.id not in rooms:
                rooms.add(workspace.id)
                events += use_observation(run.context, self._book, known.place, workspace, status)
        for known in self._no_longer_believed(run.slot):
            now = known._replace(condition=room_status.forgotten(known.condition))
            changed[known.device.id] = now
            events.append(device_observation(run.context, self._book, now, "metric", known))
        self._state.announce(changed)
        run.send(events)
        self._state.commit_devices(changed)

    def _no_longer_believed(self, now: datetime) -> Iterator[KnownDevice]:
        """Devices that once said something, and have not been asked or not answered for long."""
        oldest = now - timedelta(seconds=self._settings.xapi_seconds * room_status.FORGOTTEN_AFTER)
        for device_id, known in self._state.devices.items():
            if known.condition.was_told and self._answered.setdefault(device_id, now) < oldest:
                yield known

    def _readings(self, run: Run, page: Page, ask: metrics.Ask) -> list[metrics.Reading]:
        understood = []
        for item in page.items:
            try:
                understood.append(metrics.read_reading(item, run.slot))
            except BadRecord as fault:
                run.put_aside(fault, item, page)
        return metrics.new_readings(understood, ask, run.slot)

    def _send_readings(self, run: Run, events: list[Event], watermarks: dict[tuple[str, str], Watermark]) -> None:
        run.send(events)
        self._state.commit_watermarks(watermarks)
        events.clear()
        watermarks.clear()
