"""What the stream query makes of readings and rules: when an alert is fired, when it is resolved, and what it is called."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.observations import Observation, minute, observation, offline_series, rule, signal
from tests.support.roompulse_query import JOB, results
from tests.support.shared_data import REPOSITORY

Alert = tuple[str, str, str]
FOUND = tuple[str, str, str, str]


def alerts(observations: Sequence[Observation], cuts: Sequence[int] = ()) -> list[FOUND]:
    """(state, rule, startedAt, observedAt) of every alert row, in order."""
    return [(row["state"], row["ruleId"], row["startedAt"], row["observedAt"]) for row in results(observations, cuts)["alerts"]]


def test_five_minutes_down_fires_once_and_the_return_resolves_it() -> None:
    assert alerts(offline_series("uuuddddddddu")) == [
        ("fired", "device-offline", minute(3), minute(8)),
        ("resolved", "device-offline", minute(3), minute(11)),
    ]


def test_a_flap_never_wakes_anybody() -> None:
    assert alerts(offline_series("udd" * 10)) == []


def test_silence_is_neither_an_outage_nor_a_return() -> None:
    assert alerts(offline_series("uuu" + "_" * 30)) == []
    assert alerts(offline_series("udddddd" + "_" * 30 + "du")) == [
        ("fired", "device-offline", minute(1), minute(6)),
        ("resolved", "device-offline", minute(1), minute(38)),
    ]


def test_an_alert_row_says_what_the_contract_says() -> None:
    (row,) = results(offline_series("d", rules=[rule(for_seconds=0)]))["alerts"]
    assert row.pop("Table") == "Alerts"
    assert row == {
        "alertId": f"device-offline|room-bar-1|{minute(0)}", "ruleId": "device-offline", "severity": 2, "state": "fired",
        "PartitionId": 0, "entity": "device", "entityId": "room-bar-1", "name": "Rhône", "cityId": "lyon", "locationId": "loc-1",
        "locationName": "Lyon Part-Dieu", "workspaceId": None, "workspaceName": None,
        "signal": "offline", "value": 1.0, "threshold": 1.0, "startedAt": minute(0), "observedAt": minute(0),
        "product": "Room Bar", "text": None, "details": None,
    }  # fmt: skip


def test_a_device_first_seen_long_broken_fires_at_once_with_its_own_start() -> None:
    long_ago = minute(-60)
    first = observation(minute(0), [signal(1, [rule()], since=long_ago)])
    still = observation(minute(1), [signal(1, [rule()], since=long_ago)])
    healed = observation(minute(2), [signal(0, [rule()], since=minute(1.5))])
    assert alerts([first, still, healed]) == [
        ("fired", "device-offline", long_ago, minute(0)),
        ("resolved", "device-offline", long_ago, minute(2)),
    ]


def test_a_start_in_the_future_is_not_believed() -> None:
    ahead = observation(minute(0), [signal(1, [rule(for_seconds=0)], since=minute(5))])
    assert alerts([ahead]) == [("fired", "device-offline", minute(0), minute(0))]


def test_a_start_that_becomes_known_later_does_not_rename_an_open_alert() -> None:
    unknown = [observation(minute(n), [signal(1, [rule(for_seconds=60)])]) for n in (0, 1)]
    known = [observation(minute(n), [signal(1, [rule(for_seconds=60)], since=minute(-9))]) for n in (2, 3)]
    healed = [observation(minute(4), [signal(0, [rule(for_seconds=60)])])]
    assert [(state, start) for state, _, start, _ in alerts([*unknown, *known, *healed])] == [
        ("fired", minute(0)),
        ("resolved", minute(0)),
    ]


NOT_NUMBERS = ("NaN", "Infinity", "-inf", "1e400", "high", None, True, {"a": 1}, [5])
OPERATORS = {">=": 2, "<=": -2}
"""With a threshold that neither 0 nor 1 breaches."""


@cache
def of_what_is_not_a_number() -> Mapping[str, list[dict[str, Any]]]:
    """A city for each value and operator, in which another device has a reading that is a number."""
    sent: list[Observation] = []
    for number, (value, (op, threshold)) in enumerate(product(NOT_NUMBERS, OPERATORS.items())):
        rules = [rule(for_seconds=0, threshold=threshold, op=op)]
        odd = {"name": "offline", "value": value, "rules": rules}
        for n, one, device in ((0.25, signal(0, rules), "good"), (0.5, odd, "odd")):
            sent.append(observation(minute(n), [one], f"{device}-{number}", cityId=f"city-{number}"))
    return results(sorted(sent, key=lambda one: str(one["time"])))


@pytest.mark.parametrize(("number", "value"), list(enumerate(value for value in NOT_NUMBERS for _ in OPERATORS)))
def test_what_is_not_a_number_breaches_no_rule(number: int, value: object) -> None:
    """The text NaN was above every threshold, and made a city's mean of that minute unknown."""
    found = of_what_is_not_a_number()
    assert [row for row in found["alerts"] if row["cityId"] == f"city-{number}"] == []
    (row,) = (row for row in found["cityminute"] if row["cityId"] == f"city-{number}")
    assert (row["readings"], row["maximum"]) == (2, 1.0 if value is True else 0.0)


