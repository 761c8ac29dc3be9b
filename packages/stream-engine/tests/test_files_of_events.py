"""A query of anybody's over files as people have them: what counts when, what is left out, and where the rows end up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from query_runner import at

from asa_engine.commands import Ran, check, file_name, run
from asa_engine.commands import test as run_cases
from asa_engine.event_files import regardless_of_case, shown_by_file
from asa_engine.parser import parse
from asa_engine.types import ANY, BIGINT, FLOAT, NVARCHAR, array_of, record_of

COUNT = "SELECT COUNT(*) AS n INTO o FROM e GROUP BY TumblingWindow(hour, 1)"
COPY = "SELECT id, System.Timestamp() AS t INTO o FROM e TIMESTAMP BY ts"


def ran_over(folder: Path, query: str, content: str, name: str = "e.jsonl", **options: Any) -> tuple[list[dict[str, Any]], Ran]:
    (folder / "q.asaql").write_text(query, encoding="utf-8")
    (folder / name).write_text(content, encoding="utf-8")
    ran = run(folder / "q.asaql", {"e": folder / name}, folder / "out", **options)
    lines = (folder / "out" / "o.json").read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines], ran


def lines_of(events: list[dict[str, Any]]) -> str:
    return "\n".join(map(json.dumps, events))


EVENTS: list[dict[str, Any]] = [{"id": 1, "x": "a"}, {"id": 2, "x": None}, {"id": 3}]
FORMS = {
    "lines": ("e.jsonl", lines_of(EVENTS)),
    "blank lines": ("e.json", "\n\n" + lines_of(EVENTS).replace("\n", "\n \n")),
    "array": ("e.json", json.dumps(EVENTS)),
    "printed array": ("e.json", json.dumps(EVENTS, indent=2)),
    "printed events": ("e.json", "\n".join(json.dumps(event, indent=2) for event in EVENTS)),
    "one after the other": ("e.json", "".join(map(json.dumps, EVENTS))),
    "with a mark at the beginning": ("e.json", "\ufeff" + lines_of(EVENTS)),
    "csv": ("e.csv", "id,x\r\n1,a\r\n2,\r\n3,\r\n"),
    "csv in quotes": ("e.CSV", '"id","x"\n"1","a"\n2,""\n3,\n'),
}


@pytest.mark.parametrize("form", list(FORMS))
def test_every_form_of_a_file_gives_the_same_rows(tmp_path: Path, form: str) -> None:
    name, content = FORMS[form]
    rows, ran = ran_over(tmp_path, "SELECT id, x INTO o FROM e", content, name)
    assert rows == [{"id": 1, "x": "a"}, {"id": 2}, {"id": 3}]
    assert ran.left_out["e"].count == 0


def test_without_timestamp_by_events_arrive_in_the_order_of_the_file(tmp_path: Path) -> None:
    rows, _ = ran_over(tmp_path, COUNT, lines_of(EVENTS))
    assert rows == [{"n": 3}]
    query = "SELECT id, LAG(id) OVER (LIMIT DURATION(hour, 1)) AS before INTO o FROM e"
    rows, _ = ran_over(tmp_path, query, lines_of([{"id": number} for number in (3, 1, 2)]))
    assert rows == [{"id": 3}, {"id": 1, "before": 3}, {"id": 2, "before": 1}]


@pytest.mark.parametrize("clause", ["", "TIMESTAMP BY EventEnqueuedUtcTime"])
def test_a_file_sampled_on_azure_knows_when_its_events_arrived(tmp_path: Path, clause: str) -> None:
    events = [{"id": number, "EventEnqueuedUtcTime": at(number * 3600 + 1)} for number in range(3)]
    assert len(ran_over(tmp_path, COUNT.replace("FROM e", f"FROM e {clause}"), lines_of(events))[0]) == 3


def test_time_of_arrival_is_never_1970(tmp_path: Path) -> None:
    query = "SELECT DATEPART(year, System.Timestamp()) AS y INTO o FROM e TIMESTAMP BY EventEnqueuedUtcTime"
    rows, _ = ran_over(tmp_path, query, lines_of(EVENTS))
    assert all(row["y"] >= 2026 for row in rows) and len(rows) == 3


def test_events_of_a_file_count_in_the_order_of_their_times(tmp_path: Path) -> None:
    events = [{"id": number, "ts": at(number)} for number in (5, 1, 9, 8, 0)]
    rows, _ = ran_over(tmp_path, COPY, lines_of(events))
    assert [row["id"] for row in rows] == [0, 1, 5, 8, 9]
    assert all(row["t"] == f"2026-03-01T00:00:{row['id']:02}.0000000Z" for row in rows)


@settings(max_examples=8, deadline=None)  # each runs a query over a file, mostly twice
@given(st.lists(st.integers(0, 10_000), min_size=1, max_size=30))
def test_any_order_of_a_file_gives_the_rows_of_the_sorted_one(tmp_path_factory: pytest.TempPathFactory, times: list[int]) -> None:
    folder = tmp_path_factory.mktemp("order")
    rows, _ = ran_over(folder, COPY, lines_of([{"id": number, "ts": at(number)} for number in times]))
    assert [row["id"] for row in rows] == sorted(times)


def test_with_a_column_of_arrival_the_time_policy_applies(tmp_path: Path) -> None:
    events = [{"id": 1, "ts": at(0), "came": at(60)}, {"id": 2, "ts": at(62), "came": at(61)}]
    rows, _ = ran_over(tmp_path, COPY, lines_of(events), arrival="came")
    assert [row["t"][17:19] for row in rows] == ["55", "02"]  # late by 60 s, and 5 s are allowed


def test_names_are_compared_without_case_in_events_and_query(tmp_path: Path) -> None:
    content = '{"a":1,"Rec":{"X":1}}\n{"A":2,"rec":{"x":2}}\n{"a":3}'
    rows, _ = ran_over(tmp_path, "SELECT A, REC.x AS x INTO o FROM e", content)
    assert rows == [{"A": 1, "x": 1}, {"A": 2, "x": 2}, {"A": 3}]
    declared = "CREATE TABLE e (DeviceId nvarchar(max)); SELECT deviceid INTO o FROM e"
    rows, _ = ran_over(tmp_path, declared, '{"deviceID":"x"}\n{"DEVICEID":"y"}')
    assert [list(row.values()) for row in rows] == [["x"], ["y"]]


def test_a_record_with_two_spellings_has_one_field() -> None:
    shown = record_of({"a": BIGINT, "A": FLOAT, "r": record_of({"x": NVARCHAR, "X": BIGINT})})
    assert regardless_of_case(shown) == record_of({"a": FLOAT, "r": record_of({"x": ANY})})


def test_a_bad_event_is_left_out_and_told(tmp_path: Path) -> None:
    content = f'nope\n[1]\n{{"id":2,"ts":"never"}}\n{{"id":3,"ts":"{at(3)}"}}\n{{"id": {2**63}, "ts":"{at(4)}"}}\n7'
    rows, ran = ran_over(tmp_path, COPY, content)
    assert [row["id"] for row in rows] == [3]
    assert ran.left_out["e"].count == 5
    numbered = [line.rsplit(": ", 1)[0].split(": {")[0] for line in ran.left_out["e"].shown]
    assert numbered == [
        "event 1: not valid JSON",
        "event 2: not a JSON object",
        "event 3: TIMESTAMP BY finds no time",
        "event 5: id is not a bigint",
        "event 6: not a JSON object",
    ]


@pytest.mark.parametrize("number", [2**63, 2**64, -(2**63) - 1, 10**30])
@pytest.mark.parametrize("other", ["1", "1.5"])
def test_a_whole_number_that_is_no_bigint_is_told_and_never_null(tmp_path: Path, number: int, other: str) -> None:
    rows, ran = ran_over(tmp_path, "SELECT v INTO o FROM e", f'{{"v":{number}}}\n{{"v":{other}}}\n{{"v":{2**63 - 1}}}')
    assert [row["v"] for row in rows] == [json.loads(other), json.loads(other) * 0 + 2**63 - 1]
    assert ran.left_out["e"].count == 1


@pytest.mark.parametrize("before", ['"v":', '"v" : ', '"v":\t', '"w":[1,', '"w":[', '"w": [ 1 , '])
@pytest.mark.parametrize("number", [2**63, -(2**63) - 1])
def test_a_whole_number_that_is_not_a_bigint_is_seen_wherever_it_stands(tmp_path: Path, before: str, number: int) -> None:
    (tmp_path / "e.json").write_text(f"{{{before}{number}{']' * before.count('[')}}}")
    found = shown_by_file(tmp_path / "e.json", 1000).schema.columns
    assert found == {"w": array_of(BIGINT)} if "[" in before else found == {"v": BIGINT}


def test_events_whose_ids_are_long_digits_are_not_read_one_by_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It took two thirds of what a run over such a file costs."""
    monkeypatch.setattr("asa_engine.event_files._type_of_one", lambda body: pytest.fail(f"read by itself: {body}"))
    (tmp_path / "e.json").write_text(f'{{"id":"{"7" * 32}","v":1}}\n{{"id":"-{"7" * 19}","v":0.{"3" * 20}}}')
    assert shown_by_file(tmp_path / "e.json", 1000).schema.columns == {"id": NVARCHAR, "v": FLOAT}


