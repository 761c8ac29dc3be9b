"""The cases an alert rule carries: what each poll sees, written as compact series, and whom that notifies of what.

    series: { "lyon/room-bar-1": "up x3, down x6, up" }
    expect:
      - { at: 8m, fired: lyon/room-bar-1, severity: 2, to: [email] }

A series is a list of words and numbers, each for one poll; `x3` repeats what stands before it, brackets group, `_` is a poll that
saw nothing. `roompulse alerts test` runs the cases (local/alert_tests).
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from activator.declarations import Fault, did_you_mean

Value = str | float | None
"""What a poll sees of an entity: a word (up, down, asleep, maintenance, an issue code), a number, or None for nothing."""
LONGEST_SERIES = 2_000
_SECONDS = {"s": 1, "m": 60, "h": 3600}
_TOKEN = re.compile(
    r"\s*(?:(?P<open>\()|(?P<close>\))|(?P<comma>,)|x(?P<times>[1-9][0-9]*)\b|(?P<number>-?[0-9]+(?:\.[0-9]+)?)|(?P<word>(?!x[0-9])[a-z_]+))"
)


STATES = ("fired", "escalated", "again", "resolved")
"""What people are notified of an alert: that it fired, that nobody acknowledged that, that it still is so, that it is over."""
ACTS = ("acknowledge", "snooze")
"""What people may do in a case."""


@dataclass(frozen=True)
class Done:
    """What somebody does `at` seconds after the first poll about the alert of `entity`: `kind` (one of ACTS), for `lasting`
    seconds.
    """

    at: int
    kind: str
    entity: str
    lasting: int


@dataclass(frozen=True)
class Expected:
    """Something people are notified of `at` seconds after the first poll: `rule_id` `state` (one of STATES) for `entity`.

    What is None is not looked at. `text` are parts of the message, `to` everybody who is notified.
    """

    at: int
    state: str
    entity: str
    rule_id: str
    severity: int | None = None
    title: str | None = None
    text: tuple[str, ...] = ()
    to: tuple[str, ...] | None = None


@dataclass(frozen=True)
class RuleTest:
    """A case. `step` is the time between polls in seconds, `start` such as `tue 10:00`, `others` the rules that hold as well, and
    `cities` what differs from the test city, as in a stack file; `acts` what people do about it.
    """

    name: str
    series: Mapping[str, tuple[Value, ...]]
    expected: tuple[Expected, ...]
    step: int = 60
    start: str = "tue 10:00"
    others: tuple[str, ...] = ()
    cities: Mapping[str, Mapping[str, Any]] | None = None
    acts: tuple[Done, ...] = ()

    @property
    def kind(self) -> str:
        """What the case proves: `no-data` (polls that see nothing), else `fires` or `stays quiet`."""
        if any(value is None for values in self.series.values() for value in values):
            return "no-data"
        return "fires" if any(one.state == "fired" for one in self.expected) else "stays quiet"


KINDS = ("fires", "stays quiet", "no-data")


class SeriesError(Exception):
    """A series can't be read. The text quotes the place and says what is wanted."""


@cache
def series_of(text: str) -> tuple[Value, ...]:
    """The polls of a series; raises SeriesError."""
    stack: list[list[Value]] = [[]]
    last: list[Value] | None = None
    position = 0
    while text[position:].strip():
        match = _TOKEN.match(text, position)
        if match is None:
            raise SeriesError(
                f'can\'t be read at "{text[position:].strip()[:20]}": write words, numbers, _, commas, x3 and brackets.'
            )
        position = match.end()
        last = _take(match, stack, last)
        if sum(map(len, stack)) > LONGEST_SERIES:
            raise SeriesError(f"has more than {LONGEST_SERIES} polls: take a longer step.")
    if len(stack) > 1:
        raise SeriesError("has a bracket that isn't closed.")
    return tuple(stack[0])


def seconds(duration: str) -> int:
    """`90s`, `5m` or `1h` in seconds."""
    return int(duration[:-1]) * _SECONDS[duration[-1]]


def tests_of(document: Mapping[str, Any]) -> tuple[RuleTest, ...]:
    """The cases of a rule that has no faults."""
    return tuple(_test(document["id"], case) for case in document.get("tests", ()))


def test_faults(document: Mapping[str, Any], rules: set[str]) -> list[Fault]:
    """What a schema can't say about a rule's cases: series that can be read, entities that exist, one case of each kind."""
    cases = [case for case in _listed(document.get("tests")) if isinstance(case, Mapping)]
    faults = [fault for index, case in enumerate(cases) for fault in _case_faults(f"tests/{index}", case, rules)]
    names = [case.get("name") for case in cases]
    faults += [
        Fault(f"tests/{index}/name", f'"{name}" is taken already.') for index, name in enumerate(names) if name in names[:index]
    ]
    if cases and not faults:
        try:
            found = {_test(str(document.get("id")), case).kind for case in cases}
        except (KeyError, TypeError, AttributeError, ValueError):
            return faults  # of the wrong form, which the schema says better
        wanted = {
            "fires": "must fire (an expect with fired)",
            "stays quiet": "must not fire (data that is not a reason, expect: [])",
            "no-data": "shows what silence means (a series with _)",
        }
        faults += [Fault("tests", f"lacks a case that {wanted[kind]}.") for kind in KINDS if kind not in found]
    return faults


