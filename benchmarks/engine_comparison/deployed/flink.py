"""The deployed query in Flink SQL: `python -m benchmarks.engine_comparison.deployed.flink INPUT_FOLDER OUTPUT_FOLDER`.

Step by step what asa-queries/roompulse does, without its limits in time (Flink keeps state for ever unless told otherwise).
OVER sorts by event time, so a reading older than the one before it cannot occur (step 4 of the query).
"""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path

from pyflink.table import EnvironmentSettings, TableEnvironment

from benchmarks.engine_comparison.aggregate.flink import CONFIGURATION

DATA = """cityId STRING, locationId STRING, locationName STRING, workspaceId STRING, workspaceName STRING, entity STRING,
    entityId STRING, name STRING, product STRING, reason STRING, connectionStatus STRING, statusSince STRING,
    errorCodes ARRAY<STRING>, software STRING, pollId STRING, partial BOOLEAN,
    signals ARRAY<ROW<name STRING, `value` DOUBLE, text STRING, since STRING,
        rules ARRAY<ROW<id STRING, severity BIGINT, op STRING, threshold DOUBLE, forSeconds BIGINT>>>>"""
SINKS = {
    "processed": """id STRING, observedAt STRING, cityId STRING, locationId STRING, locationName STRING, workspaceId STRING,
        workspaceName STRING, entity STRING, entityId STRING, name STRING, product STRING, reason STRING,
        connectionStatus STRING, health STRING, statusSince STRING, errorCodes ARRAY<STRING>, software STRING, pollId STRING,
        partial BOOLEAN, signals ARRAY<ROW<name STRING, `value` DOUBLE, text STRING, since STRING,
            rules ARRAY<ROW<id STRING, severity BIGINT, op STRING, threshold DOUBLE, forSeconds BIGINT>>>>, `Table` STRING""",
    "cityminute": """windowEnd TIMESTAMP(3), cityId STRING, signal STRING, readings BIGINT, mean DOUBLE, minimum DOUBLE,
        maximum DOUBLE, `Table` STRING""",
    "alerts": """alertId STRING, ruleId STRING, severity BIGINT, state STRING, entity STRING, entityId STRING, name STRING,
        cityId STRING, locationId STRING, locationName STRING, workspaceId STRING, workspaceName STRING, signal STRING,
        `value` DOUBLE, threshold DOUBLE, startedAt STRING, observedAt STRING, `Table` STRING""",
    "lake": """id STRING, observedAt TIMESTAMP(3), `date` STRING, cityId STRING, locationId STRING, workspaceId STRING,
        entity STRING, entityId STRING, name STRING, reason STRING, connectionStatus STRING, signal STRING, `value` DOUBLE,
        text STRING, since TIMESTAMP(3), pollId STRING""",
}
KEYED = "WINDOW w AS (PARTITION BY entityId, ruleId ORDER BY ts)"
SIX_DAYS = 6 * 86_400_000


def _time(text: str) -> str:
    """The SQL of a TIMESTAMP(3) from an ISO 8601 text."""
    return f"TO_TIMESTAMP(REPLACE(REPLACE({text}, 'T', ' '), 'Z', ''), 'yyyy-MM-dd HH:mm:ss.SSS')"


def _milliseconds(moment: str) -> str:
    """The SQL of a TIMESTAMP(3) as milliseconds since 1970."""
    seconds = f"CAST(TIMESTAMPDIFF(SECOND, TIMESTAMP '1970-01-01 00:00:00', {moment}) AS BIGINT)"
    return f"({seconds} * 1000 + EXTRACT(MILLISECOND FROM {moment}))"


