"""`roompulse alerts test` from the outside: what it prints, and its exit code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

from activator.rules import RULES_FOLDER
from cli.main import app


def outcome_of(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["alerts", "test", *arguments], env={"COLUMNS": "200"})
    return result.exit_code, result.output


@pytest.fixture
def rules(tmp_path: Path) -> Path:
    """A copy of the rules that may be spoilt."""
    shutil.copytree(RULES_FOLDER, tmp_path / "rules")
    return tmp_path / "rules"


def spoil(file: Path, old: str, new: str) -> None:
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def test_good_rules_pass() -> None:
    code, text = outcome_of()
    assert code == 0, text
    rules = len(list(RULES_FOLDER.glob("*.yaml")))
    assert f"of {rules} rules, 0 failed" in text and "✓  device-offline" in text


def test_a_failing_case_is_drawn_and_the_code_is_1(rules: Path) -> None:
    spoil(rules / "room-too-warm.yaml", "at_least: 28", "at_least: 30")
    code, text = outcome_of("room-too-warm", "--folder", str(rules))
    assert code == 1
    assert "✗ room-too-warm: exactly the limit counts" in text and "nothing sent" in text and "· up   █ down" in text


def test_a_mutant_that_survives_is_named_and_the_code_is_1(rules: Path) -> None:
    spoil(rules / "city-silent.yaml", "severity: 2\n        to: [everybody]\n", "to: [everybody]\n")
    code, text = outcome_of("city-silent", "--mutants", "--folder", str(rules))
    assert code == 1
    assert "no case notices the mutant severity 1" in text and "15/16 mutants noticed" in text


def test_programs_get_json() -> None:
    code, text = outcome_of("site-outage", "--json")
    (rule,) = json.loads(text)["rules"]
    assert code == 0 and rule["id"] == "site-outage" and all(case["passed"] for case in rule["cases"])
    assert rule["cases"][0]["told"][0]["fired"] == "lyon/Part-Dieu"


def test_faults_of_every_file_are_listed_at_once(rules: Path) -> None:
    spoil(rules / "room-too-warm.yaml", "signal: temperature", "signal: temprature")
    spoil(rules / "site-outage.yaml", "severity: { default: 1 }", "severity: { default: 7 }")
    code, text = outcome_of("--folder", str(rules))
    assert code == 1
    assert "Did you mean temperature?" in text and "7 is above 4" in text


def test_an_unknown_rule_is_answered_with_a_near_one() -> None:
    code, text = outcome_of("room-to-warm")
    assert code == 2 and "Did you mean room-too-warm?" in text
