"""`python -m local.stream_job --run <run.json>`: run the stream query of a local run."""

from __future__ import annotations

from local.part import run_part
from local.stream_job.part import serve

if __name__ == "__main__":
    run_part("stream_job", serve)
