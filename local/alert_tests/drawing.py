"""A case that failed, for people: what each poll saw, drawn poll by poll, and what was sent beside what was expected."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from activator.rule_tests import Expected, Value
from local.alert_tests.notifications import Notification
from local.alert_tests.runner import CaseResult
from local.alert_tests.worlds import World

_MARKS = {"up": "·", "down": "█", "asleep": "z", "maintenance": "m"}
_NOTHING, _ISSUE = "_", "!"
LEGEND = "· up   █ down   z asleep   m maintenance   ! issue   _ nothing seen   ▁ to █ numbers, lowest to highest"
_LEVELS = "▁▂▃▄▅▆▇█"
WIDTH = 100
"""Polls that are drawn; a longer series is cut."""


def drawn(result: CaseResult, world: World) -> Iterator[str]:
    """The lines that explain a failed case."""
    width = max(map(len, result.case.series))
    for key, values in result.case.series.items():
        yield f"{key.ljust(width)}  {_line(values)}"
    yield from (f"{''.ljust(width)}  {line}" for line in _pointers(result))
    yield from _differences(result, world)


def clock_time(seconds: int) -> str:
    """Seconds as cases write them: 90s, 8m, 2h."""
    for unit, letter in ((3600, "h"), (60, "m")):
        if seconds and seconds % unit == 0:
            return f"{seconds // unit}{letter}"
    return f"{seconds}s"


def _line(values: Sequence[Value]) -> str:
    numbers = [value for value in values if isinstance(value, float)]
    low, high = (min(numbers), max(numbers)) if numbers else (0.0, 0.0)
    text = "".join(_mark(value, low, high) for value in values[:WIDTH]) + ("…" if len(values) > WIDTH else "")
    return f"{text}  {low:g} to {high:g}" if numbers else text


def _mark(value: Value, low: float, high: float) -> str:
    if value is None:
        return _NOTHING
    if isinstance(value, str):
        return _MARKS.get(value, _ISSUE)
    return _LEVELS[round((value - low) / (high - low) * (len(_LEVELS) - 1)) if high > low else 0]


def _pointers(result: CaseResult) -> Iterator[str]:
    """Under the polls: where something was expected, and where somebody was notified."""
    for what, times in (
        ("expected", [one.at for one in result.case.expected]),
        ("sent", [one.at for one in result.notified]),
    ):
        polls = {time // result.case.step for time in times}
        line = "".join("▲" if poll in polls else " " for poll in range(min(WIDTH, max(polls, default=0) + 1)))
        yield f"{line.rstrip()} {what}" if polls else f"nothing {what}"


def _differences(result: CaseResult, world: World) -> Iterator[str]:
    left = list(result.unexpected)
    for expected in result.missing:
        near = next((one for one in left if _same_thing(one, expected)), None)
        if near is None:
            yield f"missing     {clock_time(expected.at):>5}  {expected.state} {expected.entity} ({expected.rule_id})"
        else:
            left.remove(near)
            how = "; ".join(_how(near, expected, world))
            yield f"different   {clock_time(expected.at):>5}  {expected.state} {expected.entity}: {how}"
    for one in left:
        people = ", ".join(sorted(one.to)) or "nobody"
        what = f"{one.state} {one.entity} ({one.rule_id}, severity {one.severity})"
        yield f'unexpected  {clock_time(one.at):>5}  {what}, "{one.title}", to {people}'


def _same_thing(sent: Notification, expected: Expected) -> bool:
    return (sent.state, sent.entity, sent.rule_id) == (expected.state, expected.entity, expected.rule_id)


def _how(notified: Notification, expected: Expected, world: World) -> Iterator[str]:
    """What is different about something that was sent."""
    if notified.at != expected.at:
        yield f"sent at {clock_time(notified.at)}, expected at {clock_time(expected.at)}"
    if expected.severity not in (None, notified.severity):
        yield f"severity {notified.severity}, expected {expected.severity}"
    if expected.title not in (None, notified.title):
        yield f'title "{notified.title}", expected "{expected.title}"'
    for part in expected.text:
        if part not in notified.text:
            yield f'the text lacks "{part}": {notified.text!r}'
    if expected.to is not None:
        people = world.addresses(expected.entity.split("/")[0], expected.to, expected.state)
        if people - notified.to:
            yield f"not notified: {', '.join(sorted(people - notified.to))}"
        if notified.to - people:
            yield f"notified besides: {', '.join(sorted(notified.to - people))}"
