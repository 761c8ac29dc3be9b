"""What Webex pushes: how old readings are when the page has them, and what asking for them would take; and what is lost when the
listener is killed again and again.

The parts of a local run are processes of their own, side by side: simulator, Event Hubs stand-in, and query, lake and page;
beside them the ingest that listens, and one that only polls. The simulated clock begins at noon of a working day in every city
and runs as fast as ours. PUSH_BENCH_ROOMS and PUSH_BENCH_SECONDS make it shorter.

`python -m benchmarks.bench_push` prints the first measurement alone.
"""

from __future__ import annotations

import contextlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import requests

from benchmarks.processes import REPOSITORY
from benchmarks.push_killed import killed_table
from benchmarks.push_page import NOTES
from benchmarks.push_run import noon_run, part, poller_of, run_in, seconds, told_of_room
from benchmarks.report import Table
from local.run_settings import RunSettings
from local.webex.part import BEHIND_THE_OTHERS
from processors.contracts.signals import METRICS as CAPABILITIES

if TYPE_CHECKING:
    from processors.ingest.cloud_events import Event
    from processors.ingest.poll import Poller

ROOMS = int(os.environ.get("PUSH_BENCH_ROOMS", "20000"))
SECONDS = float(os.environ.get("PUSH_BENCH_SECONDS", "180"))
DEVICES_A_ROOM = 1.72
"""Of the simulated estate, for every room with a device that can push."""
REQUESTS_PER_SECOND = 4.0
MODULE = "benchmarks.bench_push"
PARTS = {
    "simulated Webex": ("local.webex", 1),
    "Event Hubs stand-in": ("local.event_hubs", 1),
    "stream query": ("local.stream_job", 1),
    "lake and page": ("benchmarks.push_page", 2),
}
"""Processes of the run by what they are: module, and how many parts say that they are ready."""
QUANTILES = {"p50": 0.5, "p95": 0.95, "p999": 0.999}
SENT = "sent.txt"
TRAVEL_SECONDS = 15.0
"""What was sent so long before the end has had its time to reach the page."""


def tables() -> list[Table]:
    """Readings pushed beside polled, then a listener that is killed."""
    return [*_beside(), killed_table()]


def _beside() -> list[Table]:
    with tempfile.TemporaryDirectory() as folder:
        settings = noon_run(Path(folder), round(ROOMS * DEVICES_A_ROOM))
        with contextlib.ExitStack() as stack:
            parts = {name: stack.enter_context(part(module, settings, ready)) for name, (module, ready) in PARTS.items()}
            stack.enter_context(_looking(settings))
            polled = stack.enter_context(_measuring("polled", settings))
            pushed = stack.enter_context(_measuring("pushed", settings))
            processes = {"ingest that listens": pushed.pid, "ingest that polls": polled.pid, **parts}
            _line_of(polled), _line_of(pushed)
            before = _processor_times(processes)
            measured, compared = _line_of(pushed), _line_of(polled)
            shares = {name: (now - before[name]) / measured["seconds"] for name, now in _processor_times(processes).items()}
            time.sleep(TRAVEL_SECONDS)
        ages = _ages_at_page(settings.data_dir, measured["ended"])
    return [_readings_table(measured, compared, ages), _shares_table(measured, shares)]


