"""docs/judges.md and docs/unproven.md together name every artefact of a deployment, and the judges named there exist."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from powerbi.items import ITEM_TYPES
from tests.infra.arm_bodies import AZURE
from tests.infra.arm_template import types_of
from tests.infra.deployments import closed, recording
from tests.support.shared_data import REPOSITORY, shared_data

STACKS = sorted(path.name.split(".")[1] for path in REPOSITORY.glob("Pulumi.*.yaml"))
DYNAMIC = "pulumi-python:dynamic/"


def rows(page: str) -> Iterator[list[str]]:
    """The cells of each row of a page's tables."""
    for line in (REPOSITORY / "docs" / page).read_text(encoding="utf-8").splitlines():
        if line.startswith("|") and not re.fullmatch(r"[|\- ]+", line):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]


def named(page: str) -> set[str]:
    """The artefacts that a page names in the first column of its tables."""
    return {name for cells in rows(page) for name in re.findall(r"`([^`]+)`", cells[0])}


def resources() -> set[str]:
    """Types of resources of all stacks; `azure-native:*` stands for those that Microsoft's published data knows."""
    types = shared_data("arm-types")
    recordings = [*(recording(name) for name in STACKS), closed("prod")]
    found = set()
    for registration in (registration for recorded in recordings for registration in recorded.resources if registration.custom):
        name = registration.type.removeprefix(AZURE).removeprefix(DYNAMIC)
        found.add("azure-native:*" if types_of(registration, types) else name)
    return found


def artefacts() -> set[str]:
    """Everything that leaves this repository by a deployment, as the pages name it."""
    schema = json.loads((REPOSITORY / "infra/settings/stack.schema.json").read_text(encoding="utf-8"))
    contacts = {name.removesuffix("Contact") for name in schema["$defs"] if name.endswith("Contact")}
    webhooks = schema["$defs"]["webhookContact"]["properties"]["template"]["enum"]
    messages = {f"message {kind}" for kind in (*contacts - {"webhook"}, *webhooks)}
    apps = {f"app {path.parent.name}" for path in (REPOSITORY / "processors").glob("*/function_app.py")}
    workflows = {f"workflow {path.name}" for path in (REPOSITORY / ".github/workflows").glob("*.yml")}
    return resources() | {f"item {kind}" for kind in ITEM_TYPES} | apps | workflows | messages


@pytest.fixture(scope="module")
def expected() -> set[str]:
    return artefacts()


def test_every_artefact_has_a_judge_or_says_what_would_prove_it(expected: set[str]) -> None:
    missing = expected - named("judges.md") - named("unproven.md")
    assert not missing, "add each to a row of docs/judges.md (who judges it) or of docs/unproven.md (what would prove it)"


def test_no_page_names_an_artefact_that_is_not_there(expected: set[str]) -> None:
    kinds = r"(app|item|message|workflow) \S+|[a-z]+:[A-Za-z*]+|azure-native:\*"
    said = {name for page in ("judges.md", "unproven.md") for name in named(page) if re.fullmatch(kinds, name)}
    assert said <= expected, "take these out of docs/judges.md and docs/unproven.md"


def test_every_judge_is_run_by_tests_that_are_there() -> None:
    paths = {path for cells in rows("judges.md") for path in re.findall(r"`((?:tests|packages)/[^`]+)`", " ".join(cells))}
    assert len(paths) > 8 and all((REPOSITORY / path).exists() for path in paths)