def test_a_repeated_observation_counts_once_and_fires_once() -> None:
    series = offline_series("udddddddu")
    once = results(series)
    repeated = results([*series[:5], *series[1:5], *series[5:], *series[6:]])
    assert repeated["alerts"] == once["alerts"]
    assert [row["id"] for row in repeated["processed"]] == [row["id"] for row in once["processed"]]
    assert len(repeated["lake"]) == len(once["lake"])
    assert sum(row["readings"] for row in repeated["cityminute"]) == len(series)


def test_a_reading_that_comes_after_a_newer_one_changes_nothing() -> None:
    series = offline_series("udddddd")
    stale = observation(minute(2.5), [signal(0, [rule()])])
    healed = observation(minute(8), [signal(0, [rule()])])
    assert alerts([*series, stale, healed]) == alerts([*series, healed])


def test_of_several_that_come_late_none_changes_anything() -> None:
    """The second of them is newer than the one before it, and ended an alert that was open: before it had begun."""
    series = [observation(minute(n), [signal(1, [rule(for_seconds=60)])]) for n in range(8, 12)]
    late = [observation(minute(n), [signal(0, [rule(for_seconds=60)])]) for n in (2, 5, 7, 7.5)]
    assert alerts([*series, *late]) == alerts(series) == [("fired", "device-offline", minute(8), minute(9))]
    assert len(results([*series, *late])["lake"]) == 8, "history has them all the same"


def test_a_clock_that_is_set_back_costs_one_reading() -> None:
    ahead = [observation(minute(n), [signal(0, [rule(for_seconds=60)])]) for n in (58, 59, 60)]
    right = [observation(minute(n), [signal(1, [rule(for_seconds=60)])]) for n in (3, 4, 5, 6)]
    assert alerts([*ahead, *right]) == [("fired", "device-offline", minute(4), minute(5))]


def test_a_threshold_that_changes_during_a_breach_decides_from_then_on() -> None:
    def warm(number: int, value: float, threshold: float) -> Observation:
        return observation(minute(number), [signal(value, [rule("too-warm", threshold, 60)], "temperature")], entity="workspace")

    raised = [warm(0, 29, 28), warm(1, 29, 28), warm(2, 29, 30), warm(3, 29, 30)]
    assert alerts(raised) == [("fired", "too-warm", minute(0), minute(1)), ("resolved", "too-warm", minute(0), minute(2))]
    lowered = [warm(0, 29, 30), warm(1, 29, 28), warm(2, 29, 28)]
    assert alerts(lowered) == [("fired", "too-warm", minute(1), minute(2))]


