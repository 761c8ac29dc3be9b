"""Stream query, lake and page in one process: `python -m local.analytics --run <run.json>`.

The three live on DuckDB and delta-rs; together they need the memory of those libraries once instead of three times.
"""

from __future__ import annotations

from local.dashboard.server import serve as serve_dashboard
from local.lake.service import serve as serve_lake
from local.part import run_parts
from local.stream_job.part import serve as serve_stream_job

if __name__ == "__main__":
    run_parts("analytics", {"stream_job": serve_stream_job, "lake": serve_lake, "dashboard": serve_dashboard})