def test_the_query_of_a_run_is_read_once(tmp_path: Path) -> None:
    parse.cache_clear()
    ran_over(tmp_path, COPY, lines_of([{"id": 1, "ts": at(1)}]))
    assert parse.cache_info().misses == 1


def test_an_event_nested_deep_stops_nothing(tmp_path: Path) -> None:
    content = "\n".join(['{"a":' * depth + "1" + "}" * depth for depth in (120, 200, 3_000)] + ['{"id": 7}'])
    rows, _ = ran_over(tmp_path, "SELECT id INTO o FROM e", content)
    assert rows == [{}, {}, {}, {"id": 7}]


def test_an_event_of_many_records_beside_a_deep_one_shows_its_columns(tmp_path: Path) -> None:
    wide = json.dumps({"id": 7, "text": "}" * 200, "many": [{"x": "[{"}] * 200})
    rows, _ = ran_over(
        tmp_path, "SELECT id, GetArrayLength(many) AS n INTO o FROM e", '{"a":' * 130 + "1" + "}" * 130 + "\n" + wide
    )
    assert rows == [{}, {"id": 7, "n": 200}]


@pytest.mark.parametrize("expression", ["EXP(1000.0 * id)", "POWER(1e300, 2 * id)", "-EXP(1000.0 * id)"])
def test_every_row_is_json(tmp_path: Path, expression: str) -> None:
    (tmp_path / "q.asaql").write_text(f"SELECT id, {expression} AS x INTO o FROM e")
    (tmp_path / "e.json").write_text('{"id":1}')
    run(tmp_path / "q.asaql", {"e": tmp_path / "e.json"}, tmp_path)
    (line,) = (tmp_path / "o.json").read_text().splitlines()
    assert json.loads(line, parse_constant=pytest.fail) == {"id": 1}


