"""An ingest that listens and polls, and is killed at any step: in one thread, by a clock of its own, without Webex.

What is durable (the hub, the state) outlives it; what is not (an answer in hand, what it knows of gaps) ends with it. Webex hands
every message out once; workspaceMetrics lists readings some time after they were pushed.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor, Future
from datetime import datetime, timedelta
from types import SimpleNamespace
from typing import Any

from processors.contracts.signals import METRICS
from processors.ingest.city_mapping import CityMapping
from processors.ingest.cloud_events import Event
from processors.ingest.directory import Directory
from processors.ingest.endpoint import Endpoints
from processors.ingest.push.app import Polled, QueueGone
from processors.ingest.push.coverage import MAY_BE_IN_HAND, Coverage
from processors.ingest.push.desk import PushDesk
from processors.ingest.push.listener import Listener
from processors.ingest.push.manifest import SCOPES, STATUSES, manifest
from processors.ingest.records import Location, Workspace
from processors.ingest.room_use import RoomUses
from processors.ingest.settings import City, IngestSettings
from processors.ingest.signals import RuleBook
from processors.ingest.sinks import SendError
from processors.ingest.slow_tiers import SlowTiers
from processors.ingest.state import Change, IngestState
from processors.ingest.webex_client import Deadline, Page
from processors.timestamps import format_time
from tests.support.scripted_webex import FAST

METRIC, PATH = "temperature", "RoomAnalytics.AmbientTemperature"
CITY = City("lyon", "Lyon", ("Lyon",), (), push=True)


class Killed(BaseException):
    """SIGKILL: nothing catches it."""


class _AtOnce(Executor):
    """Does what it is given at once."""

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        try:
            future.set_result(fn(*args, **kwargs))
        except Exception as fault:  # noqa: BLE001 (as any executor)
            future.set_exception(fault)
        return future


class World:
    """Sensors of some rooms, Webex's queue and lists, the hub, the state, and the process that is there now."""

    def __init__(self, start: datetime, rooms: int = 2, listed_after: float = 0.0, poll_seconds: float = 60) -> None:
        """`listed_after`: seconds until a reading is in workspaceMetrics."""
        self.now = start
        self.read: dict[str, list[tuple[datetime, float]]] = defaultdict(list)
        self.queue: list[dict[str, Any]] = []
        self.hub: dict[tuple[str, str], list[str]] = defaultdict(list)
        self.kill_at: int | None = None
        self.fails = 0
        self.asked = 0
        self._listed_after = timedelta(seconds=listed_after)
        self._dropped = False
        self._steps = 0
        self._handed_out = 1
        self._settings = IngestSettings(poll_seconds, 15, 100, (METRIC,), (CITY,), FAST)
        workspaces = {f"room-{n}": Workspace(f"room-{n}", f"Room {n}", "l1", frozenset({METRICS[METRIC]})) for n in range(rooms)}
        self.directory = Directory(CityMapping((CITY,)), {"l1": Location("l1", "Lyon")}, workspaces)
        self._state = _Durable(self.step)
        self.start()

    def start(self) -> None:
        """A new process over what is durable."""
        self._coverage = Coverage(lambda: 0.0)  # Webex has always told something just now: what is pushed stays covered
        book, uses = RuleBook((CITY,)), RoomUses()
        client: Any = SimpleNamespace(endpoints=Endpoints(FAST), rates=FAST, get=self._listed)
        self._tiers = SlowTiers(self._settings, client, self._state, book, self._coverage, uses)
        pool: Any = _AtOnce()
        self._tiers._threads = pool
        places: Any = SimpleNamespace(directory=self.directory)
        about = self._tiers.about
        self._listener = Listener(*(None, None), self._coverage)  # type: ignore[arg-type]  # neither home nor trust is asked
        app: Any = SimpleNamespace(
            integration=SimpleNamespace(app_id="app"), poll=self._handed, listening=lambda: "queue", described=_approved
        )
        self._listener._app = app
        self._listener._desk = PushDesk(self._settings, self, self._state, book, places, self._coverage, about, uses)
        self._coverage.begin()

    def kills_after(self, steps: int) -> None:
        """The process is killed so many steps from now."""
        self.kill_at = self._steps + steps

    def step(self) -> None:
        """A moment at which a kill can come."""
        self._steps += 1
        if self._steps == self.kill_at:
            raise Killed

    def reads(self, room: int, value: float, *, pushed: bool = True, before: int = 0, twice: bool = False) -> None:
        """A sensor reads something now; its message comes before so many of the last ten minutes, or never."""
        self.read[f"room-{room}"].append((self.now, value))
        message = {
            "type": "status", "deviceId": f"device-{room}", "workspaceId": f"room-{room}", "timestamp": format_time(self.now),
            "changes": {"updated": {PATH: value}},
        }  # fmt: skip
        for _ in range((1 + twice) * pushed):
            fresh = sum(other["timestamp"] >= format_time(self.now - MAY_BE_IN_HAND) for other in self.queue)
            self.queue.insert(len(self.queue) - min(before, fresh), message)

    def passes(self, seconds: float) -> None:
        """Time passes."""
        self.now += timedelta(seconds=seconds)

    def listens(self, messages: int = 1) -> None:
        """The listener polls the queue once, and hands over what came."""
        self._handed_out = messages
        self._lives(self._listener._round)

    def polls(self) -> None:
        """The poll asks for metrics."""

        def poll() -> None:
            due = self._tiers.metrics_due(self.directory, self.now, 60.0)
            self.asked += len(due)
            run: Any = SimpleNamespace(
                slot=self.now, deadline=Deadline(60), made=Counter(), fault=_raise, put_aside=_raise,
                send=lambda events: self.send(events, "observations"),
            )  # fmt: skip
            try:
                self._tiers.read_metrics(run, self.directory, due)
            except SendError:
                return

        self._lives(poll)

    def is_killed_with(self, messages: int) -> None:
        """The process ends with so many messages in hand, and another begins."""
        del self.queue[:messages]
        self.start()

    def drops_the_queue(self) -> None:
        """Webex drops the queue with what is in it."""
        self.queue.clear()
        self._dropped = True

    @property
    def open_gaps(self) -> int:
        """Sensors that may have a gap."""
        return sum(not self._coverage.is_continuous((room, METRIC)) for room in self.directory.workspaces)

    def send(self, events: Sequence[Event], hub: str) -> list[Event]:
        """See Sink: half of it arrives when it fails."""
        self.step()
        failing, self.fails = self.fails > 0, max(0, self.fails - 1)
        for event in events[: len(events) // 2] if failing else events:
            document = json.loads(event.body)
            self.hub[document["data"]["entityId"], document["time"]].append(document["id"])
        if failing:
            raise SendError("the hub is gone")
        self.step()
        return []

    def close(self) -> None:
        """See Sink."""

    def lost(self) -> list[tuple[str, str]]:
        """What a sensor read that never arrived."""
        expected = ((room, format_time(time)) for room, readings in self.read.items() for time, _ in readings)
        return [one for one in expected if one not in self.hub]

    def under_two_ids(self) -> list[tuple[str, str]]:
        """What arrived as two different readings."""
        return [key for key, ids in self.hub.items() if len(set(ids)) > 1]

    def _lives(self, work: Callable[[], Any]) -> None:
        try:
            work()
        except Killed:
            self.start()

    def _handed(self, _: str) -> Polled:
        if self._dropped:
            self._dropped = False
            raise QueueGone("404")
        handed, self.queue = self.queue[: self._handed_out], self.queue[self._handed_out :]
        self.step()
        return Polled(list(handed), None)

    def _listed(self, path: str, query: Mapping[str, str], _: object) -> Page:
        known = [(time, value) for time, value in self.read[query["workspaceId"]] if time <= self.now - self._listed_after]
        items = [
            {"timestamp": format_time(time), "value": value}
            for time, value in known
            if query["from"] <= format_time(time) <= query["to"]
        ]
        return Page(items, path, None, "")


class _Durable(IngestState):
    """A state that outlives its process. A change is made whole or not at all."""

    def __init__(self, step: Callable[[], None]) -> None:
        super().__init__()
        self._step = step

    def _save(self, change: Change) -> None:
        self._step()


def _approved() -> dict[str, Any]:
    """What Webex says of an integration whose manifest is approved as it is."""
    return {
        "scopes": [*SCOPES], "xapiAccessKeys": {"statuses": [*STATUSES]}, "manifestVersion": manifest()["manifestVersion"]
    }  # fmt: skip


def _raise(fault: Exception, *_: object) -> None:
    raise fault
