"""Webex's own status page: which incidents Webex itself reports, so that theirs are not taken for ours.

It is public, needs no token and gets none. It is read after the estate has been reported, in one try and a few seconds, every few
minutes: a status page that is dead or slow costs no poll anything, and what it would say is then not known, which is said.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from processors.connection_faults import next_step
from processors.ingest.records import fixed, kind_of
from processors.ingest.slow_tier import Run
from processors.ingest.token_bucket import RequestRates
from processors.ingest.webex_client import Deadline, DeadlinePassed, TokenError, WebexClient, WebexError
from processors.timestamps import format_time, parse_time

WEBEX_STATUS = "https://status.webex.com"
EVERY = timedelta(minutes=3)
LONGEST_SECONDS = 5.0
MOST_INCIDENTS = 5
"""More are not reported: by then it is not ours."""
LONGEST_WORDS = 300
_UNKNOWN = (
    "whether Webex reports an incident is not known. Let the ingest reach it over https; with WEBEX_STATUS_BASE empty it is "
    "not read."
)
OVER = frozenset({"resolved", "completed"})
_RATES = RequestRates(per_second=0.1, burst=2, xapi_per_second=0, in_flight=1)


class NoToken:
    """What is public is asked without a token: it must not travel to another host than the API."""

    def token(self) -> str:
        """None."""
        return ""

    def renew(self, rejected: str) -> str:
        """There is none to renew."""
        raise TokenError("It asks for a token, and is public.", 401)


class WebexStatus:
    """What the status page said when it was last read. `reported` is what observations carry: None while it reports nothing."""

    def __init__(self, base: str) -> None:
        """`base`: its address."""
        self.reported: dict[str, Any] | None = None
        self._base = base
        self._client = WebexClient(base, NoToken(), _RATES)
        self._asked: datetime | None = None

    @property
    def open_incidents(self) -> int | None:
        """How many incidents it has open; None before it was first read, and while it can't be."""
        if self._asked is None or "unknown" in (self.reported or {}):
            return None
        return len(self.reported["incidents"]) if self.reported else 0

    def close(self) -> None:
        """Let go of the connection."""
        self._client.close()

    def read(self, run: Run) -> None:
        """Read it, where that is due. What fails makes no poll partial, and what was known to be open stays said."""
        if self._asked is not None and timedelta() <= run.slot - self._asked < EVERY:
            return
        self._asked = run.slot
        reported = self.look(run.deadline.at_most(LONGEST_SECONDS))
        if reported and "unknown" in reported:
            run.fault(WebexError(f"Webex's status page ({self._base}) can't be read: {reported['unknown']}; {_UNKNOWN}"))
            reported = {**(self.reported or {}), **reported}
        self.reported = reported

    def look(self, deadline: Deadline) -> dict[str, Any] | None:
        """What it says now, as observations carry it; None when it reports nothing."""
        try:
            return read_status(self._client.incidents(deadline))
        except WebexError as fault:
            return {"unknown": _why(fault)}


def read_status(incidents: Sequence[object]) -> dict[str, Any] | None:
    """The incidents that are open, as observations carry them; None when there are none."""
    found = [incident for record in incidents if (incident := _incident(record))]
    return {"incidents": found[:MOST_INCIDENTS]} if found else None


def _incident(record: object) -> dict[str, str] | None:
    """An incident; None for one that is over, or of Webex for Government only. One that can't be read is one all the same."""
    if not isinstance(record, Mapping):
        return {"name": f"an incident that can't be read ({kind_of(record)})"}
    if str(record.get("status")).lower() in OVER or record.get("resolved_at") or record.get("commercial") is False:
        return None
    since = parse_time(record.get("start_at")) or parse_time(record.get("created_at"))
    reported = {"name": _text(record, "name") or "an incident without a name", "impact": _text(record, "impact")}
    reported |= {"status": _text(record, "status"), "since": format_time(since) if since else ""}
    return {name: text for name, text in reported.items() if text}


def _text(record: Mapping[str, Any], name: str) -> str:
    value = record.get(name)
    return fixed(value)[:LONGEST_WORDS] if isinstance(value, str) else ""


def _why(fault: WebexError) -> str:
    """In words for people who look at a room that is down."""
    if isinstance(fault, DeadlinePassed):
        return "no answer in the time it has"
    if fault.status is not None:
        return f"it answered {fault.status}"
    broken = fault.__cause__.__cause__ if fault.__cause__ else None
    return f"no connection. {next_step(broken)}".strip() if broken else "no proper answer"
