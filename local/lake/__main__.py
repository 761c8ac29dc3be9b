"""Fills the lake as a part of its own: `python -m local.lake --run <run.json>`."""

from __future__ import annotations

from local.lake.service import serve
from local.part import run_part

if __name__ == "__main__":
    run_part("lake", serve)
