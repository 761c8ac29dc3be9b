"""Lake and page in one process: `python -m local.store --run <run.json>`.

Both live on DuckDB and delta-rs; together they need the memory of those libraries once instead of twice.
"""

from __future__ import annotations

from local.dashboard.server import serve as serve_dashboard
from local.lake.service import serve as serve_lake
from local.part import run_parts

if __name__ == "__main__":
    run_parts("store", {"lake": serve_lake, "dashboard": serve_dashboard})
