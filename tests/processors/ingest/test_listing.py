"""An estate whose listing takes several polls: it goes on where it stopped, and outages are told in every poll all the same."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from processors.ingest import poll as polls_of
from processors.ingest import webex_client
from processors.ingest.poll import PollReport
from processors.ingest.sinks import SendError
from tests.processors.conftest import StandingClock
from tests.processors.ingest.conftest import KeptEvents, MakePoller
from tests.support.scripted_webex import Answer, ScriptedWebex, device, error, location

DEVICES = 12
PAGE = 2
POLLS = DEVICES // PAGE
"""How many polls a listing takes here, of which each reads one page."""
STARTS = [str(start) for start in range(0, DEVICES + 1, PAGE)]
"""Where a listing begins its pages. The last one is full, so the same poll looks behind it."""


@pytest.fixture(autouse=True)
def _slow(standing_clock: StandingClock, monkeypatch: pytest.MonkeyPatch, estate: ScriptedWebex) -> None:
    """At 2026-11-24 10:00:03, with an estate of which a poll has time to list one page."""
    monkeypatch.setattr(polls_of, "LISTING_SHARE", 0.0)
    monkeypatch.setattr(polls_of, "OUTAGES", dict.fromkeys(polls_of.OUTAGES, 0.0))
    monkeypatch.setattr(webex_client, "BACKOFF_SECONDS", 0.001)
    estate.page_cap = PAGE
    estate.listings["/devices"] = [device(n) for n in range(1, DEVICES + 1)]


Once = Callable[..., tuple[PollReport, dict[str, dict[str, Any]]]]


@pytest.fixture
def once(make_poller: MakePoller, kept: KeptEvents, standing_clock: StandingClock) -> Once:
    """Poll, and see the last observation of each entity; `restarted` makes it a new process."""
    pollers: list[Any] = []

    def poll(restarted: bool = False, seconds: float = 10, **more: Any) -> tuple[PollReport, dict[str, dict[str, Any]]]:
        kept.taken()
        if restarted or not pollers:
            for old in pollers:
                old.close()
            pollers[:] = [make_poller(**more)]
        report = pollers[0].poll()
        standing_clock.advance(seconds)
        return report, {data["entityId"]: data for data in kept.taken()}

    return poll


def devices_in(told: dict[str, dict[str, Any]]) -> set[str]:
    return {entity for entity, data in told.items() if data["entity"] == "device"}


def values(data: dict[str, Any]) -> dict[str, float]:
    return {signal["name"]: signal["value"] for signal in data["signals"]}


def starts(estate: Any) -> list[str]:
    """Where each page of the whole listing began."""
    return [r.params.get("start", "0") for r in estate.asked("/devices") if "connectionStatus" not in r.params]


class TestGoingOn:
    def test_page_after_page_over_the_polls_until_every_device_is_known(self, once: Once, estate: ScriptedWebex) -> None:
        known = [once()[0].devices for _ in range(POLLS)]
        assert known == [2, 4, 6, 8, 10, 12]
        assert starts(estate) == STARTS
        once()
        assert starts(estate)[-1] == "0"

    def test_no_such_poll_is_partial_or_has_a_fault(self, once: Once) -> None:
        for _ in range(3 * POLLS):
            report, told = once()
            assert (report.partial, report.faults) == (False, [])
            assert not told["lyon"]["partial"]

    def test_a_snapshot_is_due_once_a_listing_and_sends_every_device_once(self, once: Once) -> None:
        sent = [once(snapshot_minutes=3) for _ in range(5 * POLLS)]
        told = [devices_in(each) for _, each in sent]
        assert [len(each) for each in told] == [PAGE] * POLLS + [0] * 2 * POLLS + [PAGE] * POLLS + [0] * POLLS
        assert set.union(*told[3 * POLLS : 4 * POLLS]) == {f"device-{n}" for n in range(1, DEVICES + 1)}
        assert [report.snapshot for report, _ in sent] == [bool(each) for each in told]

    def test_a_restart_goes_on_where_it_stopped(self, once: Once, estate: ScriptedWebex) -> None:
        for poll in range(POLLS):
            once(restarted=poll in (1, 2, 5))
        assert starts(estate) == STARTS
        assert once()[0].devices == DEVICES

    def test_where_it_goes_on_is_in_the_state_by_the_names_of_its_fields(self, once: Once, make_poller: MakePoller) -> None:
        once()
        once()
        state = make_poller().state
        noted = json.loads(state.marks["listing:/devices"])
        assert noted.keys() == {"next", "begun", "snapshot"}
        assert "start=4" in noted["next"]
        assert (noted["begun"], noted["snapshot"]) == ("2026-11-24T10:00:00.000Z", True)

    @pytest.mark.parametrize("status", [401, 403, 307, 451, 502])
    def test_whoever_refuses_a_page_for_another_reason_does_not_make_it_begin_anew(
        self, once: Once, estate: ScriptedWebex, status: int
    ) -> None:
        once()
        once()
        proper = estate.answer
        estate.respond = lambda r: error(status) if "start" in r.params else proper(r)
        report, _ = once()
        assert report.partial and f"{status}" in report.faults[0]
        estate.respond = proper
        once()
        assert [start for start in starts(estate)[2:] if start != "4"] == []

    @pytest.mark.parametrize("status", [400, 404, 410])
    def test_a_link_that_has_gone_stale_begins_anew_in_the_same_poll(
        self, once: Once, estate: ScriptedWebex, status: int
    ) -> None:
        once()
        once()
        proper = estate.answer
        estate.respond = lambda r: error(status) if int(r.params.get("start", "0")) > 2 else proper(r)
        report, _ = once()
        assert (report.partial, report.faults) == (False, [])
        assert starts(estate)[-2:] == ["4", "0"]
        estate.respond = proper
        for _ in range(POLLS):
            report, _ = once()
        assert report.devices == DEVICES

    @pytest.mark.parametrize("restarted", [False, True])
    def test_a_link_that_leads_nowhere_begins_anew_in_the_next_poll_and_ends_nothing(
        self, once: Once, estate: ScriptedWebex, restarted: bool
    ) -> None:
        once()
        rows = estate.listings["/devices"][2:4]
        broken = Answer(body=json.dumps({"items": rows}).encode(), headers={"Link": "<https://elsewhere/v1/devices>; rel=next"})
        estate.faults["/devices"] = [None, None, broken]
        report, _ = once(restarted=restarted)
        assert report.partial
        assert any("leads to another host" in fault for fault in report.faults)
        for _ in range(POLLS):
            report, _ = once()
        assert (report.devices, report.partial) == (DEVICES, False)
        assert starts(estate)[2:] == STARTS

    @pytest.mark.parametrize("restarted", [False, True])
    @pytest.mark.parametrize("behind", [None, 400, 404])
    def test_behind_the_end_of_a_resumed_listing_nothing_ends_it_quietly(
        self, once: Once, estate: ScriptedWebex, restarted: bool, behind: int | None
    ) -> None:
        proper = estate.answer
        estate.respond = lambda r: error(behind) if behind and r.params.get("start") == str(DEVICES) else proper(r)
        for number in range(POLLS):
            report, _ = once(restarted=restarted and number == POLLS - 1)
        assert (report.devices, report.partial, report.faults) == (DEVICES, False, [])
        assert starts(estate) == STARTS
        once()
        assert starts(estate)[-1] == "0"

    @pytest.mark.parametrize("restarted", [False, True])
    def test_a_resumed_listing_whose_link_was_lost_is_looked_behind_and_says_so(
        self, once: Once, estate: ScriptedWebex, restarted: bool
    ) -> None:
        for _ in range(2):
            once()
        cut = Answer(body=json.dumps({"items": estate.listings["/devices"][4:6]}).encode())
        estate.faults["/devices"] = [None, None, cut]
        report, _ = once(restarted=restarted)
        assert report.partial
        assert any("row 6 ended a full page without a next link" in fault for fault in report.faults)
        assert report.devices == DEVICES

    @pytest.mark.parametrize("rubbish", ["", "{", "[]", '{"next": 5, "begun": "now"}', '{"next": "x"}'])
    def test_a_note_that_says_nothing_begins_anew(self, once: Once, make_poller: MakePoller, rubbish: str) -> None:
        once()
        poller = make_poller()
        poller.state.commit_marks({"listing:/devices": rubbish})
        poller.close()
        assert not once(restarted=True)[0].partial

    def test_a_page_that_could_not_be_sent_is_read_again(self, once: Once, kept: KeptEvents, make_poller: MakePoller) -> None:
        once()
        kept.sends_until_failure = 0
        with pytest.raises(SendError):
            once()
        kept.sends_until_failure = None
        for _ in range(POLLS):
            report, _ = once()
        assert report.devices == DEVICES


class TestOutages:
    @pytest.mark.parametrize("number", range(1, DEVICES + 1))
    @pytest.mark.parametrize(("status", "signal"), [("disconnected", "offline"), ("connected_with_issues", "issues")])
    def test_each_is_told_in_the_poll_it_begins_wherever_it_is_listed(
        self, once: Once, estate: ScriptedWebex, number: int, status: str, signal: str
    ) -> None:
        once()
        once()
        estate.listings["/devices"][number - 1] |= {"connectionStatus": status, "errorCodes": ["missingdisplay"]}
        _, told = once()
        assert told[f"device-{number}"]["connectionStatus"] == status
        assert values(told[f"device-{number}"])[signal] == 1
        assert len(devices_in(told) & {f"device-{number}"}) == 1

    def test_also_in_the_first_poll_after_a_restart_and_after_a_listing_has_ended(
        self, once: Once, estate: ScriptedWebex
    ) -> None:
        for _ in range(POLLS):
            once()
        estate.listings["/devices"][-1]["connectionStatus"] = "disconnected"
        assert "device-12" in once()[1]
        estate.listings["/devices"][-2]["connectionStatus"] = "disconnected"
        assert "device-11" in once(restarted=True)[1]

    def test_one_that_is_over_is_told_when_the_listing_comes_by(self, once: Once, estate: ScriptedWebex) -> None:
        estate.listings["/devices"][-1]["connectionStatus"] = "disconnected"
        for _ in range(POLLS):
            once()
        estate.listings["/devices"][-1]["connectionStatus"] = "connected"
        told = [once()[1].get("device-12", {}).get("connectionStatus") for _ in range(POLLS)]
        assert told == [None] * (POLLS - 1) + ["connected"]

    def test_an_outage_of_everything_is_told_page_by_page(self, once: Once, estate: ScriptedWebex) -> None:
        for _ in range(POLLS):
            once()
        for each in estate.listings["/devices"]:
            each["connectionStatus"] = "disconnected"
        down: set[str] = set()
        for _ in range(POLLS):
            down |= {name for name, data in once()[1].items() if data.get("connectionStatus") == "disconnected"}
        assert len(down) == DEVICES

    def test_no_city_is_unseen_meanwhile_and_how_much_is_seen_is_told(self, once: Once, estate: ScriptedWebex) -> None:
        estate.listings["/locations"].append(location(3, "Elsewhere"))
        for _ in range(2 * POLLS):
            once()
        lyon = [values(once(seconds=60)[1]["lyon"]) for _ in range(POLLS)]
        assert {each["unseenMinutes"] for each in lyon} == {0}
        assert {each["devices"] for each in lyon} == {DEVICES}
        assert {each["devicesSeen"] for each in lyon} == {PAGE}
        assert [each["oldestSightMinutes"] for each in lyon] == [0.83, 1.67, 2.5, 3.33, 4.17, 5.0]

    def test_a_listing_that_fits_into_a_poll_needs_no_further_requests(
        self, once: Once, estate: ScriptedWebex, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(polls_of, "LISTING_SHARE", 0.75)
        for _ in range(3):
            once()
        assert len(estate.asked("/devices")) == 3 * len(STARTS)
        assert not any("connectionStatus" in request.params for request in estate.asked("/devices"))


class TestMissing:
    def test_only_a_whole_listing_says_what_is_missing(self, once: Once, estate: ScriptedWebex) -> None:
        for _ in range(POLLS):
            once()
        del estate.listings["/devices"][-1]
        gone = ["device-12" in once()[1] for _ in range(3 * POLLS)]
        assert gone == [False] * (3 * POLLS - 1) + [True]

    def test_one_that_went_on_after_a_restart_does_not(self, once: Once, estate: ScriptedWebex) -> None:
        for _ in range(POLLS):
            once()
        del estate.listings["/devices"][0]
        for _ in range(6):
            for number in range(POLLS):
                report, _ = once(restarted=number == 1)
        assert report.devices == DEVICES

    def test_a_listing_that_shrinks_is_held(self, once: Once, estate: ScriptedWebex) -> None:
        for _ in range(POLLS):
            once()
        del estate.listings["/devices"][4:]
        reports = [once()[0] for _ in range(8)]
        assert [report.held for report in reports[1::2]] == [["organisation"]] * 4
        assert reports[-1].devices == DEVICES

    def test_what_is_held_is_told_by_every_poll_until_it_is_listed_again(self, once: Once, estate: ScriptedWebex) -> None:
        for _ in range(POLLS):
            once()
        everything = list(estate.listings["/devices"])
        del estate.listings["/devices"][4:]
        while not once()[0].held:
            pass
        lyon = [values(once()[1]["lyon"]) for _ in range(POLLS)]
        assert {each["devicesHeld"] for each in lyon} == {DEVICES - 4}
        assert max(each["oldestSightMinutes"] for each in lyon) < 1, "what is held is not what has not been seen yet"
        estate.listings["/devices"] = everything
        held = [values(once()[1]["lyon"])["devicesHeld"] for _ in range(2 * POLLS)]
        assert held[-1] == 0


class TestListingsWithoutEnd:
    @pytest.mark.parametrize("path", ["/devices", "/workspaces", "/locations"])
    @pytest.mark.parametrize("row", [None, {"id": "again"}], ids=["empty pages", "one page again and again"])
    def test_they_are_bounded_and_said_and_the_sensors_are_still_read(
        self,
        make_poller: MakePoller,
        estate: ScriptedWebex,
        standing_clock: StandingClock,
        monkeypatch: pytest.MonkeyPatch,
        path: str,
        row: dict[str, str] | None,
    ) -> None:
        monkeypatch.setattr(polls_of, "LISTING_SHARE", 0.75)
        proper, numbers = estate.answer, itertools.count()
        body = json.dumps({"items": [row] if row else []}).encode()

        def answer(request: Any) -> Answer:
            if request.path != path:
                return proper(request)
            link = f'<{estate.base}{path}?start={next(numbers)}>; rel="next"'
            return Answer(body=body, headers={"Link": link})

        poller = make_poller(metric_requests=5)
        poller.poll()
        standing_clock.advance(70)
        estate.requests.clear()
        estate.respond = answer
        poller.places.met_new_location = True
        poller.places.locations.listed_at = None
        report = poller.poll()
        assert len(estate.asked(path)) <= 12
        assert report.partial
        assert any(path in fault and "pages in a row listed nothing new" in fault for fault in report.faults)
        assert report.made["metrics"] == 3
        if path != "/devices":
            assert len(estate.asked("/devices")) == len(STARTS)


steps = st.sampled_from(["well", "503", "429", "restart", "half a JSON", "stale"])


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(course=st.lists(st.tuples(steps, st.integers(0, DEVICES - 1)), min_size=1, max_size=8))
def test_whatever_happens_between_the_pages_the_receiver_ends_up_knowing_the_truth(
    course: list[tuple[str, int]],
    estate: ScriptedWebex,
    kept: KeptEvents,
    make_poller: MakePoller,
    tmp_path: Path,
    standing_clock: StandingClock,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """In each step a device goes down or comes back, and the next page of the listing is answered amiss."""
    monkeypatch.setattr(webex_client, "pause_seconds", lambda *_: 0.01)
    for old in tmp_path.glob("ingest.sqlite*"):
        old.unlink()
    kept.taken()
    estate.listings["/devices"] = [device(n) for n in range(1, DEVICES + 1)]
    estate.faults.clear()
    poller = make_poller()
    answers = {"503": [error(503)] * 3, "429": [error(429)], "half a JSON": [Answer(body=b"{")], "stale": [error(400)]}
    last: dict[str, str] = {}
    for step, index in [*course, *[("well", 0)] * 4 * POLLS]:
        estate.faults["/devices"] = list(answers.get(step, []))
        if step != "well":
            chosen = estate.listings["/devices"][index]
            chosen["connectionStatus"] = "connected" if chosen["connectionStatus"] == "disconnected" else "disconnected"
        if step == "restart":
            poller.close()
            poller = make_poller()
        poller.poll()
        standing_clock.advance(10)
        last |= {data["entityId"]: data["connectionStatus"] for data in kept.taken("device")}
    poller.close()
    assert last == {item["id"]: item["connectionStatus"] for item in estate.listings["/devices"]}
