"""Settings in pieces: read from a folder, a file and a container, checked, looked at again, told when they are broken."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from infra.settings.processor_settings import fanout_settings, ingest_settings, pieces_of
from infra.settings.stack import load_stack
from local.run import write_pieces
from processors.azure_blobs import BlobContainer
from processors.contracts.validation import FANOUT_SETTINGS, INGEST_SETTINGS, SettingsError
from processors.settings_source import BlobSource, Settings, settings_at, settings_from
from tests.support.blobs import BACK_ENDS, Blobs, served
from tests.support.fake_blobs import FakeBlobs
from tests.support.rules import RULES
from tests.support.shared_data import REPOSITORY
from tests.support.tiers import TIERS

STACK = load_stack(REPOSITORY / "Pulumi.dev.yaml", RULES)
INGEST = ingest_settings(STACK, RULES, "2026-11-24")
FANOUT = fanout_settings(STACK, RULES, inbox="inbox.sqlite")


def document_at(path: Path, kind: str) -> dict[str, Any]:
    return settings_at(path, kind).document()


@pytest.fixture(params=["folder", *BACK_ENDS])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Home]:
    """Settings of the ingest in pieces, in a folder and in containers: how to open them, write and delete a piece."""
    if request.param == "folder":
        write_pieces(tmp_path, pieces_of(INGEST))
        yield Home(
            {"INGEST_SETTINGS": str(tmp_path)},
            lambda piece, text: (tmp_path / piece).write_text(text),
            lambda piece: (tmp_path / piece).unlink(),
        )
        return
    with served(request.param) as blobs:
        put_pieces(blobs)
        yield Home({"SETTINGS_BLOB_URL": blobs.url()}, lambda piece, text: blobs.put(piece, text.encode()), blobs.remove)


class Home:
    def __init__(self, environment: dict[str, str], write: Callable[[str, str], object], delete: Callable[[str], object]) -> None:
        self.environment, self.write, self.delete = environment, write, delete

    def open(self) -> Settings:
        settings = settings_from(self.environment, "INGEST_SETTINGS", INGEST_SETTINGS)
        settings._check_seconds = 0
        return settings


def test_pieces_make_the_whole(home: Home) -> None:
    settings = home.open()
    assert settings.document() == INGEST
    assert settings.broken == {} and not settings.changed()


def test_the_fan_outs_any_other_city_is_in_the_common_piece(tmp_path: Path) -> None:
    write_pieces(tmp_path, pieces_of(FANOUT))
    assert document_at(tmp_path, FANOUT_SETTINGS) == FANOUT
    assert {piece.path for piece in pieces_of(FANOUT)} == {"common.json", *(f"cities/{city.slug}.json" for city in STACK.cities)}


def test_a_city_comes_changes_and_goes_while_it_runs(home: Home) -> None:
    settings = home.open()
    lyon = settings.document()["cities"]["lyon"]
    home.write("cities/york.json", json.dumps(lyon | {"name": "York"}))
    assert settings.changed()
    assert settings.document()["cities"]["york"]["name"] == "York"
    home.write("cities/york.json", json.dumps(lyon | {"name": "Old York"}))
    assert settings.changed()
    home.delete("cities/york.json")
    assert settings.changed()
    assert settings.document() == INGEST
    assert not settings.changed()


@pytest.mark.parametrize(
    "text", ["{", "[]", "{}", '{"name": "Lyon", "timeZone": "Europe/Nowhere", "webexLocations": [], "rules": []}']
)
def test_a_broken_city_takes_nobody_with_it(home: Home, text: str, caplog: pytest.LogCaptureFixture) -> None:
    home.write("cities/lyon.json", text)
    with caplog.at_level(logging.ERROR, "roompulse.settings"):
        settings = home.open()
        assert set(settings.document()["cities"]) == set(INGEST["cities"]) - {"lyon"}
    assert "cities/lyon.json" in settings.broken["cities/lyon.json"]
    assert [vars(record)["ids"]["piece"] for record in caplog.records] == ["cities/lyon.json"]
    home.write("cities/lyon.json", json.dumps(INGEST["cities"]["lyon"]))
    assert settings.changed() and settings.document() == INGEST and settings.broken == {}


def test_a_city_that_breaks_while_it_runs_keeps_what_it_had(home: Home) -> None:
    settings = home.open()
    settings.document()
    home.write("cities/lyon.json", "{")
    assert not settings.changed()
    assert settings.document() == INGEST and set(settings.broken) == {"cities/lyon.json"}


def test_common_settings_that_break_while_it_runs_are_kept(home: Home) -> None:
    settings = home.open()
    settings.document()
    home.write("common.json", "{}")
    assert not settings.changed()
    assert settings.document() == INGEST and "pollSeconds" in settings.broken["common.json"]


def test_without_common_settings_nothing_starts_until_they_are_there(home: Home) -> None:
    common = next(piece.text for piece in pieces_of(INGEST) if piece.city is None)
    home.write("common.json", "{}")
    settings = home.open()
    with pytest.raises(SettingsError, match=r"common.json can't be used"):
        settings.document()
    home.write("common.json", common)
    assert settings.document() == INGEST


def test_an_empty_folder_says_who_writes_it(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"common.json is missing: write it with `pulumi up` or `roompulse run`"):
        document_at(tmp_path, INGEST_SETTINGS)


def put_pieces(blobs: Blobs) -> None:
    for piece in pieces_of(INGEST):
        blobs.put(piece.path, piece.text.encode())


@pytest.mark.fake_blobs_only("refuses for a while")
def test_a_storage_that_is_away_stops_a_start_and_no_run(blobs: FakeBlobs) -> None:
    put_pieces(blobs)
    settings = settings_from({"SETTINGS_BLOB_URL": blobs.url()}, "INGEST_SETTINGS", INGEST_SETTINGS)
    settings._check_seconds = 0
    settings.document()
    blobs.forbidden = True
    assert not settings.changed() and settings.document() == INGEST
    with pytest.raises(SettingsError, match="Storage Blob Data"):
        settings_from({"SETTINGS_BLOB_URL": blobs.url()}, "INGEST_SETTINGS", INGEST_SETTINGS).document()


@pytest.mark.fake_blobs_only("counts requests")
def test_only_what_changed_is_read_again_and_not_before_its_time(blobs: FakeBlobs) -> None:
    now = 0.0
    put_pieces(blobs)
    settings = Settings(BlobSource(BlobContainer(blobs.url())), INGEST_SETTINGS, check_seconds=60, clock=lambda: now)
    settings.document()
    reads = blobs.actions().count("GET")
    blobs.put("cities/lyon.json", json.dumps(INGEST["cities"]["lyon"] | {"name": "L"}).encode())
    now = 59.0
    before = len(blobs.requests)
    assert not settings.changed() and len(blobs.requests) == before
    now = 60.0
    assert settings.changed() and blobs.actions().count("GET") == reads + 1


def test_a_url_that_is_none_is_said() -> None:
    with pytest.raises(SettingsError, match=r"SETTINGS_BLOB_URL: .*not a URL of a container"):
        settings_from({"SETTINGS_BLOB_URL": "somewhere"}, "INGEST_SETTINGS", INGEST_SETTINGS)


def test_every_fault_is_listed_with_its_path(tmp_path: Path) -> None:
    path = tmp_path / "ingest-settings.json"
    city = {"name": "", "timeZone": "Europe/Paris", "webexLocations": "Lyon", "rules": [{"id": "x"}]}
    path.write_text(json.dumps({"pollSeconds": 0, "metrics": ["occupancy"], "cities": {"lyon": city}}))
    with pytest.raises(SettingsError) as caught:
        document_at(path, INGEST_SETTINGS)
    text = str(caught.value)
    assert str(path) in text
    for place in ("pollSeconds", "metrics/0", "cities/lyon/name", "cities/lyon/webexLocations", "cities/lyon/rules/0/entity"):
        assert f"{place}:" in text
    assert "snapshotMinutes" in text


@pytest.mark.parametrize("zone", ["Europe/Lyon", "Europe", "../etc/passwd"])
def test_a_time_zone_that_does_not_exist_is_a_fault(tmp_path: Path, zone: str) -> None:
    path = tmp_path / "fanout-settings.json"
    hours = {"days": ["mon"], "from": "08:00", "to": "18:00"}
    city = {"name": "Any", "timeZone": zone, "officeHours": hours, "channels": []}
    path.write_text(json.dumps({"rules": {}, "cities": {"*": city}}))
    with pytest.raises(SettingsError, match=r"cities/\*/timeZone"):
        document_at(path, FANOUT_SETTINGS)


def test_a_missing_or_broken_file_says_which(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.json"):
        document_at(tmp_path / "nowhere.json", INGEST_SETTINGS)
    (tmp_path / "half.json").write_text('{"pollSeconds"')
    with pytest.raises(SettingsError, match=r"half.json is not JSON"):
        document_at(tmp_path / "half.json", INGEST_SETTINGS)


def test_a_city_may_not_take_the_name_of_the_unassigned(tmp_path: Path) -> None:
    path = tmp_path / "s.json"
    city = {"name": "U", "timeZone": "UTC", "webexLocations": [], "rules": []}
    settings = {
        "pollSeconds": 5,
        "snapshotMinutes": 1,
        "metricRequestsPerPoll": 0,
        "metrics": [],
        **TIERS,
        "cities": {"unassigned": city},
    }
    path.write_text(json.dumps(settings))
    with pytest.raises(SettingsError, match="unassigned"):
        document_at(path, INGEST_SETTINGS)
