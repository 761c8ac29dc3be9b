"""100,000 devices at 4 requests a second: how soon an outage is told, how soon the whole inventory is known, what a poll costs.

A process of its own serves the estate with a page cap and the filter by `connectionStatus`; another one, measured, polls it every
15 s. Meanwhile a device goes down every second. The inventory is first read at full speed, then the rate is that of the stack.
"""

from __future__ import annotations

import gzip
import json
import logging
import random
import resource
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit
from urllib.request import urlopen

from benchmarks import bench_ingest
from benchmarks.processes import REPOSITORY, output_of, serving
from benchmarks.report import Table

if TYPE_CHECKING:
    from processors.ingest.poll import Poller, PollReport

DEVICES = 100_000
ROOMS = 40_000
LOCATIONS = 400
CAPS = (1_000, 200)
POLL_SECONDS = 15
REQUESTS_PER_SECOND = 4.0
WARM_UP = 2
MEASURED_POLLS = 16
"""At least: as many as the inventory takes, if that is more."""
DOWN_SHARE, ISSUES_SHARE = 0.024, 0.045
"""On an ordinary day (the simulated estate)."""
BEFORE = (
    "Before (2026-11-25) every poll began at the first page: one of 100,000 devices took 11.53 s of processor time and 216 MB, a "
    "listing that did not fit into a poll never came to its end, and an outage behind its last page was not seen."
)
MODULE = "benchmarks.bench_outages"


def tables() -> list[Table]:
    """Both page caps, one after the other."""
    found = []
    for cap in CAPS:
        with tempfile.TemporaryDirectory() as folder, serving(MODULE, "estate", str(cap)) as port:
            found.append(json.loads(output_of(MODULE, "polls", folder, port).splitlines()[-1]))
    rows: list[list[object]] = [
        ["outages", *(each["outages"] for each in found), ""],
        ["outages told", *(each["told"] for each in found), "all"],
        ["from outage to its acknowledged observation, median (s)", *(each["median"] for each in found), ""],
        ["the same, p95 (s)", *(each["p95"] for each in found), 30],
        ["the same, longest (s)", *(each["longest"] for each in found), ""],
        ["requests in a poll", *(each["requests"] for each in found), ""],
        ["devices listed in a poll, beside those that are down or have issues", *(each["listed"] for each in found), ""],
        ["polls", *(each["polls"] for each in found), ""],
        ["the whole inventory, from its first page to its last (minutes)", *(each["inventory"] for each in found), "planned"],
        ["the same, as the plan states it (minutes)", *(_planned_minutes(cap) for cap in CAPS), ""],
        ["processor time of a poll, mean (s)", *(each["processor"] for each in found), ""],
        ["peak resident memory (MB)", *(each["megabytes"] for each in found), ""],
    ]
    note = (
        f"{DEVICES:,} devices, {ROOMS:,} workspaces; {DOWN_SHARE:.1%} are down, {ISSUES_SHARE:.1%} have issues; each second one "
        f"more goes down. Polls {POLL_SECONDS} s apart at {REQUESTS_PER_SECOND:g} requests/s, slow tiers off, "
        f"state in SQLite. Devices that a poll lists twice count once. {BEFORE}"
    )
    columns = ("what", *(f"page cap {cap:,}" for cap in CAPS), "bar")
    return [Table("Ingest: outages of 100,000 devices", columns, rows, note)]


def _planned_minutes(cap: int) -> float:
    """How long the inventory takes by the plan of a stack with these devices."""
    from activator.rules import load_rules
    from infra.settings.sizing import inventory
    from infra.settings.stack import load_stack

    poll = replace(load_stack(REPOSITORY / "Pulumi.prod.yaml", load_rules()).poll, seconds=POLL_SECONDS)
    assert poll.requests_per_second == REQUESTS_PER_SECOND
    return round(inventory(DEVICES, ROOMS, poll, cap)[1], 2)


class _Told:
    """A sink that notes when an outage was acknowledged."""

    def __init__(self) -> None:
        self.at: dict[str, float] = {}

    def send(self, events: Sequence[Any], hub: str) -> list[Any]:
        now = time.time()
        for event in events:
            if b'"disconnected"' in event.body:
                self.at.setdefault(json.loads(event.body)["data"]["entityId"], now)
        return []

    def close(self) -> None:
        """Nothing to close."""


