"""What files say of the kinds of channels is what the kinds say of themselves."""

from __future__ import annotations

import pytest
from shared_data import REPOSITORY

from infra.settings.contact_schemas import generated


@pytest.mark.parametrize("path", sorted(generated()))
def test_a_file_that_is_made_from_the_kinds_of_channels_is_up_to_date(path: str) -> None:
    assert (REPOSITORY / path).read_text(encoding="utf-8") == generated()[path], f"{path} is out of date: run make generate"
