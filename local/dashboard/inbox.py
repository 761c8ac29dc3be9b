"""Reads the alert inbox, the SQLite file in which the fan-out leaves what it sent, and pairs each alert with its end."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import Any, TypedDict, cast

NEWEST = 300
"""How many alerts that are over the page lists: more than a person reads, and still a small page. All open ones are listed."""
OF_EACH = 30
"""How many of these of every city and severity are listed however old: the page filters what it got."""

_PAIRED = """
with paired as (
select
    alert_id as alertId,
    max(rule_id) as ruleId,
    max(severity) as severity,
    max(city_id) as cityId,
    coalesce(max(case when state = 'fired' then title end), max(title)) as title,
    coalesce(max(case when state = 'fired' then text end), max(text)) as text,
    max(started_at) as startedAt,
    max(case when state = 'fired' then observed_at end) as firedAt,
    max(case when state = 'resolved' then observed_at end) as resolvedAt,
    coalesce(max(case when state = 'resolved' then folded end), max(folded)) as folded,
    max(held_back) as heldBack,
    max(updated_at) as updatedAt,
    max(case when state = 'resolved' then merged_into end) as mergedInto
from (select *{missing} from inbox)
group by alert_id
),
placed as (
select *,
    row_number() over (partition by resolvedAt is null order by startedAt desc, severity, alertId) as place,
    row_number() over (partition by resolvedAt is null, cityId, severity order by startedAt desc, alertId) as placeOfEach
from paired
)
select * from placed where resolvedAt is null or place <= ? or placeOfEach <= ? order by startedAt desc, severity, alertId
"""
_ADDED = {"folded": "'[]'", "held_back": "0", "updated_at": "null", "merged_into": "null"}
"""What stands for a column that is missing, because a fan-out of an earlier version has made the file."""


class InboxAlert(TypedDict):
    """An incident as people got it: when they were notified that it fired, and when that it was over (null: not yet).

    `folded` are the names of what is folded in, `heldBack` how many channels were spared it because too much came at once,
    `updatedAt` when its text was last brought up to date (null: never), `mergedInto` the incident it became part of: then
    `resolvedAt` is when it did.
    """

    alertId: str
    ruleId: str
    severity: int
    cityId: str
    title: str
    text: str
    startedAt: str
    firedAt: str | None
    resolvedAt: str | None
    folded: list[str]
    heldBack: int
    updatedAt: str | None
    mergedInto: str | None


def read_inbox(path: Path, newest: int = NEWEST, of_each: int = OF_EACH) -> list[InboxAlert]:
    """Every open alert, and of those that are over the newest in all and of each city and severity, newest first.

    None before the fan-out has made its file and table. Raises sqlite3.Error when the file can't be read.
    """
    if not path.is_file():
        return []
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1)) as database:
        database.row_factory = sqlite3.Row
        if not database.execute("select 1 from sqlite_master where type = 'table' and name = 'inbox'").fetchone():
            return []
        columns = {row["name"] for row in database.execute("pragma table_info(inbox)")}
        missing = "".join(f", {value} as {name}" for name, value in _ADDED.items() if name not in columns)
        rows = database.execute(_PAIRED.format(missing=missing), (newest, of_each))
        return [_alert(dict(row)) for row in rows]


def _alert(row: dict[str, Any]) -> InboxAlert:
    return cast(InboxAlert, {name: row[name] for name in InboxAlert.__annotations__} | {"folded": json.loads(row["folded"])})
