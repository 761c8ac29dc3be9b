"""`roompulse alerts list`, `why`, `ack`, `silence` and the others as people use them."""

from __future__ import annotations

import base64
import getpass
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli import signed_in
from cli.console import console
from cli.main import app
from cli.signed_in import NobodyError, named_in
from local.run_settings import RunSettings
from processors.alert_fanout.alerts import Alert
from processors.alert_fanout.incidents import Delivery, Incident
from processors.alert_fanout.state import SqliteTexts, State
from processors.timestamps import format_time

NOW = datetime.now(UTC)
BEGAN = format_time(NOW - timedelta(minutes=5))
SETTINGS: dict[str, Any] = {
    "rules": {"device-offline": {"meaning": "Lost.", "runbook": "x.md", "channels": {"webex": [1]}}},
    "cities": {
        "lyon": {
            "name": "Lyon",
            "timeZone": "UTC",
            "officeHours": {"days": [], "from": "08:00", "to": "18:00"},
            "channels": [
                {"type": "webhook", "url": "https://a.example.com"},
                {"type": "webhook", "url": "https://b.example.com", "severities": [1]},
                {"type": "webhook", "url": "https://c.example.com", "when": "office-hours"},
                {"type": "webex", "to": "ada@example.com", "secret": "bot"},
                {"type": "teams", "urlSecret": "t"},
            ],
        },
        "oslo": {
            "name": "Oslo",
            "timeZone": "UTC",
            "officeHours": {"days": [], "from": "08:00", "to": "18:00"},
            "channels": [],
        },
        "*": {
            "name": "Unassigned",
            "timeZone": "UTC",
            "officeHours": {"days": [], "from": "08:00", "to": "18:00"},
            "channels": [],
        },
    },
}


@pytest.fixture(autouse=True)
def wide(monkeypatch: pytest.MonkeyPatch) -> None:
    """A window in which no table has to break a line."""
    monkeypatch.setattr(console, "_width", 200)


def invoke(data: Path, *arguments: str) -> Result:
    return CliRunner().invoke(app, ["alerts", *arguments, "--data", str(data)])


def said(data: Path, *arguments: str) -> Any:
    result = invoke(data, *arguments, "--json")
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def alert(number: int, severity: int = 2, name: str = "Room Bar") -> Alert:
    place = ("lyon", "location-1", "Part-Dieu", f"workspace-{number}", f"Room {number}")
    id_ = f"device-offline|device-{number}"
    return Alert(
        id_, "device-offline", severity, "fired", "device", f"device-{number}", name, *place, "offline", 1, 1, BEGAN, BEGAN
    )


@pytest.fixture
def data(tmp_path: Path) -> Iterator[Path]:
    """A local pipeline with two open incidents and one that is over."""
    RunSettings(tmp_path, "dev", ()).write(tmp_path / "run.json")
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "fanout").write_text(json.dumps(SETTINGS), encoding="utf-8")
    state = State(SqliteTexts(tmp_path / "state" / "fanout.sqlite"))
    open_, worst, over = (
        Incident(one.alert_id, "alert", one, BEGAN, BEGAN)
        for one in (alert(1, name="[red]Bar[/red]\nTwo"), alert(2, severity=1), alert(3))
    )
    over.open, over.ended_at = False, BEGAN
    open_.deliveries["teams:t"] = Delivery("opened", notified_at=BEGAN)
    open_.note(NOW, "notified", "teams:t")
    state.change("lyon", lambda book: book.incidents.update({one.id: one for one in (open_, worst, over)}))
    yield tmp_path
    state.close()


def handle(data: Path, number: int = 1) -> str:
    return str(next(one for one in said(data, "list", "--all") if one["id"].endswith(str(number)))["handle"])


def test_open_incidents_are_listed_the_worst_first(data: Path) -> None:
    assert [one["severity"] for one in said(data, "list")] == [1, 2]
    assert len(said(data, "list", "--all")) == 3
    assert said(data, "list", "--city", "oslo") == []
    shown = invoke(data, "list").output
    assert shown.index("Room Bar") < shown.index("[red]Bar[/red] Two"), "a name is text, and one line"
    assert handle(data) in shown


