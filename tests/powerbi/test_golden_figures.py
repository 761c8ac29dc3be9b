"""Every figure of the golden rows is the recorded one, and a changed measure, join or filter moves one of them.

A figure that moves on purpose: ROOMPULSE_UPDATE_SNAPSHOTS=1, and read the difference. What is true is counted anew, without the
functions and the measures, in test_measures.py.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import duckdb
import pytest

from powerbi.semantic_model import read_model
from tests.support.dax_engine import Measures, parsed_model
from tests.support.report_golden import all_measures, figures, golden
from tests.support.report_store import FUNCTIONS, VIEWS, ReportStore, Row

RECORDED = Path(__file__).parent / "golden_figures.json"
TABLES = {table.function: name for name, table in read_model().tables.items()}
RELATIONSHIPS = [f"{one['FromTable']}.{one['FromColumn']}" for one in parsed_model()["relationships"]]

Ways = tuple[tuple[str, str | Callable[[re.Match[str]], str], str], ...]

KQL: Ways = (
    (r"^\| where .*$", "", "without a filter"),
    (r"kind = inner", "kind = leftouter", "rows that match nothing stay"),
    (r"ago\((\d+)([dhm])\)", lambda found: f"ago({int(found[1]) * 2}{found[2]})", "twice as far back"),
    (r" == ('\w+'|1\b)", r" != \1", "everything else"),
    (r"\bmin_of\(", "max_of(", "the later of two"),
    (r"\bmax_of\(", "min_of(", "the earlier of two"),
    (r"\bmin\(", "max(", "the last"),
    (r"\bmax\(", "min(", "the first"),
    (r"\bsumif\(value, signalName == ", "countif(signalName != ", "a count for a sum"),
    (r"\bsum\(", "avg(", "a mean for a sum"),
    (r"\b15m\b", "1h", "hours for quarters"),
    (r" - 1m\b", "", "a minute later"),
    (r"Readings > 0\b", "Readings > 1", "two readings where one is enough"),
    (r" and isnotnull\(\w+\)", "", "readings without a value"),
    (r"\band local\b", "or local", "one of two is enough"),
    (r"startofday\(datetime_utc_to_local\((.+?), timeZone\)\)", r"startofday(\1)", "UTC's day for the city's"),
    (r"datetime_utc_to_local\((\w+), timeZone\)", r"\1", "UTC for the city's clock"),
)  # fmt: skip
"""How a function is made wrong: what is replaced, by what, and what that means."""
DAX: Ways = (
    (r">= ", "> ", "the edge is out"),
    (r"<= ", "< ", "the edge is out"),
    (r"\] > 0\b", "] >= 0", "the edge is in"),
    (r" = (?=\")", " <> ", "everything else"),
    (r" = TRUE", " <> TRUE", "everything else"),
    (r"<> \"\"", '= ""', "of no room"),
    (r"<> \"unknown\"", '= "unknown"', "what is not known"),
    (r"\bSUM \(", "AVERAGE (", "a mean for a sum"),
    (r"\bAVERAGE \(", "SUM (", "a sum for a mean"),
    (r"\bMAX \(", "MIN (", "the least"),
    (r"IF \( \[[^]]+\] > 0, 0 \)", "0", "0 where nothing is known"),
    (r"IF \( \[[^]]+\] > 0, 0 \)", "BLANK ()", "blank where nothing is wrong"),
    (r" - ", " + ", "added"),
    (r" \+ 0,", ",", "no row is no 0"),
    (r"\"down\"", '"up"', "another health"),
    (r"TREATAS \(.*?\] \), (\w+\[\w+\]) \)", r"ALL ( \1 )", "of all"),
)
"""How a measure is made wrong."""

ONE_VALUE = "there is one value, or none"
SPARES = "what is older is left out by another filter as well; this one spares reading it"
NULL = "what matches nothing has no time or no minutes, and the filter behind it leaves that out"
EQUIVALENT = {
    "ReportedOfficeHours: rows that match nothing stay (kind = inner, 1)": NULL,
    "ReportedOfficeHours: rows that match nothing stay (kind = inner, 2)": "every city is known by then",
    "ReportedOfficeHours: twice as far back (ago(32d), 1)": SPARES,
    "ReportDevices: twice as far back (ago(3h), 1)": SPARES,
    "ReportDevices: the first (max(, 2)": ONE_VALUE,
    **{f"ReportRooms: the first (max(, {number})": ONE_VALUE for number in range(1, 9)},
    **{f"ReportBookingDays: a mean for a sum (sum(, {number})": "it is asked whether there is any" for number in (3, 5)},
    "ReportDowntime: rows that match nothing stay (kind = inner, 1)": NULL,
    "ReportDowntime: rows that match nothing stay (kind = inner, 2)": "every outage matches itself",
    "ReportDowntime: rows that match nothing stay (kind = inner, 3)": NULL,
    "ReportDowntime: twice as far back (ago(32d), 1)": SPARES,
    **{f"ReportCityMinutes: the first (max(, {number})": ONE_VALUE for number in range(1, 3)},
}
"""Changes that nobody could see, each with why."""


@cache
def store() -> ReportStore:
    return golden()


@cache
def rows() -> dict[str, list[Row]]:
    return {name: store().rows(f"{function}()") for function, name in TABLES.items()}


@cache
def true_rows() -> dict[str, list[str]]:
    return {name: _sorted(table) for name, table in rows().items()}


@cache
def truth() -> dict[str, Any]:
    return figures(Measures(rows()), all_measures())


def as_text(value: Any) -> Any:
    return value.isoformat() if isinstance(value, datetime) else round(value, 9) if isinstance(value, float) else value


def test_the_figures_are_those_recorded() -> None:
    found = {
        "figures": {name: as_text(value) for name, value in truth().items()},
        "rows": {
            name: sorted(json.dumps({k: as_text(v) for k, v in row.items()}) for row in table) for name, table in rows().items()
        },
    }
    if os.environ.get("ROOMPULSE_UPDATE_SNAPSHOTS"):
        RECORDED.write_text(json.dumps(found, indent=0, ensure_ascii=False) + "\n", encoding="utf-8")
    assert found == json.loads(RECORDED.read_text(encoding="utf-8"))


def changes(text: str, ways: Ways) -> Iterator[tuple[str, str]]:
    """Every way in which a text can be made wrong at one place, by what it says and which of its kind it is."""
    for pattern, instead, meaning in ways:
        for number, found in enumerate(re.finditer(pattern, text, re.MULTILINE), 1):
            wrong = found.expand(instead) if isinstance(instead, str) else instead(found)
            what = found[0].removeprefix("| where ").strip()
            yield f"{meaning} ({what}, {number})", text[: found.start()] + wrong + text[found.end() :]


ASKED = {name: kql for name, kql in VIEWS.items() if any(re.search(rf"\b{name}\b", body) for body in FUNCTIONS.values())}
"""The views that functions of the model read."""
DEFINITIONS = {**FUNCTIONS, **ASKED}


def definitions_changed() -> dict[str, tuple[str, str]]:
    return {f"{name}: {what}": (name, wrong) for name, body in DEFINITIONS.items() for what, wrong in changes(body, KQL)}


def callers(definition: str) -> Iterator[str]:
    """The functions of the model that a function or view decides, itself included."""
    if definition in TABLES:
        yield definition
    for name, body in FUNCTIONS.items():
        if re.search(rf"\b{definition}\b", body):
            yield from callers(name)


@pytest.mark.parametrize("definition", DEFINITIONS)
def test_a_changed_filter_or_join_moves_a_row(definition: str) -> None:
    true_rows()  # of the deployed views, so before one is changed
    survivors = []
    for what, (_, wrong) in ((what, one) for what, one in definitions_changed().items() if one[0] == definition):
        if what not in EQUIVALENT and not _moves(definition, wrong):
            survivors.append(what)
    assert not survivors


def _moves(definition: str, wrong: str) -> bool:
    if definition in FUNCTIONS:
        return _differ(definition, {**FUNCTIONS, definition: wrong})
    try:
        with store().with_view(definition, wrong):
            return _differ(definition, FUNCTIONS)
    except (duckdb.Error, ValueError):
        return True  # it doesn't run


def _differ(definition: str, functions: Mapping[str, str]) -> bool:
    try:
        return any(
            _sorted(store().rows(f"{name}()", functions)) != true_rows()[TABLES[name]]
            for name in dict.fromkeys(callers(definition))
        )
    except (duckdb.Error, ValueError):
        return True  # it doesn't run


def _sorted(table: list[Row]) -> list[str]:
    return sorted(json.dumps(row, default=str, sort_keys=True) for row in table)


@pytest.mark.parametrize("measure", all_measures())
def test_a_changed_measure_moves_a_figure(measure: str) -> None:
    expression = parsed_model()["measures"][measure]
    wrong = dict(changes(expression, DAX))
    told = {name: value for name, value in truth().items() if name.startswith(f"{measure} · ")}
    survivors = [what for what, dax in wrong.items() if f"{measure}: {what}" not in EQUIVALENT and _figures(measure, dax) == told]
    assert not survivors


def _figures(measure: str, dax: str) -> dict[str, Any]:
    model = parsed_model()
    return figures(Measures(rows(), {**model, "measures": {**model["measures"], measure: dax}}), (measure,))


@pytest.mark.parametrize("relationship", RELATIONSHIPS)
def test_a_relationship_that_is_missing_moves_a_figure(relationship: str) -> None:
    model = parsed_model()
    kept = [one for name, one in zip(RELATIONSHIPS, model["relationships"], strict=True) if name != relationship]
    without = Measures(rows(), {**model, "relationships": kept})
    assert any(figures(without, (measure,)).items() - truth().items() for measure in all_measures())


def test_every_equivalent_change_is_one_there_is() -> None:
    assert EQUIVALENT.keys() <= definitions_changed().keys()