NAMES = ["../../x", "/etc/x", "..", ".", ".hidden", "a/b", "a\\b", "C:x", "x\x00y", "%2E", "été", "with space", "a" * 50]


@pytest.mark.parametrize("name", NAMES)
def test_rows_go_only_into_the_folder(tmp_path: Path, name: str) -> None:
    (tmp_path / "q.asaql").write_text(f"SELECT id INTO [{name}] FROM e", encoding="utf-8")
    (tmp_path / "e.json").write_text('{"id":1}')
    ran = run(tmp_path / "q.asaql", {"e": tmp_path / "e.json"}, tmp_path / "deep" / "out")
    (written,) = [path for path in tmp_path.rglob("*") if path.is_file() and path.name not in ("q.asaql", "e.json")]
    assert written == ran.files[name] and written.parent == tmp_path / "deep" / "out"


@given(st.text(max_size=20), st.text(max_size=20))
def test_every_output_has_a_file_of_its_own(one: str, other: str) -> None:
    assert (file_name(one) == file_name(other)) == (one == other)
    assert not set(file_name(one)) & set('/\\:\0*?"<>|') and not file_name(one).startswith(".")


def checked(folder: Path, query: str, events: str | None = None) -> list[str]:
    (folder / "q.asaql").write_text(query)
    if events is None:
        found = check(folder / "q.asaql")
    else:
        (folder / "e.json").write_text(events)
        found = check(folder / "q.asaql", {"e": folder / "e.json"})
    return [fault.text for fault in (*found.errors, *found.doubts)]


def test_any_query_can_be_checked_without_its_events(tmp_path: Path) -> None:
    unknown = ["The columns of input e aren't known: their names and types are not checked."]
    for query in (COUNT, COPY, "SELECT a.b + 1 AS x, UPPER(c) AS y INTO o FROM e WHERE d LIKE '1%'", "SELECT r.* INTO o FROM e"):
        assert checked(tmp_path, query) == unknown
    assert checked(tmp_path, f"CREATE TABLE e (id bigint, ts datetime); {COPY}") == []


