"""An hour of polls at 10,000 devices with random faults in every tier, run at speed: what is seen at the end is what there is.

A process of its own is the simulated Webex, another one the Event Hubs stand-in, and a third one, watched, polls. Simulated time
goes on by a minute after each poll, however long that took. Before each poll devices go down and come back, and most polls meet a
fault of some requests of one tier, from somewhere in their middle on. `python -m benchmarks.soak` alone ends with exit code 1
when anything differs. Half an hour of the same is tests/processors/ingest/test_soak.py.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import requests

from benchmarks.processes import output_of, serving
from benchmarks.report import Table

DEVICES = 10_000
POLLS = 60
SEED = 7
FAULT_SHARE = 0.6
"""Share of the polls that are disturbed."""
TIERS = ("/devices", "/workspaces", "/locations", "/floors", "/workspaceMetrics", "/xapi/status")
FAULTS = ("fail", "throttle", "drop", "corrupt", "slow", "paging-traps")
MOST_REQUESTS = 4
"""So many requests in a row meet a fault at most."""
CHANGES = 5
"""So many devices go down before each poll, and those of the poll before come back."""
EXPIRY_AT = 20
LOCATION_MINUTES = 5
"""More often than in life, so that an hour has locations and floors to ask for."""
MODULE = "benchmarks.soak"
Control = Callable[..., list[dict[str, Any]]]
"""Does something to the simulated Webex: an action, and its fields by name."""
CITIES = (
    ("lyon", "Europe/Paris", ("Lyon Part-Dieu", "Lyon Confluence")),
    ("toronto", "America/Toronto", ("Toronto Front Street",)),
    ("singapore", "Asia/Singapore", ("Singapore Marina One", "Singapore one-north")),
)
BEGIN = 1_795_536_000.0
"""24 November 2026, 16:00 UTC: a working afternoon in Lyon, a morning in Toronto."""


def tables() -> list[Table]:
    """Run the hour and compare what arrived with what there is."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder, "time").write_text(str(BEGIN))
        with serving(MODULE, "webex", folder) as webex, serving(MODULE, "hubs", folder) as hubs:
            done = json.loads(output_of(MODULE, "polls", folder, webex, hubs))
            seen = json.loads(output_of(MODULE, "read", hubs, str(done["sent"])))
    return [_table(done, seen)]


def differences(done: dict[str, Any], seen: dict[str, Any]) -> list[str]:
    """What is not as it should be; empty when all is well."""
    listed, devices = done["listed"], seen["devices"]
    found = []
    if seen["events"] != done["sent"]:
        found.append(f"{done['sent']} events were acknowledged, {seen['events']} are there")
    if seen["ids"] != seen["events"]:
        found.append(f"{seen['events'] - seen['ids']} events are there twice")
    if set(devices) != set(listed):
        found.append(f"{len(set(devices) ^ set(listed))} devices are in one of Webex and the hub only")
    if seen["removed"]:
        found.append(f"{len(seen['removed'])} devices were said to be removed, and none ever was")
    wrong = [one for one in listed if one in devices and listed[one] is not None and devices[one] != listed[one]]
    if wrong:
        found.append(f"{len(wrong)} devices have another status")
    return found


def _table(done: dict[str, Any], seen: dict[str, Any]) -> Table:
    memory = done["megabytes"]
    third = len(memory) // 3
    rows: list[list[object]] = [
        ["polls, of them disturbed, of them partial", f"{POLLS}, {done['disturbed']}, {done['partial']}", ""],
        ["requests to Webex, of them answered 429", f"{done['requests']:,}, {done['throttled']:,}", ""],
        ["events acknowledged, events in the hub, ids", f"{done['sent']:,}, {seen['events']:,}, {seen['ids']:,}", "equal"],
        ["devices in Webex, devices in the hub", f"{len(done['listed']):,}, {len(seen['devices']):,}", "equal"],
        ["differences at the end", "; ".join(differences(done, seen)) or "none", "none"],
        ["memory, median of the first third and the last (MB)", f"{_middle(memory[:third])}, {_middle(memory[-third:])}", "flat"],
        ["processor time of the ingest (s)", done["processor"], ""],
        ["elapsed (s)", done["elapsed"], ""],
    ]
    note = (
        f"{DEVICES:,} devices of the simulated Webex with its own outages, {POLLS} polls a simulated minute apart, seed {SEED}. "
        f"{CHANGES} devices go down before each poll, and come back. Faults: {', '.join(FAULTS)}, each of one tier "
        f"({', '.join(TIERS)}), begun at random in a poll; at minute {EXPIRY_AT} the token expires and "
        "is renewed. Devices of persons are left out."
    )
    return Table("Ingest: an hour with random faults in every tier", ("what", "measured", "bar"), rows, note)


def _middle(values: list[float]) -> str:
    return f"{statistics.median(values):.0f}"


