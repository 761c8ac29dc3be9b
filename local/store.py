"""Lake and page in one process: `python -m local.store --run <run.json>`.

Both live on DuckDB and delta-rs; together they need the memory of those libraries once instead of twice, and the page has a row
before it is in the lake.
"""

from __future__ import annotations

from functools import partial

from local.dashboard.server import serve as serve_dashboard
from local.lake.arrivals import Arrivals
from local.lake.service import serve as serve_lake
from local.part import run_parts

if __name__ == "__main__":
    arrivals = Arrivals()
    run_parts("store", {"lake": partial(serve_lake, arrivals=arrivals), "dashboard": partial(serve_dashboard, arrivals=arrivals)})
