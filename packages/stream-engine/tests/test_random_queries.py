"""Whatever a query is made of, it runs, is refused with a place, or fails by a name: DuckDB's own errors reach nobody."""

from __future__ import annotations

import itertools
import json
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from query_runner import at

from asa_engine.engine import StreamEngine
from asa_engine.errors import CalculationError, ConversionError, QueryError
from asa_engine.types import ARRAY, BIGINT, BIT, DATETIME, FLOAT, NVARCHAR, RECORD, Schema, record_of

PLACE = record_of({"city": NVARCHAR, "floor": BIGINT})
SCHEMA = Schema(
    {
        "ts": NVARCHAR,
        "d": NVARCHAR,
        "n": BIGINT,
        "f": FLOAT,
        "s": NVARCHAR,
        "b": BIT,
        "t": DATETIME,
        "place": PLACE,
        "free": RECORD,
        "items": ARRAY,
    }
)
VALUES: dict[str, list[Any]] = {
    "d": ["a", "b"],
    "n": [1, -1, 0, 2**63 - 1, -(2**63), None],
    "f": [0.5, -0.0, 1e308, 1e-308, None],
    "s": ["", "abc", "12", "é😀", "2026-01-01T00:00:00Z", "a%b_[c]", None],
    "b": [True, False, None],
    "t": ["2026-03-01T00:00:00Z", "0001-01-01T00:00:00Z", "9999-12-31T23:59:59.9999999Z", "1969-12-31T23:59:59.5Z", None],
    "place": [{"city": "Lyon", "floor": 2}, {"city": None}, {}, None],
    "free": [{"a": 1}, {"a": {"b": [1]}}, {}, None],
    "items": [[], [1, 2], ["a", None], [{"x": 1}], None],
}
EVENTS = [
    json.dumps({"ts": at(3 * number), **{name: value for name, value in zip(VALUES, row, strict=True) if value is not None}})
    for number, row in zip(range(14), zip(*map(itertools.cycle, VALUES.values()), strict=True), strict=False)
]
UNITS = st.sampled_from(["year", "quarter", "month", "day", "dayofyear", "weekday", "hour", "mi", "second", "ms", "mcs"])


