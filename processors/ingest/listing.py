"""A listing read page by page over as many polls as it takes: it goes on where the poll before stopped.

A listing of 100,000 devices is 500 requests where Webex caps a page at 200: two minutes at four a second. One that began anew
with every poll would show its first pages for ever. So a listing that runs out of time keeps its next link; one that fails within
its first poll begins anew, because there every poll sees everything.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from processors.ingest.paging import Way
from processors.ingest.webex_client import (
    NOTHING_THERE,
    Deadline,
    DeadlinePassed,
    NotPermitted,
    Page,
    Paused,
    Unavailable,
    WebexClient,
    go_on,
)
from processors.timestamps import format_time, parse_time

PAGE_SIZE = 1000


class Listing:
    """One listing: where it goes on, and what it has listed since it began."""

    def __init__(self, path: str, params: Mapping[str, str] | None = None) -> None:
        self.path = path
        self.seen: set[str] = set()
        """Ids of what it has listed since it began, as far as that concerns whoever reads it, who fills this in."""
        self.begun: datetime | None = None
        """The slot of the poll that began it."""
        self.snapshot = False
        """Whether all that it lists is sent, changed or not; whoever begins it decides."""
        self.whole = True
        """Whether this process has seen it begin: else it can't be said what it lacks."""
        self.finished = False
        self._params = dict(params or {})
        self._start: str | None = None
        """Where another process stopped."""
        self._way: Way | None = None
        self._goes_on = False

    @property
    def goes_on(self) -> bool:
        """Whether the next poll goes on with it."""
        return self._goes_on

    def begin(self, slot: datetime) -> bool:
        """Be ready for a poll: says whether the listing begins with it, or goes on."""
        self.finished = False
        if self._goes_on:
            return False
        self._restart(slot)
        return True

    def pages(self, client: WebexClient, until: Deadline, deadline: Deadline) -> Iterator[Page]:
        """The pages from where it stopped; after each one `passed` has to be reported.

        No further page is begun after `until`, unless it is behind what Webex calls the end, and none is waited for after
        `deadline`. Raises WebexError; DeadlinePassed only when not even one page came in this poll, or when Webex has asked for a
        pause.
        """
        way = self._way = self._way or client.way(self.path, self._params, PAGE_SIZE, self._start)
        came = 0
        try:
            while way.url is not None:
                page = client.page(way, deadline)
                came += 1
                yield page
                if until.left() <= 0 and not self.finished and not way.looks_behind:
                    self._goes_on = True
                    return
        except Paused:
            self._goes_on = self._goes_on or came > 0
            raise
        except DeadlinePassed:
            if not came:
                raise
            self._goes_on = True
        except NotPermitted as fault:
            if came or not self._goes_on or fault.status not in NOTHING_THERE:
                raise
            # The link has gone stale: what it stood for can't be asked again.
            self._restart(self.begun)
            yield from self.pages(client, until, deadline)

    def passed(self, page: Page) -> None:
        """A page has been dealt with. Raises Unavailable when nobody knows where it goes on: it then begins anew."""
        assert self._way is not None
        try:
            go_on(self._way, page)
        except Unavailable:
            self._goes_on = False
            raise
        if self._way.url is None:
            self.finished, self._goes_on, self._way = True, False, None

    def text(self) -> str:
        """Where it goes on, as a note of the state."""
        begun = format_time(self.begun) if self.begun else None
        return json.dumps({"next": self._way.url if self._way else self._start, "begun": begun, "snapshot": self.snapshot})

    def resume(self, text: str) -> None:
        """Go on where another process stopped, as its note says; begin anew when it says nothing that is understood."""
        try:
            noted: dict[str, Any] = json.loads(text)
            following, begun = noted["next"], parse_time(noted["begun"])
        except (ValueError, TypeError, LookupError):
            return
        if isinstance(following, str) and begun is not None:
            self._start, self.begun, self.snapshot = following, begun, noted.get("snapshot") is True
            self._goes_on, self.whole = True, False

    def _restart(self, slot: datetime | None) -> None:
        self.seen.clear()
        self.begun, self.whole, self.finished = slot, True, False
        self._start, self._way, self._goes_on = None, None, False
