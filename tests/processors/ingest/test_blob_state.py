"""The state in a blob: survives its instances, has one holder at a time, and says what to do when it is no good."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from processors.azure_blobs import BlobContainer
from processors.ingest.blob_state import STATE_BLOB, BlobState
from processors.ingest.changes import Condition, KnownDevice, observed
from processors.ingest.directory import Place
from processors.ingest.poll import Poller
from processors.ingest.records import read_device
from processors.ingest.sqlite_state import SqliteState
from processors.ingest.state import IngestState, StateError, StateUnavailable, TurnLost, Watermark
from tests.processors.conftest import StandingClock
from tests.processors.ingest.conftest import KeptEvents, MakePoller
from tests.support.blobs import BACK_ENDS, Blobs, served
from tests.support.fake_blobs import FakeBlobs
from tests.support.scripted_webex import ScriptedWebex, device

NOW = datetime(2026, 11, 24, 10, tzinfo=UTC)
PLACE = Place("lyon", "location-1", "Lyon Part-Dieu", None, None)


@pytest.fixture
def states(blobs: Blobs) -> Iterator[list[BlobState]]:
    """Two instances on one container."""
    pair = [BlobState(BlobContainer(blobs.url())) for _ in range(2)]
    yield pair
    for state in pair:
        state.close()


def known(number: int, **fields: object) -> KnownDevice:
    return observed(read_device(device(number, **fields)), PLACE, None, NOW)


def fill(state: IngestState) -> None:
    """Everything a state can know."""
    window = {"mode": "upcoming", "startTime": "2026-11-24T09:00:00Z", "endTime": "2026-11-24T11:00:00Z"}
    condition = Condition(("2026-11-24T09:30:00.000Z",), "2026-11-24T09:00:00.000Z", True, True, 61)
    several = {f"device-{n}": known(n, displayName="Salle Éole", errorCodes=["a", "b"]) for n in range(3, 1200)}
    state.commit_devices({"device-1": known(1, plannedMaintenance=window)._replace(condition=condition), **several})
    state.announce(["device-1", "device-2"])
    state.commit_cities_seen({"lyon": NOW})
    state.commit_watermarks(
        {(room, "tvoc"): Watermark(None, "2026-11-24T10:00:00.000Z") for room in ("workspace-1", "workspace-2")}
    )
    state.forget_watermarks([("workspace-2", "tvoc")])
    state.commit_snapshot(NOW)
    state.commit_marks({"held:organisation": '{"since": "Salle Éole"}', "gone": "soon"})
    state.commit_marks({"gone": None})
    state.finish()


def content(state: IngestState) -> dict[str, object]:
    """What is remembered, whatever the names of the fields: a new field that a home does not carry shows here."""
    return {name: value for name, value in vars(state).items() if not name.startswith("_") and name not in ("doubtful", "lock")}


@pytest.fixture(params=["file", *BACK_ENDS])
def open_home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[[], IngestState]]:
    """Opens the same state again and again, as an instance does that starts."""
    if request.param == "file":
        yield lambda: SqliteState(tmp_path / "s.sqlite")
    else:
        with served(request.param) as blobs:
            yield lambda: BlobState(BlobContainer(blobs.url()))


def test_everything_known_survives_in_either_home(open_home: Callable[[], IngestState]) -> None:
    def opened() -> IngestState:
        state = open_home()
        assert state.begin()
        return state

    empty = content(IngestState())
    state = opened()
    fill(state)
    before = content(state)
    state.close()
    again = opened()
    assert content(again) == before
    assert all(before[name] != empty[name] for name in empty), "the test fills every field"
    again.close()


def test_one_instance_has_the_turn_and_the_other_takes_over_when_it_ends(states: list[BlobState]) -> None:
    first, second = states
    assert first.begin() and first.begin()
    fill(first)
    assert not second.begin()
    assert second.devices == {}
    first.close()
    assert second.begin()
    assert content(second) == content(first)
    assert second.doubtful, "who takes over can't know what the other sent last"


def test_an_instance_that_died_loses_its_turn_with_the_lease(blobs: Blobs, states: list[BlobState]) -> None:
    first, second = states
    assert first.begin()
    fill(first)
    blobs.pass_time(61)  # nothing renewed it: as after a kill
    assert second.begin()
    second.commit_devices({}, removed=("device-3",))
    second.finish()
    first.commit_devices({"device-3": known(3)})
    with pytest.raises(TurnLost, match="Another instance goes on"):
        first.finish()
    assert not first.begin()
    assert "device-3" not in reopened(blobs, states).devices


def reopened(blobs: Blobs, states: list[BlobState]) -> BlobState:
    for state in states:
        state.close()
    blobs.pass_time(61)
    state = BlobState(BlobContainer(blobs.url()))
    assert state.begin()
    states.append(state)
    return state


def test_a_lease_that_somebody_broke_stops_the_poll_before_it_goes_on(blobs: Blobs, states: list[BlobState]) -> None:
    first, second = states
    assert first.begin()
    blobs.break_lease(STATE_BLOB)
    assert first._lease is not None
    with pytest.raises(Exception, match="lease"):
        first._lease.renew()
    with pytest.raises(TurnLost):
        first.commit_devices({"device-1": known(1)})
    assert second.begin()


@pytest.mark.fake_blobs_only("refuses for a while")
def test_a_commit_that_fails_for_now_is_made_by_the_next_poll(blobs: FakeBlobs, states: list[BlobState]) -> None:
    first, _ = states
    assert first.begin()
    first.commit_devices({"device-1": known(1)})
    blobs.forbidden = True
    with pytest.raises(StateUnavailable, match="Storage Blob Data Contributor"):
        first.finish()
    blobs.forbidden = False
    assert first.begin()
    first.finish()
    assert set(reopened(blobs, states).devices) == {"device-1"}


@pytest.mark.fake_blobs_only("loses an answer")
def test_a_commit_whose_answer_got_lost_is_a_commit(blobs: FakeBlobs, states: list[BlobState]) -> None:
    first, _ = states
    assert first.begin()
    first.commit_devices({"device-1": known(1)})
    blobs.lose_answer.append("PUT")
    first.finish()
    first.commit_devices({"device-2": known(2)})
    first.finish()
    assert set(reopened(blobs, states).devices) == {"device-1", "device-2"}


def test_two_instances_that_start_at_once_make_one_blob(states: list[BlobState], monkeypatch: pytest.MonkeyPatch) -> None:
    first, second = states
    write = first._container.write

    def after_the_other(name: str, content: bytes, etag: str | None) -> str:
        assert second.begin()
        return write(name, content, etag)

    monkeypatch.setattr(first._container, "write", after_the_other)
    assert not first.begin()
    assert second.devices == {} and second.begin()


def damaged(blob: bytes, how: str) -> bytes:
    text = gzip.decompress(blob).decode()
    if how == "newer version":
        return gzip.compress(text.replace('state", 1]', 'state", 2]').encode())
    if how == "too many fields":
        return gzip.compress(text.replace('"Lyon Part-Dieu", null', '"Lyon Part-Dieu", 1, 2, 3, null').encode())
    if how == "cut at a line":
        return gzip.compress("".join(text.splitlines(keepends=True)[:-1]).encode())
    if how == "other json":
        return gzip.compress(json.dumps({"state": 1}).encode())
    return {"cut": blob[: len(blob) // 2], "rubbish": b"rubbish " * 100, "empty": b""}[how]


@pytest.mark.parametrize("how", ["newer version", "too many fields", "cut at a line", "other json", "cut", "rubbish", "empty"])
def test_a_blob_that_can_not_be_used_is_named_with_the_way_out_and_left_alone(
    blobs: Blobs, states: list[BlobState], how: str
) -> None:
    first, second = states
    assert first.begin()
    fill(first)
    first.close()
    spoiled = damaged(blobs.content(STATE_BLOB), how)
    blobs.put(STATE_BLOB, spoiled)
    with pytest.raises(StateError, match=f"{STATE_BLOB} is not a state this ingest can use.*az storage blob delete") as caught:
        second.begin()
    assert not isinstance(caught.value, StateUnavailable), "waiting does not help"
    assert blobs.content(STATE_BLOB) == spoiled
    with pytest.raises(StateError):
        second.begin()
    blobs.remove(STATE_BLOB)  # the way out
    assert second.begin()


@pytest.mark.fake_blobs_only("refuses for a while")
def test_whoever_takes_over_sends_everything_once_and_what_was_sent_under_the_same_ids(
    blobs: FakeBlobs,
    states: list[BlobState],
    make_poller: MakePoller,
    kept: KeptEvents,
    standing_clock: StandingClock,
    estate: ScriptedWebex,
) -> None:
    first, second = states
    poller: Poller = make_poller()
    poller.state = first
    poller.poll()
    standing_clock.advance(10)
    estate.listings["/devices"][1]["connectionStatus"] = "disconnected"
    estate.listings["/devices"].append(device(9))
    kept.events["observations"].clear()
    blobs.before["PUT"] = lambda: setattr(blobs, "forbidden", True)
    with pytest.raises(StateUnavailable):
        poller.poll()
    sent = {event["id"] for event in kept.events["observations"] if event["data"]["entity"] == "device"}
    blobs.forbidden = False
    blobs.pass_time(61)

    poller.state = second
    kept.events["observations"].clear()
    report = poller.poll()
    assert not report.idle and not report.snapshot
    again = [event for event in kept.events["observations"] if event["data"]["entity"] == "device"]
    assert sent < {event["id"] for event in again}
    assert sorted(event["subject"] for event in again) == [f"device-{n}" for n in (1, 2, 3, 4, 9)]
    standing_clock.advance(10)
    kept.events["observations"].clear()
    poller.poll()
    assert [e["subject"] for e in kept.events["observations"] if e["data"]["entity"] == "device"] == ["device-2"], "unhealthy"


def test_the_instance_without_the_turn_polls_nothing_and_says_so(
    states: list[BlobState], make_poller: MakePoller, kept: KeptEvents, estate: ScriptedWebex, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="roompulse.ingest")
    first, second = states
    assert first.begin()
    poller = make_poller()
    poller.state = second
    report = poller.poll()
    assert report.idle and not report.partial
    assert estate.requests == [] and kept.events["observations"] == []
    assert "another instance polls" in caplog.text
    first.close()
    assert not poller.poll().idle


@pytest.mark.fake_blobs_only("counts requests")
def test_the_blob_is_read_once_while_the_turn_lasts(blobs: FakeBlobs, states: list[BlobState], make_poller: MakePoller) -> None:
    poller = make_poller()
    poller.state = states[0]
    for _ in range(3):
        poller.poll()
    assert blobs.actions().count("GET") == 1
    assert blobs.actions().count("PUT") == 4, "made once, then one commit a poll"
    assert poller.state.snapshot_due(NOW + timedelta(days=1), 15)