def _readings_table(pushed: Mapping[str, Any], polled: Mapping[str, Any], ages: Sequence[float]) -> Table:
    sweep = pushed["sensors"] / REQUESTS_PER_SECOND
    at_page = {name: _quantile(ages, share) for name, share in QUANTILES.items()}
    rows: list[list[object]] = [
        ["rooms that push", pushed["rooms"], "", 20_000],
        ["messages a second, mean", pushed["messages"] / pushed["seconds"], "", ""],
        ["readings that reached the hub", pushed["readings"], polled["readings"], ""],
        ["of them never on the page", sum(age == float("inf") for age in ages), "", 0],
        ["age of a reading on the page, p50 (s)", at_page["p50"], sweep / 2, ""],
        ["the same, p95 (s)", at_page["p95"], 0.95 * sweep, 2],
        ["the same, p99.9 (s)", at_page["p999"], 0.999 * sweep, 5],
        ["age of a reading at the hub, p50 (s)", pushed["p50"], "", ""],
        ["the same, p95 (s)", pushed["p95"], "", ""],
        ["the same, p99.9 (s)", pushed["p999"], "", ""],
        ["requests a minute for readings", pushed["asked"], polled["asked"], ""],
        ["polls of the queue a minute", pushed["queue"], "", 120],
        ["peak resident memory of the ingest (MB)", pushed["megabytes"], polled["megabytes"], ""],
    ]
    note = (
        f"{pushed['seconds']:.0f} s at noon of a working day in every city, after all that devices begin with "
        f"({pushed['first']:,} messages, {pushed['caught_up']:.0f} s). Age: from the moment a device names to when the page's "
        f"feed has read its tiles with it, and to Event Hubs' acknowledgement; polled, it is reckoned: {pushed['sensors']:,} "
        f"sensors at {REQUESTS_PER_SECOND:g} requests a second are one round in {sweep / 60:.0f} minutes, longer than measured."
        f"{_beside_what()}"
    )
    return Table("Push: readings beside polling", ("what", "pushed", "polled", "bar"), rows, note)


def _shares_table(pushed: Mapping[str, Any], shares: Mapping[str, float]) -> Table:
    rows: list[list[object]] = [[name, share] for name, share in shares.items()]
    rows.append(["all of them", sum(shares.values())])
    note = (
        f"In the same run: {pushed['rooms']:,} rooms that push, polled each minute, overview and cities open. "
        f"Simulated Webex and the ingest that only polls run at a lower priority.{_beside_what()}"
    )
    return Table("Push: what each part takes", ("part", "processor time, share of a core"), rows, note)


def _beside_what() -> str:
    return f" {os.environ['PUSH_BENCH_NOTE']}." if "PUSH_BENCH_NOTE" in os.environ else ""


@contextlib.contextmanager
def _looking(settings: RunSettings) -> Iterator[None]:
    """People who look at the overview and at every city, as browsers do."""
    with contextlib.ExitStack() as stack:
        for view in ("", *(f"?city={city.slug}" for city in settings.cities)):
            answer = stack.enter_context(requests.get(f"{settings.page_url}/events{view}", stream=True, timeout=60))
            threading.Thread(target=_read_on, args=(answer,), daemon=True).start()
        yield


def _read_on(answer: requests.Response) -> None:
    with contextlib.suppress(requests.RequestException, AttributeError):
        for _ in answer.iter_content(65536):
            pass


@contextlib.contextmanager
def _measuring(role: str, settings: RunSettings) -> Iterator[subprocess.Popen[str]]:
    line = [sys.executable, "-m", MODULE, role, str(settings.data_dir)]
    with subprocess.Popen(line, cwd=REPOSITORY, stdout=subprocess.PIPE, text=True) as process:
        if role == "polled":  # no run has it beside one that listens: like simulated Webex, it takes what is left
            psutil.Process(process.pid).nice(BEHIND_THE_OTHERS)
        try:
            yield process
        finally:
            process.kill()


def _line_of(process: subprocess.Popen[str]) -> dict[str, Any]:
    """What a role says next."""
    assert process.stdout is not None
    document: dict[str, Any] = json.loads(process.stdout.readline())
    return document


def _processor_times(processes: Mapping[str, int]) -> dict[str, float]:
    times = {name: psutil.Process(pid).cpu_times() for name, pid in processes.items()}
    return {name: spent.user + spent.system for name, spent in times.items()}


def _ages_at_page(folder: Path, ended: float) -> list[float]:
    """How old pushed readings were when the page had them, in order; infinite for one that it never had. Those sent last are left
    out: they may be on their way.
    """
    shown: dict[str, float] = {}
    for line in (folder / NOTES).read_text(encoding="utf-8").splitlines():
        event_id, moment = line.split()
        shown.setdefault(event_id, float(moment))
    sent = (line.split() for line in (folder / SENT).read_text(encoding="utf-8").splitlines())
    return sorted(shown.get(event_id, float("inf")) - float(at) for event_id, at in sent if float(at) < ended - TRAVEL_SECONDS)


