"""The fault matrix of the ingest: every fault of the Webex API, at every request of a poll, and what a consumer sees after.

`python tests/support/ingest_faults.py` writes docs/ingest-faults.md; tests/processors/ingest/test_fault_matrix.py holds the page
to what it finds. Four polls of one estate: an undisturbed one; changes, and a poll with the fault; two more polls.
The page's second table, a slow tier that fails while the inventory is well, comes from `slow_tier_faults.py`.
"""

from __future__ import annotations

import json
import logging
import sys
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path[:0] = [path for path in (str(REPOSITORY),) if path not in sys.path]

from processors import clock  # noqa: E402
from processors.ingest import webex_client  # noqa: E402
from processors.ingest.cloud_events import Event  # noqa: E402
from processors.ingest.poll import Poller  # noqa: E402
from processors.ingest.settings import City, IngestSettings  # noqa: E402
from processors.ingest.state import IngestState  # noqa: E402
from processors.ingest.webex_client import WebexClient  # noqa: E402
from tests.support.scripted_webex import FAST, Answer, Request, ScriptedWebex, device, error, location, serving, workspace  # noqa: E402

PAGE = REPOSITORY / "docs/ingest-faults.md"
BEGIN = datetime(2026, 11, 24, 10, 0, 3, tzinfo=UTC)
DEVICES = 9
FILLED = {3: 5, 4: 7}
"""Rooms that are asked for their status, by number, and how many people are in them from the second poll on."""
ONE_BY_ONE = FAST._replace(in_flight=1)
"""So that the requests of a poll have an order."""
CHANGED = {"device-2": "disconnected", "device-5": "connected_with_issues", "device-8": "disconnected"}

STALL_SECONDS, PATIENCE_SECONDS = 0.5, 0.3
"""How long a time-out lasts here, and when the client gives up on it."""
Misbehaviour = Callable[["FaultyWebex", Answer], Answer | None]
"""What a request gets instead of its proper answer; None for the proper one."""


@dataclass(frozen=True)
class Fault:
    """A fault: its name in the table, what `span` requests in a row get from the one it begins at, and what it may cost."""

    name: str
    misbehave: Misbehaviour
    span: int = 1
    partial: bool = False
    """Whether the poll may end partial; else it must not."""
    patience: float = webex_client.READ_SECONDS
    """How long the client waits for an answer."""


class FaultyWebex(ScriptedWebex):
    """A scripted Webex that misbehaves from the request with the number `begin` on, counted from when the poll began."""

    def __init__(self) -> None:
        super().__init__()
        self.fault: Fault | None = None
        self.begin = 0
        self.count = 0
        self.hits = 0

    def disturb(self, fault: Fault | None, begin: int = 0) -> None:
        """Misbehave in what follows; None ends it."""
        self.fault, self.begin, self.count = fault, begin, 0

    def answer(self, request: Request) -> Answer:
        """See ScriptedWebex.answer."""
        number = self.count
        self.count += 1
        proper = super().answer(request)
        if self.fault is None or not self.begin <= number < self.begin + self.fault.span:
            return proper
        self.asked_url = f"{self.base}{request.path}?" + "&".join(f"{k}={v}" for k, v in request.params.items())
        instead = self.fault.misbehave(self, proper)
        self.hits += instead is not None
        return proper if instead is None else instead


class Tokens:
    """A source of tokens that renews."""

    def __init__(self, webex: ScriptedWebex) -> None:
        self._webex = webex
        self._token = "token"

    def token(self) -> str:
        """See TokenSource."""
        return self._token

    def renew(self, rejected: str) -> str:
        """See TokenSource."""
        if rejected == self._token:
            self._token = f"{rejected}+"
        return self._token


@dataclass
class Consumer:
    """A sink that keeps every event in the order of arrival."""

    events: list[dict[str, Any]] = field(default_factory=list)

    def send(self, events: Sequence[Event], hub: str) -> list[Event]:
        """See Sink.send."""
        self.events += [json.loads(event.body) for event in events]
        return []

    def close(self) -> None:
        """Nothing to close."""


