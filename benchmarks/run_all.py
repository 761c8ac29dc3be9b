"""`make bench`: runs every benchmark and writes benchmarks/RESULTS.md. Name some to run only those."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from benchmarks.report import page

BENCHMARKS = ("bench_pipeline", "bench_ingest", "bench_event_hubs", "bench_engine", "bench_plan")
RESULTS = Path(__file__).with_name("RESULTS.md")


def main() -> None:
    """Run benchmarks one after another, so that none disturbs another."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[*BENCHMARKS, []], help=f"which to run; default: {', '.join(BENCHMARKS)}")
    names = parser.parse_args().names or BENCHMARKS
    tables = [table for name in names for table in importlib.import_module(f"benchmarks.{name}").tables()]
    RESULTS.write_text(page(tables), encoding="utf-8")
    print(page(tables))


if __name__ == "__main__":
    main()
