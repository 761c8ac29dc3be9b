"""The page over real HTTP: what is served, to whom, and how it starts and stops."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import requests

from local.clock import SimulatedClock
from local.dashboard import web
from local.dashboard.feed import REFRESH_SECONDS
from local.dashboard.server import listen
from local.part import PartError
from local.run_settings import RunSettings
from tests.local.dashboard import sample_tiles
from tests.local.dashboard.page_under_test import PageUnderTest, page_under_test
from tests.support.shared_data import REPOSITORY


@pytest.fixture
def page(tmp_path: Path) -> Iterator[PageUnderTest]:
    with page_under_test(tmp_path) as running:
        running.show(sample_tiles.normal())
        yield running


def events(address: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Server-sent events, one by one."""
    with requests.get(address, stream=True, timeout=15) as response:
        assert response.headers["Content-Type"].startswith("text/event-stream")
        name = ""
        for line in response.iter_lines(chunk_size=1, decode_unicode=True):
            if line.startswith("event: "):
                name = line.removeprefix("event: ")
            elif line.startswith("data: "):
                yield name, json.loads(line.removeprefix("data: "))


def first_with(stream: Iterator[tuple[str, dict[str, Any]]], section: str) -> dict[str, Any]:
    return next(data for _, data in stream if section in data)


def eventually_polled(page: PageUnderTest) -> dict[str, Any]:
    while True:
        snapshot: dict[str, Any] = requests.get(f"{page.url}/api/snapshot", timeout=30).json()
        if snapshot["cities"][0]["lastPoll"]:
            return snapshot
        time.sleep(0.05)


class TestSnapshot:
    def test_it_has_everything_the_consolidated_page_shows(self, page: PageUnderTest) -> None:
        snapshot = eventually_polled(page)
        assert set(snapshot) == {
            "clock", "run", "counts", "pipeline", "cities", "worst", "openAlerts", "trends", "worstRooms", "status",
            "webexStatus",
        }  # fmt: skip
        assert snapshot["openAlerts"][0]["alertId"].startswith("device-offline|")

    def test_a_city_has_its_rooms(self, page: PageUnderTest) -> None:
        eventually_polled(page)
        city = requests.get(f"{page.url}/api/cities/toronto", timeout=30).json()
        assert sum(len(location["rooms"]) for location in city["locations"]) == 24

    def test_alerts_have_the_inbox(self, page: PageUnderTest) -> None:
        assert requests.get(f"{page.url}/api/alerts", timeout=30).json()["inbox"] == []

    @pytest.mark.parametrize("path", ["/api/cities/atlantis", "/cities/atlantis", "/events?city=atlantis", "/api/nonsense"])
    def test_what_does_not_exist_is_not_found(self, page: PageUnderTest, path: str) -> None:
        assert requests.get(page.url + path, timeout=30).status_code == 404

    def test_health_tells_how_the_refresh_goes(self, page: PageUnderTest) -> None:
        eventually_polled(page)
        assert requests.get(f"{page.url}/healthz", timeout=30).json()["status"] == "fresh"


