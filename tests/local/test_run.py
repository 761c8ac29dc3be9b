"""Setting up a local run: the data folder belongs to one run, and the clock never runs backwards."""

from __future__ import annotations

import json
import re
import socket
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from infra.settings.contacts import contacts_of
from infra.settings.stack import StackSettings
from local.clock import SimulatedClock
from local.run import (
    claimed,
    not_notified,
    read_declarations,
    refuse_taken_ports,
    remember_time,
    resumed_clock,
    run_settings,
    write_files,
)
from local.run_settings import RunSettings
from local.supervisor import RunError
from processors.contracts.facts import OfficeHours
from processors.contracts.validation import FANOUT_SETTINGS, INGEST_SETTINGS
from processors.settings_source import settings_at


def settings_in(folder: Path, speed: float = 1.0) -> RunSettings:
    stack, rules = read_declarations("dev")
    return run_settings(stack, rules, data_dir=folder, devices=100, seed=1, speed=speed, poll_seconds=None, ports=(1, 2, 3))


def test_run_settings_survive_their_file(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    settings.write(tmp_path / "run.json")
    assert RunSettings.read(tmp_path / "run.json") == settings


@pytest.mark.parametrize(("name", "part"), [("100%41", "%41"), ("%2Fa", "%2F"), ("back\\slash", "\\\\")])
def test_a_folder_that_the_lakes_writer_would_take_for_another_is_refused(name: str, part: str, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=f"reads '{re.escape(part)}' as something else.*--data"), claimed(tmp_path / name):
        pass


@pytest.mark.parametrize("name", ["with a space", "100%", "50% é", "%zz", "#1?"])
def test_any_other_folder_is_taken(name: str, tmp_path: Path) -> None:
    with claimed(tmp_path / name):
        pass


def test_ports_that_are_taken_or_wanted_twice_are_all_named_before_anything_starts(tmp_path: Path) -> None:
    stack, rules = read_declarations("dev")
    with socket.create_server(("127.0.0.1", 0)) as taken, socket.create_server(("127.0.0.1", 0)) as once_free:
        port, shared = taken.getsockname()[1], once_free.getsockname()[1]
        once_free.close()
        settings = run_settings(
            stack, rules, data_dir=tmp_path, devices=100, seed=1, speed=1, poll_seconds=None, ports=(shared, port, shared)
        )
        with pytest.raises(RunError) as refused:
            refuse_taken_ports(settings)
    assert f"port {port} is in use (--event-hubs-port), port {shared} is in use (--port)" in str(refused.value)
    assert "(--webex-port)" not in str(refused.value)


def test_run_settings_of_a_newer_release_are_read_without_what_they_have_more(tmp_path: Path) -> None:
    settings = settings_in(tmp_path)
    settings.write(tmp_path / "run.json")
    record = json.loads((tmp_path / "run.json").read_text())
    record["cities"][0]["novelty"] = record["novelty"] = 1
    (tmp_path / "run.json").write_text(json.dumps(record))
    assert RunSettings.read(tmp_path / "run.json") == settings


def test_a_run_knows_every_city_s_office_hours_and_what_explains_an_alert(tmp_path: Path) -> None:
    stack, rules = read_declarations("dev")
    hours = OfficeHours(("sun", "mon"), "09:30", "24:00")
    stack = replace(stack, cities=tuple(replace(city, office_hours=hours) for city in stack.cities))
    settings = run_settings(stack, rules, data_dir=tmp_path, devices=100, seed=1, speed=1, poll_seconds=None, ports=(1, 2, 3))
    assert {(city.office_days, city.opens, city.closes) for city in settings.cities} == {(("sun", "mon"), "09:30", "24:00")}
    assert "site-outage" in settings.causes["device-offline"]
    assert settings.outside_severities["device-offline"] == 3 and "site-outage" not in settings.outside_severities


def test_the_processors_get_their_settings_as_files(tmp_path: Path) -> None:
    stack, rules = read_declarations("dev")
    settings = replace(settings_in(tmp_path), poll_seconds=5.0)
    write_files(settings, stack, rules)
    ingest = settings_at(settings.ingest_settings_path, INGEST_SETTINGS).document()
    fanout = settings_at(settings.fanout_settings_path, FANOUT_SETTINGS).document()
    assert ingest["pollSeconds"] == 5.0
    assert set(fanout["cities"]) == set(ingest["cities"]) | {"*"}


def test_nobody_else_may_read_the_settings_in_which_an_address_may_be_a_secret(tmp_path: Path) -> None:
    stack, rules = read_declarations("dev")
    settings = settings_in(tmp_path)
    write_files(settings, stack, rules)
    folders = (settings.ingest_settings_path, settings.fanout_settings_path)
    pieces = [path for folder in folders for path in folder.rglob("*.json")]
    assert len(pieces) > 2 and {path.stat().st_mode & 0o777 for path in pieces} == {0o600}


def test_a_faster_run_asks_webex_as_often_in_its_own_time(tmp_path: Path) -> None:
    stack, rules = read_declarations("dev")
    settings = settings_in(tmp_path, speed=6.0)
    write_files(settings, stack, rules)
    ingest = settings_at(settings.ingest_settings_path, INGEST_SETTINGS).document()
    assert ingest["requestsPerSecond"] == 6 * stack.poll.requests_per_second
    assert ingest["xapiRequestsPerSecond"] == 6 * stack.poll.xapi_requests_per_second


def test_a_data_folder_serves_one_run_at_a_time(tmp_path: Path) -> None:
    with claimed(tmp_path), pytest.raises(RunError, match="uses the data folder"), claimed(tmp_path):
        pass
    with claimed(tmp_path):
        pass


def test_a_data_folder_that_can_not_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(RunError, match=r"file/data can't be used.*--data"), claimed(tmp_path / "file" / "data"):
        pass


def test_a_clock_resumes_where_a_faster_run_stood(tmp_path: Path) -> None:
    ahead = SimulatedClock(time.time(), time.time() + 86_400, 1.0)
    remember_time(replace(settings_in(tmp_path), clock=ahead))
    assert resumed_clock(tmp_path, 1.0).seconds() >= ahead.simulated_origin


def test_a_clock_that_was_set_back_resumes_where_it_stood(tmp_path: Path) -> None:
    now = time.time()
    for ahead in (0.0, 500.0, -3600.0):
        remember_time(replace(settings_in(tmp_path), clock=SimulatedClock(now, now + ahead, real_time=lambda: now)))
    assert resumed_clock(tmp_path, 1.0).seconds() == pytest.approx(now + 500, abs=30)


def test_a_clock_that_was_stopped_for_long_starts_at_the_real_time(tmp_path: Path) -> None:
    behind = SimulatedClock(time.time(), time.time() - 86_400, 1.0)
    remember_time(replace(settings_in(tmp_path), clock=behind))
    assert abs(resumed_clock(tmp_path, 1.0).seconds() - time.time()) < 60


def test_a_damaged_clock_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "clock.json").write_text("{")
    with pytest.raises(RunError, match=r"clock\.json is damaged.*delete it"):
        resumed_clock(tmp_path, 1.0)


