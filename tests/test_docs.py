"""The documentation, held to the code: what exists is documented, and what is documented exists."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest
import typer.main
from typer.core import TyperGroup

from cli.main import app
from tests.support.rules import RULES
from tests.support.shared_data import REPOSITORY

README = (REPOSITORY / "README.md").read_text(encoding="utf-8")


def documented(pattern: str, text: str) -> set[str]:
    return set(re.findall(pattern, text, re.MULTILINE))


def config_keys(schema: dict[str, Any], root: dict[str, Any], path: str = "") -> Iterator[str]:
    """Every key a stack file may have; `<slug>` and `<rule>` stand for names people choose, `<kind>` for a kind of contact."""
    if "$ref" in schema:
        schema = root["$defs"][schema["$ref"].rsplit("/", 1)[1]]
    for key, value in schema.get("properties", {}).items():
        yield f"{path}{key}"
        yield from config_keys(value, root, f"{path}{key}.")
    if "then" in schema.get("items", {}):
        yield from config_keys(schema["items"]["then"], root, re.sub(r"[a-z]+\.$", "<kind>[].", path))
    inner = schema.get("additionalProperties")
    if isinstance(inner, dict):
        name = "<slug>" if path == "cities." else "<rule>"
        yield from config_keys(inner, root, f"{path}{name}.")


def test_every_stack_key_is_documented_and_every_documented_key_exists() -> None:
    schema = json.loads((REPOSITORY / "infra/settings/stack.schema.json").read_text(encoding="utf-8"))
    text = (REPOSITORY / "docs/configuration.md").read_text(encoding="utf-8")
    assert documented(r"^\| `([^`]+)`", text) == set(config_keys(schema, schema))


def test_what_a_laptop_does_to_a_run_is_held_by_tests_that_are_there() -> None:
    page = (REPOSITORY / "docs/stages/laptop.md").read_text(encoding="utf-8").split("## Where it runs")[0]
    rows = [line for line in page.splitlines() if line.startswith("| ")][1:]
    assert all(re.search(r"`test_\w+`", row) for row in rows)
    files = [*(REPOSITORY / "tests").glob("[!n]*/**/test_*.py"), *(REPOSITORY / "packages").glob("*/tests/test_*.py")]
    known = {name for file in files for name in documented(r"^ *(?:async )?def (test_\w+)", file.read_text(encoding="utf-8"))}
    assert documented(r"`(test_\w+)`", page) - known == set()


def test_every_command_is_documented_and_every_documented_command_exists() -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    assert documented(r"^\| `roompulse ([a-z-]+)`", README) == set(group.list_commands(typer.Context(group)))


@pytest.mark.parametrize("name", ["reports", "scenario", "query", "alerts", "new"])
def test_every_subcommand_is_in_the_readme(name: str) -> None:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    subcommands = group.get_command(typer.Context(group), name)
    assert isinstance(subcommands, TyperGroup)
    (row,) = re.findall(rf"^\| `roompulse {name}` \|(.*)$", README, re.MULTILINE)
    assert documented(r"`([a-z-]+)`", row) == set(subcommands.commands)


def test_make_targets_in_the_readme_exist() -> None:
    targets = documented(r"^([a-z]+):.*##", (REPOSITORY / "Makefile").read_text(encoding="utf-8"))
    assert documented(r"\bmake ([a-z]+)\b", README) <= targets


def test_every_link_of_the_documentation_leads_somewhere() -> None:
    broken = []
    for page in [REPOSITORY / "README.md", *(REPOSITORY / "docs").rglob("*.md"), *(REPOSITORY / "packages").rglob("*.md")]:
        for target in documented(r"\]\(([^)#]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in target and not (page.parent / target).exists():
                broken.append(f"{page.relative_to(REPOSITORY)}: {target}")
    assert not broken


def test_every_decision_is_in_the_index() -> None:
    folder = REPOSITORY / "docs/decisions"
    index = (folder / "README.md").read_text(encoding="utf-8")
    missing = [page.name for page in folder.glob("[0-9]*.md") if f"({page.name})" not in index]
    assert missing == [], "add a row to docs/decisions/README.md"


def test_every_stage_has_its_page() -> None:
    architecture = (REPOSITORY / "docs/architecture.md").read_text(encoding="utf-8")
    pages = {f"stages/{page.name}" for page in (REPOSITORY / "docs/stages").glob("*.md")}
    assert pages <= documented(r"\]\((stages/[^)]+)\)", architecture)


def test_every_message_type_is_in_the_contracts_and_the_other_way_round() -> None:
    contracts = (REPOSITORY / "docs/contracts.md").read_text(encoding="utf-8")
    sources = "\n".join(path.read_text(encoding="utf-8") for path in (REPOSITORY / "processors/contracts").glob("*.json"))
    kind = r"(roompulse\.[a-z]+\.v\d+)"
    assert documented(kind, contracts) == documented(kind, sources)


def test_every_runbook_names_its_rule() -> None:
    for rule in RULES:
        assert (REPOSITORY / rule.runbook).read_text(encoding="utf-8").startswith(f"# {rule.id}:")


def test_every_alert_rule_is_in_the_table_of_rules_with_its_severity() -> None:
    table = (REPOSITORY / "docs/stages/alert-rules.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| \[([a-z-]+)\]\(\.\./runbooks/([a-z-]+)\.md\) \|[^|]+\| (\d) \|", table, re.MULTILINE)
    rules = {(rule.id, rule.id, str(rule.severity)) for rule in RULES}
    missing, wrong = sorted(rules - set(rows)), sorted(set(rows) - rules)
    assert not missing, f"docs/stages/alert-rules.md lacks a row, or its severity: [ID](../runbooks/ID.md) | ... | {missing}"
    assert not wrong, f"docs/stages/alert-rules.md has rows of no rule: take them out, or fix the severity: {wrong}"
    assert len(rows) == len(rules), "a rule is in the table twice"
