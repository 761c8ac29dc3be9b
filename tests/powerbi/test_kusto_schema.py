"""The live tables are declared once: powerbi/kusto/tables.kql, held to the contract page."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from pathlib import Path

import pytest

from activator.declarations import DeclarationError
from infra.fabric.eventhouse import PARTITION
from local.lake.tables import READINGS, live_tables
from powerbi.kusto_schema import DAYS_SHOWN, FOLDER, KustoColumn, hot_days, read_tables, read_views
from powerbi.reading import reads_of, report_functions

ROOT = Path(__file__).resolve().parents[2]
_AZURE = json.loads((ROOT / "infra" / "settings" / "stack.schema.json").read_text(encoding="utf-8"))["$defs"]["azure"][
    "properties"
]
LEAST_HOT_DAYS = min(_AZURE[place]["properties"]["hotDays"]["minimum"] for place in ("kusto", "fabric"))
CONTRACTS = (ROOT / "docs" / "contracts.md").read_text(encoding="utf-8")


def contract_output(output: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Key and columns of an output of the query, from the contract page's table."""
    outputs = CONTRACTS.partition("## Outputs of the query")[2].replace(r"\|", "or")
    row = next(line for line in outputs.splitlines() if line.startswith(f"| `{output}` | "))
    key, columns = row.split("|")[3:5]
    without_remarks = re.sub(r"\([^)]*\)", "", columns)
    return tuple(re.findall(r"`(\w+)`", key)), tuple(re.findall(r"`(\w+)`", without_remarks))


@pytest.mark.parametrize(("output", "table"), [("processed", "Processed"), ("cityminute", "CityMinute"), ("alerts", "Alerts")])
def test_columns_and_keys_are_those_of_the_contract(output: str, table: str) -> None:
    """All but the number of the partition, by which the service writes rows (docs/decisions/0015)."""
    key, columns = contract_output(output)
    assert tuple(read_tables()[table].types) == tuple(column for column in columns if column != PARTITION)
    assert live_tables()[table].key == key


def test_readings_have_the_columns_and_the_key_of_the_contract() -> None:
    key, columns = contract_output("lake")
    assert (READINGS.key, tuple(READINGS.columns)) == (key, columns)


def test_arrays_of_the_contract_are_dynamic_and_times_are_datetime() -> None:
    types = {name: kind for table in read_tables().values() for name, kind in table.types.items()}
    assert {name for name, kind in types.items() if kind == "dynamic"} == {"errorCodes", "signals", "details"}
    assert {name for name, kind in types.items() if kind == "datetime"} == {"observedAt", "statusSince", "windowEnd", "startedAt"}


def test_quarantined_fields_come_from_inside_the_cloud_event() -> None:
    columns = {column.name: column for column in read_tables()["DeadLetter"].columns}
    assert columns["observedAt"] == KustoColumn("observedAt", "datetime", "$.time")
    fields = re.search(r"`data` is `\{([^}]*)\}`", CONTRACTS)
    assert fields is not None
    for field in re.findall(r"(\w+)\??(?: \([^)]*\))?(?:,|$)", fields[1]):
        assert columns[field].path == f"$.data.{field}"


def test_dead_letter_has_the_columns_of_the_contract() -> None:
    sentence = re.search(r"row of table `DeadLetter`, key `id`:(.*?)\.", CONTRACTS, re.DOTALL)
    assert sentence is not None
    assert re.findall(r"`(\w+)`", re.sub(r"\([^)]*\)", "", sentence[1])) == list(read_tables()["DeadLetter"].types)


def test_every_live_table_takes_rows_as_they_come() -> None:
    """A reading in a batch waits ten seconds at least."""
    script = (FOLDER / "tables.kql").read_text(encoding="utf-8")
    assert {name for name in read_tables() if f".alter table {name} policy streamingingestion enable\n" in script} == set(
        read_tables()
    )


def test_every_view_summarises_a_live_table() -> None:
    assert {view.source for view in read_views().values()} <= set(read_tables())


READS = [(function, source, span) for function in report_functions() for source, span in reads_of(function)]


def test_the_days_that_are_kept_are_those_that_are_shown() -> None:
    assert max(span for _, _, span in READS if span) == timedelta(days=DAYS_SHOWN)


@pytest.mark.parametrize(("function", "source", "span"), READS, ids=str)
def test_what_is_shown_is_in_the_fast_cache_whatever_the_stacks_hot_days(
    function: str, source: str, span: timedelta | None
) -> None:
    least = timedelta(days=hot_days().get(source, LEAST_HOT_DAYS))
    assert span is not None, f"{function} reads all of {source}"
    assert span <= least


def test_no_page_reads_readings_of_more_than_some_hours() -> None:
    """Two weeks of readings are millions of rows for each visual and minute; the views hold their sums."""
    assert max(span for _, source, span in READS if source == "Processed" and span) <= timedelta(hours=3)


def test_a_caching_policy_is_of_something_that_is_there() -> None:
    assert hot_days().keys() <= {*read_tables(), *read_views()}


def test_a_column_of_an_unknown_type_is_named(tmp_path: Path) -> None:
    declaration = tmp_path / "tables.kql"
    declaration.write_text(".create-merge table T (a: string, b: json)\n")
    with pytest.raises(DeclarationError, match=r"tables.kql  column b of T has type 'json': use one of string, datetime"):
        read_tables(declaration)


def test_a_mapping_must_name_the_columns_in_order(tmp_path: Path) -> None:
    declaration = tmp_path / "tables.kql"
    mapping = '[{"column": "b", "Properties": {"Path": "$.b"}}]'
    declaration.write_text(
        f'.create-merge table T (a: string)\n\n.create-or-alter table T ingestion json mapping "T"\n```{mapping}```\n'
    )
    with pytest.raises(DeclarationError, match="mapping of T must name the columns of the table, in their order"):
        read_tables(declaration)


def test_a_command_that_is_not_understood_is_quoted(tmp_path: Path) -> None:
    declaration = tmp_path / "views.kql"
    declaration.write_text(".drop table Processed\n")
    with pytest.raises(
        DeclarationError, match=r"can't understand `.drop table Processed`: expected .create-or-alter materialized"
    ):
        read_views(declaration)
    with pytest.raises(DeclarationError, match=r"can't understand `.drop table Processed`: expected a table"):
        read_tables(declaration)
