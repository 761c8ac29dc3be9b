"""What Webex pushes: how old readings are when Event Hubs has them, and what asking for them would take; and what is lost when
the listener is killed again and again.

Simulator, Event Hubs stand-in, the ingest that listens and the one that only polls are processes of their own, side by side. The
simulated clock begins at noon of a working day in Lyon and runs as fast as ours. PUSH_BENCH_ROOMS and PUSH_BENCH_SECONDS make it
shorter.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.processes import REPOSITORY, serving
from benchmarks.report import Table

if TYPE_CHECKING:
    from processors.ingest.cloud_events import Event
    from processors.ingest.push.app import App
    from processors.ingest.push.home import FolderHome

ROOMS = int(os.environ.get("PUSH_BENCH_ROOMS", "20000"))
SECONDS = float(os.environ.get("PUSH_BENCH_SECONDS", "180"))
DEVICES_A_ROOM = 1.72
"""Of the simulated estate, for every room with a device that can push."""
CHAOS_DEVICES = 400
KILLS = 5
NOON = datetime(2026, 11, 24, 11, tzinfo=UTC).timestamp()
METRICS = ("temperature", "humidity", "tvoc", "ambientNoise", "soundLevel", "peopleCount")
REQUESTS_PER_SECOND = 4.0
MODULE = "benchmarks.bench_push"


def tables() -> list[Table]:
    """Readings pushed beside polled, then a listener that is killed."""
    return [_beside(), _killed()]


def _beside() -> Table:
    with tempfile.TemporaryDirectory() as folder:
        origin = str(time.time())
        devices = str(round(ROOMS * DEVICES_A_ROOM))
        with serving(MODULE, "simulator", folder, devices, origin) as url, serving(MODULE, "hubs", folder) as connection:
            _activate(url, Path(folder), float(origin))
            roles = ("pushed", "polled")
            measured = dict(zip(roles, _together(roles, folder, url, connection, origin), strict=True))
    pushed, polled = measured["pushed"], measured["polled"]
    sweep = pushed["sensors"] / REQUESTS_PER_SECOND
    rows: list[list[object]] = [
        ["rooms that push", pushed["rooms"], "", 20_000],
        ["messages a second, mean", pushed["messages"] / pushed["seconds"], "", ""],
        ["readings that reached the hub", pushed["readings"], polled["readings"], ""],
        ["age of a reading at the hub, p50 (s)", pushed["p50"], sweep / 2, ""],
        ["the same, p95 (s)", pushed["p95"], 0.95 * sweep, 2],
        ["the same, p99.9 (s)", pushed["p999"], 0.999 * sweep, 5],
        ["requests a minute for readings", pushed["requests"], polled["requests"], ""],
        ["processor time of the ingest, share of a core", pushed["share"], polled["share"], ""],
        ["peak resident memory of the ingest (MB)", pushed["megabytes"], polled["megabytes"], ""],
    ]
    note = (
        f"{pushed['seconds']:.0f} s at noon of a working day, after all that devices begin with ({pushed['first']:,} messages, "
        f"{pushed['caught_up']:.0f} s). Age: from the moment a device names to Event Hubs' acknowledgement; polled, it is "
        f"reckoned: {pushed['sensors']:,} sensors at {REQUESTS_PER_SECOND:g} requests a second are one round in "
        f"{sweep / 60:.0f} minutes, longer than is measured here. The first round of the one that listens goes on meanwhile: its "
        "requests are those of a start. The processes share two cores with the simulator"
        f"{'; ' + os.environ['PUSH_BENCH_NOTE'] if 'PUSH_BENCH_NOTE' in os.environ else ''}."
    )
    return Table("Push: readings beside polling", ("what", "pushed", "polled", "bar"), rows, note)


def _together(roles: Sequence[str], *arguments: str) -> list[dict[str, Any]]:
    """What roles measure that run at the same time."""
    commands = ([sys.executable, "-m", MODULE, role, *arguments] for role in roles)
    running = [subprocess.Popen(line, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) for line in commands]
    told = [process.communicate()[0] for process in running]
    return [json.loads(text.splitlines()[-1]) for text in told]


def _killed() -> Table:
    draw = random.Random(7)
    with tempfile.TemporaryDirectory() as folder:
        origin = str(time.time())
        with serving(MODULE, "simulator", folder, str(CHAOS_DEVICES), origin) as url:
            _activate(url, Path(folder), float(origin))
            scenario = _scenario(url)
            with _reference(url, Path(folder) / "reference", float(origin)) as expected:
                scenario.push_duplicates(20)
                for number in range(KILLS):
                    with _listening(folder, url, origin):
                        time.sleep(draw.uniform(4, 12))
                        if number == 1:
                            scenario.drop_queue()
                            time.sleep(3)
                        if number == 2:
                            scenario.expire_token()
                            time.sleep(3)
                scenario.clear()
                with _listening(folder, url, origin):
                    time.sleep(60)
                ended = _time(float(origin)) - 5
            set_up = _set_up(url)
        lines = (Path(folder) / "observations.jsonl").read_text(encoding="utf-8").splitlines()
    readings = [one for one in expected if one[3] <= ended and one[:2] in set_up]
    return _counted(list(map(json.loads, lines)), readings)


Reading = tuple[str, str, float, float]
"""Workspace, signal, value, seconds."""


def _counted(events: list[dict[str, Any]], expected: Sequence[Reading]) -> Table:
    by_id = {event["id"]: event for event in events}
    had = [reading for event in by_id.values() for reading in _readings_of(event)]
    missing = set(expected) - set(had)
    last: dict[tuple[str, str], tuple[float, float]] = {}
    for workspace, name, value, at in sorted(had, key=lambda one: one[3]):
        last[workspace, name] = at, value
    newest: dict[tuple[str, str], tuple[float, float]] = {}
    for workspace, name, value, at in sorted(expected, key=lambda one: one[3]):
        newest[workspace, name] = at, value
    stale = [
        key for key, (at, value) in newest.items() if last.get(key, (0.0, None))[1] != value and last.get(key, (0.0,))[0] <= at
    ]
    rows: list[list[object]] = [
        ["readings that a listener without trouble was told", len(set(expected)), ""],
        ["of them never at the hub", len(missing), 0],
        ["sensors whose last value at the hub is another", len(stale), 0],
        ["readings at the hub", len(set(had)), ""],
        ["of them under two ids", len(had) - len(set(had)), 0],
        ["sent again under the same id", len(events) - len(by_id), ""],
    ]
    note = (
        f"{CHAOS_DEVICES} devices; the ingest is killed (SIGKILL) {KILLS} times after 4 to 12 s, the queue is dropped once, "
        "tokens expire once, a fifth of all messages come twice. Then it runs on for 60 s. It polls every 5 s. "
        "Compared are readings of sensors that are set up; people and use are not, of which workspaceMetrics keeps no history "
        "between its steps."
    )
    return Table("Push: a listener that is killed", ("what", "measured", "bar"), rows, note)


def _set_up(url: str) -> set[tuple[str, str]]:
    """The sensors that are set up, so that they can be polled, by workspace and metric."""
    import requests

    from processors.contracts.signals import METRICS as CAPABILITY_OF

    headers = {"Authorization": "Bearer simulated-access-token"}
    answer = requests.get(f"{url}/workspaces?includeCapabilities=true&max=1000", headers=headers, timeout=30).json()
    return {
        (room["id"], metric)
        for room in answer["items"]
        for metric, capability in CAPABILITY_OF.items()
        if room.get("capabilities", {}).get(capability, {}).get("configured")
    }


def _readings_of(event: dict[str, Any]) -> Iterator[Reading]:
    data = event["data"]
    if data.get("entity") != "workspace":
        return
    for one in data["signals"]:
        if one["name"] in METRICS and one["name"] != "peopleCount":
            yield data["entityId"], one["name"], float(one["value"]), _seconds(event["time"])


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()


def _time(origin: float) -> float:
    """The simulated time, which every process reckons alike."""
    return NOON + time.time() - origin


def _scenario(url: str) -> Any:
    from webex_simulator.scenarios import ScenarioClient

    return ScenarioClient(url.removesuffix("/v1") + "/_control")


def _activate(url: str, folder: Path, origin: float) -> FolderHome:
    from processors import clock
    from processors.ingest.push.activation import activation_from
    from processors.ingest.push.home import FolderHome
    from processors.ingest.push.manifest import manifest
    from processors.ingest.push.trust import Trust

    clock.use(lambda: datetime.fromtimestamp(_time(origin), UTC))
    trust = Trust(url)
    home = FolderHome(folder / "integration", trust)
    given = _scenario(url).integrate(manifest())
    home.keep(activation_from(given["activationCode"], given["clientId"], trust), given["clientSecret"])
    return home


def _app(home: FolderHome, url: str) -> App:
    from processors.ingest.push.app import App
    from processors.ingest.push.trust import Trust
    from processors.ingest.tokens import INTEGRATION, ServiceAppToken

    known = home.integration()
    assert known is not None
    return App(known, ServiceAppToken(home.store, known.oauth_url, INTEGRATION), Trust(url))


@contextlib.contextmanager
def _reference(url: str, folder: Path, origin: float) -> Iterator[list[Reading]]:
    """What an integration beside is told, which nothing happens to but a dropped queue: it enables it at once."""
    from processors.ingest.push.listener import ERROR_SECONDS
    from processors.ingest.push.messages import StatusMessage, read_message
    from processors.ingest.push.rooms import read_paths
    from processors.ingest.status_tree import number
    from processors.ingest.webex_client import WebexError

    app = _app(_activate(url, folder, origin), url)
    found: list[Reading] = []
    stopping = threading.Event()

    def listen() -> None:
        poll_url = None
        while not stopping.is_set():
            try:
                poll_url = poll_url or app.listening()
                messages = app.poll(poll_url).messages
            except WebexError:
                poll_url = None
                stopping.wait(ERROR_SECONDS / 50)
                continue
            for item in messages:
                message = read_message(item, datetime.fromtimestamp(_time(origin) + 60, UTC))
                if isinstance(message, StatusMessage) and message.workspace_id and not message.is_full:
                    at = message.time.timestamp()
                    for name, path in read_paths(message.updated):
                        found.append((message.workspace_id, name, number(message.updated[path]) or 0.0, at))

    thread = threading.Thread(target=listen, daemon=True)
    thread.start()
    yield found
    stopping.set()
    thread.join(5)


@contextlib.contextmanager
def _listening(folder: str, url: str, origin: str) -> Iterator[None]:
    """An ingest that writes into a file, killed in the end."""
    line = [sys.executable, "-m", MODULE, "killed", folder, url, origin]
    with subprocess.Popen(line, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield
        finally:
            process.send_signal(signal.SIGKILL)


class _Measured:
    """A sink that passes on to Event Hubs, and notes how old the readings were when that acknowledged them."""

    def __init__(self, inner: Any, now: Callable[[], float], pushed: bool) -> None:
        """`pushed`: whether those are measured that are pushed, or those that are polled."""
        self._inner, self._now, self._pushed = inner, now, pushed
        self.ages: list[float] = []
        self.measures = False

    def send(self, events: Sequence[Event], hub: str) -> list[Event]:
        """See Sink."""
        too_large: list[Event] = self._inner.send(events, hub)
        if self.measures and (threading.current_thread().name == "push") == self._pushed:
            now = self._now()
            self.ages += [now - _seconds(_time_of(event.body)) for event in events if b'"entity":"workspace"' in event.body]
        return too_large

    def close(self) -> None:
        """See Sink."""
        self._inner.close()


def _time_of(body: bytes) -> str:
    start = body.index(b'"time":"') + 8
    return body[start : body.index(b'"', start)].decode()


def _poller(folder: Path, url: str, sink: Any, *, push: bool, rates: Any, poll_seconds: float, requests: int) -> Any:
    from processors.ingest.environment import EnvironmentToken
    from processors.ingest.poll import Poller
    from processors.ingest.push.coverage import Coverage
    from processors.ingest.push.home import FolderHome
    from processors.ingest.push.listener import Listener
    from processors.ingest.push.trust import Trust
    from processors.ingest.settings import City, IngestSettings
    from processors.ingest.sqlite_state import SqliteState
    from processors.ingest.webex_client import WebexClient
    from webex_simulator.cities import SAMPLE

    cities = tuple(City(city.slug, city.name, city.locations, (), push) for city in SAMPLE)
    settings = IngestSettings(poll_seconds, 1440, requests, METRICS, cities, rates)
    client = WebexClient(url, EnvironmentToken({"WEBEX_ACCESS_TOKEN": "simulated-access-token"}), rates)
    trust = Trust(url)
    listener = Listener(FolderHome(folder / "integration", trust), trust, Coverage()) if push else None
    state = SqliteState(folder / f"state-{push}" / "ingest.sqlite")
    return Poller(settings, client, sink, state, listener=listener)


def _run(role: str, folder: str, url: str, connection: str, origin_text: str) -> None:
    """The measured process: polls as a city's ingest does, and listens when its role says so."""
    from processors import clock
    from processors.ingest.sinks import EventHubsSink
    from processors.ingest.token_bucket import CAUTIOUS

    origin = float(origin_text)
    clock.use(lambda: datetime.fromtimestamp(_time(origin), UTC))
    push = role == "pushed"
    sink = _Measured(EventHubsSink({"EVENT_HUBS": connection}), lambda: _time(origin), push)
    poller = _poller(Path(folder), url, sink, push=push, rates=CAUTIOUS, poll_seconds=60, requests=150)
    poller.poll()
    while push and not poller.pushed._listens:  # locations could not be listed in time: two cores do everything here
        poller.poll()
    listener, began = poller.pushed._listener, time.monotonic()
    if listener is not None:
        _wait_until_all_have_told(listener)
    caught_up, first = time.monotonic() - began, listener.messages if listener else 0
    sink.measures = True
    asked = 0
    processor, requests, start = time.process_time(), listener.requests_made if listener else 0, time.monotonic()
    while time.monotonic() - start < SECONDS:
        slot_end = 60 - (_time(origin) % 60)
        time.sleep(min(slot_end, max(0.0, SECONDS - (time.monotonic() - start))))
        if time.monotonic() - start < SECONDS:
            asked += poller.poll(followed=True).made.get("metrics", 0)
    asked += listener.requests_made - requests if listener else 0
    seconds = time.monotonic() - start
    ages = sorted(sink.ages)
    document = {
        "seconds": seconds,
        "first": first,
        "caught_up": caught_up,
        "messages": (listener.messages - first) if listener else 0,
        "readings": len(ages),
        "rooms": poller.pushed.coverage.rooms,
        "sensors": sum(len(room.configured & set(_CAPABILITIES)) for room in poller.places.workspaces.records.values()),
        **{name: _quantile(ages, share) for name, share in (("p50", 0.5), ("p95", 0.95), ("p999", 0.999))},
        "requests": asked / seconds * 60,
        "share": (time.process_time() - processor) / seconds,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }
    print(json.dumps(document), flush=True)
    os._exit(0)


