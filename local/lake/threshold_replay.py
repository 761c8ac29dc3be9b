"""What a rule would have fired with another threshold, over the readings that the lake of a run keeps.

The query's own steps 3 to 8 (asa-queries/roompulse/roompulse.asaql) over a whole history at once: a breach begins with a reading
that breaches after one that does not, and is an alert with the first reading of it that is old enough. Without what the fan-out
does then: what an outage explains counts too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import duckdb

from activator.rules import Rule
from local.lake.stored_files import parquet, stored_files
from local.lake.tables import READINGS

_FIRED = """
with reading as (
    select distinct on (id) cityId, entityId, epoch(observedAt) as moment, value {op} $threshold as breached
    from {readings}
    where signal = $signal and entity = $entity and value is not null and coalesce(reason, '') <> 'drill' and moment >= $since
), edge as (
    select *, breached and not coalesce(lag(breached) over by_time, false) as begins
    from reading window by_time as (partition by entityId order by moment)
), breach as (
    select *, sum(begins::int) over (partition by entityId order by moment rows unbounded preceding) as number
    from edge
), aged as (
    select *, min(moment) over (partition by entityId, number) as began from breach where breached
)
select cityId, entityId, min(moment) as firedAt
from aged where moment - began >= $for_seconds
group by cityId, entityId, number order by firedAt
"""


class Fired(NamedTuple):
    """An alert that there would have been: where, of what, and when it would have fired."""

    city: str
    entity: str
    at: datetime


def fired(lake_dir: Path, rule: Rule, threshold: float, since: datetime) -> list[Fired]:
    """The alerts of a rule since a moment, had it had this threshold; none where nothing has been read yet."""
    files = stored_files(lake_dir / READINGS.name)
    if not files:
        return []
    sql = _FIRED.format(op=rule.op, readings=parquet(files, "union_by_name = true"))
    values = {
        "threshold": threshold,
        "signal": rule.signal,
        "entity": rule.entity,
        "since": since.timestamp(),
        "for_seconds": rule.for_seconds,
    }
    with duckdb.connect(config={"threads": 1}) as database:
        rows: Sequence[tuple[str, str, float]] = database.execute(sql, values).fetchall()
    return [Fired(city, entity, datetime.fromtimestamp(at, UTC)) for city, entity, at in rows]
