"""Reads the alert inbox, the SQLite file in which the fan-out leaves what it told people, and pairs each alert with its end."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from pathlib import Path
from typing import TypedDict, cast

NEWEST = 300
"""How many alerts that are over the page lists: more than a person reads, and still a small page. All open ones are listed."""

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
)
select * from paired where resolvedAt is null
union all
select * from (
  select * from paired where resolvedAt is not null order by startedAt desc, severity, alertId limit ?
)
order by startedAt desc, severity, alertId
"""
_ADDED = {"folded": "'[]'", "held_back": "0", "updated_at": "null", "merged_into": "null"}
"""What stands for a column that is missing, because a fan-out of an earlier version has made the file."""


class InboxAlert(TypedDict):
    """An incident as people got it: when it was told that it fired, and when that it was over (null: not yet).

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


def read_inbox(path: Path, newest: int = NEWEST) -> list[InboxAlert]:
    """Every open alert and the newest of those that are over, newest first; none before the fan-out has made its file and table.

    Raises sqlite3.Error when the file can't be read.
    """
    if not path.is_file():
        return []
    with contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True, timeout=1)) as database:
        database.row_factory = sqlite3.Row
        if not database.execute("select 1 from sqlite_master where type = 'table' and name = 'inbox'").fetchone():
            return []
        columns = {row["name"] for row in database.execute("pragma table_info(inbox)")}
        missing = "".join(f", {value} as {name}" for name, value in _ADDED.items() if name not in columns)
        rows = database.execute(_PAIRED.format(missing=missing), (newest,))
        return [cast(InboxAlert, dict(row) | {"folded": json.loads(row["folded"])}) for row in rows]