def _with_rows(answer: Answer, change: Callable[[list[Any]], list[Any]]) -> Answer | None:
    """An answer with other rows; None for an answer that has none, such as a device's status."""
    document = json.loads(answer.body)
    return replace(answer, body=json.dumps({"items": change(document["items"])}).encode()) if "items" in document else None


def _expired(webex: FaultyWebex, proper: Answer) -> Answer:
    """From here on only the next token is good."""
    webex.tokens = {f"{token}+" for token in webex.tokens}
    return error(401)


def _empty_page(webex: FaultyWebex, proper: Answer) -> Answer | None:
    if "items" not in json.loads(proper.body):
        return None
    link = f'<{webex.asked_url}&again=1>; rel="next"'
    return Answer(headers={"Link": link})


def _skewed(webex: FaultyWebex, proper: Answer) -> Answer:
    """A server whose clock is an hour ahead says, by its own clock, when to come back."""
    ahead = datetime.now(UTC) + timedelta(hours=1)
    dates = {"Date": format_datetime(ahead, usegmt=True), "Retry_After": format_datetime(ahead, usegmt=True)}
    return error(429, **dates)


_PACKED = {"Content-Encoding": "deflate", "Connection": "close"}
"""ScriptedWebex hangs up after a body that it did not pack itself: a request that is sent meanwhile would be another fault."""


def _deflated(webex: FaultyWebex, proper: Answer) -> Answer:
    body = zlib.compress(proper.body)
    return replace(proper, body=body, headers={**proper.headers, **_PACKED}, cut=len(body))