def _polls(folder: str, port: str) -> None:
    """The measured process."""
    from processors.ingest.endpoint import Endpoints
    from processors.ingest.environment import EnvironmentToken
    from processors.ingest.poll import Poller
    from processors.ingest.settings import ingest_settings_of
    from processors.ingest.sqlite_state import SqliteState
    from processors.ingest.token_bucket import RequestRates
    from processors.ingest.webex_client import WebexClient

    logging.disable(logging.CRITICAL)
    bench_ingest.LOCATIONS = LOCATIONS
    settings = ingest_settings_of(bench_ingest._settings() | {"pollSeconds": POLL_SECONDS, "snapshotMinutes": 60})
    told = _Told()
    client = WebexClient(f"http://127.0.0.1:{port}/v1", EnvironmentToken({"WEBEX_ACCESS_TOKEN": "token"}), settings.rates)
    poller = Poller(settings, client, told, SqliteState(Path(folder) / "ingest.sqlite"))
    while len(poller.state.devices) < DEVICES or poller.devices.goes_on or len(poller.places.workspaces.records) < ROOMS:
        _await_slot()
        poller.poll()
    client.endpoints = Endpoints(RequestRates(REQUESTS_PER_SECOND))
    for _ in range(WARM_UP):
        _await_slot()
        poller.poll()
    inventory = None if _is_listing(poller) else WARM_UP
    outages, stopping = _break_devices(port)
    processor: list[float] = []
    reports: list[PollReport] = []
    sights: list[int] = []
    while len(reports) < MEASURED_POLLS or inventory is None:
        _await_slot()
        began = time.process_time()
        reports.append(poller.poll(followed=True))
        processor.append(time.process_time() - began)
        newest = max(poller.sights.values())
        sights.append(sum(at == newest for at in poller.sights.values()))
        assert not reports[-1].partial, reports[-1].faults
        if inventory is None and not _is_listing(poller):
            inventory = WARM_UP + len(reports)
    stopping.set()
    _await_slot()
    poller.poll()
    took = sorted(told.at[device] - at for device, at in outages.items() if device in told.at)
    lanes = DEVICES * (DOWN_SHARE + ISSUES_SHARE)
    listed = statistics.mean(sights) - lanes
    print(
        json.dumps(
            {
                "outages": len(outages),
                "told": len(took),
                "median": round(statistics.median(took), 1),
                "p95": round(took[int(len(took) * 0.95)], 1),
                "longest": round(took[-1], 1),
                "requests": round(statistics.mean(report.requests for report in reports), 1),
                "listed": round(listed),
                "inventory": round(inventory * POLL_SECONDS / 60, 2),
                "polls": len(reports),
                "processor": round(statistics.mean(processor), 2),
                "megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000,
            }
        )
    )


def _is_listing(poller: Poller) -> bool:
    return poller.devices.goes_on


def _await_slot() -> None:
    time.sleep(POLL_SECONDS - time.time() % POLL_SECONDS)


def _break_devices(port: str) -> tuple[dict[str, float], threading.Event]:
    """Let a device go down every second, somewhere: when which did, and how to end it."""
    outages: dict[str, float] = {}
    stopping = threading.Event()

    def run() -> None:
        while not stopping.wait(1.0):
            with urlopen(f"http://127.0.0.1:{port}/break") as answer:
                outages[answer.read().decode()] = time.time()

    threading.Thread(target=run, daemon=True).start()
    return outages, stopping


def _estate(cap: str) -> None:
    """Serve the estate: a record is ready-made but for its status."""
    chance = random.Random(1)
    names = ("disconnected", "connected_with_issues", "connected")
    statuses = chance.choices(names, (DOWN_SHARE, ISSUES_SHARE, 1 - DOWN_SHARE - ISSUES_SHARE), k=DEVICES)
    bench_ingest.LOCATIONS = LOCATIONS
    records = [json.dumps(bench_ingest._device(number) | {"connectionStatus": "?"}) for number in range(DEVICES)]
    others = {
        "/v1/workspaces": [json.dumps(bench_ingest._workspace(number)) for number in range(ROOMS)],
        "/v1/locations": [json.dumps({"id": f"location-{number}", "name": f"Site {number}"}) for number in range(LOCATIONS)],
    }

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm = True  # else each answer waits 40 ms for an acknowledgement

        def do_GET(self) -> None:
            parts = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(parts.query).items()}
            if parts.path == "/break":
                number = chance.choice([n for n in range(DEVICES) if statuses[n] == "connected"])
                statuses[number] = "disconnected"
                return self._send(json.loads(records[number])["id"].encode(), {})
            start, size = int(query.get("start", 0)), min(int(cap), int(query["max"]))
            rows = others.get(parts.path)
            wanted = query.get("connectionStatus")
            numbers = range(len(rows or records)) if wanted is None else [n for n in range(DEVICES) if statuses[n] == wanted]
            items = [rows[n] if rows else records[n].replace('"?"', f'"{statuses[n]}"') for n in numbers[start : start + size]]
            link = f"http://{self.headers['Host']}{parts.path}?max={size}&start={start + size}"
            link += f"&connectionStatus={wanted}" if wanted else ""
            more = {"Link": f'<{link}>; rel="next"'} if start + size < len(numbers) else {}
            self._send(gzip.compress(f'{{"items": [{",".join(items)}]}}'.encode(), 1), {"Content-Encoding": "gzip", **more})

        def _send(self, body: bytes, headers: dict[str, str]) -> None:
            self.send_response(200)
            for name, value in ({"Content-Length": str(len(body))} | headers).items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *arguments: object) -> None:
            """A benchmark has no log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    server.serve_forever()


if __name__ == "__main__":
    roles: dict[str, Callable[..., None]] = {"estate": _estate, "polls": _polls}
    roles[sys.argv[1]](*sys.argv[2:])
