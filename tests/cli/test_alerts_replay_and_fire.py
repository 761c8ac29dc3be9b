"""`roompulse alerts replay` and `fire` as people use them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from processors.alert_fanout.alerts import Alert
from processors.alert_fanout.incidents import Delivery, Incident
from processors.alert_fanout.state import SqliteTexts, State

PLACE = ("location", "l", "Part-Dieu", "lyon", None, None, None, None)
ALERT = Alert("a", "site-outage", 1, "fired", *PLACE, "offlineRatio", 1, 1, "t", "t")


def invoke(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["alerts", *arguments], env={"COLUMNS": "160"})


@pytest.fixture
def state(tmp_path: Path) -> State:
    kept = State(SqliteTexts(tmp_path / "state" / "fanout.sqlite"))
    incident = Incident("a", "alert", ALERT, "t", "t")
    incident.deliveries["teams:teams-lyon"] = Delivery(dead="open: status 410", dead_at="2026-11-24T09:00:00.000Z", attempts=5)
    kept.change("lyon", lambda book: book.incidents.__setitem__("a", incident))
    return kept


def test_a_dry_run_lists_and_changes_nothing(state: State, tmp_path: Path) -> None:
    result = invoke("replay", "--dry-run", "--data", str(tmp_path))
    assert result.exit_code == 0
    for words in ("teams:teams-lyon", "status 410", "2026-11-24 09:00Z", "1 dead letter."):
        assert words in result.output
    assert state.book("lyon").incidents["a"].deliveries["teams:teams-lyon"].dead


def test_a_replay_revives_what_was_asked_for(state: State, tmp_path: Path) -> None:
    assert "no dead letters like that" in invoke("replay", "--channel", "webex", "--data", str(tmp_path)).output
    result = invoke("replay", "--channel", "teams", "--since", "2026-11-24T08:00Z", "--json", "--data", str(tmp_path))
    assert json.loads(result.output)["letters"][0]["channel"] == "teams:teams-lyon"
    assert state.book("lyon").incidents["a"].deliveries["teams:teams-lyon"].dead is None


def test_a_time_that_is_none_shows_the_form(tmp_path: Path) -> None:
    result = invoke("replay", "--since", "yesterday", "--data", str(tmp_path))
    assert result.exit_code == 2 and "30m, 2h or 3d" in result.output


@pytest.mark.parametrize("command", [("replay",), ("fire", "--city", "lyon", "--rule", "site-outage")])
def test_without_a_pipeline_it_says_how_to_have_one(tmp_path: Path, command: tuple[str, ...]) -> None:
    result = invoke(*command, "--data", str(tmp_path))
    assert result.exit_code == 1 and "--data" in result.output


@pytest.mark.parametrize(
    ("city", "rule", "words"),
    [("lion", "site-outage", "has no city lion"), ("lyon", "pipeline-stale", "not a rule the query evaluates")],
)
def test_a_city_or_rule_there_is_not_is_named(tmp_path: Path, city: str, rule: str, words: str) -> None:
    from local.run_settings import RunSettings

    RunSettings(tmp_path, "dev", ()).write(tmp_path / "run.json")
    result = invoke("fire", "--city", city, "--rule", rule, "--data", str(tmp_path))
    assert result.exit_code == 1 and words in result.output
