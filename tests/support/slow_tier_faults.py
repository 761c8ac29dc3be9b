"""A slow tier that fails while the inventory is well: every answer of every tier, by three rooms of a city or by all of them.

Six polls of one city of twelve rooms. In each poll from the second on another device goes down. What must hold, whatever the
tier answers: every poll reads the devices, and the outage is told in the poll it begins; the rooms that are well answer about as
often as if their neighbours were too. What is not asked room by room (listings, floors, Webex's status page) fails as a whole,
from the second poll on. `ingest_faults.py` writes what is found into docs/ingest-faults.md.
"""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from processors import clock
from processors.ingest import poll as poll_module
from processors.ingest import webex_client
from processors.ingest.endpoint import DURATIONS, LOCATIONS, METRICS, ROOM_STATUS, UNRESOLVED_INCIDENTS, WORKSPACES
from processors.ingest.poll import DIRECTORY_SHARE, Poller, PollReport
from processors.ingest.settings import City, IngestSettings
from processors.ingest.state import IngestState
from processors.ingest.webex_client import WebexClient
from processors.ingest.webex_status import WebexStatus
from tests.support.ingest_faults import BEGIN, WAITS, Consumer, short_waits
from tests.support.scripted_webex import (
    FAST,
    Answer,
    OneToken,
    Request,
    ScriptedWebex,
    device,
    error,
    location,
    serving,
    workspace,
)

ROOMS = range(1, 13)
BROKEN = frozenset({1, 2, 3})
POLLS = 6
POLL_SECONDS = 10
ENDPOINTS = {ROOM_STATUS: "deviceId", METRICS: "workspaceId", DURATIONS: "workspaceId"}
"""The slow tiers, and the parameter that says which room is asked."""
METRICS_OF = {METRICS: ("temperature",), DURATIONS: ("timeBooked",)}
STEP_OF = {DURATIONS: timedelta(hours=1)}
"""From poll to poll, where there is something new by the hour only."""
WHOLE = ("/workspaces", "/locations", "/locations/location-1/floors", UNRESOLVED_INCIDENTS)
"""What is not asked room by room. The last one is Webex's own status page."""
WHO = {"three rooms": BROKEN, "every room": frozenset(ROOMS)}
AS_A_WHOLE = "all of it"
CASES = [*((path, who) for path in ENDPOINTS for who in WHO), *((path, AS_A_WHOLE) for path in WHOLE)]
ANSWERS = {
    "429 with Retry-After": error(429, Retry_After="1"),
    "429 without Retry-After": error(429),
    "423": error(423),
    "403": error(403),
    "404": error(404),
    "500": error(500),
    "502": error(502),
    "504": error(504),
    "silence": Answer(stall=1.5),
    "a drip": Answer(body=b" " * 1000, drip=0.01),
    "a reset": Answer(body=b'{"items": []}' + b" " * 50_000, cut=20),
    "a page of HTML": Answer(body=b"<html>Bad gateway</html>"),
    "half a JSON": Answer(body=b'{"items": [{"timestamp"'),
    "a huge answer of something else": Answer(body=json.dumps(["x" * 1000] * 500).encode()),
}
PATIENCE_SECONDS = 0.6
"""How long the client waits here for an answer that never comes to its end."""
SHORT_PATIENCE_SECONDS = 0.2
"""The same where nobody who is well waits for an answer meanwhile."""
ENDLESS = frozenset({"silence", "a drip"})


@dataclass(frozen=True)
class Found:
    """What became of an answer: whether the inventory was well, what the rooms that are well answered, and out of how many."""

    tier: str
    who: str
    answer: str
    read: int
    reported: int
    answers: int
    undisturbed: int
    said: bool

    @property
    def inventory_is_well(self) -> bool:
        """Whether every poll read the devices, and told the outage that began in it."""
        return (self.read, self.reported) == (POLLS, POLLS - 1)


class LameWebex(ScriptedWebex):
    """A scripted Webex of which some rooms answer a slow tier amiss."""

    def __init__(self) -> None:
        super().__init__()
        self.endpoint = ""
        self.rooms: frozenset[int] = frozenset()
        self.amiss = Answer()
        self.well: Counter[str] = Counter()

    def answer(self, request: Request) -> Answer:
        """See ScriptedWebex.answer."""
        room = request.params.get(ENDPOINTS.get(request.path, ""), "").rpartition("-")[2]
        if request.path == self.endpoint and (request.path in WHOLE or int(room) in self.rooms):
            return self.amiss
        if request.path == UNRESOLVED_INCIDENTS:
            return Answer(body=b'{"incidents": []}')
        if request.path in ENDPOINTS:
            self.well[request.path] += 1
        return super().answer(request)


def matrix() -> list[Found]:
    """Every tier, every answer, by some rooms and by all."""
    with short_waits(), serving(LameWebex()) as webex:
        assert isinstance(webex, LameWebex)
        found = [_found(webex, endpoint, who, answer) for endpoint, who in CASES for answer in ANSWERS]
    poll_module.DIRECTORY_SHARE = DIRECTORY_SHARE
    return found


