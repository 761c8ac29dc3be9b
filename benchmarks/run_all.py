"""`make bench`: runs every benchmark and writes benchmarks/RESULTS.md. Name some to run, and renew, only those."""

from __future__ import annotations

import argparse
import importlib
from pathlib import Path

from benchmarks.report import page

BENCHMARKS = (
    "bench_pipeline",
    "bench_estate",
    "bench_ingest",
    "bench_ingest_scale",
    "bench_outages",
    "bench_push",
    "bench_event_hubs",
    "bench_engine",
    "bench_plan",
    "bench_alerts",
    "soak",
)
COMPARISONS = ("engine_comparison.compare",)
"""Those that need more than `make bench` installs: `make bench-engine`."""
LONG = ("bench_day",)
"""Those that take more than ten minutes each: only by name."""
RESULTS = Path(__file__).with_name("RESULTS.md")


def main() -> None:
    """Run benchmarks one after another, so that none disturbs another."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    known = [*BENCHMARKS, *COMPARISONS, *LONG, []]
    parser.add_argument("names", nargs="*", choices=known, help=f"which to run; default: {', '.join(BENCHMARKS)}")
    names = parser.parse_args().names or BENCHMARKS
    tables = [table for name in names for table in importlib.import_module(f"benchmarks.{name}").tables()]
    before = RESULTS.read_text(encoding="utf-8") if RESULTS.exists() else ""
    RESULTS.write_text(page(tables, before), encoding="utf-8")
    print("\n".join(table.markdown() for table in tables))


if __name__ == "__main__":
    main()
