"""What a rule would have fired with another threshold, over the readings that the lake of a run keeps.

The query's own steps 3 to 8 (asa-queries/roompulse/roompulse.asaql) over a whole history at once: a breach begins with a reading
that breaches after one that does not, and is an alert with the first reading of it that is old enough. What an outage
explains, by the alerts that the lake keeps, is marked.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

from activator.rules import OUTSIDE_OFFICE_HOURS, PLANNED_MAINTENANCE, Rule
from asa_engine.databases import calculator
from local.lake.stored_files import parquet, stored_files
from local.lake.tables import READINGS
from processors.alert_fanout.incidents import HOLD

_FIRED = """
with reading as (
    select distinct on (id) cityId, locationId, workspaceId, entityId, epoch(observedAt) as moment,
        value {op} $threshold as breached
    from {readings}
    where signal = $signal and entity = $entity and value is not null and coalesce(reason, '') <> 'drill' and moment >= $since
), place as (
    select locationId, count(distinct entityId) as devices from {readings} where entity = 'device' group by locationId
), edge as (
    select *, breached and not coalesce(lag(breached) over by_time, false) as begins
    from reading window by_time as (partition by entityId order by moment)
), breach as (
    select *, sum(begins::int) over (partition by entityId order by moment rows unbounded preceding) as number
    from edge
), aged as (
    select *, min(moment) over (partition by entityId, number) as began from breach where breached
), fired as (
    select cityId, arg_min(locationId, moment) as locationId, arg_min(workspaceId, moment) as workspaceId, entityId,
        min(moment) as firedAt
    from aged where moment - began >= $for_seconds
        and coalesce((select devices from place where place.locationId = aged.entityId), 0) >= $fewest
    group by cityId, entityId, number
), cause as (
    select alertId, any_value(entity) as entity, any_value(entityId) as entityId,
        min(epoch(observedAt)) filter (state = 'fired') as began, min(epoch(observedAt)) filter (state = 'resolved') as ended
    from {alerts} where list_contains($causes, ruleId) group by alertId
)
select cityId, entityId, firedAt, exists (
    from cause where began <= firedAt + $hold and coalesce(ended, firedAt + 1) > firedAt and cause.entityId = case cause.entity
        when 'location' then locationId when 'workspace' then workspaceId when 'city' then cityId else fired.entityId end
) as is_folded
from fired order by firedAt
"""
_NO_ALERTS = "(select '' as alertId, '' as state, '' as ruleId, '' as entity, '' as entityId, now() as observedAt where false)"


class Fired(NamedTuple):
    """An alert that there would have been: where, of what, when it would have fired, and whether an outage explains it."""

    city: str
    entity: str
    at: datetime
    is_folded: bool


def fired(lake_dir: Path, rule: Rule, threshold: float, since: datetime) -> list[Fired]:
    """The alerts of a rule since a moment, had it had this threshold; none where nothing has been read yet."""
    files = stored_files(lake_dir / READINGS.name)
    if not files:
        return []
    alerts = stored_files(lake_dir / "Alerts")
    sql = _FIRED.format(
        op=rule.op,
        readings=parquet(files, "union_by_name = true"),
        alerts=parquet(alerts, "union_by_name = true") if alerts else _NO_ALERTS,
    )
    values = {
        "threshold": threshold,
        "signal": rule.signal,
        "entity": rule.entity,
        "since": since.timestamp(),
        "for_seconds": rule.for_seconds,
        "fewest": rule.fewest_devices,
        "causes": [cause for cause in rule.suppress_when if cause not in (PLANNED_MAINTENANCE, OUTSIDE_OFFICE_HOURS)],
        "hold": HOLD.total_seconds(),
    }
    with calculator() as database:
        rows: Sequence[tuple[str, str, float, bool]] = database.execute(sql, values).fetchall()
    return [Fired(city, entity, datetime.fromtimestamp(at, UTC), is_folded) for city, entity, at, is_folded in rows]