def test_a_check_with_events_knows_names_and_types(tmp_path: Path) -> None:
    assert checked(tmp_path, COPY, '{"id":1,"ts":"2026-03-01"}') == []
    assert checked(tmp_path, "SELECT UPPER(id) AS x INTO o FROM e", '{"id":1}') == ["UPPER needs a text, found a bigint."]


def test_a_star_over_an_input_is_a_doubt_and_over_a_step_none(tmp_path: Path) -> None:
    (doubt,) = checked(tmp_path, "WITH s AS (SELECT * FROM e) SELECT * INTO o FROM s", '{"id":1}')
    assert doubt.startswith("Over an event hub, * has EventProcessedUtcTime")


def test_a_column_no_event_has_is_null_and_a_doubt(tmp_path: Path) -> None:
    query = "WITH s AS (SELECT * FROM e) SELECT id, gone, rec.gone AS y INTO o FROM s WHERE gone IS NULL"
    rows, ran = ran_over(tmp_path, query, '{"id":1,"rec":{"x":2}}')
    assert rows == [{"id": 1}]
    assert [doubt.text.split(":")[0] for doubt in ran.doubts[1:]] == [
        f"No event of the sample has {name}" for name in ("gone", "rec.gone")
    ]


def test_metadata_is_there_without_a_field_in_the_sample(tmp_path: Path) -> None:
    query = "SELECT id, IoTHub.ConnectionDeviceId AS d, EventProcessedUtcTime AS p, PartitionId INTO o FROM e"
    ((row,), ran) = ran_over(tmp_path, query, '{"id":1}')
    assert row.pop("p") > "2026" and row == {"id": 1, "PartitionId": 0}
    assert ran.doubts == ()
    ((row,), _) = ran_over(tmp_path, query, '{"id":1,"IoTHub":{"ConnectionDeviceId":"dev"},"PartitionId":"west"}')
    assert row.pop("p") > "2026" and row == {"id": 1, "d": "dev", "PartitionId": "west"}


def test_a_payload_with_the_names_of_metadata_is_the_payload(tmp_path: Path) -> None:
    event = {"EventEnqueuedUtcTime": "late", "PartitionId": "west", "EventProcessedUtcTime": 7}
    assert ran_over(tmp_path, "SELECT * INTO o FROM e", json.dumps(event))[0] == [event]


def test_a_case_with_a_bad_event_can_pass(tmp_path: Path) -> None:
    case: dict[str, Any] = {"Name": "bad", "Inputs": [{"InputAlias": "e", "FilePath": "e.json"}]}
    case["ExpectedOutputs"] = [{"OutputAlias": "o", "FilePath": "o.json"}]
    files = {
        "q.asaql": "SELECT id INTO o FROM e TIMESTAMP BY ts",
        "asaproj.json": json.dumps({"name": "q", "startFile": "q.asaql"}),
        "test/e.json": f'{{"id":1,"ts":"{at(1)}"}}\nbad',
        "test/o.json": '{"id":1}',
        "test/testConfig.json": json.dumps({"TestCases": [case]}),
    }
    (tmp_path / "test").mkdir()
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    (result,) = run_cases(tmp_path)
    assert result.passed and result.left_out == ("e: event 2: not valid JSON: bad",)


def test_an_empty_file_shows_nothing(tmp_path: Path) -> None:
    (tmp_path / "e.json").write_text("")
    assert shown_by_file(tmp_path / "e.json", 1000).schema.columns == {}


ROOMS = '[{"id": 1, "city": "Lyon"}, {"id": 2, "city": "Oslo"}]'
JOINED = "SELECT a.id, r.City INTO o FROM e a TIMESTAMP BY ts {0}JOIN rooms r {1}"


def check_beside_rooms(folder: Path, query: str) -> str:
    (folder / "q.asaql").write_text(query, encoding="utf-8")
    (folder / "rooms.json").write_text(ROOMS, encoding="utf-8")
    (folder / "e.jsonl").write_text(lines_of([{"id": number, "ts": at(number)} for number in (1, 2, 3)]), encoding="utf-8")
    rooms = {} if query.startswith("WITH rooms") else {"ROOMS": folder / "rooms.json"}  # there a step, and no input
    return check(folder / "q.asaql", {"e": folder / "e.jsonl", **rooms}).render()


