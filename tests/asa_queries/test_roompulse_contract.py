"""The query, its folder and the contracts say the same."""

# ruff: noqa: E501 (queries read best on one line)
from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from asa_engine import commands
from asa_engine.types import RECORD, type_of_json_schema
from local.lake.tables import READINGS
from processors.ingest.health import HEALTH_OF_STATUS, health_of
from tests.support.observations import minute, observation, rule, signal
from tests.support.roompulse_query import JOB, results
from tests.support.shared_data import REPOSITORY

FOLDER = REPOSITORY / "asa-queries" / "roompulse"


def test_the_query_has_no_fault_and_no_doubtful_place() -> None:
    checked = commands.check(FOLDER)
    assert checked.is_clean, checked.render()


def test_outputs_have_the_columns_of_the_contract_in_its_order() -> None:
    contract = (REPOSITORY / "docs" / "contracts.md").read_text(encoding="utf-8").split("## Outputs of the query")[1]
    for output in commands.explain(FOLDER).outputs:
        row = next(line for line in contract.splitlines() if line.startswith(f"| `{output.name}` |"))
        listed = re.sub(r"\([^)]*\)", "", re.split(r"(?<!\\)\|", row)[4])
        assert [name for name, _ in output.columns if name != "Table"] == re.findall(r"`(\w+)`", listed)


def test_the_lake_output_fits_the_table_readings() -> None:
    kinds = {"nvarchar(max)": "VARCHAR", "datetime": "TIMESTAMPTZ", "float": "DOUBLE", "bigint": "BIGINT"}
    (lake,) = (output for output in commands.explain(FOLDER).outputs if output.name == "lake")
    assert {name: kinds[kind] for name, kind in lake.columns} == dict(READINGS.columns)


def test_the_shape_of_observations_is_that_of_their_json_schema() -> None:
    contract = json.loads((REPOSITORY / "processors" / "contracts" / "observation.v1.schema.json").read_text(encoding="utf-8"))
    shape = dict(
        type_of_json_schema(json.loads((FOLDER / "Inputs" / "observations.schema.json").read_text(encoding="utf-8"))).fields
    )
    promised = dict(type_of_json_schema(contract).fields)
    in_data, promised_in_data = dict(shape.pop("data").fields), dict(promised["data"].fields)
    assert shape == {name: promised[name] for name in shape}
    assert in_data.pop("details") == RECORD, "handed on whole: what is in it concerns the query nothing"
    assert in_data == {name: kind for name, kind in promised_in_data.items() if name != "details"}


DETAILS = {"serial": "FOC1", "floor": "Floor 3", "room": {"issues": [{"title": "Ein Kabel fehlt", "level": "error"}]}, "new": [1]}


def test_details_reach_the_live_rows_and_both_ends_of_an_alert_as_they_are() -> None:
    values = [(0, 0, None), (1, 1, DETAILS), (2, 0, {"serial": "FOC2"})]
    events = [
        observation(minute(n), [signal(value, [rule(for_seconds=0)])], "room-bar-1", **({"details": details} if details else {}))
        for n, value, details in values
    ]
    found = results(events)
    assert [row.get("details") for row in found["processed"]] == [details for _, _, details in values]
    assert [(row["state"], row["details"]) for row in found["alerts"]] == [("fired", DETAILS), ("resolved", {"serial": "FOC2"})]


def test_hub_outputs_name_their_table_and_keep_an_entity_together() -> None:
    """The ingest sends all of an entity into one partition, and what is keyed by the partition stays in one."""
    keys = {name: output.partition_key for name, output in JOB.outputs.items() if output.hub}
    assert keys == {"processed": "PartitionId", "alerts": "PartitionId", "cityminute": "cityId"}
    assert {output.property_columns for output in JOB.outputs.values() if output.hub} == {("Table",)}


def test_azure_can_run_all_of_the_query_by_partition_but_the_sum_over_a_city() -> None:
    places = commands.explain(FOLDER).keyed
    assert {place.name for place in places if place.breaks} == {"cityMinutes", "cityminute"}
    assert {place.name for place in places if not place.breaks} == {
        "observation", "timely", "edge", "breach", "alarm", "turn", "tally", "processed", "alerts"
    }  # fmt: skip


@pytest.mark.parametrize("status", [*sorted(HEALTH_OF_STATUS), "pending", None, "CONNECTED"])
def test_the_query_knows_health_as_the_ingest_does(status: str | None) -> None:
    more = {"connectionStatus": status}
    event = observation(minute(0), [])
    event["data"] |= more
    if status is None:
        del event["data"]["connectionStatus"]
    (row,) = results([event])["processed"]
    assert row["health"] == health_of(status.lower() if status else None)