test_faults.__test__ = False  # type: ignore[attr-defined] # pytest takes what starts with test_
tests_of.__test__ = False  # type: ignore[attr-defined]


def _take(match: re.Match[str], stack: list[list[Value]], last: list[Value] | None) -> list[Value] | None:
    """Take one token in; gives what an `x3` that follows would repeat."""
    if match["open"]:
        stack.append([])
        return None
    if match["close"]:
        if len(stack) == 1:
            raise SeriesError("closes a bracket that wasn't opened.")
        group = stack.pop()
        stack[-1] += group
        return group
    if match["comma"]:
        return None
    if match["times"]:
        if not last:
            raise SeriesError(f"repeats nothing: x{match['times']} follows a word, a number or a bracket.")
        if len(last) * int(match["times"]) > LONGEST_SERIES:
            raise SeriesError(f"has more than {LONGEST_SERIES} polls: take a longer step.")
        stack[-1] += last * (int(match["times"]) - 1)
        return None
    value: Value = float(match["number"]) if match["number"] else None if match["word"] == "_" else match["word"]
    stack[-1].append(value)
    return [value]


def _case_faults(path: str, case: Mapping[str, Any], rules: set[str]) -> list[Fault]:
    faults = []
    series = case.get("series")
    for key, text in (series if isinstance(series, Mapping) else {}).items():
        try:
            if isinstance(text, str):
                series_of(text)
        except SeriesError as fault:
            faults.append(Fault(f"{path}/series/{key}", str(fault)))
    for index, other in enumerate(_listed(case.get("with"))):
        if str(other) not in rules:
            faults.append(Fault(f"{path}/with/{index}", f'"{other}" is not an alert rule.{did_you_mean(str(other), rules)}'))
    cities = {key.split("/")[0] for key in _named(series)}
    for city in _named(case.get("cities")):
        if city not in cities:
            faults.append(Fault(f"{path}/cities/{city}", f"has no series: this case is about {', '.join(sorted(cities))}."))
    for index, one in enumerate(_listed(case.get("expect"))):
        if isinstance(one, Mapping):
            faults += _expected_faults(f"{path}/expect/{index}", one, cities, rules)
    for index, one in enumerate(_listed(case.get("acts"))):
        if isinstance(one, Mapping):
            faults += _entity_faults(f"{path}/acts/{index}", one, ACTS, cities)
    return faults


def _entity_faults(path: str, one: Mapping[str, Any], words: Sequence[str], cities: set[str]) -> list[Fault]:
    named = [(word, one[word]) for word in words if isinstance(one.get(word), str)]
    return [
        Fault(f"{path}/{word}", f'"{entity}" is in none of the cities of this case ({", ".join(sorted(cities))}).')
        for word, entity in named
        if entity.split("/")[0] not in cities
    ]


def _expected_faults(path: str, one: Mapping[str, Any], cities: set[str], rules: set[str]) -> list[Fault]:
    faults = _entity_faults(path, one, STATES, cities)
    if "rule" in one and str(one["rule"]) not in rules:
        faults.append(Fault(f"{path}/rule", f'"{one["rule"]}" is not an alert rule.{did_you_mean(str(one["rule"]), rules)}'))
    return faults


def _named(value: Any) -> list[str]:
    return [str(key) for key in value] if isinstance(value, Mapping) else []


def _listed(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list) else ()


def _test(rule_id: str, case: Mapping[str, Any]) -> RuleTest:
    return RuleTest(
        name=case["name"],
        series={key: series_of(text) for key, text in case["series"].items()},
        expected=tuple(_expected(rule_id, one) for one in case["expect"]),
        step=seconds(case.get("step", "1m")),
        start=case.get("start", "tue 10:00"),
        others=tuple(case.get("with", ())),
        cities=case.get("cities", {}),
        acts=tuple(map(_done, case.get("acts", ()))),
    )


def _done(one: Mapping[str, Any]) -> Done:
    kind, *_ = [kind for kind in ACTS if kind in one]
    return Done(at=seconds(one["at"]), kind=kind, entity=one[kind], lasting=seconds(one["for"]))


def _expected(rule_id: str, one: Mapping[str, Any]) -> Expected:
    state, *_ = [state for state in STATES if state in one]
    return Expected(
        at=seconds(one["at"]),
        state=state,
        entity=one[state],
        rule_id=one.get("rule", rule_id),
        severity=one.get("severity"),
        title=one.get("title"),
        text=tuple(one.get("text", ())),
        to=tuple(one["to"]) if "to" in one else None,
    )