def _polls(folder: str, webex: str, connection: str) -> None:
    """The watched process."""
    import logging
    from datetime import UTC, datetime

    import psutil

    from processors import clock
    from processors.ingest import webex_client
    from processors.ingest.environment import make_poller
    from processors.ingest.health import says_nothing
    from processors.ingest.sinks import EventHubsSink
    from processors.ingest.webex_client import Deadline

    logging.disable(logging.CRITICAL)
    webex_client.BACKOFF_SECONDS, webex_client.SHORTEST_PAUSE_SECONDS, webex_client.LONGEST_PAUSE_SECONDS = 0.1, 0.05, 0.2
    now = BEGIN
    clock.use(lambda: datetime.fromtimestamp(now, UTC))
    sink = EventHubsSink({"EVENT_HUBS": connection})
    sent = 0
    acknowledged = sink.send

    def counted(events: Any, hub: str) -> Any:
        nonlocal sent
        too_large = acknowledged(events, hub)
        sent += len(events) - len(too_large) if hub == "observations" else 0
        return too_large

    sink.send = counted  # type: ignore[method-assign]
    poller = make_poller(_environment(folder, webex), _settings(), sink)
    chance = random.Random(SEED)
    process, memory, partial, disturbed, asked = psutil.Process(), [], 0, 0, 0
    began = time.perf_counter()
    control, down = control_of(webex), list[str]()
    for number in range(POLLS):
        disturbance = None
        if 0 < number < POLLS - 1:
            change(control, chance, sorted(poller.state.devices), down)
        if number < POLLS - 1 and chance.random() < FAULT_SHARE:
            disturbance = _Disturbance(control, random.Random(chance.random()))
            disturbance.start()
            disturbed += 1
        if number == EXPIRY_AT:
            control("expire-token")
        report = poller.poll()
        if disturbance:
            disturbance.end()
        asked += report.requests
        partial += report.partial
        memory.append(process.memory_info().rss / 1e6)
        if number == POLLS - 1:
            break
        now += 60
        Path(folder, "time").write_text(str(now), encoding="utf-8")
    elapsed = time.perf_counter() - began
    result = {"sent": sent, "megabytes": memory, "partial": partial, "disturbed": disturbed, "requests": asked}
    result |= {"throttled": poller.client.throttled, "elapsed": elapsed, "processor": time.process_time()}
    # Simulated time stands still now: what Webex lists is what the last poll saw.
    pages = poller.client.pages("/devices", {}, 1000, Deadline(60))
    statuses = {item["id"]: item.get("connectionStatus") for page in pages for item in page.items if _concerns_us(item)}
    # A status that says nothing leaves a device as it was: there is no truth to hold it to.
    listed = {device: None if says_nothing(status) else status for device, status in statuses.items()}
    print(json.dumps(result | {"listed": listed}))
    poller.close()


def _concerns_us(item: dict[str, Any]) -> bool:
    return bool(item.get("workspaceId")) or not item.get("personId")


def _environment(folder: str, webex: str) -> dict[str, str]:
    """A token set of yesterday in a file, state in a file."""
    from webex_simulator.tokens import ACCESS_TOKEN, CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN

    path = Path(folder, "token-set.json")
    tokens = {"client_id": CLIENT_ID, "refresh_token": REFRESH_TOKEN, "access_token": ACCESS_TOKEN}
    times = {"access_expires_at": "2026-12-06T16:00:00.000Z", "obtained_at": "2026-11-22T16:00:00.000Z"}
    path.touch(0o600)
    path.write_text(json.dumps(tokens | times), encoding="utf-8")
    return {
        "WEBEX_API_BASE": webex,
        "WEBEX_TOKEN_FILE": str(path),
        "WEBEX_CLIENT_SECRET": CLIENT_SECRET,
        "STATE_FOLDER": folder,
    }


def _settings() -> Any:
    from processors.ingest.settings import City, IngestSettings
    from processors.ingest.token_bucket import RequestRates

    cities = tuple(City(slug, slug.title(), places, ()) for slug, _, places in CITIES)
    rates = RequestRates(1e6, 1e6, 1e6, 5)
    return IngestSettings(60, 15, 20, ("temperature", "peopleCount"), cities, rates, location_minutes=LOCATION_MINUTES)


def change(control: Control, chance: random.Random, devices: Sequence[str], down: list[str]) -> None:
    """Let the devices that are `down` come back, but for one, and others go down, which are then in it."""
    for device in down[1:]:
        control("restore", device=device)
    del down[1:]
    for device in chance.sample(sorted(set(devices) - set(down)), CHANGES):
        control("outage", device=device)
        down.append(device)


def trouble(chance: random.Random) -> tuple[str, dict[str, Any]]:
    """A fault of some requests of a tier: the action of the simulator, and its fields."""
    kind, requests_met = chance.choice(FAULTS), chance.randint(1, MOST_REQUESTS)
    fields_of: dict[str, dict[str, Any]] = {
        "throttle": {"retryAfter": chance.choice(["1", "rubbish", None]), "requests": requests_met},
        "fail": {"status": chance.choice([500, 502, 503, 504]), "requests": requests_met},
        "drop": {"requests": requests_met},
        "corrupt": {"pages": requests_met},
        "slow": {"latencySeconds": 0.05},
        "paging-traps": {"overlap": True, "emptyPage": True},
    }
    return kind, fields_of[kind] | ({} if kind == "paging-traps" else {"path": chance.choice(TIERS)})


