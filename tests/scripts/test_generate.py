"""What follows from a declaration stands in the files as it would be made now."""

from __future__ import annotations

import pytest

from scripts.generate import GENERATED, REPOSITORY, contracts, outdated


def test_every_file_is_as_it_would_be_made_now() -> None:
    assert [str(path.relative_to(REPOSITORY)) for path in outdated()] == [], "run: make generate"


@pytest.mark.parametrize("name", GENERATED)
def test_making_a_file_again_changes_nothing(name: str) -> None:
    text = (REPOSITORY / name).read_text(encoding="utf-8")
    assert GENERATED[name](GENERATED[name](text)) == GENERATED[name](text)


def test_a_document_without_its_marks_says_which_are_missing() -> None:
    with pytest.raises(ValueError, match='put "<!-- signals: made by `make generate` -->"'):
        contracts("# Contracts\n")