def test_an_observation_passes_unchanged_with_its_arrays() -> None:
    event = observation(minute(0), [signal(1, [rule()], text="x"), signal(21.5, name="temperature")], errorCodes=["a", "b"])
    (row,) = results([event])["processed"]
    assert row["signals"] == event["data"]["signals"], "fields that were not sent stay unsent"
    assert (row["errorCodes"], row["observedAt"], row["Table"]) == (["a", "b"], event["time"], "Processed")


def test_history_has_a_row_per_signal_and_one_for_an_observation_without_signals() -> None:
    events = [observation(minute(0), [signal(1), signal(2, name="issues")]), observation(minute(1), [])]
    rows = results(events)["lake"]
    assert [(row["id"], row["signal"], row["value"]) for row in rows] == [
        (events[0]["id"], "offline", 1.0), (events[0]["id"], "issues", 2.0), (events[1]["id"], "", None),
    ]  # fmt: skip
    assert {row["date"] for row in rows} == {minute(0)[:10]}


def test_a_city_minute_counts_what_was_read_in_it() -> None:
    events = [
        observation(minute(n), [signal(value, name="temperature")], f"room-{n}")
        for n, value in ((0.5, 20), (0.75, 24), (1.5, 30))
    ]
    rows = results(events)["cityminute"]
    assert [(row["windowEnd"][:19], row["signal"], row["readings"], row["mean"], row["minimum"], row["maximum"]) for row in rows] == [
        (minute(1)[:19], "temperature", 2, 22.0, 20.0, 24.0), (minute(2)[:19], "temperature", 1, 30.0, 30.0, 30.0),
    ]  # fmt: skip


def test_no_column_is_of_one_type_in_one_record_and_of_another_in_the_next() -> None:
    assert [f"{column.output}.{column.column}: {column}" for column in commands.types(FOLDER) if column.differs] == []


RESERVED = frozenset((Path(__file__).parent / "reserved_words.txt").read_text(encoding="utf-8").split())
"""Of Transact-SQL and ODBC, those that could be taken for names:
learn.microsoft.com/sql/t-sql/language-elements/reserved-keywords-transact-sql."""


def test_no_name_in_the_query_is_a_reserved_word_without_brackets() -> None:
    """Which words the service's compiler reserves is documented nowhere; in brackets any word is a name."""
    text = re.sub(r"--.*|'[^']*'", "", JOB.query)
    bare = {word.lower() for word in re.findall(r"(?<![\[\w])[A-Za-z_]\w*(?![\]\w])", text)}
    assert bare & RESERVED == {*["count", "day", "end", "float", "last", "lower", "minute", "timestamp", "when", "where"]}, (
        "of the language"
    )


def test_rows_are_the_same_however_entities_are_spread_over_partitions() -> None:
    """Three cities, a room in each partition of each: minutes are summed over partitions, alerts found within one."""
    events = [
        observation(minute(n), [signal(n % 2, [rule(for_seconds=0)]), signal(20 + room, name="temperature")], f"room-{room}",
                    cityId=f"city-{room % 3}")
        for n in range(4) for room in range(12)
    ]  # fmt: skip
    spread = [[{**row, "PartitionId": None} for row in rows] for rows in results(events, partitions=range(12)).values()]
    together = [[{**row, "PartitionId": None} for row in rows] for rows in results(events).values()]
    assert [sorted(map(str, rows)) for rows in spread] == [sorted(map(str, rows)) for rows in together]
    minutes = results(events, partitions=range(12))["cityminute"]
    assert [(row["readings"], row["mean"]) for row in minutes if (row["cityId"], row["signal"]) == ("city-0", "temperature")] == [
        (4, 24.5)
    ] * 4, "rooms 0, 3, 6 and 9"


def test_the_test_cases_of_the_folder_pass() -> None:
    found = commands.test(FOLDER)
    assert found and [case.name for case in found if not case.passed] == []


def test_the_project_lists_every_file_it_has() -> None:
    project = json.loads((FOLDER / "asaproj.json").read_text(encoding="utf-8"))
    listed = {entry["filePath"] for entry in project["configurations"]}
    present = {str(file.relative_to(FOLDER)) for folder in ("Inputs", "Outputs") for file in (FOLDER / folder).glob("*.json")}
    assert {name for name in present if not name.endswith(".schema.json")} == listed - {"JobConfig.json"}
