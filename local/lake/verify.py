"""Counts what the lake holds, to prove that nothing was lost or stored twice: `python -m local.lake.verify --run <run.json>`.

Prints JSON: per table `rows` and `keys` (distinct), for readings also `observations` (distinct ids). It only reads, and may run
beside a running pipeline.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import duckdb

from local.lake.stored_files import parquet, stored_files
from local.lake.tables import READINGS, LakeTable, live_tables
from local.run_settings import RunSettings


def count(lake_dir: Path) -> dict[str, dict[str, int]]:
    """Rows and distinct keys of every table of the lake; zero for a table that isn't there yet."""
    return {table.name: _count_table(lake_dir, table) for table in (READINGS, *live_tables().values())}


def _count_table(lake_dir: Path, table: LakeTable) -> dict[str, int]:
    figures = {"rows": "count(*)", "keys": f"count(distinct ({', '.join(_as_text(name) for name in table.key)}))"}
    if table is READINGS:
        figures["observations"] = "count(distinct id)"
    path = lake_dir / table.name
    files = stored_files(path)
    if not files:
        return dict.fromkeys(figures, 0)
    row = duckdb.sql(f"select {', '.join(figures.values())} from {parquet(files)}").fetchall()[0]
    return dict(zip(figures, row, strict=True))


def _as_text(column: str) -> str:
    return f"coalesce(\"{column}\"::varchar, '')"


def main() -> None:
    """Print the counts of the run whose settings the command line names."""
    parser = argparse.ArgumentParser(prog="python -m local.lake.verify", description="Count rows and distinct keys in the lake.")
    parser.add_argument("--run", type=Path, required=True, help="settings of the run, written by `roompulse run`")
    settings = RunSettings.read(parser.parse_args().run)
    sys.stdout.write(json.dumps(count(settings.lake_dir), indent=1) + "\n")


if __name__ == "__main__":
    main()
