"""The documented behaviour of the service, case by case. What the documentation leaves open is named by the lint."""

from __future__ import annotations

import json
import re
from datetime import datetime
from typing import Any

import pytest
from query_runner import run_query

from asa_engine.errors import StreamEngineError
from asa_engine.lint import lint
from asa_engine.parser import parse
from asa_engine.time_policy import TimePolicy
from tests.support.shared_data import shared_data

CASES = "stream-analytics/conformance_cases.json"


def cases() -> list[dict[str, Any]]:
    return list(json.loads(shared_data(CASES).read_text(encoding="utf-8"))["cases"])


def executable() -> list[dict[str, Any]]:
    return [case for case in cases() if case["basis"] != "open"]


def comparable(value: Any, exact_names: bool) -> Any:
    if isinstance(value, dict):
        return tuple(
            sorted((key if exact_names else key.lower(), comparable(inner, exact_names)) for key, inner in value.items())
        )
    if isinstance(value, list):
        return tuple(comparable(inner, exact_names) for inner in value)
    if isinstance(value, float):
        return round(value, 9)
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\dT[\d:.]+Z", value):
        return datetime.fromisoformat(value.rstrip("Z")[:26])
    return value


@pytest.mark.parametrize("batches", [1, 2, 7])
def test_every_documented_case_gives_the_documented_rows(batches: int) -> None:
    assert executable()
    wrong = []
    for case in executable():
        try:
            found = run_query(
                case["query"],
                case["inputs"],
                batches=batches,
                references=case.get("refs"),
                policy=TimePolicy.of_seconds(case.get("late_s", 5), case.get("ooo_s", 0), case.get("policy", "Adjust")),
                arrival=case.get("arrival"),
                flush=not case.get("no_final_flush"),
            )
        except StreamEngineError as fault:
            if case.get("expected_error", "no error") not in str(fault).lower():
                wrong.append((case["id"], str(fault)))
            continue
        if case.get("expected_error"):
            wrong.append((case["id"], "no error"))
        for output, rows in case["expected"].items():
            exact = bool(case.get("exact_names"))
            expected = [comparable(row, exact) for row in rows]
            got = [comparable(row, exact) for row in found[output.lower()]]
            if case.get("order") != "exact":
                expected, got = sorted(expected, key=repr), sorted(got, key=repr)
            if expected != got:
                wrong.append((case["id"], f"expected {expected}, got {got}"))
    assert wrong == []


OPEN_QUERIES = {
    "open-join-subunit": "SELECT a.x INTO o FROM a TIMESTAMP BY t JOIN b ON DATEDIFF(minute, a, b) BETWEEN 0 AND 15",
    "open-string-case": "SELECT x INTO o FROM a TIMESTAMP BY t WHERE e = 'start'",
    "open-session-edge": "SELECT COUNT(*) AS n INTO o FROM a TIMESTAMP BY t GROUP BY SessionWindow(minute, 5, 20)",
}
MORE_DOUBTS = {
    "not of a comparison": "SELECT x INTO o FROM a TIMESTAMP BY t WHERE NOT (x = 1 OR x IS NULL)",
    "not of a range": "SELECT x INTO o FROM a TIMESTAMP BY t WHERE NOT x BETWEEN 1 AND 2",
}
"""Open by the reference's pages, not among the cases."""
SETTLED_OTHERWISE = {
    "open-int-division": "refused: see test_refusals",
    "open-lag-limit-edge": "inclusive: see test_analytic_functions",
    "open-ooo-arrival-based": "the rule of the time-handling page: see test_time_policy",
    "open-first-window-on-start": "a start time is a matter of the service",
}


def test_what_the_documentation_leaves_open_is_reported_or_decided() -> None:
    assert {case["id"] for case in cases() if case["basis"] == "open"} == set(OPEN_QUERIES) | set(SETTLED_OTHERWISE)


@pytest.mark.parametrize("query", [*OPEN_QUERIES.values(), *MORE_DOUBTS.values()])
def test_the_lint_names_a_doubtful_place_and_the_way_out(query: str) -> None:
    (doubt,) = lint(parse(query))
    assert doubt.advice


def test_what_says_what_null_means_leaves_no_doubt() -> None:
    assert lint(parse("SELECT x INTO o FROM a TIMESTAMP BY t WHERE NOT (x IS NULL) AND (x <> 1 OR x IS NULL)")) == []
