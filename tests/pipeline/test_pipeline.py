"""The whole pipeline, as a person runs it: every part a process, real protocols between them."""

from __future__ import annotations

import hashlib
import html
import json
import random
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest
import requests

from benchmarks.pipeline_driver import Pipeline, pipeline
from tests.support.shared_data import REPOSITORY

pytestmark = [pytest.mark.pipeline, pytest.mark.timeout(300), pytest.mark.xdist_group("pipeline")]

QUICK = ("--devices", "120", "--poll", "5s", "--speed", "5")
"""A poll a second."""


@contextmanager
def running(folder: Path) -> Iterator[Pipeline]:
    within = folder / "a folder with é, % and #"
    within.mkdir()
    with pipeline(within, *QUICK) as run:
        yield run


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Pipeline]:
    with running(tmp_path) as run:
        yield run


def alerts_in_inbox(run: Pipeline, rule: str, state: str) -> set[str]:
    return {row["alert_id"] for row in run.inbox() if row["rule_id"] == rule and row["state"] == state}


@pytest.fixture(scope="module")
def in_outage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A run in which both locations of Singapore are out, and the inbox has it. Its tests go on from one another."""
    with running(tmp_path_factory.mktemp("run")) as run:
        run.start()
        run.scenario.outage(city="singapore")
        run.wait_until(lambda: len(alerts_in_inbox(run, "site-outage", "fired")) == 2, "both locations in the inbox", 60)
        yield run


def test_a_second_start_resumes_from_disk(in_outage: Pipeline) -> None:
    run = in_outage
    run.wait_until(lambda: bool(stored_ids(run)), "readings in the lake", 60)
    run.interrupt()
    stored = stored_ids(run)
    notified = {(row["alert_id"], row["state"]) for row in run.inbox()}
    run.start()
    seen = newest_poll(run)
    run.wait_until(lambda: newest_poll(run) > seen, "the next poll on the page", 60)
    # the page has a reading before the lake has it, and what the lake lacks when a run ends is for the next run to store
    run.wait_until(lambda: stored_ids(run) > stored, "readings of the second start in the lake", 60)
    assert_nothing_is_stored_twice(run, more_than=len(stored))
    assert notified <= {(row["alert_id"], row["state"]) for row in run.inbox()}


def newest_poll(run: Pipeline) -> str:
    return max(city["lastPoll"] or "" for city in run.snapshot()["cities"])


def assert_nothing_is_stored_twice(run: Pipeline, more_than: int = 0) -> None:
    readings = run.verify()["readings"]
    assert readings["rows"] == readings["keys"] > more_than


def test_an_outage_reaches_the_inbox_and_its_end_resolves_it(in_outage: Pipeline) -> None:
    run = in_outage
    fired = alerts_in_inbox(run, "site-outage", "fired")
    assert len(fired) == 2
    run.wait_until(lambda: open_alerts(run) >= fired, "the alerts on the page", 60)
    run.scenario.restore(city="singapore")
    run.wait_until(lambda: alerts_in_inbox(run, "site-outage", "resolved") == fired, "the same alerts resolved", 60)
    run.wait_until(lambda: not (open_alerts(run) & fired), "the page no longer shows them", 60)
    run.interrupt()
    assert run.process is not None and run.process.returncode == 0
    assert_nothing_is_stored_twice(run)


def open_alerts(run: Pipeline) -> set[str]:
    return {alert["alertId"] for alert in run.snapshot().get("openAlerts", [])}


def test_control_hub_is_a_second_witness_and_what_it_alone_sees_is_an_incident(tmp_path: Path) -> None:
    """Control Hub calls a device offline after ten minutes: ten seconds here, where each second is a minute and a poll."""
    with pipeline(tmp_path, "--devices", "120", "--poll", "60s", "--speed", "60", "--control-hub") as run:
        run.start()
        seen, unseen = connected_rooms(run)[:2]
        run.scenario.outage(device=seen["id"])
        run.wait_until(lambda: f"Control Hub reports: {seen['name']} is offline" in page_of(run, seen["id"]), "on its page", 120)
        for command in ("show", "why"):
            assert "Control Hub" in alerts_command(run, command, handle_of(run, seen["id"])), command
        run.scenario.restore(device=seen["id"])
        run.wait_until(
            lambda: f"Control Hub reports: {seen['name']} is online" in page_of(run, seen["id"]), "its return too", 120
        )
        assert not unmatched(run, seen["id"])

        run.scenario.fail(3600, 503)  # polling is blind from here on, and Control Hub is not
        run.scenario.outage(device=unseen["id"])
        run.wait_until(lambda: bool(unmatched(run, unseen["id"])), "what only Control Hub sees", 120)
        (row,) = unmatched(run, unseen["id"])
        assert row["city_id"] == "*"
        assert row["title"].startswith("Control hub unmatched: ")
        assert f"Control Hub reports: {unseen['name']} is offline" in row["text"]
        run.interrupt()


def unmatched(run: Pipeline, device: str) -> list[dict[str, Any]]:
    """What the inbox has of a device that Control Hub alone saw go; others go by themselves while nobody polls."""
    return [row for row in run.inbox() if row["rule_id"] == "control-hub-unmatched" and row["entity_id"] == device]


def connected_rooms(run: Pipeline) -> list[dict[str, str]]:
    """Room devices that are connected, by id and name."""
    answer = requests.get(
        f"{run.settings.webex_url}/devices?max=1000", headers={"Authorization": "Bearer simulated-access-token"}, timeout=30
    )
    rooms = [one for one in answer.json()["items"] if one["connectionStatus"] == "connected" and one["type"] == "roomdesk"]
    return [{"id": one["id"], "name": one["displayName"]} for one in rooms]


def alerts_command(run: Pipeline, *arguments: str) -> str:
    """What `roompulse alerts` prints of a run."""
    command = [sys.executable, "-m", "cli", "alerts", *arguments, "--data", str(run.data)]
    return subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True, timeout=60).stdout


def handle_of(run: Pipeline, device: str) -> str:
    """What people call the incident of a device that is offline; empty while there is none."""
    ids = [row["alert_id"] for row in run.inbox() if row["entity_id"] == device and row["rule_id"] == "device-offline"]
    return hashlib.sha256(ids[0].encode()).hexdigest()[:10] if ids else ""


def page_of(run: Pipeline, device: str) -> str:
    """The page of that incident; empty while there is none."""
    handle = handle_of(run, device)
    return html.unescape(requests.get(f"{run.settings.page_url}/incidents/{handle}", timeout=30).text) if handle else ""


def test_any_part_killed_at_any_moment_loses_nothing_and_doubles_nothing(run: Pipeline) -> None:
    choice = random.Random(2026)
    run.start()
    for number in range(10):
        if number == 4:
            run.scenario.outage(location="Lyon Confluence")
        time.sleep(choice.uniform(0.2, 2.0))
        victims = [*run.parts().values(), None]
        victim = choice.choice(victims)
        if victim is None:
            run.kill()
            run.start()
        else:
            psutil.Process(victim.pid).kill()
    settled = settle(run)
    run.interrupt()
    counts = (
        run.verify()
    )  # of alerts only that each is there once: one may fire while the run ends, `settle` has waited for the rest
    assert len(settled) > 500
    # Webex answers nothing any more, but each poll says so of every city and place: the last ones are the next run's to store
    stored = stored_ids(run)
    assert settled <= stored <= observation_ids(run)
    assert counts["readings"]["observations"] == len(stored)
    for table, figures in counts.items():
        assert figures["rows"] == figures["keys"], f"{table} shows something twice"
    outage = {row["alert_id"] for row in run.inbox() if row["rule_id"] == "site-outage"}
    assert len(outage) == 1, "one outage, one alert, whatever was killed"
    assert alerts_in_inbox(run, "site-outage", "fired") == alerts_in_inbox(run, "site-outage", "resolved") == outage


def settle(run: Pipeline) -> set[str]:
    """End the outage, stop Webex for good, and wait until everything that was sent has been stored and told; gives its ids."""
    run.wait_until(lambda: "fired" in states_of_outage(run), "the outage fired", 60)
    run.scenario.restore(location="Lyon Confluence")
    run.wait_until(lambda: "resolved" in states_of_outage(run), "the outage resolved", 60)
    run.wait_until(lambda: len(observation_ids(run)) > 500, "enough sent to prove something, however slow the machine", 60)
    run.scenario.fail(3600, 503)
    sent = observation_ids(run)
    run.wait_until(lambda: stored_ids(run) >= sent, "everything sent is stored", 60)
    run.wait_until(lambda: run.verify()["Alerts"]["rows"] == len(run.inbox()), "every alert told", 60)
    return sent


def states_of_outage(run: Pipeline) -> set[str]:
    return {row["state"] for row in run.inbox() if row["rule_id"] == "site-outage"}


def stored_ids(run: Pipeline) -> set[str]:
    """Ids of the observations in the Delta table `readings`, from its files."""
    import duckdb

    from local.lake.stored_files import parquet, stored_files

    files = stored_files(run.settings.lake_dir / "readings")
    return {row[0] for row in duckdb.sql(f"select distinct id from {parquet(files)}").fetchall()} if files else set()


def observation_ids(run: Pipeline) -> set[str]:
    """Ids of everything the hub `observations` has acknowledged, read from its log on disk."""
    from event_hubs_local.log import read_bodies

    return {json.loads(body)["id"] for body in read_bodies(run.settings.hubs_dir, "observations")}


class TestBadInput:
    def command(self, tmp_path: Path, *options: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "cli", "run", "--no-browser", "--data", str(tmp_path / "data"), *options],
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=60,
        )

    def test_every_port_in_use_is_named_with_the_option_that_changes_it(self, tmp_path: Path) -> None:
        from benchmarks.pipeline_driver import free_ports

        options = dict(zip(("--port", "--webex-port", "--event-hubs-port"), free_ports(3), strict=True))
        with socket.create_server(("127.0.0.1", 0)) as one, socket.create_server(("127.0.0.1", 0)) as other:
            options |= {"--port": one.getsockname()[1], "--event-hubs-port": other.getsockname()[1]}
            done = self.command(tmp_path, *(word for name, port in options.items() for word in (name, str(port))))
        said = " ".join(done.stderr.split())
        assert done.returncode == 1
        for option, port in options.items():
            assert (f"port {port} is in use ({option})" in said) == (option != "--webex-port")

    def test_an_unknown_stack_names_the_known_ones(self, tmp_path: Path) -> None:
        done = self.command(tmp_path, "--stack", "none-such")
        assert (done.returncode, "take a stack that is there: dev, fabric, prod" in " ".join(done.stderr.split())) == (1, True)

    def test_a_duration_that_is_none_shows_the_form(self, tmp_path: Path) -> None:
        done = self.command(tmp_path, "--for", "soon")
        assert done.returncode == 2
        assert "90s, 5m or 1h" in done.stderr

    def test_a_damaged_clock_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "data").mkdir()
        (tmp_path / "data" / "clock.json").write_text("{")
        done = self.command(tmp_path)
        assert done.returncode == 1
        assert "clock.json is damaged" in " ".join(done.stderr.split())
