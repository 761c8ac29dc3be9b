"""Runs the test cases of a job folder: the format of the service's own test tool."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Set
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asa_engine.configuration import Configuration
from asa_engine.errors import StreamEngineError
from asa_engine.feed import Feed, feed_all, rows_of
from asa_engine.job_folder import JobFolder


@dataclass(frozen=True)
class CaseResult:
    """How a test case of a job folder ended: per output, expected rows that are missing and rows nobody expected."""

    name: str
    missing: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    unexpected: Mapping[str, list[dict[str, Any]]] = field(default_factory=dict)
    error: str = ""
    left_out: tuple[str, ...] = ()
    """The first events that couldn't be read, with the reason: on Azure they go to the diagnostic log."""

    @property
    def passed(self) -> bool:
        """Whether every output was as expected."""
        return not self.error and not any(self.missing.values()) and not any(self.unexpected.values())


def run_case(job: JobFolder, case: Configuration) -> CaseResult:
    """Run one case, as `testConfig.json` describes it; its files lie beside that. Raises JobFolderError."""
    name, folder = case.needed_text("Name"), case.file.parent
    inputs = {entry.needed_text("InputAlias"): entry.beside(folder, "FilePath") for entry in case.parts("Inputs")}
    try:
        produced, left_out = produced_in_order(job, inputs)
    except StreamEngineError as fault:
        return CaseResult(name, error=str(fault))
    missing: dict[str, list[dict[str, Any]]] = {}
    unexpected: dict[str, list[dict[str, Any]]] = {}
    for expected in case.parts("ExpectedOutputs"):
        alias = expected.needed_text("OutputAlias")
        ignored = {field_name.lower() for field_name in expected.texts("IgnoreFields")}
        wanted = rows_of(expected.beside(folder, "FilePath"))
        missing[alias], unexpected[alias] = compared_rows(wanted, produced.get(alias.lower(), []), ignored)
    return CaseResult(name, missing, unexpected, left_out=left_out)


def compared_rows(
    wanted: list[dict[str, Any]], got: list[dict[str, Any]], ignored: Set[str] = frozenset(), digits: int = 17
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows that are missing and those nobody wanted, whatever their order; numbers are equal when so many digits are."""
    expected = Counter(_comparable(row, ignored, digits) for row in wanted)
    found = Counter(_comparable(row, ignored, digits) for row in got)
    return [json.loads(row) for row in (expected - found).elements()], [json.loads(row) for row in (found - expected).elements()]


def produced_in_order(job: JobFolder, inputs: Mapping[str, Path]) -> tuple[dict[str, list[dict[str, Any]]], tuple[str, ...]]:
    """The rows of every output, by its name in lower case, and events that couldn't be read. Raises StreamEngineError."""
    feed = Feed(job, inputs)
    produced = _produced(feed)
    if feed.disorder:
        feed = feed.in_order()
        produced = _produced(feed)
    return produced, tuple(f"{name}: {line}" for name, some in feed.left_out.items() for line in some.shown)


def _produced(feed: Feed) -> dict[str, list[dict[str, Any]]]:
    """The rows of every output, by its name in lower case."""
    produced: dict[str, list[dict[str, Any]]] = {}
    for _ in feed_all(feed):
        for rows in feed.engine.advance():
            produced.setdefault(rows.name.lower(), []).extend(rows.rows())
    for rows in feed.engine.finish():
        produced.setdefault(rows.name.lower(), []).extend(rows.rows())
    return produced


def _comparable(row: Mapping[str, Any], ignored: Set[str], digits: int) -> str:
    """A row as text that is equal when the rows mean the same: no NULL columns, numbers as numbers, names in any case."""

    def plain(value: Any) -> Any:
        if isinstance(value, dict):
            return {key.lower(): plain(inner) for key, inner in sorted(value.items()) if inner is not None}
        if isinstance(value, list):
            return [plain(inner) for inner in value]
        if isinstance(value, int | float) and not isinstance(value, bool):
            return float(f"{value:.{digits}g}")
        return value

    return json.dumps(plain({key: value for key, value in row.items() if key.lower() not in ignored}), sort_keys=True)
