"""What keeps Azure from running a query's partitions side by side, as its page on parallelisation has it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asa_engine.job_folder import JobInput, JobOutput
from asa_engine.parallel import ADDED_UP, Keyed, key_of, keyed_places
from asa_engine.parser import parse


def stream(name: str = "events", key: str | None = None) -> JobInput:
    return JobInput(name, False, name, "job", key)


def places(query: str, *inputs: JobInput, outputs: tuple[JobOutput, ...] = (), level: str = "1.2") -> list[Keyed]:
    given_inputs = {one.name: one for one in inputs or (stream(),)}
    return list(keyed_places(parse(query, "query"), given_inputs, {one.name: one for one in outputs}, level))


PER_MINUTE = "SELECT COUNT(*) AS n INTO out FROM events GROUP BY {by} TumblingWindow(minute, 1)"
OTHER = "take PartitionId as the input has it: here another column has its name"
QUERIES: list[tuple[str, str, str | None, list[Keyed]]] = [
    ("nothing keyed", "SELECT a INTO out FROM events WHERE a > 1", None, []),
    ("a count of all", PER_MINUTE.format(by=""), None, [Keyed("out", "GROUP BY nothing", "add PartitionId")]),
    ("a count by another column", PER_MINUTE.format(by="city,"), None, [Keyed("out", "GROUP BY city", "add PartitionId")]),
    ("a count by partition", PER_MINUTE.format(by="PartitionId,"), None, [Keyed("out", "GROUP BY PartitionId", "")]),
    ("in another case", PER_MINUTE.format(by="city, PARTITIONID,"), None, [Keyed("out", "GROUP BY city, PARTITIONID", "")]),
    ("by the input's key", PER_MINUTE.format(by="subject,"), "subject", [Keyed("out", "GROUP BY subject", "")]),
    ("by partition, where the input has a key", PER_MINUTE.format(by="PartitionId,"), "subject",
     [Keyed("out", "GROUP BY PartitionId", "add subject")]),
    ("looking back without the key", "SELECT LAG(a) OVER (PARTITION BY id LIMIT DURATION(hour, 1)) AS b INTO out FROM events",
     None, [Keyed("out", "LAG OVER id", "add PartitionId")]),
    ("looking back by nothing", "SELECT LAG(a) OVER (LIMIT DURATION(hour, 1)) AS b INTO out FROM events", None,
     [Keyed("out", "LAG OVER nothing", "add PartitionId")]),
    ("looking back in WHERE", "SELECT a INTO out FROM events e WHERE "
     "LAG(a) OVER (PARTITION BY e.subject LIMIT DURATION(hour, 1)) IS NULL", "subject", [Keyed("out", "LAG OVER subject", "")]),
    ("a join by another column", "SELECT a.x INTO out FROM events a JOIN events b ON a.id = b.id AND "
     "DATEDIFF(minute, a, b) BETWEEN 0 AND 1", None, [Keyed("out", "JOIN id", "add PartitionId")]),
    ("a join by the key", "SELECT a.x INTO out FROM events a JOIN events b ON a.PartitionId = b.PartitionId AND "
     "DATEDIFF(minute, a, b) BETWEEN 0 AND 1", None, [Keyed("out", "JOIN PartitionId", "")]),
    ("a join of two other columns", "SELECT a.x INTO out FROM events a JOIN events b ON a.PartitionId = b.id AND "
     "DATEDIFF(minute, a, b) BETWEEN 0 AND 1", None, [Keyed("out", "JOIN nothing", "add PartitionId")]),
    ("two steps, one of which breaks", "WITH a AS (SELECT PartitionId, city, COUNT(*) AS n FROM events "
     "GROUP BY PartitionId, city, TumblingWindow(minute, 1)) SELECT city, SUM(n) AS n INTO out FROM a "
     "GROUP BY city, TumblingWindow(minute, 1)", None,
     [Keyed("a", "GROUP BY PartitionId, city", ""), Keyed("out", "GROUP BY city", ADDED_UP.format("PartitionId"))]),
    ("a shuffle", "SELECT a INTO out FROM events PARTITION BY city INTO 4", None,
     [Keyed("out", "PARTITION BY city", "leave it out: it shuffles the events, which come by PartitionId")]),
    ("PARTITION BY the key", "SELECT a INTO out FROM events PARTITION BY PartitionId", None, []),
    ("another column with the key's name", "WITH a AS (SELECT city AS PartitionId, x FROM events) " + PER_MINUTE.format(
        by="PartitionId,").replace("events", "a"), None, [Keyed("out", "GROUP BY PartitionId", OTHER)]),
    ("a calculated one", "WITH a AS (SELECT id % 4 AS PartitionId FROM events) " + PER_MINUTE.format(
        by="PartitionId,").replace("events", "a"), None, [Keyed("out", "GROUP BY PartitionId", OTHER)]),
    ("the key through steps", "WITH a AS (SELECT * FROM events), b AS (SELECT a.PartitionId, a.x FROM a) " + PER_MINUTE.format(
        by="PartitionId,").replace("events", "b"), None, [Keyed("out", "GROUP BY PartitionId", "")]),
    ("in parentheses", "SELECT n INTO out FROM (SELECT PartitionId, COUNT(*) AS n FROM events GROUP BY PartitionId, "
     "TumblingWindow(minute, 1)) s", None, [Keyed("out", "GROUP BY PartitionId", "")]),
]  # fmt: skip


@pytest.mark.parametrize(("query", "key", "wanted"), [case[1:] for case in QUERIES], ids=[case[0] for case in QUERIES])
def test_a_keyed_step_is_parallel_when_it_holds_the_inputs_key(query: str, key: str | None, wanted: list[Keyed]) -> None:
    assert places(query, stream(key=key)) == wanted


@pytest.mark.parametrize("level", ["1.0", "1.1"])
def test_before_level_1_2_every_select_says_partition_by(level: str) -> None:
    advice = "add PARTITION BY PartitionId, or set compatibility level 1.2"
    by_partition = PER_MINUTE.format(by="PartitionId,")
    assert places(by_partition, level=level) == [Keyed("out", "FROM events", advice), Keyed("out", "GROUP BY PartitionId", "")]
    said = by_partition.replace("FROM events", "FROM events PARTITION BY PartitionId")
    assert places(said, level=level) == [Keyed("out", "GROUP BY PartitionId", "")]
    assert places(said.replace("PartitionId", "id"), stream(key="id"), level=level)[0].breaks, "a key of the input is of 1.2"


AS_MANY = "into a hub with as many partitions as the input's"


def test_a_join_with_reference_data_is_no_keyed_step() -> None:
    rooms = JobInput("rooms", True, None, None)
    assert places("SELECT e.a INTO out FROM events e JOIN rooms r ON e.id = r.id", stream(), rooms) == []


@pytest.mark.parametrize(
    ("key", "output", "wanted"),
    [
        (None, JobOutput("out", "out", "PartitionId"), ("writes by PartitionId", "")),
        (None, JobOutput("out", "out", "id"), ("writes by id", f"write by PartitionId, {AS_MANY}")),
        ("id", JobOutput("out", "out", "ID"), ("writes by ID", "")),
        ("id", JobOutput("out", "out"), ("writes by no key", f"write by id, {AS_MANY}")),
    ],
)
def test_an_output_to_a_hub_is_parallel_when_it_writes_by_the_key(
    key: str | None, output: JobOutput, wanted: tuple[str, str]
) -> None:
    assert places("SELECT a INTO out FROM events", stream(key=key), outputs=(output,)) == [Keyed("out", *wanted)]


def test_a_table_of_the_lake_takes_any_scheme() -> None:
    assert places("SELECT a INTO out FROM events", outputs=(JobOutput("out", delta_table="readings"),)) == []


def test_inputs_with_several_keys_are_never_parallel() -> None:
    told = places("SELECT a INTO out FROM events", stream(key="id"), stream("others"))
    assert told == [Keyed("inputs", "events by id, others by PartitionId", "give all inputs one PartitionKey")]


@given(st.lists(st.sampled_from([None, "id", "ID", "subject", "PartitionId", "partitionid"]), max_size=4))
def test_streams_have_one_key_or_none(keys: list[str | None]) -> None:
    key = key_of({str(number): stream(str(number), key) for number, key in enumerate(keys)})
    meant = {(one or "PartitionId").lower() for one in keys}
    assert (key is None) == (len(meant) > 1)
    assert key is None or key.lower() in (meant or {"partitionid"})
