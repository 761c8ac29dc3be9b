"""Polars, by hand: `python -m benchmarks.engine_comparison.deployed.polars_by_hand INPUT_FOLDER OUTPUT_FOLDER`.

What a person would write for this one query: file by file, with the latest reading of every entity and rule remembered. Nothing
of it serves another query, adjusts late events, forgets what is older than seven days or can be saved and restored.
"""

from __future__ import annotations

import json
import sys
import time
from datetime import timedelta
from pathlib import Path

import polars as pl

RULE = pl.Struct({"id": pl.String, "severity": pl.Int64, "op": pl.String, "threshold": pl.Float64, "forSeconds": pl.Int64})
SIGNAL = pl.Struct({"name": pl.String, "value": pl.Float64, "text": pl.String, "since": pl.String, "rules": pl.List(RULE)})
TEXTS = (
    *("cityId", "locationId", "locationName", "workspaceId", "workspaceName", "entity", "entityId", "name", "product", "reason"),
    *("connectionStatus", "statusSince"),
)
DATA = pl.Struct(
    dict.fromkeys(TEXTS, pl.String)
    | {"errorCodes": pl.List(pl.String), "software": pl.String, "pollId": pl.String, "partial": pl.Boolean}
    | {"signals": pl.List(SIGNAL)}
)
SCHEMA = {"id": pl.String, "time": pl.String, "data": DATA}
KEY = ["entityId", "ruleId"]
REMEMBERED = ["breached", "breachedIn", "startedAt", "dueSince", "openSince"]
"""What is known of an entity and rule after its latest reading; `breachedIn`: the six days of its latest breach."""
SIX_DAYS = 6 * 86_400_000
HEALTH = {"connected": "up", "connected_with_issues": "issues", "disconnected": "down", "offline_expired": "down",
    "offline_deep_sleep": "asleep"}  # fmt: skip
ALERT = [
    *("alertId", "ruleId", "severity", "state", "entity", "entityId", "name", "cityId", "locationId", "locationName"),
    *("workspaceId", "workspaceName", "signal", "value", "threshold", "startedAt", "observedAt", "Table"),
]
LAKE = [
    *("id", "observedTime", "date", "cityId", "locationId", "workspaceId", "entity", "entityId", "name", "reason"),
    *("connectionStatus", "signal", "value", "text", "since", "pollId"),
]
WINDOW_END = (pl.col("observedTime") - pl.duration(microseconds=1)).dt.truncate("1m") + pl.duration(minutes=1)


def moment(column: str) -> pl.Expr:
    """The time that a text means."""
    return pl.col(column).str.strptime(pl.Datetime("ms"), "%Y-%m-%dT%H:%M:%S%.fZ", strict=False)