@given(speed=st.floats(1, 60), passed=st.floats(0, 1e6))
def test_simulated_time_passes_speed_times_as_fast(speed: float, passed: float) -> None:
    clock = SimulatedClock(1000.0, 5000.0, speed, real_time=lambda: 1000.0 + passed)
    assert clock.seconds() == pytest.approx(5000.0 + passed * speed)
    assert clock.real_seconds(passed * speed) == pytest.approx(passed)


CONTACTS: dict[str, list[Any]] = {
    "email": ["av@example.com"],
    "webex": ["av@example.com"],
    "teams": ["teams-av"],
    "slack": ["slack-av"],
    "webhook": [
        "https://hooks.example.com/in",
        "http://127.0.0.1:9000/in",
        "http://127.0.0.1.example.com/in",
        "http://[::1]:9000/in",
        {"to": "http://localhost:9000", "template": "servicenow", "secret": "user"},
        {"addressSecret": "hook"},
        {"template": "pagerduty", "secret": "key"},
    ],
}
ON_THIS_MACHINE = ["http://127.0.0.1:9000/in", "http://[::1]:9000/in", "http://localhost:9000"]


def stack_with_contacts() -> StackSettings:
    stack, _ = read_declarations("dev")
    return replace(stack, cities=tuple(replace(city, contacts=contacts_of(CONTACTS)) for city in stack.cities))


@pytest.mark.parametrize("notify_real_contacts", [False, True])
def test_a_simulated_run_tells_the_inbox_and_this_machine_unless_it_is_asked_to_tell_people(
    tmp_path: Path, notify_real_contacts: bool
) -> None:
    settings = settings_in(tmp_path)
    stack, rules = stack_with_contacts(), read_declarations("dev")[1]
    write_files(settings, stack, rules, notify_real_contacts=notify_real_contacts)
    cities = settings_at(settings.fanout_settings_path, FANOUT_SETTINGS).document()["cities"]
    for slug in (city.slug for city in stack.cities):
        inbox, *others = cities[slug]["channels"]
        assert inbox["type"] == "inbox"
        told = [channel.get("url", channel["type"]) for channel in others]
        everybody = [*(written if isinstance(written, str) else written.get("to") for written in CONTACTS["webhook"])]
        assert told == ON_THIS_MACHINE if not notify_real_contacts else len(told) == len(everybody) + 3


def test_whom_a_simulated_run_does_not_tell_is_counted(tmp_path: Path) -> None:
    kinds = [contact.kind for contact in not_notified(stack_with_contacts())]
    cities = len(stack_with_contacts().cities)
    assert {kind: kinds.count(kind) / cities for kind in set(kinds)} == {"webex": 1, "teams": 1, "slack": 1, "webhook": 4}