VIEWS = {
    "observation": """
        SELECT id, `time` AS observedAt, SUBSTRING(`time`, 1, 10) AS `date`, data.*, ts
        FROM (SELECT *, LAG(id) OVER (PARTITION BY id ORDER BY ts) AS before FROM observations)
        WHERE before IS NULL""",
    "signalrow": """
        SELECT o.id, o.observedAt, o.`date`, o.cityId, o.locationId, o.locationName, o.workspaceId, o.workspaceName, o.entity,
            o.entityId, o.name, o.reason, o.connectionStatus, o.pollId, COALESCE(s.name, '') AS signal, s.`value`, s.text,
            s.since, s.rules, o.ts
        FROM observation AS o LEFT JOIN UNNEST(o.signals) AS s (name, `value`, text, since, rules) ON TRUE""",
    "reading": f"""
        SELECT g.observedAt, g.cityId, g.locationId, g.locationName, g.workspaceId, g.workspaceName, g.entity, g.entityId,
            g.name, g.signal, g.`value`, g.since, r.id AS ruleId, r.severity, r.threshold, r.forSeconds,
            CASE WHEN r.op = '>=' AND g.`value` >= r.threshold THEN 1
                WHEN r.op = '<=' AND g.`value` <= r.threshold THEN 1 ELSE 0 END AS breached,
            {_milliseconds("g.ts")} AS ms, g.ts
        FROM signalrow AS g CROSS JOIN UNNEST(g.rules) AS r (id, severity, op, threshold, forSeconds)""",
    "breaches": f"""
        SELECT *, LAG(breached) OVER w AS breachedBefore,
            LAST_VALUE(CASE WHEN breached = 1 THEN (ms + {SIX_DAYS - 1}) / {SIX_DAYS} END) OVER w AS interval6
        FROM reading {KEYED}""",
    "edge0": f"SELECT *, LAG(interval6) OVER w AS intervalBefore FROM breaches {KEYED}",
    "edge": f"""
        SELECT *,
            CASE WHEN breached = 1 AND (COALESCE(breachedBefore, 0) = 0 OR intervalBefore IS NULL OR intervalBefore <> interval6)
                THEN 1 ELSE 0 END AS begins,
            CASE WHEN {_milliseconds(_time("since"))} <= ms THEN since ELSE observedAt END AS beganAt
        FROM edge0""",
    "breach": f"SELECT *, LAST_VALUE(CASE WHEN begins = 1 THEN beganAt END) OVER w AS startedAt FROM edge {KEYED}",
    "aged": f"""
        SELECT *,
            CASE WHEN breached = 1 AND ms - {_milliseconds(_time("startedAt"))} >= forSeconds * 1000 THEN 1 ELSE 0 END AS due
        FROM breach""",
    "alarm0": f"SELECT *, LAST_VALUE(CASE WHEN due = 1 THEN startedAt END) OVER w AS dueSince FROM aged {KEYED}",
    "alarm": "SELECT *, CASE WHEN breached = 1 AND dueSince = startedAt THEN startedAt END AS openSince FROM alarm0",
    "turn": f"SELECT *, LAG(openSince) OVER w AS wasOpenSince FROM alarm {KEYED}",
}
ALERT = """
    SELECT CONCAT(ruleId, '|', entityId, '|', {since}), ruleId, severity, '{state}', entity, entityId, name, cityId, locationId,
        locationName, workspaceId, workspaceName, signal, `value`, threshold, {since}, observedAt, 'Alerts'
    FROM turn WHERE {since} IS NOT NULL AND ({other} IS NULL OR openSince <> wasOpenSince)"""
INSERTS = {
    "processed": """
        SELECT id, observedAt, cityId, locationId, locationName, workspaceId, workspaceName, entity, entityId, name, product,
            reason, connectionStatus,
            CASE LOWER(connectionStatus) WHEN 'connected' THEN 'up' WHEN 'connected_with_issues' THEN 'issues'
                WHEN 'disconnected' THEN 'down' WHEN 'offline_expired' THEN 'down' WHEN 'offline_deep_sleep' THEN 'asleep'
                ELSE 'unknown' END,
            statusSince, errorCodes, software, pollId, partial, signals, 'Processed'
        FROM observation WHERE LOWER(COALESCE(reason, '')) <> 'drill'""",
    "cityminute": """
        SELECT window_end, cityId, signal, COUNT(*), AVG(`value`), MIN(`value`), MAX(`value`), 'CityMinute'
        FROM TABLE(TUMBLE(TABLE signalrow, DESCRIPTOR(ts), INTERVAL '1' MINUTE))
        WHERE signal <> '' AND LOWER(COALESCE(reason, '')) <> 'drill'
        GROUP BY cityId, signal, window_start, window_end""",
    "alerts": " UNION ALL ".join(
        ALERT.format(state=state, since=since, other=other)
        for state, since, other in (("resolved", "wasOpenSince", "openSince"), ("fired", "openSince", "wasOpenSince"))
    ),
    "lake": f"""
        SELECT id, {_time("observedAt")}, `date`, cityId, locationId, workspaceId, entity, entityId, name, reason,
            connectionStatus, signal, `value`, text, {_time("since")}, pollId
        FROM signalrow WHERE LOWER(COALESCE(reason, '')) <> 'drill'""",
}


def main(source: Path, target: Path) -> None:
    """Run it and print its elapsed seconds as JSON; the start of the JVM is not counted."""
    environment = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    for key, value in CONFIGURATION.items():
        environment.get_config().set(key, value)
    environment.execute_sql(
        f"""CREATE TABLE observations (id STRING, `time` STRING, data ROW<{DATA}>, ts AS {_time("`time`")},
            WATERMARK FOR ts AS ts - INTERVAL '1' SECOND)
        WITH ('connector' = 'filesystem', 'path' = '{source.as_uri()}', 'format' = 'json')"""
    )
    for name, columns in SINKS.items():
        environment.execute_sql(
            f"CREATE TABLE {name} ({columns}) "
            f"WITH ('connector' = 'filesystem', 'path' = '{(target / name).as_uri()}', 'format' = 'json')"
        )
    for name, select in VIEWS.items():
        environment.execute_sql(f"CREATE TEMPORARY VIEW {name} AS {select}")
    statements = environment.create_statement_set()
    for name, select in INSERTS.items():
        statements.add_insert_sql(f"INSERT INTO {name} {select}")
    started = time.perf_counter()
    statements.execute().wait()
    print(json.dumps({"seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