def test_in_a_narrow_window_nothing_is_cut_off(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(console, "_width", 80)
    said(data, "ack", handle(data))
    for command in (["list"], ["why", handle(data)], ["show", handle(data)]):
        shown = invoke(data, *command).output
        assert "…" not in shown
        assert max(map(len, shown.splitlines())) <= 80 or command[0] != "list"
    assert handle(data) in invoke(data, "list").output


def test_no_incident_is_said(tmp_path: Path) -> None:
    State(SqliteTexts(tmp_path / "state" / "fanout.sqlite")).close()
    assert "No incident is open." in invoke(tmp_path, "list").output
    assert "Nothing is silenced." in invoke(tmp_path, "silences").output


def test_an_acknowledgement_has_an_author_and_an_end(data: Path) -> None:
    before = datetime.now(UTC).replace(microsecond=0)
    answer = said(data, "ack", handle(data), "--for", "2h")
    assert answer["acknowledgedBy"] == getpass.getuser()
    until = datetime.fromisoformat(answer["acknowledgedUntil"])
    assert before <= until - timedelta(hours=2) <= datetime.now(UTC)
    assert f"acknowledged by {getpass.getuser()}" in invoke(data, "list").output
    assert said(data, "unack", handle(data))["acknowledgedBy"] is None


@pytest.mark.parametrize("command", ["ack", "take", "unack", "comment", "snooze"])
def test_what_is_done_is_in_the_timeline(data: Path, command: str) -> None:
    more = {"comment": ["on my way"], "snooze": ["--because", "painters"]}.get(command, ["--text", "on my way"])
    if command == "unack":
        said(data, "ack", handle(data))
    invoke(data, command, handle(data), *more)
    last = said(data, "show", handle(data))["timeline"][-1]
    assert last["what"].startswith(getpass.getuser())
    assert more[-1] in last["detail"]
    assert more[-1] in invoke(data, "show", handle(data)).output


def test_an_incident_that_is_snoozed_says_so_until_it_is_ended(data: Path) -> None:
    said(data, "snooze", handle(data), "--because", "painters", "--for", "90m")
    assert "painters" in invoke(data, "list").output
    (listed,) = said(data, "silences")
    said(data, "unsilence", listed["id"][:8])
    assert said(data, "silences") == []
    assert said(data, "silences", "--all")[0]["endsAt"] < listed["endsAt"]


def test_a_silence_says_what_it_fits(data: Path) -> None:
    made = said(data, "silence", "--city", "lyon", "--room", "room 1", "--because", "painters", "--for", "1h")
    assert made["fits"] == [handle(data)]
    shown = invoke(data, "silence", "--city", "lyon", "--device", "Room Baz", "--because", "painters").output
    assert "fits no incident that is open now" in shown
    assert "everything, severity 2, 3, 4" not in invoke(data, "silences").output
    assert "room room 1, severity 2, 3, 4" in invoke(data, "silences").output


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["show", "nonsense"], "roompulse alerts list"),
        (["ack", "HANDLE", "--for", "200h"], "7 days is the longest"),
        (["ack", "HANDLE", "--for", "soon"], "write 90s, 5m or 1h"),
        (["ack", "OVER"], "only a comment"),
        (["unack", "HANDLE"], "nothing to take back"),
        (["comment", "HANDLE", " "], "needs a text"),
        (["snooze", "HANDLE"], "--because"),
        (["snooze", "HANDLE", "--because", ""], "needs a reason"),
        (["silence", "--because", "why"], "--city"),
        (["silence", "--city", "lion", "--because", "why"], "There are *, lyon, oslo"),
        (["silence", "--city", "lyon", "--because", ""], "needs a reason"),
        (["silence", "--city", "lyon", "--because", "why", "--severity", "5"], "write 2,3,4"),
        (["unsilence", "nonsense"], "roompulse alerts silences"),
    ],
)
def test_what_can_not_be_done_says_why_and_what_to_do(data: Path, arguments: list[str], words: str) -> None:
    names = {"HANDLE": handle(data), "OVER": handle(data, 3)}
    result = invoke(data, *(names.get(one, one) for one in arguments))
    assert result.exit_code != 0
    assert words in " ".join(result.output.replace("│", " ").split())
    assert said(data, "silences", "--all") == []


def test_why_says_of_each_channel_why(data: Path) -> None:
    said(data, "silence", "--city", "lyon", "--room", "Room 1", "--because", "painters", "--for", "1h")
    answer = said(data, "why", handle(data))
    a, b, c, webex, teams = (f"{one['verdict']}: {one['why']}" for one in answer["channels"])
    assert a.startswith(f"waits: silenced by {getpass.getuser()} until ") and a.endswith(": painters")
    assert b == "not notified: severity 2: the contact wants 1"
    assert c == "waits: outside the contact's hours (office-hours)"
    assert webex == "not notified: severity 2: rule device-offline notifies webex at 1"
    assert teams == f"notified: at {format_time(NOW)}; {a.removeprefix('waits: ')}"
    assert "painters" in invoke(data, "why", handle(data)).output


def test_on_azure_why_asks_for_the_stack(data: Path) -> None:
    (data / "run.json").unlink()
    result = invoke(data, "why", handle(data))
    assert result.exit_code == 1
    assert "--stack prod" in result.output


@pytest.mark.parametrize("command", ["list", "show", "why", "ack", "unack", "take", "comment", "snooze", "silence", "silences"])
def test_each_command_teaches(command: str) -> None:
    shown = CliRunner().invoke(app, ["alerts", command, "--help"], env={"COLUMNS": "120"}).output
    assert "--json" in shown
    assert "--state-url" in shown


def token(**claims: str) -> str:
    return f"e30.{base64.urlsafe_b64encode(json.dumps(claims).encode()).decode().rstrip('=')}.x"


@pytest.mark.parametrize(
    ("claims", "name"),
    [
        ({"upn": "ada@example.com", "appid": "1"}, "ada@example.com"),
        ({"unique_name": "ada@example.com"}, "ada@example.com"),
        ({"appid": "1"}, "1"),
    ],
)
def test_on_azure_the_author_is_who_is_signed_in(monkeypatch: pytest.MonkeyPatch, claims: dict[str, str], name: str) -> None:
    monkeypatch.setattr(signed_in, "_token", lambda: token(**claims))
    assert signed_in.author("https://account.blob.core.windows.net/state") == name


@pytest.mark.parametrize("bad", ["", "a", "a.b.c", token(), "a.bnVsbA.c"])
def test_a_token_that_names_nobody_asks_for_a_login(bad: str) -> None:
    with pytest.raises(NobodyError, match="az login"):
        named_in(bad)