class Query:
    """What is remembered between files."""

    def __init__(self, target: Path) -> None:
        self.target = target
        self.seen = pl.DataFrame(schema={"id": pl.String, "observedTime": pl.Datetime("ms")})
        self.latest: pl.DataFrame | None = None
        self.waiting: pl.DataFrame | None = None
        self.number = 0

    def take(self, file: Path) -> None:
        """Compute and write what a file of observations gives."""
        observations = self._new(pl.read_ndjson(file, schema=SCHEMA))
        signals = _signals(observations)
        turns = self._turns(_readings(signals))
        wanted = signals.filter(pl.col("reason").fill_null("").str.to_lowercase() != "drill")
        self._write("processed", _processed(observations))
        self._write("alerts", _alerts(turns))
        self._write("lake", wanted.with_columns(since=moment("since")).select(LAKE).rename({"observedTime": "observedAt"}))
        self._count(wanted, observations["observedTime"].max() - timedelta(seconds=1))
        self.number += 1

    def finish(self) -> None:
        """Close every window."""
        self._count(None, None)

    def _new(self, read: pl.DataFrame) -> pl.DataFrame:
        """Observations that haven't been seen in the last ten minutes."""
        rows = read.rename({"time": "observedAt"}).unnest("data").with_columns(observedTime=moment("observedAt"))
        rows = rows.unique("id", keep="first", maintain_order=True).join(self.seen, on="id", how="anti", maintain_order="left")
        forgotten = rows["observedTime"].max() - timedelta(minutes=10)
        self.seen = pl.concat([self.seen, rows.select("id", "observedTime")]).filter(pl.col("observedTime") >= forgotten)
        return rows

    def _turns(self, readings: pl.DataFrame) -> pl.DataFrame:
        """Readings with the alert that was open before and the one that is open now."""
        remembered = {f"last_{name}": pl.Int64 if name in ("breached", "breachedIn") else pl.String for name in REMEMBERED}
        rows = readings
        if self.latest is not None:
            rows = rows.join(self.latest, on=KEY, how="left", maintain_order="left")
        else:
            rows = rows.with_columns(pl.lit(None, dtype=kind).alias(name) for name, kind in remembered.items())
        breach, first = pl.col("breached") == 1, pl.int_range(pl.len()).over(KEY) == 0

        def before(name: str) -> pl.Expr:
            return pl.when(first).then(f"last_{name}").otherwise(pl.col(name).shift(1).over(KEY))

        def latest(value: pl.Expr, name: str) -> pl.Expr:
            return value.forward_fill().over(KEY).fill_null(pl.col(f"last_{name}"))

        six_days = (pl.col("ms") + SIX_DAYS - 1) // SIX_DAYS
        rows = rows.with_columns(breachedIn=latest(pl.when(breach).then(six_days), "breachedIn"))
        begins = breach & ((before("breached").fill_null(0) == 0) | before("breachedIn").ne_missing(pl.col("breachedIn")))
        began = pl.when(moment("since") <= pl.col("observedTime")).then("since").otherwise("observedAt")
        rows = rows.with_columns(startedAt=latest(pl.when(begins).then(began), "startedAt"))
        age = (pl.col("observedTime") - moment("startedAt")).dt.total_milliseconds()
        due = breach & (age >= pl.col("forSeconds") * 1000)
        rows = rows.with_columns(dueSince=latest(pl.when(due).then("startedAt"), "dueSince"))
        rows = rows.with_columns(openSince=pl.when(breach & (pl.col("dueSince") == pl.col("startedAt"))).then("startedAt"))
        rows = rows.with_columns(wasOpenSince=before("openSince"))
        now = rows.group_by(KEY).agg(pl.col(name).last().alias(f"last_{name}") for name in REMEMBERED)
        self.latest = now if self.latest is None else pl.concat([now, self.latest.join(now, on=KEY, how="anti")])
        return rows

    def _count(self, signals: pl.DataFrame | None, watermark: object) -> None:
        rows = [] if self.waiting is None else [self.waiting]
        if signals is not None:
            narrow = signals.filter(pl.col("signal") != "").select("cityId", "signal", "value", windowEnd=WINDOW_END)
            rows.append(narrow)
        waiting = pl.concat(rows)
        closed = pl.lit(value=True) if watermark is None else pl.col("windowEnd") < watermark
        value = pl.col("value")
        minutes = waiting.filter(closed).group_by("windowEnd", "cityId", "signal").agg(
            readings=pl.len(), mean=value.mean(), minimum=value.min(), maximum=value.max(), Table=pl.lit("CityMinute")
        )  # fmt: skip
        self.waiting = waiting.filter(~closed)
        if len(minutes):
            self._write("cityminute", minutes)

    def _write(self, output: str, rows: pl.DataFrame) -> None:
        path = self.target / output / f"{self.number:03d}"
        if output == "lake":
            rows.write_parquet(path.with_suffix(".parquet"))
        elif len(rows):
            rows.write_ndjson(path.with_suffix(".json"))


def _signals(observations: pl.DataFrame) -> pl.DataFrame:
    rows = observations.with_columns(date=pl.col("observedAt").str.slice(0, 10)).explode("signals")
    fields = {name: pl.col("signals").struct.field(name) for name in ("value", "text", "since", "rules")}
    return rows.with_columns(signal=pl.col("signals").struct.field("name").fill_null(""), **fields)


def _readings(signals: pl.DataFrame) -> pl.DataFrame:
    rows = signals.filter(pl.col("rules").list.len() > 0).explode("rules")
    fields = {name: pl.col("rules").struct.field(name) for name in ("severity", "op", "threshold", "forSeconds")}
    rows = rows.with_columns(ruleId=pl.col("rules").struct.field("id"), **fields)
    over = (pl.col("op") == ">=") & (pl.col("value") >= pl.col("threshold"))
    under = (pl.col("op") == "<=") & (pl.col("value") <= pl.col("threshold"))
    return rows.with_columns(
        breached=(over | under).fill_null(value=False).cast(pl.Int64), ms=pl.col("observedTime").dt.epoch("ms")
    )


def _processed(observations: pl.DataFrame) -> pl.DataFrame:
    status = pl.col("connectionStatus").str.to_lowercase()
    rows = observations.filter(pl.col("reason").fill_null("").str.to_lowercase() != "drill")
    rows = rows.with_columns(health=status.replace_strict(HEALTH, default="unknown"), Table=pl.lit("Processed"))
    return rows.drop("observedTime")


def _alerts(turns: pl.DataFrame) -> pl.DataFrame:
    changed = pl.col("openSince").ne_missing(pl.col("wasOpenSince"))
    sides = []
    for state, since in (("resolved", "wasOpenSince"), ("fired", "openSince")):
        rows = turns.filter(pl.col(since).is_not_null() & changed).with_columns(
            state=pl.lit(state), startedAt=pl.col(since), Table=pl.lit("Alerts")
        )
        sides.append(rows.with_columns(alertId=pl.concat_str("ruleId", "entityId", "startedAt", separator="|")).select(ALERT))
    return pl.concat(sides)


def main(source: Path, target: Path) -> None:
    """Run it and print its elapsed seconds as JSON."""
    for output in ("processed", "cityminute", "alerts", "lake"):
        (target / output).mkdir(parents=True)
    started = time.perf_counter()
    query = Query(target)
    for file in sorted(source.glob("*.json")):
        query.take(file)
    query.finish()
    print(json.dumps({"seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
