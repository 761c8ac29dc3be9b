"""What every test here shares: no deadline on a slow machine, one thread for DuckDB."""

from __future__ import annotations

import pytest
from hypothesis import settings

from asa_engine.databases import calculator

settings.register_profile("package", deadline=None)
settings.load_profile("package")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """As the local job runs; handing some rows from thread to thread costs a quarter of every statement."""
    calculator().execute("SET GLOBAL threads = 1")
