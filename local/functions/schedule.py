"""NCRONTAB, the schedules of Azure Functions: six fields, seconds first."""

from __future__ import annotations

import re
from datetime import datetime

from croniter import croniter
from croniter.croniter import CroniterError

_EVERY = r"\*/(\d+)"
_WORDS = {
    rf"{_EVERY} \* \* \* \* \*": "s",
    r"\* \* \* \* \* \*": "s",
    rf"0 {_EVERY} \* \* \* \*": "min",
    r"0 \* \* \* \* \*": "min",
    rf"0 0 {_EVERY} \* \* \*": "h",
    r"0 0 \* \* \* \*": "h",
}
"""The unit of what comes again and again, by the form of the expression."""
_ONE = {"s": "second", "min": "minute", "h": "hour"}


class ScheduleError(Exception):
    """A schedule is malformed, or can't be expressed. The text says what to write instead."""


class Schedule:
    """The times an NCRONTAB expression names."""

    def __init__(self, expression: str) -> None:
        self.expression = expression
        if len(expression.split()) != 6:
            raise ScheduleError(
                f'the schedule "{expression}" must have six fields, seconds first, such as "*/10 * * * * *" (every 10 seconds).'
            )
        try:
            self._times = croniter(expression, second_at_beginning=True)
        except (CroniterError, ValueError) as fault:
            raise ScheduleError(f'the schedule "{expression}" is malformed: {fault}.') from fault

    @property
    def words(self) -> str:
        """For people: `every 10 s`, `every 5 min`, `every hour`; an expression of another form as it is written."""
        for form, words in _WORDS.items():
            if found := re.fullmatch(form, self.expression):
                count, unit = (found[1] if found.groups() else "1"), words
                return f"every {count} {unit}" if count != "1" else f"every {_ONE[unit]}"
        return f"at {self.expression}"

    def after(self, moment: datetime) -> datetime:
        """The first time of the schedule after a moment (timezone-aware UTC)."""
        following: datetime = self._times.get_next(datetime, start_time=moment)
        return following


def every(seconds: float) -> str:
    """The NCRONTAB for a run every so many seconds, counted from the full minute or hour; raises ScheduleError."""
    if seconds >= 1 and seconds == int(seconds):
        whole = int(seconds)
        if 60 % whole == 0:
            return "0 * * * * *" if whole == 60 else f"*/{whole} * * * * *"
        if whole % 60 == 0 and 60 % (whole // 60) == 0:
            return "0 0 * * * *" if whole == 3600 else f"0 */{whole // 60} * * * *"
    raise ScheduleError(
        f"a poll every {seconds:g} s can't be scheduled: choose seconds that divide a minute (5, 10, 15, 20, 30, 60) "
        "or minutes that divide an hour (120, 300, 600, 900, ...)."
    )
