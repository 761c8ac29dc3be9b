"""Webex's own status page: read beside the estate, told with what it tells, and nothing depends on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from processors.ingest.environment import faults_of, webex_status_from
from processors.ingest.poll import PollReport
from processors.ingest.webex_client import Deadline
from processors.ingest.webex_status import WebexStatus, read_status
from tests.processors.conftest import StandingClock
from tests.processors.ingest.conftest import KeptEvents, MakePoller
from tests.support.scripted_webex import Answer, ScriptedWebex, error

PAGE = "/unresolved-incidents.json"
INCIDENT: dict[str, Any] = {
    "id": "3d25", "name": "Meetings: some users can't join", "impact": "minor", "status": "monitoring", "commercial": True,
    "fedRAMP": False, "start_at": "2026-11-24T08:45:36.847Z", "created_at": "2026-11-24T08:50:00Z", "resolved_at": None,
    "incident_updates": [{"status": "monitoring", "body": "We look into it.\n\nMore soon."}], "components": [],
}  # fmt: skip
"""In the shape in which the page has been seen to answer."""
TOLD = {"name": INCIDENT["name"], "impact": "minor", "status": "monitoring", "since": "2026-11-24T08:45:36.847Z"}
Polled = Callable[..., tuple[dict[str, Any], PollReport]]


def page(*incidents: Any) -> Answer:
    return Answer(body=json.dumps({"incidents": incidents}).encode())


@pytest.fixture
def polled(make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock) -> Iterator[Polled]:
    """Makes a poll so many seconds after the one before; gives what each kind of observation says of Webex, and the report."""
    poller = make_poller(snapshot_minutes=0)
    poller.webex_status = WebexStatus(estate.base)

    def poll(after: float = 0) -> tuple[dict[str, Any], PollReport]:
        standing_clock.advance(after)
        kept.taken()
        report = poller.poll()
        return {data["entity"]: data.get("details", {}).get("webexStatus") for data in kept.taken()}, report

    yield poll
    poller.close()


@pytest.mark.parametrize(
    ("incidents", "told"),
    [
        ([], None),
        ([INCIDENT], [TOLD]),
        ([INCIDENT | {"start_at": None}], [TOLD | {"since": "2026-11-24T08:50:00.000Z"}]),
        ([INCIDENT | {"start_at": "soon", "created_at": 5, "impact": None}], [{"name": TOLD["name"], "status": "monitoring"}]),
        ([INCIDENT | {"status": "resolved"}, INCIDENT | {"resolved_at": "2026-11-24T09:00:00Z"}], None),
        ([INCIDENT | {"commercial": False, "fedRAMP": True}], None),
        ([INCIDENT | {"commercial": None, "fedRAMP": None}], [TOLD]),
        ([{}], [{"name": "an incident without a name"}]),
        (["x"], [{"name": "an incident that can't be read (text)"}]),
        ([INCIDENT | {"name": str(n)} for n in range(9)], [TOLD | {"name": str(n)} for n in range(5)]),
    ],
)
def test_open_incidents_are_told_as_the_page_lists_them(incidents: list[Any], told: list[Any] | None) -> None:
    assert read_status(incidents) == (told and {"incidents": told})


def test_what_webex_reports_is_said_from_the_next_poll_on_with_the_estate_but_not_with_readings(
    estate: ScriptedWebex, polled: Polled
) -> None:
    estate.always[PAGE] = page(INCIDENT)
    said, _ = polled()
    assert set(said.values()) == {None}, "the estate is told before the page is read"
    said, _ = polled(after=10)
    assert said == {entity: {"incidents": [TOLD]} for entity in ("device", "location", "city")}
    assert len(estate.asked(PAGE)) == 1, "a few minutes pass before it is read again"
    estate.always[PAGE] = page()
    polled(after=180)
    said, _ = polled(after=10)
    assert set(said.values()) == {None}


def test_the_page_is_asked_without_the_token(estate: ScriptedWebex, polled: Polled) -> None:
    estate.always[PAGE] = page()
    polled()
    (request,) = estate.asked(PAGE)
    assert "authorization" not in request.headers


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (error(503), "it answered 503"), (error(403), "it answered 403"), (error(401), "it answered 401"),
        (Answer(429, b""), "it answered 429"), (Answer(302, b"", {"Location": "https://login.example.com"}), "it answered 302"),
        (Answer(body=b"<html>"), "no proper answer"), (Answer(body=b'{"incidents": {}}'), "no proper answer"),
        (Answer(body=b"[]"), "no proper answer"),
    ],
)  # fmt: skip
def test_a_dead_page_hides_nothing_and_is_said(estate: ScriptedWebex, polled: Polled, answer: Answer, why: str) -> None:
    estate.always[PAGE] = page(INCIDENT)
    polled()
    estate.always[PAGE] = answer
    _, report = polled(after=180)
    (fault,) = report.faults
    assert f"can't be read: {why}; whether Webex reports an incident is not known" in fault
    assert "scopes" not in fault and "service app" not in fault
    said, report = polled(after=10)
    assert said["city"] == {"incidents": [TOLD], "unknown": why}, "what was open is said as it was last known"
    assert (report.devices, report.partial) == (4, False)


def test_a_page_that_answers_again_is_believed(estate: ScriptedWebex, polled: Polled) -> None:
    estate.always[PAGE] = error(503)
    polled()
    said, _ = polled(after=10)
    assert said["city"] == {"unknown": "it answered 503"}
    estate.always[PAGE] = page()
    polled(after=180)
    said, _ = polled(after=10)
    assert said["city"] is None


class Said(WebexStatus):
    """A status page that says one thing after another; asked over no network."""

    def __init__(self, *said: dict[str, Any] | None) -> None:
        super().__init__("http://127.0.0.1:1")
        self._said = list(said)

    def look(self, deadline: Deadline) -> dict[str, Any] | None:
        """See WebexStatus.look."""
        return self._said.pop(0)


def test_how_many_are_open_is_a_signal_and_not_known_is_not_zero(
    make_poller: MakePoller, kept: KeptEvents, standing_clock: StandingClock
) -> None:
    poller = make_poller()
    poller.webex_status = Said(read_status([INCIDENT]), read_status([INCIDENT, INCIDENT]), {"unknown": "503"}, None, None)
    counts = []
    for _ in range(5):
        poller.poll()
        data = next(data for data in kept.taken("city") if data["entityId"] == "lyon")
        counts.append({signal["name"]: signal["value"] for signal in data["signals"]}.get("webexIncidents"))
        standing_clock.advance(180)
    poller.close()
    assert counts == [None, 1, 2, None, 0]


def test_a_page_that_nobody_serves_is_said_with_its_cause(make_poller: MakePoller, standing_clock: StandingClock) -> None:
    poller = make_poller()
    poller.webex_status = WebexStatus("http://127.0.0.1:1")
    report = poller.poll()
    assert "no connection. Nothing listens there" in report.faults[0] and not report.partial
    poller.close()


@pytest.mark.parametrize(
    ("environment", "read"),
    [
        ({}, True), ({"WEBEX_STATUS_BASE": ""}, False), ({"WEBEX_API_BASE": "http://127.0.0.1:1/v1"}, False),
        ({"WEBEX_API_BASE": "http://127.0.0.1:1/v1", "WEBEX_STATUS_BASE": "http://127.0.0.1:1"}, True),
    ],
)  # fmt: skip
def test_which_page_is_read_is_said_by_the_environment(environment: dict[str, str], read: bool) -> None:
    status = webex_status_from(environment)
    assert (status is not None) == read
    if status:
        status.close()


def test_an_address_that_is_none_is_a_fault() -> None:
    (fault,) = (one for one in faults_of({"WEBEX_STATUS_BASE": "status"}, event_hubs=False, state=False) if "STATUS" in one)
    assert fault.startswith("WEBEX_STATUS_BASE is not an http or https address")