class TestLookups:
    @pytest.fixture(scope="class")
    @classmethod
    def page(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageUnderTest]:
        with page_under_test(tmp_path_factory.mktemp("page")) as running:
            running.show(sample_tiles.outage())
            eventually_polled(running)
            yield running

    def asked(self, page: PageUnderTest, path: str, **query: str) -> Any:
        return requests.get(page.url + path, query, timeout=30).json()

    def test_the_table_has_all_devices_in_pages_and_counts_them(self, page: PageUnderTest) -> None:
        first = self.asked(page, "/api/devices")
        assert (first["total"], first["matched"], len(first["devices"])) == (144, 144, 100)
        assert first["counts"] == {"up": 114, "issues": 2, "down": 25, "asleep": 2, "unknown": 1, "maintenance": 2}
        rest = self.asked(page, "/api/devices", offset="100")["devices"]
        assert len({device["id"] for device in first["devices"] + rest}) == 144

    @pytest.mark.parametrize("offset", ["-1", "x", "1e3", "9" * 400, "٣"])
    def test_an_offset_that_is_none_is_the_beginning(self, page: PageUnderTest, offset: str) -> None:
        assert self.asked(page, "/api/devices", offset=offset)["offset"] == 0

    def test_filters_come_before_the_page_is_cut(self, page: PageUnderTest) -> None:
        found = self.asked(page, "/api/devices", health="asleep", sort="-name")
        assert (found["matched"], [device["health"] for device in found["devices"]]) == (2, ["asleep", "asleep"])

    def test_the_csv_has_every_device_that_was_asked_for(self, page: PageUnderTest) -> None:
        answer = requests.get(f"{page.url}/devices.csv", {"city": "singapore"}, timeout=30)
        assert answer.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
        assert answer.headers["Content-Disposition"] == 'attachment; filename="devices-2026-11-24T1107Z.csv"'
        assert answer.content.decode().count("\r\n") == 49
        assert "Saône" in answer.content.decode()

    def test_a_device_has_its_day_and_its_incidents_those_of_its_room_and_site_among_them(self, page: PageUnderTest) -> None:
        found = self.asked(page, "/api/devices/singapore-0-3-0")
        assert (found["device"]["health"], found["device"]["city"], found["timeZone"]) == ("down", "Singapore", "Asia/Singapore")
        assert [span["health"] for span in found["spans"]["singapore-0-3-0"]] == ["unknown", "up", "down"]
        assert {past["ruleId"] for past in found["incidents"]} == {"device-offline", "site-outage"}
        assert {past["entityId"] for past in found["incidents"]} == {"singapore-0-3-0", "singapore-0"}

    def test_a_room_has_its_devices_and_what_is_measured_in_it(self, page: PageUnderTest) -> None:
        found = self.asked(page, "/api/rooms/lyon-0-3")
        assert (found["room"]["health"], found["room"]["devices"]) == ("down", 2)
        assert [device["health"] for device in found["devices"]] == ["down", "up"]
        assert [line["signal"] for line in found["lines"]["lyon-0-3"]] == ["temperature"]
        assert [past["entityId"] for past in found["incidents"]] == ["lyon-0-3-0"]

    def test_a_search_finds_what_is_there(self, page: PageUnderTest) -> None:
        found = self.asked(page, "/api/search", q="toronto")
        assert (found["cities"]["total"], found["rooms"]["total"], found["devices"]["total"]) == (1, 24, 48)

    @pytest.mark.parametrize(
        "path", ["/devices/nobody", "/rooms/nowhere", "/rooms/lyon-0-3-0", "/devices/a%2F..%2Fb", "/nowhere"]
    )
    def test_what_nobody_has_heard_of_is_a_page_with_the_way_back(self, page: PageUnderTest, path: str) -> None:
        answer = requests.get(page.url + path, timeout=30)
        assert (answer.status_code, 'href="/devices"' in answer.text) == (404, True)
        assert requests.get(f"{page.url}/api{path}", timeout=30).status_code == 404

    def test_what_can_not_be_looked_up_says_why_and_is_not_nothing(self, tmp_path: Path) -> None:
        with page_under_test(tmp_path) as page:
            page.source.fault = PartError("the table Processed can't be read")
            answer = requests.get(f"{page.url}/api/devices", timeout=30)
        assert (answer.status_code, answer.json()) == (503, {"error": "the table Processed can't be read"})


