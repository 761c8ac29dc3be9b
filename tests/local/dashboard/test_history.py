"""The last 24 hours of a device: states without gaps, signals that say something, incidents with who was notified."""

from __future__ import annotations

from datetime import timedelta
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.dashboard.history import DAY, POINTS, UNSEEN, incidents, lines, spans
from local.dashboard.snapshot import iso
from tests.local.dashboard.sample_tiles import NOON

DAY_MINUTES = 24 * 60


def seen(minutes_ago: float, health: str = "up", **signals: float) -> dict[str, Any]:
    told = [{"name": name, "value": value} for name, value in signals.items()]
    return {"observedAt": iso(NOON - timedelta(minutes=minutes_ago)), "health": health, "errorCodes": [], "signals": told}


def minutes(rows: list[dict[str, Any]]) -> list[tuple[str, float]]:
    """The spans of observations as states with their lengths in minutes."""
    from datetime import datetime

    def length(begin: str, end: str) -> float:
        return (datetime.fromisoformat(end) - datetime.fromisoformat(begin)).total_seconds() / 60

    return [(span["health"], length(span["begin"], span["end"])) for span in spans(rows, NOON)]


@pytest.mark.parametrize(
    ("rows", "expected"),
    [
        ([], [("unknown", DAY_MINUTES)]),
        ([seen(60)], [("unknown", DAY_MINUTES - 60), ("up", 60)]),
        ([seen(60), seen(30, "down")], [("unknown", DAY_MINUTES - 60), ("up", 30), ("down", 30)]),
        ([seen(90), seen(60), seen(30)], [("unknown", DAY_MINUTES - 90), ("up", 90)]),
        ([seen(DAY_MINUTES), seen(60)], [("up", 120), ("unknown", DAY_MINUTES - 180), ("up", 60)]),
        ([seen(600, "down")], [("unknown", DAY_MINUTES - 600), ("down", 120), ("unknown", 480)]),
    ],
    ids=["never", "since an hour", "went down", "one state", "a gap", "fell silent"],
)
def test_where_nobody_saw_it_its_state_is_unknown(rows: list[dict[str, Any]], expected: list[tuple[str, float]]) -> None:
    assert minutes(rows) == expected


@given(st.lists(st.tuples(st.integers(0, DAY_MINUTES), st.sampled_from(["up", "down", "issues"])), max_size=20))
def test_the_day_is_whole_in_order_and_never_the_same_twice_in_a_row(moments: list[tuple[int, str]]) -> None:
    found = spans([seen(*moment) for moment in sorted(moments, reverse=True)], NOON)
    assert (found[0]["begin"], found[-1]["end"]) == (iso(NOON - DAY), iso(NOON))
    for one, other in pairwise(found):
        assert one["end"] == other["begin"] and one["health"] != other["health"]
    longest = max((minute for health, minute in minutes([seen(*moments[0])]) if health != "unknown"), default=0) if moments else 0
    assert longest <= UNSEEN.total_seconds() / 60


def test_signals_that_were_never_other_than_0_are_left_out_and_the_others_in_their_order() -> None:
    rows = [seen(30, offline=1, issues=1, drops=0, brandNew=3), seen(20, issues=2, drops=1, offline=0)]
    told = lines(rows)
    assert [(line["signal"], line["values"]) for line in told] == [("issues", [1, 2]), ("drops", [0, 1]), ("brandNew", [3])]
    assert told[0]["at"] == [row["observedAt"] for row in rows]


@pytest.mark.parametrize("count", [1, POINTS, POINTS + 1, 10 * POINTS + 7])
def test_a_long_line_is_thinned_out_and_ends_with_the_newest(count: int) -> None:
    (line,) = lines([seen(count - number, temperature=20 + number) for number in range(count)])
    assert len(line["values"]) == len(line["at"]) <= POINTS
    assert line["values"][-1] == 20 + count - 1


def test_open_incidents_come_first_and_each_has_its_end_and_who_was_notified() -> None:
    def alert(id_: str, state: str, started: int) -> dict[str, Any]:
        names = dict.fromkeys(("ruleId", "entity", "entityId", "name", "cityId", "signal"), "x")
        moments = {"startedAt": iso(NOON - timedelta(minutes=started)), "observedAt": iso(NOON)}
        return names | moments | {"alertId": id_, "state": state, "severity": 2, "value": 1.0}

    told = {"b": [{"channel": "Slack", "result": "notified", "at": None, "fault": None}]}
    rows = [alert("c", "resolved", 5), alert("c", "fired", 5), alert("b", "fired", 50), alert("a", "resolved", 90)]
    found = incidents(rows, told)  # type: ignore[arg-type]
    assert [(past["alertId"], past["resolvedAt"] is None) for past in found] == [("b", True), ("c", False), ("a", False)]
    assert [past["notified"] for past in found] == [told["b"], None, None]