def _found(webex: LameWebex, endpoint: str, who: str, answer: str) -> Found:
    webex.endpoint, webex.rooms, webex.amiss = "", WHO.get(who, frozenset()), ANSWERS[answer]
    patience = PATIENCE_SECONDS if who in WHO and WHO[who] == BROKEN else SHORT_PATIENCE_SECONDS
    endless, listed = answer in ENDLESS, endpoint in (WORKSPACES, LOCATIONS)
    webex_client.ANSWER_SECONDS = WAITS["ANSWER_SECONDS"]
    poll_module.DIRECTORY_SHARE = DIRECTORY_SHARE
    _furnish(webex)
    consumer, now = Consumer(), [BEGIN]
    clock.use(lambda: now[0])
    cities = (City("lyon", "Lyon", ("Lyon Part-Dieu",), ()),)
    asked = METRICS_OF.get(endpoint, ())  # one tier, not every one
    settings = IngestSettings(
        POLL_SECONDS, 15, 100, asked, cities, xapi_seconds=60, location_minutes=1,
        priority_tags=("board",) if endpoint == ROOM_STATUS else (),
    )  # fmt: skip
    client = WebexClient(webex.base, OneToken(), FAST)
    poller = Poller(settings, client, consumer, IngestState(), webex_status=WebexStatus(webex.base))
    if endpoint in ENDPOINTS:
        webex.endpoint = endpoint
        webex_client.ANSWER_SECONDS = patience if endless else WAITS["ANSWER_SECONDS"]
    said, reported = _says(poller.poll(), endpoint), 0
    webex.endpoint = endpoint
    webex_client.ANSWER_SECONDS = patience if endless else WAITS["ANSWER_SECONDS"]
    poll_module.DIRECTORY_SHARE = patience / POLL_SECONDS if listed else DIRECTORY_SHARE
    for poll in range(1, POLLS):
        now[0] += STEP_OF.get(endpoint, timedelta(minutes=1))
        consumer.events.clear()
        down = webex.listings["/devices"][-poll]
        down["connectionStatus"] = "disconnected"
        said = _says(poller.poll(), endpoint) or said
        reported += _reports(consumer.events, down["id"])
    poller.close()
    clock.use(None)
    read = len(webex.asked("/devices"))
    well = len(frozenset(ROOMS) - WHO[who]) * POLLS if endpoint in ENDPOINTS else 0
    return Found(endpoint, who, answer, read, reported, webex.well[endpoint], well, said)


def _furnish(webex: LameWebex) -> None:
    webex.requests.clear()
    webex.well.clear()
    webex.listings["/locations"] = [location(1, "Lyon Part-Dieu")]
    webex.listings["/locations/location-1/floors"] = [{"id": "floor-1", "displayName": "4th", "locationId": "location-1"}]
    webex.listings["/workspaces"] = [workspace(n, "temperature", floorId="floor-1", calendar={"type": "google"}) for n in ROOMS]
    asked = {"tags": ["board"], "permissions": ["xapi:readonly"]}
    phones = [device(100 + n, type="phone", workspaceId=None) for n in range(POLLS)]
    webex.listings["/devices"] = [device(n, **asked) for n in ROOMS] + phones
    webex.statuses = {f"device-{n}": {"Standby": {"State": "Off"}} for n in ROOMS}


def _says(report: PollReport, endpoint: str) -> bool:
    """Whether a poll says of what it could not have, or that it has been left alone."""
    return any((endpoint if endpoint != UNRESOLVED_INCIDENTS else "status page") in fault for fault in report.faults)


def _reports(events: list[dict[str, Any]], device_id: str) -> bool:
    return any(
        event["data"]["entityId"] == device_id and event["data"].get("connectionStatus") == "disconnected" for event in events
    )


def lines(rows: list[Found]) -> list[str]:
    """The part of the page."""
    return [
        "## A slow tier fails while the inventory is well",
        "",
        f"{POLLS} polls of a city of {len(ROOMS)} rooms; in each but the first another device goes down. A slow tier is answered",
        "amiss, by three rooms (the first ones) or by all; what is not asked room by room fails as a whole, after a first poll",
        "that was well. `read`: polls that read the devices. `reported`: outages reported in the poll they begin. `healthy`:",
        "whether rooms that are well answered nine times in ten of what they do without the fault.",
        "",
        "| tier | by | answer | read | reported | healthy |",
        "|---|---|---|---|---|---|",
        *[
            f"| `{row.tier}` | {row.who} | {row.answer} | {row.read} of {POLLS} | {row.reported} of {POLLS - 1} "
            f"| {_healthy(row)} |"
            for row in rows
        ],
    ]


def _healthy(row: Found) -> str:
    if not row.undisturbed:
        return "there are none"
    return "yes" if row.answers >= 0.9 * row.undisturbed else "no"
