"""A city as the reports know it: a stored view of its own in the live store (see powerbi/kusto/cities.kql)."""

from __future__ import annotations

import json
from collections.abc import Sequence

SUNDAY_FIRST = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
"""Kusto's dayofweek: days since Sunday."""


def city_view(
    slug: str, name: str, time_zone: str, office_days: Sequence[str], opens: str, closes: str, readers: Sequence[str]
) -> str:
    """The command that makes or changes the view of a city. Times are HH:MM, `closes` may be 24:00; days are mon to sun."""
    days = json.dumps([SUNDAY_FIRST.index(day) for day in office_days])
    row = (
        f"cityId = {_text(slug)}, name = {_text(name)}, timeZone = {_text(time_zone)}, officeDays = dynamic({days}), "
        f"opens = {_minutes(opens)}m, closes = {_minutes(closes)}m, readers = dynamic({json.dumps(sorted(readers))})"
    )
    command = f'.create-or-alter function with (view = true, docstring = {_text(f"City {name}.")}, folder = "cities")'
    return f"{command}\n{view_name(slug)}()\n{{\n    print {row}\n}}\n"


def view_name(slug: str) -> str:
    """The view's name: a slug may have hyphens, a name in Kusto had better not."""
    return f"City_{slug.replace('-', '_')}"


def _text(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)


def _minutes(time_of_day: str) -> int:
    hours, minutes = time_of_day.split(":")
    return int(hours) * 60 + int(minutes)
