"""What Webex lists far less of than before stays as it was, is said, and goes only by a person's word or with time."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from processors.azure_blobs import BlobContainer
from processors.ingest.acceptance import AcceptanceError, accept, held
from processors.ingest.blob_state import BlobState
from processors.ingest.disappearance import is_bulk, is_bulk_at_location
from processors.ingest.poll import Poller, PollReport
from processors.ingest.settings import City, IngestSettings
from processors.ingest.webex_client import WebexClient
from tests.processors.conftest import StandingClock
from tests.processors.ingest.conftest import KeptEvents, MakePoller
from tests.support.blobs import served
from tests.support.scripted_webex import FAST, OneToken, ScriptedWebex, device, location

HOURS = 3600.0


@pytest.fixture(autouse=True)
def _time(standing_clock: StandingClock) -> None:
    """Every test at 2026-11-24 10:00:03."""


@pytest.fixture
def polls(
    make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock
) -> Callable[..., tuple[PollReport, list[str]]]:
    """Poll once, a while later, in a process of its own: its report, and the ids it told removed."""

    def once(listed: list[Any] | None = None, seconds: float = 10) -> tuple[PollReport, list[str]]:
        if listed is not None:
            estate.listings["/devices"] = listed
        kept.taken()
        standing_clock.advance(seconds)
        poller = make_poller()
        report = poller.poll()
        poller.close()
        return report, [data["entityId"] for data in kept.taken("device") if data["connectionStatus"] == "removed"]

    return once


def rooms(number: int, **fields: Any) -> list[dict[str, Any]]:
    return [device(n, **fields) for n in range(1, number + 1)]


class TestAnEmptyOrShrunkenAnswer:
    @pytest.mark.parametrize(("known", "left"), [(6, 0), (6, 1), (6, 3), (1, 0), (2, 0), (40, 36), (40, 20), (200, 189), (20, 1)])
    def test_removes_nothing_resolves_nothing_and_is_said_with_cause_and_next_step(
        self,
        polls: Callable[..., tuple[PollReport, list[str]]],
        kept: KeptEvents,
        known: int,
        left: int,
        caplog: pytest.LogCaptureFixture,
    ) -> None:
        everything = rooms(known)
        everything[-1]["connectionStatus"] = "disconnected"
        polls(everything)
        for _ in range(8):
            report, removed = polls(everything[:left])
            assert (removed, report.devices, report.held) == ([], known, ["organisation"])
            assert report.partial
            (fault,) = report.faults
            assert f"{known - left} of {known} known devices of the organisation are no longer listed" in fault
            assert (
                "admin role" in fault and "roompulse ingest doctor" in fault and "roompulse ingest accept organisation" in fault
            )
        assert polls(everything)[0].held == []
        assert polls(everything[:-1] if known > 1 else everything)[0].held == []

    def test_counts_the_devices_as_they_were_and_says_partial(
        self,
        polls: Callable[..., tuple[PollReport, list[str]]],
        kept: KeptEvents,
        make_poller: MakePoller,
        estate: ScriptedWebex,
        standing_clock: StandingClock,
    ) -> None:
        polls(rooms(6))
        estate.listings["/devices"] = []
        standing_clock.advance(10)
        make_poller().poll()
        lyon = next(data for data in kept.taken("city") if data["entityId"] == "lyon")
        values = {signal["name"]: signal["value"] for signal in lyon["signals"]}
        assert lyon["partial"]
        assert (values["devices"], values["devicesUp"], values["devicesHeld"]) == (6, 6, 6)

    @pytest.mark.parametrize("known", [4, 10, 40, 100, 300])
    def test_small_ordinary_removals_still_go_after_three_polls(
        self, polls: Callable[..., tuple[PollReport, list[str]]], known: int
    ) -> None:
        everything = rooms(known)
        polls(everything)
        gone = [polls(everything[1:])[1] for _ in range(4)]
        assert gone == [[], [], ["device-1"], []]

    def test_a_site_that_vanishes_is_held_and_small_changes_elsewhere_are_not(
        self, polls: Callable[..., tuple[PollReport, list[str]]], estate: ScriptedWebex
    ) -> None:
        site = [device(1000 + n, locationId="location-2") for n in range(5)]
        polls(rooms(195) + site)
        for turn in range(6):
            report, removed = polls(rooms(194))
            assert report.held == ["location-2"]
            assert removed == (["device-195"] if turn == 2 else [])
            assert "5 of 5 known devices of location Oslo Lysaker" in report.faults[0]

    def test_a_page_that_is_lost_from_a_large_estate_is_held(
        self, polls: Callable[..., tuple[PollReport, list[str]]], estate: ScriptedWebex
    ) -> None:
        estate.listings["/locations"] += [location(n, f"Site {n}") for n in range(3, 103)]
        spread = [device(n, locationId=f"location-{3 + n % 100}") for n in range(3000)]
        polls(spread)
        for _ in range(4):
            report, removed = polls(spread[:1000] + spread[1200:])
        assert (report.held, removed, report.devices) == (["organisation"], [], 3000)


class TestWhatEndsIt:
    def test_time_and_then_they_go_at_once(self, polls: Callable[..., tuple[PollReport, list[str]]]) -> None:
        polls(rooms(6))
        for _ in range(7):
            assert polls(rooms(1), 10 * HOURS)[1] == []
        assert polls(rooms(1), 10 * HOURS)[0].held == ["organisation"]
        report, removed = polls(rooms(1), 10 * HOURS)
        assert (len(removed), report.held, report.faults, report.devices) == (5, [], [], 1)

    def test_devices_that_come_back_begin_it_anew(self, polls: Callable[..., tuple[PollReport, list[str]]]) -> None:
        polls(rooms(6))
        for _ in range(5):
            polls(rooms(1), 20 * HOURS)
            polls(rooms(6))
        assert polls(rooms(1))[0].devices == 6

    def test_a_person_accepts_what_is_named_and_no_more(
        self, polls: Callable[..., tuple[PollReport, list[str]]], tmp_path: Path
    ) -> None:
        environment = {"STATE_FOLDER": str(tmp_path)}
        polls(rooms(40))
        for _ in range(4):
            polls(rooms(30))
        assert {subject: (one.missing, one.known) for subject, one in held(environment).items()} == {"organisation": (10, 40)}
        with pytest.raises(AcceptanceError, match=r"lyon: no such removal is held back\. Held back: organisation"):
            accept(environment, ["lyon"])
        assert accept(environment, ["organisation"])["organisation"].missing == 10
        report, removed = polls(rooms(20))
        assert (removed, report.held) == ([], ["organisation"]), "twenty were not accepted"
        report, removed = polls(rooms(30))
        assert (len(removed), report.devices, held(environment)) == (10, 30, {})
        for _ in range(4):
            assert polls(rooms(20))[1] == [], "the word was for the first removal"

    def test_while_the_ingest_polls(
        self, make_poller: MakePoller, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock, tmp_path: Path
    ) -> None:
        estate.listings["/devices"] = rooms(6)
        poller = make_poller()
        for listed in (6, 1, 1, 1):
            estate.listings["/devices"] = rooms(listed)
            poller.poll()
            standing_clock.advance(10)
        accept({"STATE_FOLDER": str(tmp_path)}, ["organisation"])
        assert poller.poll().devices == 1

    def test_in_a_container(self, estate: ScriptedWebex, kept: KeptEvents, standing_clock: StandingClock) -> None:
        with served("fake") as blobs:
            environment = {"STATE_BLOB_URL": blobs.url()}
            settings = IngestSettings(10, 15, 0, (), (City("lyon", "Lyon", ("Lyon Part-Dieu",), ()),))
            client = WebexClient(estate.base, OneToken(), FAST)
            poller = Poller(settings, client, kept, BlobState(BlobContainer(blobs.url())))
            for listed in (6, 1, 1, 1):
                estate.listings["/devices"] = rooms(listed)
                report = poller.poll()
                standing_clock.advance(10)
            assert report.held == ["organisation"]
            assert [one.missing for one in held(environment).values()] == [5]
            accept(environment, ["organisation"])
            assert poller.poll().devices == 1

    @pytest.mark.parametrize("environment", [{}, {"STATE_FOLDER": "/nowhere/at/all"}])
    def test_a_state_that_is_not_there_is_said(self, environment: dict[str, Any]) -> None:
        with pytest.raises(AcceptanceError, match="STATE_FOLDER"):
            held(environment)


def test_the_command_lists_and_accepts(
    polls: Callable[..., tuple[PollReport, list[str]]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from typer.testing import CliRunner

    from cli.main import app

    monkeypatch.setenv("STATE_FOLDER", str(tmp_path))
    run = CliRunner().invoke
    polls(rooms(6))
    assert "No removal is held back" in run(app, ["ingest", "accept"]).output
    for _ in range(3):
        polls([])
    listed = " ".join(run(app, ["ingest", "accept"]).output.split())
    assert "organisation: 6 of 6 devices of the organisation, held back since 2026-11-24T10:00:20.000Z" in listed
    accepted = run(app, ["ingest", "accept", "organisation"])
    assert accepted.exit_code == 0 and "accepted: organisation: 6 of 6" in " ".join(accepted.output.split())
    assert polls([])[0].devices == 0
    assert run(app, ["ingest", "accept", "organisation"]).exit_code == 1


counts = st.integers(1, 100_000)


@given(counts, st.data())
def test_nothing_listed_or_more_than_a_twentieth_is_always_bulk_and_a_single_device_never(
    known: int, data: st.DataObject
) -> None:
    assert is_bulk(known, known)
    assert not is_bulk(0, known)
    assert is_bulk(1, known) == (known == 1)
    missing = data.draw(st.integers(0, known))
    if missing > 3 and missing > known / 20:
        assert is_bulk(missing, known)
    if missing <= 3 and missing < known / 2:
        assert not is_bulk(missing, known)
    assert is_bulk_at_location(missing, known) == (missing > 3 and missing >= known / 2)


def test_what_is_held_is_kept_by_the_names_of_its_fields(
    polls: Callable[..., tuple[PollReport, list[str]]], tmp_path: Path
) -> None:
    polls(rooms(6))
    polls([])
    (one,) = held({"STATE_FOLDER": str(tmp_path)}).values()
    assert json.loads(one.text()) == {
        "since": "2026-11-24T10:00:20.000Z", "missing": 6, "known": 6, "name": "the organisation"
    }  # fmt: skip
