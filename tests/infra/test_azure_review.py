"""docs/azure-review.md, the checklist of a reviewer: a verdict per line, and whatever a line says to hold it does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from infra.policies.rules import at
from tests.infra.checks import CHECKS
from tests.infra.deployments import recording
from tests.infra.published_checks import published
from tests.infra.recorded import of_type
from tests.support.shared_data import REPOSITORY

PAGE = (REPOSITORY / "docs" / "azure-review.md").read_text(encoding="utf-8")
VERDICTS = {"met", "optional", "waived", "does not apply"}
NAMES_OF_CHECKS = {check.__name__ for check in CHECKS}


@dataclass(frozen=True)
class Line:
    """A line of the checklist, in the section of its baseline."""

    baseline: str
    asked: str
    verdict: str
    held_by: str


def lines() -> Iterator[Line]:
    for section in PAGE.split("\n## ")[1:]:
        rows = re.findall(r"^\| (.*?) \| (.*?) \| (.*) \|$", section, re.MULTILINE)
        yield from (Line(section.split("\n")[0].split(":")[0].split(" ")[0], *row) for row in rows if row[0] != "line")


LINES = list(lines())
HOLDERS = sorted({(holder, line.verdict) for line in LINES for holder in re.findall(r"`([^`]+)`", line.held_by)})
PROPERTIES = [holder for holder, verdict in HOLDERS if verdict == "met" and re.match(r"\w+:\w+ ", holder)]


def test_every_baseline_has_its_lines() -> None:
    count = {name: sum(line.baseline == name for line in LINES) for name in ("AVM", "PSRule", "WAF", "MCSB", "AMBA")}
    assert count == {"AVM": 9, "PSRule": 39, "WAF": 13, "MCSB": 19, "AMBA": len(published("baseline_alerts")["rules"])}
    assert len({(line.baseline, line.asked) for line in LINES}) == len(LINES)


@pytest.mark.parametrize("line", LINES, ids=lambda line: f"{line.baseline}: {line.asked}")
def test_every_line_has_a_verdict_and_what_holds_it_or_a_reason(line: Line) -> None:
    assert line.verdict in VERDICTS
    if line.verdict in ("waived", "does not apply"):
        assert len(line.held_by) > 20, "a reason that a reader can judge"
    else:
        assert "`" in line.held_by or "](" in line.held_by, "what holds it, by name"


@pytest.mark.parametrize("holder", PROPERTIES)
def test_a_property_that_holds_a_line_is_so_in_prod(holder: str) -> None:
    token, told = holder.split(" ")
    path, wanted = told.split("=")
    resources = of_type(recording("prod"), token)
    assert resources, f"prod has no {token}"
    found = {resource.name: str(at(resource.inputs, path)) for resource in resources}
    assert {value.lower() for value in found.values()} == {wanted.lower()}, found


def test_every_check_test_and_key_that_is_named_exists() -> None:
    configuration = (REPOSITORY / "docs" / "configuration.md").read_text(encoding="utf-8")
    for holder, _ in HOLDERS:
        if holder.startswith("check_"):
            assert holder in NAMES_OF_CHECKS
        elif holder.startswith(("tests/", "infra/")):
            assert (REPOSITORY / holder).exists(), holder
        elif holder.startswith("azure."):
            assert f"`{holder}" in configuration, holder


def test_the_lines_of_amba_are_the_pinned_list() -> None:
    told = {line.asked: (line.verdict, line.held_by) for line in LINES if line.baseline == "AMBA"}
    for rule in published("baseline_alerts")["rules"]:
        differs = (f"{name} {one['ours']}: {one['because']}" for name, one in rule.get("differs", {}).items())
        verdict = ("met", "; ".join([f"`{rule['taken']}`", *differs])) if "taken" in rule else ("waived", rule["waived"])
        assert told[f"`{rule['service'].removeprefix('Microsoft.')}` {rule['name']}"] == verdict