class TestEvents:
    def test_a_stream_starts_with_everything_and_goes_on_with_changes(self, page: PageUnderTest) -> None:
        eventually_polled(page)
        stream = events(f"{page.url}/events")
        name, first = next(stream)
        assert name == "sections"
        assert {"cities", "openAlerts", "trends", "status", "clock"} <= set(first)
        page.show(sample_tiles.outage())
        changed = first_with(stream, "openAlerts")
        assert changed["openAlerts"][0]["ruleId"] == "site-outage"
        assert "run" not in changed, "what stays the same isn't sent again"

    def test_a_city_has_a_stream_of_its_own(self, page: PageUnderTest) -> None:
        stream = events(f"{page.url}/events?city=singapore")
        assert next(stream)[1]["city"]["slug"] == "singapore"

    def test_an_idle_stream_says_that_it_lives(self, page: PageUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(web, "HEARTBEAT_SECONDS", 0.1)
        stream = events(f"{page.url}/events")
        data = next(data for name, data in stream if name == "heartbeat")
        assert set(data) == {"clock"}

    def test_changes_are_sent_once_in_a_refresh_at_most(self, page: PageUnderTest) -> None:
        eventually_polled(page)
        estate = sample_tiles.normal()
        began, told = time.monotonic(), 0
        for _, data in events(f"{page.url}/events"):
            told += "openAlerts" in data
            page.show(sample_tiles.outage() if told % 2 else estate)
            if told == 4:
                break
        # the first comes at once, the second with the next refresh, which may be near; between the others lies a whole one
        assert time.monotonic() - began > 2 * 0.9 * REFRESH_SECONDS


class TestSafety:
    @pytest.mark.parametrize("path", ["/", "/alerts", "/cities/lyon", "/static/js/main.js", "/api/snapshot", "/nowhere"])
    def test_every_answer_forbids_what_the_page_does_not_need(self, page: PageUnderTest, path: str) -> None:
        headers = requests.get(page.url + path, timeout=30).headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert headers["X-Content-Type-Options"] == "nosniff"

    def test_a_foreign_name_is_refused(self, page: PageUnderTest) -> None:
        answer = requests.get(f"{page.url}/api/snapshot", headers={"Host": "rebound.example.com"}, timeout=30)
        assert answer.status_code == 400

    def test_nothing_outside_the_static_folder_is_served(self, page: PageUnderTest) -> None:
        with socket.create_connection(("127.0.0.1", page.port), timeout=30) as connection:
            connection.sendall(b"GET /static/../server.py HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = connection.makefile("rb").read()
        assert b" 404 " in answer.splitlines()[0]

    def test_the_page_names_no_other_host(self) -> None:
        own = [path for path in web.STATIC.rglob("*") if path.suffix in {".html", ".css", ".js"} and "vendor" not in path.parts]
        assert own
        for path in own:
            text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
            assert "://" not in text, path.name


class TestStartAndStop:
    def test_a_port_in_use_is_said_with_the_way_out(self) -> None:
        with listen(0) as taken:
            port = taken.getsockname()[1]
            with pytest.raises(PartError, match=f"port {port} is in use: stop what listens there or choose another with --port"):
                listen(port)

    def test_open_streams_do_not_hold_up_the_end(self, page: PageUnderTest) -> None:
        stream = events(f"{page.url}/events")
        next(stream)
        began = time.monotonic()
        page.stop()
        assert not page._thread.is_alive()
        assert time.monotonic() - began < 5
        list(stream)  # ends by itself

    def test_the_part_runs_over_a_lake_that_is_not_there_yet(self, tmp_path: Path) -> None:
        now = time.time()
        settings = RunSettings(tmp_path, "dev", sample_tiles.THREE_CITIES, page_port=0, clock=SimulatedClock(now, now, 1.0))
        settings.write(tmp_path / "run.json")
        command = [sys.executable, "-m", "local.dashboard", "--run", str(tmp_path / "run.json")]
        with subprocess.Popen(command, cwd=REPOSITORY, stdout=subprocess.PIPE, stdin=subprocess.PIPE, text=True) as part:
            assert part.stdout is not None
            ready = json.loads(part.stdout.readline())
            assert ready["event"] == "ready"
            snapshot = requests.get(f"{ready['address']}/api/snapshot", timeout=10).json()
            assert [city["lastPoll"] for city in snapshot["cities"]] == [None, None, None]
            part.terminate()
            assert part.wait(60) == 0

    def test_a_taken_port_ends_the_part_with_words_for_the_start_screen(self, tmp_path: Path) -> None:
        with listen(0) as taken:
            now = time.time()
            settings = RunSettings(tmp_path, "dev", sample_tiles.THREE_CITIES, clock=SimulatedClock(now, now, 1.0))
            replace(settings, page_port=taken.getsockname()[1]).write(tmp_path / "run.json")
            command = [sys.executable, "-m", "local.dashboard", "--run", str(tmp_path / "run.json")]
            done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)
        assert done.returncode == 1
        assert "is in use" in json.loads(done.stdout.splitlines()[-1])["text"]