FAULTS = (
    Fault("429 once", lambda webex, proper: error(429, Retry_After="1")),
    Fault("429 storm (12 in a row)", lambda webex, proper: error(429, Retry_After="1"), span=12),
    Fault("429 with rubbish in Retry-After", lambda webex, proper: error(429, Retry_After="rand(30),add(30)")),
    Fault("429 by a clock an hour ahead", _skewed),
    Fault("503 once", lambda webex, proper: error(503)),
    Fault("504 twice", lambda webex, proper: error(504), span=2),
    Fault("500 until the poll ends", lambda webex, proper: error(500), span=1000, partial=True),
    Fault("time-out", lambda webex, proper: replace(proper, stall=STALL_SECONDS), patience=PATIENCE_SECONDS),
    Fault(
        "time-outs until the poll ends",
        lambda webex, proper: replace(proper, stall=STALL_SECONDS),
        patience=PATIENCE_SECONDS,
        span=1000,
        partial=True,
    ),
    Fault("reset in the middle of a body", lambda webex, proper: replace(proper, cut=max(1, len(proper.body) // 2))),
    Fault("half a JSON", lambda webex, proper: replace(proper, body=proper.body[: len(proper.body) // 2])),
    Fault("a page of HTML", lambda webex, proper: Answer(body=b"<html>Bad gateway</html>")),
    Fault("408 once", lambda webex, proper: error(408)),
    Fault("a part of an answer (206)", lambda webex, proper: replace(proper, status=206)),
    Fault(
        "bytes that are not text", lambda webex, proper: replace(proper, body=proper.body.replace(b"{", b'{"x": "\xff\t", ', 1))
    ),
    Fault("packed as deflate", _deflated),
    Fault("an empty page with a next link", _empty_page),
    Fault("a row listed twice", lambda webex, proper: _with_rows(proper, lambda rows: rows + rows[-1:])),
    Fault("a row left out", lambda webex, proper: _with_rows(proper, lambda rows: rows[:-1])),
    Fault("a row that is not a record", lambda webex, proper: _with_rows(proper, lambda rows: [*rows, {"id": None}, "rubbish"])),
    Fault("token expires", _expired),
    Fault("403 once", lambda webex, proper: error(403), partial=True),
)


@dataclass
class Row:
    """What became of a fault over all requests it was put at."""

    fault: str
    requests: int = 0
    partial: int = 0
    late: int = 0
    wrong: list[str] = field(default_factory=list)


class Trial:
    """The four polls, with one fault at one request (or none)."""

    def __init__(self, webex: FaultyWebex, fault: Fault | None = None, begin: int = 0) -> None:
        _furnish(webex)
        self.now = BEGIN
        clock.use(lambda: self.now)
        self.consumer = Consumer()
        cities = (City("lyon", "Lyon", ("Lyon Part-Dieu",), ()),)
        settings = IngestSettings(10, 15, 10, ("temperature",), cities, xapi_seconds=60, priority_tags=("board-room",))
        self.poller = Poller(settings, WebexClient(webex.base, Tokens(webex), ONE_BY_ONE), self.consumer, IngestState())
        self.webex = webex
        self._poll()
        for listed in webex.listings["/devices"]:
            listed["connectionStatus"] = CHANGED.get(listed["id"], listed["connectionStatus"])
        webex.statuses |= {f"device-{number}": _status(people) for number, people in FILLED.items()}
        webex.disturb(fault, begin)
        self.partial = self._poll()
        self.requests = webex.count
        self.after_fault = self._statuses(), self._people()
        webex.disturb(None)
        self.recovered = not self._poll() and not self._poll()
        self.poller.close()
        clock.use(None)

    def _poll(self) -> bool:
        """Poll; says whether it was partial."""
        partial = self.poller.poll().partial
        self.now += timedelta(seconds=60)
        return partial

    def _statuses(self) -> dict[str, str]:
        data = [event["data"] for event in self.consumer.events if event["data"].get("entity") == "device"]
        return {one["entityId"]: one["connectionStatus"] for one in data}

    def _people(self) -> dict[str, float]:
        """How many people a consumer thinks are in each room that is asked."""
        return {
            event["data"]["entityId"]: signal["value"]
            for event in self.consumer.events
            for signal in event["data"].get("signals", ())
            if signal["name"] == "peopleCount"
        }

    def wrong(self) -> list[str]:
        """What a consumer would see that is not right."""
        wrong = []
        if not self.recovered:
            wrong.append("the polls after it are partial")
        repeated = [one for one, times in Counter(event["id"] for event in self.consumer.events).items() if times > 1]
        if repeated:
            wrong.append(f"{len(repeated)} ids arrived twice")
        truth = {one["id"]: one["connectionStatus"] for one in self.webex.listings["/devices"]}
        if self._statuses() != truth:
            wrong.append("devices are not what they are")
        if self._people() != {f"workspace-{number}": people for number, people in FILLED.items()}:
            wrong.append("rooms are not as full as they are")
        readings = Counter(
            (event["data"]["entityId"], event["time"])
            for event in self.consumer.events
            if any(signal["name"] == "temperature" for signal in event["data"].get("signals", ()))
        )
        expected = Counter((f"workspace-{n}", _reading(minute)["timestamp"]) for n in (1, 2) for minute in range(4))
        if readings != expected:
            wrong.append(f"readings: {sum((expected - readings).values())} lost, {sum((readings - expected).values())} twice")
        if any(event["data"].get("connectionStatus") == "removed" for event in self.consumer.events):
            wrong.append("a device was taken for gone")
        return wrong


def _furnish(webex: FaultyWebex) -> None:
    """The estate as it is at the start."""
    webex.disturb(None)
    webex.tokens = {"token"}
    webex.page_cap = 4
    webex.listings["/locations"] = [location(1, "Lyon Part-Dieu")]
    webex.listings["/workspaces"] = [workspace(n, "temperature") for n in (1, 2)] + [workspace(n) for n in (3, 4, 5)]
    asked = {"tags": ["board-room"], "permissions": ["xapi:readonly"]}
    webex.listings["/devices"] = [device(n, **(asked if n in FILLED else {})) for n in range(1, DEVICES + 1)]
    webex.statuses = {f"device-{number}": _status(people=0) for number in FILLED}
    for number in (1, 2):
        webex.metrics[f"workspace-{number}", "temperature"] = [_reading(minute) for minute in range(4)]


def _status(people: int) -> dict[str, Any]:
    """What a device says of its room."""
    return {"Standby": {"State": "Off"}, "RoomAnalytics": {"PeopleCount": {"Current": str(people), "Capacity": "12"}}}


def _reading(minute: int) -> dict[str, Any]:
    return {"timestamp": f"2026-11-24T10:{minute:02}:00.000Z", "value": 21.0 + minute}


@contextmanager
def short_waits() -> Iterator[None]:
    """Waits of the client are milliseconds, and it logs nothing."""
    before = {name: getattr(webex_client, name) for name in WAITS}
    for name, value in WAITS.items():
        setattr(webex_client, name, value)
    logging.disable(logging.CRITICAL)
    try:
        yield
    finally:
        logging.disable(logging.NOTSET)
        for name, value in before.items():
            setattr(webex_client, name, value)


def matrix() -> list[Row]:
    """Every fault at every request of the second poll. Waits are milliseconds."""
    with short_waits(), serving(FaultyWebex()) as webex:
        assert isinstance(webex, FaultyWebex)
        undisturbed = Trial(webex)
        assert undisturbed.wrong() == [], undisturbed.wrong()
        return [_row(webex, fault, undisturbed) for fault in FAULTS]


WAITS = {
    "BACKOFF_SECONDS": 0.002,
    "SHORTEST_PAUSE_SECONDS": 0.002,
    "LONGEST_PAUSE_SECONDS": 0.004,
    "READ_SECONDS": webex_client.READ_SECONDS,
    "ANSWER_SECONDS": webex_client.ANSWER_SECONDS,
}


def _row(webex: FaultyWebex, fault: Fault, undisturbed: Trial) -> Row:
    row = Row(fault.name)
    webex_client.READ_SECONDS = fault.patience
    for begin in range(undisturbed.requests):
        webex.hits = 0
        trial = Trial(webex, fault, begin)
        row.requests += bool(webex.hits)
        row.partial += trial.partial
        row.late += trial.after_fault != undisturbed.after_fault
        wrong = trial.wrong()
        if trial.partial and not fault.partial:
            wrong.append("the poll was partial")
        row.wrong += [f"request {begin}: {text}" for text in wrong]
    return row


def page(rows: list[Row], apart: list[str]) -> str:
    """The page in docs/; `apart`: the lines of its second table."""
    lines = [
        "# Faults of Webex, and what a consumer sees",
        "",
        "Written by `python tests/support/ingest_faults.py`; a test holds it to what is found. Each fault is put at every",
        "request of a poll in turn (locations, workspaces, devices page by page, the status of two rooms by xAPI, metrics). In",
        "that poll three devices change and the two rooms fill. Afterwards there are two more polls; a consumer must see every",
        "device and room as it is, every reading once, no id twice, and no device taken for gone. `late`: a change was seen by",
        "the next poll only, because this one could not see it.",
        "",
        "| fault | at requests | polls partial | late | lost or twice |",
        "|---|---|---|---|---|",
    ]
    lines += [
        f"| {row.fault} | {row.requests} | {row.partial} | {row.late} | {'; '.join(row.wrong) or 'nothing'} |" for row in rows
    ]
    lines += ["", *apart]
    lines += [
        "",
        "Kills (SIGKILL before and after every write: sends, transactions, blobs; both homes of the state) are in",
        "`tests/processors/ingest/test_killed.py`, two instances at once in `test_blob_state.py`, an hour with random faults in",
        "`benchmarks/soak.py`.",
        "",
    ]
    return "\n".join(lines)


if __name__ == "__main__":
    from tests.support import slow_tier_faults

    PAGE.write_text(page(matrix(), slow_tier_faults.lines(slow_tier_faults.matrix())), encoding="utf-8")
    print(PAGE.read_text(encoding="utf-8"))