class _Disturbance(threading.Thread):
    """A fault that begins somewhere in a poll; it ends with its requests, or with the poll."""

    def __init__(self, control: Control, chance: random.Random) -> None:
        super().__init__()
        self._control = control
        self._chance = chance
        self._effect = ""

    def run(self) -> None:
        """Begin it."""
        kind, fields = trouble(self._chance)
        time.sleep(self._chance.uniform(0, 1.0))
        (effect,) = self._control(kind, **fields)
        self._effect = effect["id"]

    def end(self) -> None:
        """End it, if it is not over."""
        self.join()
        self._control("clear", id=self._effect)


def control_of(webex: str) -> Control:
    """What breaks things in the simulated Webex whose API is at this address."""

    def act(action: str, **fields: Any) -> list[dict[str, Any]]:
        return _control(webex, action, fields)

    return act


def _control(webex: str, action: str, fields: dict[str, Any]) -> list[dict[str, Any]]:
    url = f"{webex.removesuffix('/v1')}/_control/{action}"
    response = requests.post(url, json={name: value for name, value in fields.items() if value is not None}, timeout=30)
    if response.status_code == 404 and action == "clear":  # a fault of so many requests that is over
        return []
    response.raise_for_status()
    effects: list[dict[str, Any]] = response.json()["effects"]
    return effects


def _webex(folder: str) -> None:
    """Serve the simulated Webex, at the time that is written in the folder."""
    from local.clock import SimulatedClock
    from local.run_settings import LocalCity, RunSettings
    from local.webex.part import simulator_of

    def told() -> float:
        text = Path(folder, "time").read_text(encoding="utf-8")
        return float(text) if text else BEGIN

    cities = tuple(LocalCity(slug, slug.title(), zone, places) for slug, zone, places in CITIES)
    settings = RunSettings(
        data_dir=Path(folder),
        stack="soak",
        cities=cities,
        devices=DEVICES,
        seed=SEED,
        webex_port=0,
        clock=SimulatedClock(BEGIN, BEGIN, 1.0, told),
    )
    simulator = simulator_of(settings)
    simulator.start()
    print(simulator.url, flush=True)
    while os.getppid() != 1:
        time.sleep(0.5)


def _hubs(folder: str) -> None:
    """Serve the Event Hubs stand-in."""
    from event_hubs_local.config import read_config
    from event_hubs_local.server import EventHubsServer, serving_in_thread
    from local.event_hubs.part import CONFIG

    hubs = EventHubsServer(Path(folder, "hubs"), read_config(CONFIG), retained_bytes=10**10)
    with serving_in_thread(hubs) as server:
        print(server.connection_string, flush=True)
        while os.getppid() != 1:
            time.sleep(0.5)


def _read(connection: str, count: str) -> None:
    """Read the hub from its beginning: how many events, how many ids, and the newest status of each device."""
    print(json.dumps(asyncio.run(_events(connection, int(count)))))


async def _events(connection: str, count: int) -> dict[str, Any]:
    from azure.eventhub.aio import EventHubConsumerClient

    ids: set[str] = set()
    devices: dict[str, str] = {}
    removed: set[str] = set()
    events, last = 0, time.monotonic()

    async def keep(context: Any, batch: Any) -> None:
        nonlocal events, last
        for event in batch:
            document = json.loads(b"".join(event.body))
            ids.add(document["id"])
            data = document["data"]
            if data["entity"] == "device":
                devices[data["entityId"]] = data["connectionStatus"]
                if data["connectionStatus"] == "removed":
                    removed.add(data["entityId"])
            events += 1
            last = time.monotonic()

    client = EventHubConsumerClient.from_connection_string(connection, "$Default", eventhub_name="observations")
    async with client:
        reading = asyncio.create_task(client.receive_batch(keep, starting_position="-1", prefetch=3000, max_wait_time=1))
        # Longer than needed: more than was acknowledged would be as wrong as less.
        while time.monotonic() - last < (3 if events >= count else 20):  # noqa: ASYNC110  silence is not an event
            await asyncio.sleep(0.2)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
    return {"events": events, "ids": len(ids), "devices": devices, "removed": sorted(removed)}


def _main() -> int:
    (table,) = tables()
    print(table.markdown())
    (found,) = [row[1] for row in table.rows if row[0] == "differences at the end"]
    return 0 if found == "none" else 1


if __name__ == "__main__":
    roles: dict[str, Callable[..., Any]] = {"webex": _webex, "hubs": _hubs, "polls": _polls, "read": _read}
    sys.exit(roles[sys.argv[1]](*sys.argv[2:]) if sys.argv[1:] else _main())
