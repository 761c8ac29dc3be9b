"""Runs the live page as a part of its own: `python -m local.dashboard --run <run.json>`."""

from __future__ import annotations

from local.dashboard.server import serve
from local.part import run_part

if __name__ == "__main__":
    run_part("dashboard", serve)