def test_what_is_only_joined_and_without_a_bound_on_time_is_reference_data(tmp_path: Path) -> None:
    query = JOINED.format("LEFT ", "ON a.id = r.id")
    assert "Input rooms is joined without a bound on time, so it is taken for reference data" in check_beside_rooms(
        tmp_path, query
    )
    ran = run(tmp_path / "q.asaql", {"e": tmp_path / "e.jsonl", "ROOMS": tmp_path / "rooms.json"}, tmp_path / "out")
    rows = [json.loads(line) for line in ran.files["o"].read_text(encoding="utf-8").splitlines()]
    assert rows == [{"id": 1, "City": "Lyon"}, {"id": 2, "City": "Oslo"}, {"id": 3}]
    assert ["taken for reference data" in doubt.text for doubt in ran.doubts] == [True]


@pytest.mark.parametrize(
    "query",
    [
        JOINED.format("", "TIMESTAMP BY ts ON a.id = r.id"),
        JOINED.format("", "ON a.id = r.id AND DATEDIFF(second, a, r) > 0"),
        JOINED.format("", "ON a.id = r.id") + " SELECT id INTO p FROM Rooms",
        "WITH rooms AS (SELECT id, city FROM e) " + JOINED.format("", "ON a.id = r.id"),
    ],
)
def test_an_input_with_a_time_or_a_use_of_its_own_is_a_stream(tmp_path: Path, query: str) -> None:
    assert "A JOIN of two streams needs a time bound" in check_beside_rooms(tmp_path, query)


OUTPUTS: list[dict[str, Any]] = [
    {"Name": "o", "DataSourceType": "Blob Storage", "BlobProperties": {"Container": "c"}, "Serialization": {"Type": "Json"}},
    {"Name": "o", "DataSourceType": "Power BI", "PowerBIProperties": {"DatasetName": "d"}, "Serialization": None},
    {"Name": "o", "DataSourceType": "Blob Storage", "Serialization": {"Type": "Delta", "DeltaTablePath": "t"}},
]


@pytest.mark.parametrize("output", OUTPUTS)
def test_a_job_may_write_to_any_kind_of_output(tmp_path: Path, output: dict[str, Any]) -> None:
    (tmp_path / "o.json").write_text(json.dumps(output), encoding="utf-8")
    project = {"name": "j", "startFile": "q.asaql", "configurations": [{"filePath": "o.json", "subType": "Output"}]}
    (tmp_path / "asaproj.json").write_text(json.dumps(project), encoding="utf-8")
    (tmp_path / "q.asaql").write_text("SELECT id INTO p FROM e", encoding="utf-8")
    assert "There is no output p" in check(tmp_path).render()


@pytest.mark.parametrize(
    "project", ["{", '{"startFile": "other.asaql", "configurations": [{"filePath": "gone", "subType": "Output"}]}']
)
def test_a_query_beside_a_job_of_another_query_is_its_own(tmp_path: Path, project: str) -> None:
    (tmp_path / "asaproj.json").write_text(project, encoding="utf-8")
    (tmp_path / "q.asaql").write_text("SELECT id INTO p FROM e", encoding="utf-8")
    assert check(tmp_path / "q.asaql").errors == ()


@pytest.mark.parametrize(("level", "is_doubtful"), [("1.0", True), ("1.1", True), ("1.2", False), (None, False)])
def test_a_job_of_another_compatibility_level_is_a_doubt(tmp_path: Path, level: str | None, is_doubtful: bool) -> None:
    policy = {"EventsLateArrivalMaxDelayInSeconds": 5, "EventsOutOfOrderMaxDelayInSeconds": 0, "EventsOutOfOrderPolicy": "Adjust"}
    config = policy | ({"CompatibilityLevel": level} if level else {})
    (tmp_path / "JobConfig.json").write_text(json.dumps(config), encoding="utf-8")
    (tmp_path / "e.json").write_text('{"Name": "e", "Type": "Data Stream"}', encoding="utf-8")
    files = [{"filePath": "JobConfig.json", "subType": "JobConfig"}, {"filePath": "e.json", "subType": "Input"}]
    project = {"name": "j", "startFile": "q.asaql", "configurations": files}
    (tmp_path / "asaproj.json").write_text(json.dumps(project), encoding="utf-8")
    (tmp_path / "q.asaql").write_text("CREATE TABLE e (id bigint); SELECT id INTO p FROM e", encoding="utf-8")
    told = check(tmp_path).render()
    assert (f"compatibility level {level}, and what runs here is 1.2" in told) == is_doubtful, told
