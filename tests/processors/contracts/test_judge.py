"""The judge of the tests' messages sees what our own validator sees."""

from __future__ import annotations

from typing import Any

import pytest

from processors.contracts.validation import ALERT, FANOUT_SETTINGS, INGEST_SETTINGS, OBSERVATION, QUARANTINED, faults
from tests.support.contracts import faults_of_message


@pytest.mark.parametrize("name", [OBSERVATION, QUARANTINED, ALERT, INGEST_SETTINGS, FANOUT_SETTINGS])
@pytest.mark.parametrize("document", [{}, {"data": 1}, [], None, {"unknown": True}], ids=repr)
def test_nothing_that_is_wrong_passes(name: str, document: Any) -> None:
    assert faults_of_message(name, document) == faults(name, document) != []