def test_a_rule_that_is_given_more_time_does_not_take_back_an_alert() -> None:
    series = [observation(minute(n), [signal(1, [rule(for_seconds=60 if n < 3 else 3600)])]) for n in range(6)]
    assert [state for state, *_ in alerts(series)] == ["fired"]


def test_a_breach_of_weeks_is_begun_anew_so_that_its_end_is_never_lost() -> None:
    day = 24 * 60
    series = [observation(minute(n), [signal(1, [rule(for_seconds=60)])]) for n in range(0, 20 * day, 720)]
    series.append(observation(minute(20 * day), [signal(0, [rule(for_seconds=60)])]))
    found = alerts(series)
    by_start: dict[str, list[str]] = {}
    for state, _, start, _ in found:
        by_start.setdefault(start, []).append(state)
    assert all(states == ["fired", "resolved"] for states in by_start.values())
    assert 3 <= len(by_start) <= 5
    assert found[-1][0] == "resolved" and found[-1][3] == minute(20 * day)


def test_a_breach_of_weeks_with_a_known_start_stays_one_alert() -> None:
    day = 24 * 60
    series = [observation(minute(n), [signal(1, [rule(for_seconds=60)], since=minute(-5))]) for n in range(0, 20 * day, 720)]
    series.append(observation(minute(20 * day), [signal(0, [rule(for_seconds=60)])]))
    assert [(state, start) for state, _, start, _ in alerts(series)] == [("fired", minute(-5)), ("resolved", minute(-5))]


def test_rules_of_one_signal_and_entities_are_judged_apart() -> None:
    both = [rule("warm", 28, 0), rule("hot", 32, 0, severity=1), rule("cold", 15, 0, "<=")]
    series = [
        observation(minute(0), [signal(30, both, "temperature")], "room-1"),
        observation(minute(1), [signal(33, both, "temperature")], "room-1"),
        observation(minute(1), [signal(10, both, "temperature")], "room-2"),
        observation(minute(2), [signal(20, both, "temperature")], "room-1"),
    ]
    found = {(row["state"], row["ruleId"], row["entityId"], row["severity"]) for row in results(series)["alerts"]}
    assert found == {
        ("fired", "warm", "room-1", 2), ("fired", "hot", "room-1", 1), ("fired", "cold", "room-2", 2),
        ("resolved", "warm", "room-1", 2), ("resolved", "hot", "room-1", 1),
    }  # fmt: skip


# ---- the rule as a whole, against a plain reading of it


@st.composite
def histories(draw: st.DrawFn) -> list[Observation]:
    """Two devices, read every minute or more rarely, with and without a known start, under a rule whose time may change."""
    found: list[Observation] = []
    clock = 0
    for device, gap, down, since, seconds in draw(
        st.lists(
            st.tuples(
                st.sampled_from(["a", "b"]),
                st.integers(1, 4),
                st.booleans(),
                st.sampled_from([None, -30, -1, 2]),
                st.sampled_from([0, 120, 120]),
            ),
            max_size=30,
        )
    ):
        clock += gap
        more = {} if since is None else {"since": minute(clock + since)}
        found.append(observation(minute(clock), [signal(int(down), [rule(for_seconds=seconds)], **more)], device))
    return found


def judged(history: Sequence[Observation]) -> list[Alert]:
    """The rule in plain words: remember since when it is breached; open once that is long enough ago; close when it ends."""
    found: list[Alert] = []
    started: dict[str, str | None] = {}
    opened: dict[str, bool] = {}
    for event in history:
        device, time, read = event["data"]["entityId"], event["time"], event["data"]["signals"][0]
        if not read["value"]:
            if opened.get(device):
                found.append(("resolved", device, str(started[device])))
            started[device], opened[device] = None, False
            continue
        if started.get(device) is None:
            started[device] = read["since"] if read.get("since", "9") <= time else time
        age = (datetime.fromisoformat(time) - datetime.fromisoformat(str(started[device]))).total_seconds()
        if not opened.get(device) and age >= read["rules"][0]["forSeconds"]:
            opened[device] = True
            found.append(("fired", device, str(started[device])))
    return found