class _Noting:
    """A sink that passes on to another, and notes how old readings of rooms were when that had acknowledged them."""

    def __init__(self, inner: Any, settings: RunSettings, pushed: bool) -> None:
        """`pushed`: whether those are noted that are pushed, or those that are polled."""
        self._inner, self._settings, self._pushed = inner, settings, pushed
        self._sent = (settings.data_dir / SENT).open("a", encoding="utf-8", buffering=1) if pushed else None
        self.ages: list[float] = []
        self.notes = False

    def send(self, events: Sequence[Event], hub: str) -> list[Event]:
        """See Sink."""
        too_large: list[Event] = self._inner.send(events, hub)
        if self.notes and (threading.current_thread().name == "push") == self._pushed:
            now = self._settings.clock.seconds()
            for event_id, text in filter(None, (told_of_room(event.body) for event in events)):
                self.ages.append(now - seconds(text))
                if self._sent:
                    self._sent.write(f"{event_id} {seconds(text):.3f}\n")
        return too_large

    def close(self) -> None:
        """See Sink."""
        self._inner.close()


def _run(role: str, folder: str) -> None:
    """The measured process: polls as a city's ingest does, and listens when its role says so."""
    from processors.ingest.sinks import EventHubsSink, JsonLinesSink
    from processors.ingest.token_bucket import CAUTIOUS

    settings, push = run_in(Path(folder)), role == "pushed"
    hubs, file = {"EVENT_HUBS": settings.event_hubs_connection_string}, settings.data_dir / "polled.jsonl"
    sink = _Noting(EventHubsSink(hubs) if push else JsonLinesSink(file), settings, push)
    poller = poller_of(settings, sink, push=push, rates=CAUTIOUS, poll_seconds=60, requests=150)
    caught_up = _begun(poller)
    print("{}", flush=True)
    sink.notes = True
    document = _measured(poller, settings) | {"caught_up": caught_up, "readings": len(sink.ages)}
    ages = sorted(sink.ages)
    document |= {name: _quantile(ages, share) for name, share in QUANTILES.items()}
    print(json.dumps(document), flush=True)
    os._exit(0)


def _begun(poller: Poller) -> float:
    """Poll until the listener listens and all rooms have told for the first time; gives the seconds that took."""
    poller.poll()
    listener, began = poller.pushed._listener, time.monotonic()
    while listener is not None and not poller.pushed._listens:  # locations could not be listed in time: two cores do everything
        poller.poll()
    if listener is not None:
        rooms, since = 0, time.monotonic()
        while rooms == 0 or time.monotonic() - since < 15:
            if listener.coverage.rooms != rooms:
                rooms, since = listener.coverage.rooms, time.monotonic()
            time.sleep(0.5)
    return time.monotonic() - began


def _measured(poller: Poller, settings: RunSettings) -> dict[str, Any]:
    """A poll at each full minute, for SECONDS."""
    listener, asked, start = poller.pushed._listener, 0, time.monotonic()
    first, requests_before = (listener.messages, listener.requests_made) if listener else (0, 0)
    while (left := SECONDS - (time.monotonic() - start)) > 0:
        until_slot = 60 - settings.clock.seconds() % 60
        time.sleep(min(until_slot, left))
        if until_slot <= left:
            asked += poller.poll(followed=True).made.get("metrics", 0)
    elapsed = time.monotonic() - start
    return {
        "seconds": elapsed,
        "ended": settings.clock.seconds(),
        "first": first,
        "messages": (listener.messages - first) if listener else 0,
        "rooms": poller.pushed.coverage.rooms,
        "sensors": sum(len(room.configured & set(CAPABILITIES.values())) for room in poller.places.workspaces.records.values()),
        "asked": asked / elapsed * 60,
        "queue": (listener.requests_made - requests_before) / elapsed * 60 if listener else 0,
        "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
    }


def _quantile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")


if __name__ == "__main__":
    if sys.argv[1:]:
        _run(*sys.argv[1:])
    for table in _beside():
        print(table.markdown())