def call(name: str, *arguments: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.tuples(*arguments).map(lambda given: f"{name}({', '.join(given)})")


def any_of(names: str, *arguments: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of([call(name, *arguments) for name in names.split()])


numbers: st.SearchStrategy[str] = st.deferred(
    lambda: st.one_of(
        st.sampled_from(["n", "f", "place.floor", "1", "0", "-1", "2.5", "9223372036854775807", "NULL"]),
        st.tuples(numbers, st.sampled_from("+-*%&|^"), numbers).map(lambda parts: f"({' '.join(parts)})"),
        numbers.map("(-{})".format),
        any_of("ABS CEILING FLOOR SIGN EXP SQRT SQUARE", numbers),
        any_of("POWER ROUND NULLIF ISNULL COALESCE", numbers, numbers),
        any_of("LEN UNICODE", texts),
        any_of("CHARINDEX REGEXMATCH", texts, texts),
        call("PATINDEX", st.sampled_from(["'%a_b%'", "'a%'", "'%.'", "''"]), texts),
        call("DATEDIFF", UNITS, times, times),
        call("DATEPART", UNITS, times),
        any_of("DAY MONTH YEAR", times),
        call("GETARRAYLENGTH", st.just("items")),
        st.tuples(st.sampled_from(["CAST", "TRY_CAST"]), texts, st.sampled_from(["bigint", "float"])).map(cast),
        st.tuples(conditions, numbers, numbers).map(case),
    )
)
texts: st.SearchStrategy[str] = st.deferred(
    lambda: st.one_of(
        st.sampled_from(["s", "d", "place.city", "'abc'", "''", "'%a_'", "'('", "'é'", "NULL"]),
        st.tuples(texts, texts).map(lambda parts: f"({parts[0]} + {parts[1]})"),
        any_of("UPPER LOWER LTRIM RTRIM TRIM REVERSE", texts),
        any_of("LEFT RIGHT REPLICATE", texts, numbers),
        any_of("SPACE NCHAR", st.one_of(numbers, st.just("3"))),
        call("SUBSTRING", texts, numbers, numbers),
        call("STUFF", texts, numbers, numbers, texts),
        any_of("REPLACE TRANSLATE", texts, texts, texts),
        call("CONCAT", texts, numbers),
        call("CONCAT_WS", texts, texts, times),
        call("DATENAME", UNITS, times),
        call("GETTYPE", st.sampled_from(["items", "free.a", "n", "NULL"])),
        st.tuples(st.just("CAST"), st.one_of(numbers, times), st.just("nvarchar(max)")).map(cast),
        st.tuples(conditions, texts, texts).map(case),
    )
)
times: st.SearchStrategy[str] = st.deferred(
    lambda: st.one_of(
        st.sampled_from(["t", "System.Timestamp()", "'2026-03-01T10:00:00Z'", "NULL", "s"]),
        call("DATEADD", UNITS, numbers, times),
        call("NULLIF", times, times),
        st.tuples(st.just("TRY_CAST"), texts, st.just("datetime")).map(cast),
    )
)
conditions: st.SearchStrategy[str] = st.deferred(
    lambda: st.one_of(
        st.tuples(numbers, st.sampled_from(["=", "<>", "<", ">="]), numbers).map(" ".join),
        st.tuples(texts, st.sampled_from(["=", "<"]), texts).map(" ".join),
        texts.map("{} LIKE 'a%_'".format),
        numbers.map("{} BETWEEN 0 AND 5".format),
        times.map("{} IS NOT NULL".format),
        conditions.map("NOT ({})".format),
    )
)


def cast(parts: tuple[str, str, str]) -> str:
    function, value, data_type = parts
    return f"{function}({value} AS {data_type})"


def case(parts: tuple[str, str, str]) -> str:
    condition, value, otherwise = parts
    return f"CASE WHEN {condition} THEN {value} ELSE {otherwise} END"


scalars = st.one_of(numbers, texts, times)
aggregates = st.one_of(
    st.sampled_from(["COUNT(*)", "COLLECT()", "TopOne() OVER (ORDER BY n)", "CollectTop(2) OVER (ORDER BY t DESC, f)"]),
    any_of("COUNT SUM AVG MIN MAX STDEV STDEVP VAR VARP COLLECT", numbers),
    scalars.map("COUNT(DISTINCT {})".format),
    texts.map("STRING_AGG({}, ',')".format),
    numbers.map("PERCENTILE_CONT(0.5) OVER (ORDER BY {})".format),
    numbers.map("PERCENTILE_DISC(0.9) OVER (ORDER BY {} DESC)".format),
)
windows = st.sampled_from(
    [
        *("TumblingWindow(second, 10)", "HoppingWindow(second, 10, 5)", "SlidingWindow(second, 7)", "System.Timestamp()"),
        *("SessionWindow(second, 4, 20)", "Windows(TumblingWindow(second, 5), SlidingWindow(second, 10))"),
    ]
)
analytic = st.one_of(
    st.tuples(scalars, conditions).map(lambda p: f"LAG({p[0]}, 2) OVER (PARTITION BY d LIMIT DURATION(second, 20) WHEN {p[1]})"),
    st.tuples(scalars, scalars).map(lambda p: f"LAST({p[0]}) OVER (PARTITION BY {p[1]} LIMIT DURATION(minute, 1))"),
    conditions.map("ISFIRST(second, 10) OVER (WHEN {})".format),
)
SOURCE = "INTO o FROM inp TIMESTAMP BY ts"
queries = st.one_of(
    st.tuples(scalars, conditions).map(lambda p: f"SELECT {p[0]} AS x {SOURCE} WHERE {p[1]}"),
    st.tuples(aggregates, aggregates, scalars, windows).map(
        lambda p: f"SELECT {p[0]} AS x, {p[1]} AS y {SOURCE} GROUP BY {p[2]}, {p[3]}"
    ),
    st.tuples(aggregates, windows).map(lambda p: f"SELECT {p[0]} AS x {SOURCE} GROUP BY {p[1]}"),
    st.tuples(analytic, analytic).map(lambda p: f"SELECT {p[0]} AS x, {p[1]} AS y {SOURCE}"),
    scalars.map(
        "SELECT e.ArrayValue AS x, {} AS y INTO o FROM inp i TIMESTAMP BY ts OUTER APPLY GetArrayElements(i.items) AS e".format
    ),
)


@settings(
    max_examples=150, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large]
)
@given(queries)
def test_a_query_runs_or_says_why_not(query: str) -> None:
    try:
        engine = StreamEngine(query, {"inp": SCHEMA})
        assert engine.feed("inp", EVENTS) == []
        for output in engine.finish():
            output.rows()
    except (QueryError, ConversionError, CalculationError):
        return
