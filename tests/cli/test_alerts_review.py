"""`roompulse alerts review` as ops and workflows meet it."""

from __future__ import annotations

import json
from pathlib import Path

from typer.testing import CliRunner, Result

from cli.main import app


def reviewed(*words: str) -> Result:
    return CliRunner().invoke(app, ["alerts", "review", *words], env={"AZURE_SUBSCRIPTION_ID": "", "ARM_SUBSCRIPTION_ID": ""})


def test_the_stacks_of_this_repository_pass() -> None:
    for stack in ("dev", "prod"):
        result = reviewed("--stack", stack)
        assert result.exit_code == 0, result.output


def test_programs_get_nothing_but_json() -> None:
    assert json.loads(reviewed("--stack", "prod", "--json").stdout)["stack"] == "prod"


def test_the_page_is_written_and_named(tmp_path: Path) -> None:
    target = tmp_path / "review.html"
    assert f"The page is in {target}." in reviewed("--html", str(target)).output.replace("\n", "")
    assert target.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_a_page_that_cannot_be_written_says_why(tmp_path: Path) -> None:
    result = reviewed("--html", str(tmp_path / "nowhere" / "review.html"))
    assert result.exit_code == 1
    assert "can't be written" in result.output


def test_a_stack_that_is_not_there_is_named() -> None:
    result = reviewed("--stack", "moon")
    assert result.exit_code == 1
    assert "Pulumi.moon.yaml is missing" in result.output


def test_a_folder_without_a_run_is_named(tmp_path: Path) -> None:
    result = reviewed("--from", "local", "--data", str(tmp_path))
    assert result.exit_code == 1
    assert "No pipeline has run" in result.output


def test_azure_needs_a_subscription() -> None:
    result = reviewed("--from", "azure")
    assert result.exit_code == 1
    assert "--subscription" in result.output
