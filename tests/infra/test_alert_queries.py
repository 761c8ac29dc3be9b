"""The query of every log alert is what Kusto's own parser takes, over the columns that the workspace has."""

from __future__ import annotations

import re
from functools import cache

import pytest

from infra.policies.rules import at
from tests.infra.deployments import recording
from tests.infra.published_checks import published
from tests.infra.recorded import of_type
from tests.support.kusto_checker import Findings, check_kql

pytestmark = pytest.mark.kusto
LIVE_STORE = re.compile(r"adx\('[^']+'\)\.")
"""How a query of the workspace names the live store, whose tables the parser has by themselves."""


def tables() -> str:
    """The tables of the workspace as a script: those of Azure by its reference, ours by what the stack makes."""
    columns = dict(published("log_tables")["tables"])
    for table in of_type(recording("prod"), "operationalinsights:Table"):
        columns[table.inputs["tableName"]] = {one["name"]: one["type"].lower() for one in at(table.inputs, "schema.columns")}
    told = {name: ", ".join(f"{column}: {kind}" for column, kind in of.items()) for name, of in columns.items()}
    return "\n\n".join(f".create-merge table {name} ({of})" for name, of in told.items())


@cache
def checked() -> tuple[dict[str, str], Findings]:
    """The queries by rule, and what the parser says of them; those of a broken one beside."""
    rules = of_type(recording("prod"), "monitor:ScheduledQueryRule")
    queries = {rule.name: LIVE_STORE.sub("", str(at(rule.inputs, "criteria.allOf")[0]["query"])) for rule in rules}
    broken = {f"broken {name}": re.sub(r"\b(RuleId|Name|Message|MetricName|windowEnd)\b", "Nam", text, count=1)
              for name, text in queries.items()}  # fmt: skip
    return queries, check_kql(queries | broken, {"workspace": tables()})


def test_every_query_is_one_over_the_columns_there_are() -> None:
    queries, found = checked()
    assert len(queries) >= 20
    assert [fault for fault in found.faults if not fault.startswith("broken ")] == []


def test_a_column_that_is_not_there_is_found_in_every_query() -> None:
    queries, found = checked()
    named = {fault.removeprefix("broken ").split(":")[0] for fault in found.faults if fault.startswith("broken ")}
    assert named == queries.keys()


def test_no_query_asks_for_a_column_that_azure_leaves_empty() -> None:
    """Columns that the reference calls deprecated are there, so the parser takes them, and no row has a value."""
    queries, _ = checked()
    for table, columns in published("log_tables")["deprecated"].items():
        asking = [text for text in queries.values() if table in text]
        assert asking and not [one for text in asking for one in columns if re.search(rf"\b{one}\b", text)]


def test_every_split_is_by_a_column_of_the_result() -> None:
    _, found = checked()
    for rule in of_type(recording("prod"), "monitor:ScheduledQueryRule"):
        split = {one["name"] for one in at(rule.inputs, "criteria.allOf")[0].get("dimensions") or ()}
        assert split <= found.columns[rule.name].keys(), rule.name
