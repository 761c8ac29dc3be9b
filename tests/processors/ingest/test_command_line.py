"""The shell's way in: help that teaches, exit codes, clean ends, and nothing lost by a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from event_hubs_local.server import EventHubsServer
from processors.ingest.fabric_real_time_ingest import EXIT_DONE, EXIT_FAILED, EXIT_PARTIAL, EXIT_USAGE, main
from tests.support.scripted_webex import ScriptedWebex, error
from tests.support.tiers import TIERS

COMMAND = [sys.executable, "-m", "processors.ingest.fabric_real_time_ingest"]
REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def settings_file(tmp_path: Path) -> Path:
    city = {"name": "Lyon", "timeZone": "Europe/Paris", "webexLocations": ["Lyon Part-Dieu"], "rules": []}
    content = {
        "pollSeconds": 10,
        "snapshotMinutes": 15,
        "metricRequestsPerPoll": 0,
        "metrics": [],
        **TIERS,
        "cities": {"lyon": city},
    }
    path = tmp_path / "ingest-settings.json"
    path.write_text(json.dumps(content), encoding="utf-8")
    return path


@pytest.fixture(autouse=True)
def environment(estate: ScriptedWebex, settings_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WEBEX_API_BASE", estate.base)
    monkeypatch.setenv("WEBEX_ACCESS_TOKEN", "token")
    monkeypatch.setenv("INGEST_SETTINGS", str(settings_file))
    monkeypatch.delenv("EVENT_HUBS", raising=False)
    monkeypatch.delenv("STATE_FOLDER", raising=False)


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_help_teaches(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    for word in ("--once", "--every", "--settings", "--to", "WEBEX_ACCESS_TOKEN", "STATE_FOLDER", "examples:", "exit codes:"):
        assert word in text


def test_once_to_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--once", "--to", "stdout"]) == EXIT_DONE
    sent = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert len([event for event in sent if event["data"]["entity"] == "device"]) == 4


def test_once_into_a_file_remembers_when_it_has_a_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("STATE_FOLDER", str(tmp_path / "state"))
    for name in ("first.jsonl", "second.jsonl"):
        assert main(["--once", "--to", str(tmp_path / name)]) == EXIT_DONE
    devices = [[e for e in lines(tmp_path / name) if e["data"]["entity"] == "device"] for name in ("first.jsonl", "second.jsonl")]
    assert [len(sent) for sent in devices] == [4, 0]


def test_once_to_event_hubs(event_hubs: EventHubsServer, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.support.hub_reader import events_in

    monkeypatch.setenv("EVENT_HUBS", event_hubs.connection_string)
    assert main(["--once"]) == EXIT_DONE
    assert len(events_in(event_hubs.connection_string, "observations", 8)) == 8


def test_a_partial_poll_has_its_own_exit_code(estate: ScriptedWebex, tmp_path: Path) -> None:
    estate.always["/devices"] = error(403)
    assert main(["--once", "--to", str(tmp_path / "out.jsonl")]) == EXIT_PARTIAL


@pytest.mark.parametrize("arguments", [[], ["--once", "--every", "5s"], ["--every", "soon"], ["--every", "0s"]])
def test_wrong_usage(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == EXIT_USAGE


def test_everything_missing_is_said_at_once(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    for name in ("WEBEX_ACCESS_TOKEN", "INGEST_SETTINGS"):
        monkeypatch.delenv(name)
    assert main(["--once"]) == EXIT_USAGE
    for name in ("WEBEX_ACCESS_TOKEN", "INGEST_SETTINGS", "EVENT_HUBS"):
        assert name in caplog.text


def test_bad_settings_and_bad_state_are_told_apart(
    settings_file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("STATE_FOLDER", str(tmp_path))
    (tmp_path / "ingest.sqlite").write_text("rubbish " * 200)
    assert main(["--once", "--to", "stdout"]) == EXIT_FAILED
    assert "ingest.sqlite.broken" in caplog.text
    settings_file.write_text("{}")
    assert main(["--once", "--to", "stdout"]) == EXIT_USAGE


def started(*arguments: str, **environment: str) -> subprocess.Popen[str]:
    variables = {**os.environ, **environment}
    return subprocess.Popen([*COMMAND, *arguments], cwd=REPOSITORY, env=variables, text=True, stderr=subprocess.PIPE)


def wait_for(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_ends_it_cleanly(tmp_path: Path, number: signal.Signals) -> None:
    out = tmp_path / "out.jsonl"
    process = started("--every", "1s", "--to", str(out))
    wait_for(lambda: out.exists() and len(out.read_text().splitlines()) >= 7)
    process.send_signal(number)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == EXIT_DONE
    assert "Traceback" not in errors
    assert "observations (snapshot) of 4 devices" in errors


def test_a_kill_loses_nothing_and_the_next_start_tells_every_change(estate: ScriptedWebex, tmp_path: Path) -> None:
    out, state = tmp_path / "out.jsonl", str(tmp_path / "state")
    process = started("--every", "1s", "--to", str(out), STATE_FOLDER=state)
    wait_for(lambda: out.exists() and len(out.read_text().splitlines()) >= 7)
    process.kill()
    process.communicate(timeout=60)
    estate.listings["/devices"][2]["connectionStatus"] = "disconnected"
    again = started("--once", "--to", str(out), STATE_FOLDER=state)
    again.communicate(timeout=20)
    assert again.returncode == EXIT_DONE
    last = {event["subject"]: event["data"]["connectionStatus"] for event in lines(out) if event["data"]["entity"] == "device"}
    assert last == {item["id"]: item["connectionStatus"] for item in estate.listings["/devices"]}
