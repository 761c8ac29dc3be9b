"""A look at Webex with the ingest's own eyes: one poll without a past, of which nothing is sent, remembered, or asked of rooms.

So whoever wants to know what the ingest would do today asks the ingest: its client, its paging, its mapping, its rules.
"""

from __future__ import annotations

import json
import operator
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from processors.ingest.cloud_events import Event
from processors.ingest.directory import Directory
from processors.ingest.endpoint import DEVICES
from processors.ingest.listing import PAGE_SIZE
from processors.ingest.paging import Way
from processors.ingest.poll import Poller, PollReport
from processors.ingest.settings import IngestSettings
from processors.ingest.sinks import DEADLETTER
from processors.ingest.state import IngestState
from processors.ingest.token_bucket import RequestRates
from processors.ingest.webex_client import Deadline, Page, TokenSource, WebexClient, WebexError

LOOK_SECONDS = 600.0
"""The interval of the poll: in four fifths of it 100,000 devices are listed at four requests a second and 200 devices a page."""
_BREACHES: dict[str, Callable[[float, float], bool]] = {">=": operator.ge, "<=": operator.le}


@dataclass
class Listed:
    """What came of a listing: its pages with rows (or the one without), all rows, those of its largest page, what ended it."""

    pages: int = 0
    rows: int = 0
    largest: int = 0
    fault: WebexError | None = None


class Fired(NamedTuple):
    """What a rule's condition holds for now: the city, and the name of the device, location or city."""

    city_id: str
    name: str


class Heard:
    """A sink that keeps what rules would fire on, and what was not understood."""

    def __init__(self) -> None:
        self.fired: dict[str, list[Fired]] = {}
        self.odd: Counter[tuple[str, str]] = Counter()
        """Records that were not understood, or in part only, by endpoint and reason."""

    def send(self, events: Sequence[Event], hub: str) -> list[Event]:
        """See Sink.send."""
        for event in events:
            data = json.loads(event.body)["data"]
            if hub == DEADLETTER:
                self.odd[data.get("endpoint", "observations"), data["reason"]] += 1
            else:
                self._note(data)
        return []

    def close(self) -> None:
        """Nothing to close."""

    def _note(self, data: dict[str, Any]) -> None:
        for signal in data["signals"]:
            for rule in signal["rules"]:
                if _BREACHES[rule["op"]](signal["value"], rule["threshold"]):
                    self.fired.setdefault(rule["id"], []).append(Fired(data["cityId"], data["name"]))


class WatchedClient(WebexClient):
    """A client that remembers how its listings went, by path."""

    def __init__(self, base: str, tokens: TokenSource, rates: RequestRates) -> None:
        """See WebexClient."""
        super().__init__(base, tokens, rates)
        self.listed: dict[str, Listed] = {}

    def page(self, way: Way, deadline: Deadline) -> Page:
        """See WebexClient.page."""
        listed = self.listed.setdefault(way.path, Listed())
        try:
            page = super().page(way, deadline)
        except WebexError as fault:
            listed.fault = fault
            raise
        listed.pages += 1 if page.items or not listed.pages else 0
        listed.rows += len(page.items)
        listed.largest = max(listed.largest, len(page.items))
        return page


@dataclass
class Look:
    """What the ingest sees now. `directory` is None when no location could be listed: then no device can be placed."""

    report: PollReport
    state: IngestState
    directory: Directory | None
    listed: dict[str, Listed]
    heard: Heard = field(default_factory=Heard)


def look(base: str, tokens: TokenSource, settings: IngestSettings) -> Look:
    """Poll once. What Webex does not answer is in the look."""
    heard, state = Heard(), IngestState()
    client = WatchedClient(base, tokens, settings.rates._replace(xapi_per_second=0.0))
    poller = Poller(replace(settings, poll_seconds=LOOK_SECONDS, metric_requests_per_poll=0), client, heard, state)
    try:
        report = poller.poll()
        if DEVICES not in client.listed:
            _see_whether_devices_are_listed(client)
    finally:
        poller.close()
    return Look(report, state, poller.places.directory, client.listed, heard)


def _see_whether_devices_are_listed(client: WatchedClient) -> None:
    """Ask for a page of devices that can't be placed; the client remembers how it went."""
    try:
        next(client.pages(DEVICES, {}, PAGE_SIZE, Deadline(LOOK_SECONDS)), None)
    except WebexError as fault:
        client.listed[DEVICES].fault = fault