def _wait_until_all_have_told(listener: Any) -> None:
    """Until no further room tells for the first time."""
    rooms, since = 0, time.monotonic()
    while rooms == 0 or time.monotonic() - since < 15:
        if listener.coverage.rooms != rooms:
            rooms, since = listener.coverage.rooms, time.monotonic()
        time.sleep(0.5)


_CAPABILITIES = ("occupancyDetection", "ambientNoise", "soundLevel", "temperature", "airQuality", "relativeHumidity")


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


def _killed_process(folder: str, url: str, origin_text: str) -> None:
    """An ingest that is going to be killed: it polls every 5 s and listens."""
    from processors import clock
    from processors.ingest.sinks import JsonLinesSink
    from processors.ingest.token_bucket import RequestRates

    origin = float(origin_text)
    clock.use(lambda: datetime.fromtimestamp(_time(origin), UTC))
    sink = JsonLinesSink(Path(folder) / "observations.jsonl")
    poller = _poller(Path(folder), url, sink, push=True, rates=RequestRates(1e6, 1e6, 1e6, 5), poll_seconds=5, requests=2000)
    poller.poll()
    print("listens", flush=True)
    while True:
        time.sleep(5 - (_time(origin) % 5))
        poller.poll(followed=True)


def _simulator(folder: str, devices: str, origin_text: str) -> None:
    from webex_simulator.cities import SAMPLE
    from webex_simulator.clock import Clock
    from webex_simulator.server import WebexSimulator

    origin = float(origin_text)
    clock = Clock(lambda: _time(origin))
    simulator = WebexSimulator(SAMPLE, Path(folder) / "simulator" / "state.json", devices=int(devices), clock=clock)
    simulator.start()
    print(simulator.url, flush=True)
    threading.Event().wait()


def _hubs(folder: str) -> None:
    from benchmarks.bench_ingest import _hubs as serve

    serve(folder)


if __name__ == "__main__":
    roles: dict[str, Callable[..., None]] = {"simulator": _simulator, "hubs": _hubs, "killed": _killed_process}
    roles.get(sys.argv[1], partial(_run, sys.argv[1]))(*sys.argv[2:])
