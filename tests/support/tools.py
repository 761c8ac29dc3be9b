"""Programs of others that tests run: where `make test` has put them, and what happens where one is missing."""

from __future__ import annotations

import os
import shutil
from functools import cache
from pathlib import Path
from typing import NoReturn

import pytest

TESTS = Path(__file__).resolve().parents[1]
JUDGES = TESTS.parent / ".judges"
"""Where `make test` puts what is neither of Python's environment nor of Node's."""
NODE_MODULES = TESTS / "node_modules"
"""The packages of tests/package.json; Node finds them from every script below tests/."""


def missing(reason: str) -> NoReturn:
    """Skip the test on a person's machine and fail it in CI, where a skip would hide a hole. `reason` says what to install."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@cache
def node() -> str:
    """The path of Node.js, for scripts that need packages of tests/package.json."""
    path = shutil.which("node")
    if path is None:
        missing("Node.js is missing: `make test` installs it into .venv-toolchains")
    if not NODE_MODULES.exists():
        missing("the packages of tests/package.json are missing: `make test` installs them (npm ci in tests/)")
    return path