@settings(max_examples=12, deadline=None, derandomize=True)
@given(histories(), st.lists(st.integers(0, 30), max_size=3))
def test_every_history_is_judged_as_the_rule_says(history: list[Observation], cuts: list[int]) -> None:
    if not history:
        return
    rows = results(history, [min(cut, len(history)) for cut in cuts])["alerts"]
    found = [(row["state"], row["entityId"], row["startedAt"]) for row in rows]
    assert sorted(found) == sorted(judged(history))
    assert len({(row["alertId"], row["state"]) for row in rows}) == len(rows)


@st.composite
def deliveries(draw: st.DrawFn) -> list[Observation]:
    """Readings of a device as they arrive: late by up to nine minutes, twice, among signals and rules that nobody knows."""
    clock = 20.0
    found: list[Observation] = []
    unknown_rule = {"id": "x", "op": "~", "threshold": "?"}
    foreign: list[dict[str, Any]] = [{"name": "hum", "value": "loud", "rules": "none"}, {"rules": [unknown_rule]}, {}]
    readings = st.tuples(st.floats(0, 2), st.booleans(), st.sampled_from([0, 0, 0, 3, 9]), st.booleans(), st.booleans())
    for gap, down, late, again, odd in draw(st.lists(readings, min_size=10, max_size=25)):
        clock = round(clock + gap, 3)
        signals = [*(foreign if odd else []), signal(int(down), [rule(for_seconds=90)])]
        found += [observation(minute(round(clock - late, 3)), signals)] * (2 if again else 1)
    return found


def of_rules(deliveries: Sequence[Observation]) -> list[Observation]:
    """What the rules go by: each observation once, and none that is older than what is known by then."""
    kept: list[Observation] = []
    known: set[str] = set()
    for event in deliveries:
        if event["id"] not in known and event["time"] >= max((one["time"] for one in kept), default=""):
            kept.append({**event, "data": {**event["data"], "signals": event["data"]["signals"][-1:]}})
        known.add(event["id"])
    return kept


@settings(max_examples=12, deadline=None, derandomize=True)
@given(deliveries(), st.lists(st.integers(0, 30), max_size=3))
def test_late_repeated_and_foreign_observations_are_judged_as_if_they_were_not_there(
    delivered: list[Observation], cuts: list[int]
) -> None:
    found = results(delivered, [min(cut, len(delivered)) for cut in cuts])
    alerts_found = [(row["state"], row["entityId"], row["startedAt"]) for row in found["alerts"]]
    assert sorted(alerts_found) == sorted(judged(of_rules(delivered)))
    assert len(found["processed"]) == len({event["id"] for event in delivered})


@pytest.mark.parametrize("cuts", [[1], [3, 4], [2, 5, 8], list(range(1, 10))])
def test_alerts_do_not_depend_on_how_observations_arrive_together(cuts: list[int]) -> None:
    series = offline_series("uuuddddddddu")
    assert alerts(series, cuts) == alerts(series)


def test_the_folder_of_this_test_is_that_of_the_deployed_query() -> None:
    assert JOB.query_file == Path(REPOSITORY) / "asa-queries" / "roompulse" / "roompulse.asaql"


def test_a_drill_is_told_to_people_and_leaves_no_other_trace() -> None:
    drill, real = (observation(minute(0), [signal(1, [rule(for_seconds=0)])]) for _ in range(2))
    drill["data"] |= {"reason": "drill", "entityId": "drill-1"}
    drill["id"] = "another"
    found = results([real, drill])
    assert {row["entityId"] for row in found["alerts"]} == {"room-bar-1", "drill-1"}
    for output in ("processed", "lake"):
        assert {row["entityId"] for row in found[output]} == {"room-bar-1"}
    assert [row["readings"] for row in found["cityminute"]] == [1]
