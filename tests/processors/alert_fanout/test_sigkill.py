"""The fan-out's process is killed for real (SIGKILL) in the middle of its work, and started again with the same events."""

from __future__ import annotations

import itertools
import json
import random
import signal
import sqlite3
import subprocess
import sys
import threading
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.shared_data import REPOSITORY

KILLS = 12
ALERTS = 90
"""Fewer than a webhook takes before it is spared some (processors/alert_fanout/steps.py)."""
PATIENCE_SECONDS = 30

PROCESS = """
import sys
from pathlib import Path
import azure.functions as func
from processors.alert_fanout import function_app

functions = {function.get_function_name(): function.get_user_function() for function in function_app.app.get_functions()}
events = [func.EventHubEvent(body=body) for body in Path(sys.argv[1]).read_bytes().split(b"\\n\\n")]
print("at work", flush=True)
functions["deliver"](events)
functions["tend"](None)
"""


class Process:
    """The fan-out in a process of its own, with the same events each time."""

    def __init__(self, folder: Path, url: str, events: list[bytes]) -> None:
        channels = [{"type": "inbox", "path": str(folder / "inbox.sqlite")}, {"type": "webhook", "url": url}]
        hours = {"days": ["mon"], "from": "08:00", "to": "18:00"}
        city = {"name": "Any", "timeZone": "UTC", "officeHours": hours, "channels": channels}
        rules = {"room-too-warm": {"meaning": "A room is too warm.", "runbook": "docs/runbooks/room-too-warm.md"}}
        (folder / "settings.json").write_text(json.dumps({"rules": rules, "cities": {"*": city}}), encoding="utf-8")
        (folder / "events").write_bytes(b"\n\n".join(events))
        self._command = [sys.executable, "-c", PROCESS, str(folder / "events")]
        self._environment = {"FANOUT_SETTINGS": str(folder / "settings.json"), "STATE_FOLDER": str(folder / "state")}

    def start(self) -> subprocess.Popen[bytes]:
        """Start it and wait until it is about to take the events."""
        started = subprocess.Popen(self._command, cwd=REPOSITORY, env=self._environment, stdout=subprocess.PIPE)
        assert started.stdout is not None
        assert started.stdout.readline() == b"at work\n"
        return started


def states_in(inbox: Path) -> list[tuple[str, str]]:
    return sqlite3.connect(inbox).execute("SELECT alert_id, state FROM inbox").fetchall()


def with_request(patch: pytest.MonkeyPatch, receiver: Any, number: int, what: Callable[[], None]) -> None:
    """Do something once, when the webhook gets its next request but so many."""
    answered, coming = type(receiver).answered, itertools.count(1)

    def answering(request: Any) -> Any:
        if next(coming) == number:
            what()
        return answered(receiver, request)

    patch.setattr(receiver, "answered", answering)


def test_killed_a_dozen_times_it_sends_everything_and_repeats_no_more_than_it_was_killed(
    tmp_path: Path, receiver: Any, make_row: Any, make_body: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [make_row(n, state, ruleId="room-too-warm") for n in range(ALERTS) for state in ("fired", "resolved")]
    process = Process(tmp_path, receiver.url, [make_body(*rows[at : at + 10]) for at in range(0, len(rows), 10)])
    chance = random.Random(7)  # how far it comes; the instant of death within that is the machine's
    for number in range(KILLS):
        running = process.start()
        die_soon = threading.Timer(chance.uniform(0, 0.005), running.kill)
        if number % 4:
            with_request(monkeypatch, receiver, chance.randint(1, 5), die_soon.start)
        else:
            die_soon.start()  # while it enters what it got, or before
        assert running.wait(PATIENCE_SECONDS) == -signal.SIGKILL, "it was killed in the middle of its work"
    before_the_last = len(receiver.requests)
    assert process.start().wait(PATIENCE_SECONDS) == 0

    wanted = sorted((row["alertId"], row["state"]) for row in rows)
    assert 0 < before_the_last < len(wanted)
    assert sorted(states_in(tmp_path / "inbox.sqlite")) == wanted
    keys = defaultdict[tuple[str, str], set[str]](set)
    for request in receiver.requests:
        keys[request.json["alertId"], request.json["state"]].add(request.headers["Idempotency-Key"])
    assert sorted(keys) == wanted
    assert all(len(used) == 1 for used in keys.values()), "a repeat bears the key of what it repeats"
    assert len(receiver.requests) <= len(wanted) + KILLS, "a kill repeats one notification at most"
