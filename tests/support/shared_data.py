"""Where tests find reference data that keeps its own licence and therefore is not in this repository."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.tools import missing

REPOSITORY = Path(__file__).resolve().parents[2]


def shared_data(relative: str) -> Path:
    """A file or folder of the shared reference data: under ROOMPULSE_SHARED_DATA, or beside the repository in ../shared/data.

    Missing data skips the test on a person's machine and fails it in CI, where a skip would hide a hole. Where the data can't be
    (a fork's pull request), ROOMPULSE_SHARED_DATA=none says so, and the test is skipped in CI too.
    """
    place = os.environ.get("ROOMPULSE_SHARED_DATA", str(REPOSITORY.parent / "shared" / "data"))
    if place == "none":
        pytest.skip(f"reference data {relative} is not used here: ROOMPULSE_SHARED_DATA=none")
    root = Path(place)
    path = root / relative
    if path.exists():
        return path
    reason = f"reference data {relative} is missing under {root}: set ROOMPULSE_SHARED_DATA to its folder (see README, Tests)"
    missing(reason)
