"""YAML that people write is read strictly: the same by the fast reader as by the one whose complaints people get."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from activator.declarations import MOST_LEVELS, DeclarationError, _TellingLoader, read_yaml
from tests.support.shared_data import REPOSITORY

DECLARED = [*REPOSITORY.glob("activator/rules/*.yaml"), *REPOSITORY.glob("powerbi/**/*.yaml"), *REPOSITORY.glob("Pulumi.*.yaml")]
SCALARS = st.text("0123456789.-+eExo_:tTfnyYNull~'\"#@ ", max_size=8) | st.floats() | st.integers() | st.booleans() | st.none()


@pytest.mark.parametrize("path", DECLARED, ids=lambda path: path.name)
def test_what_is_declared_reads_the_same_by_both(path: Path) -> None:
    assert read_yaml(path, "a declaration") == yaml.load(path.read_text(encoding="utf-8"), Loader=_TellingLoader)


@given(
    st.recursive(
        SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("ab-1", min_size=1), inner, max_size=3)
    )
)
def test_any_document_reads_the_same_by_both(tmp_path_factory: pytest.TempPathFactory, document: object) -> None:
    path = tmp_path_factory.mktemp("yaml") / "any.yaml"
    path.write_text(yaml.safe_dump(document, allow_unicode=True), encoding="utf-8")
    assert json.dumps(read_yaml(path, "a declaration")) == json.dumps(yaml.load(path.read_text(), Loader=_TellingLoader))


@pytest.mark.parametrize("levels", [MOST_LEVELS + 1, 250, 2_000, 100_000])
@pytest.mark.parametrize("opening", ["[", "{a: ", "- ", "? "])
def test_what_nests_without_end_is_refused_and_ends_nothing(tmp_path: Path, opening: str, levels: int) -> None:
    closing = {"[": "]", "{a: ": "}"}.get(opening, "")
    path = tmp_path / "deep.yaml"
    path.write_text(opening * levels + "1" + closing * levels, encoding="utf-8")
    with pytest.raises(DeclarationError, match=r"deep.yaml is not valid YAML"):
        read_yaml(path, "a declaration")


@pytest.mark.parametrize(("levels", "words"), [(MOST_LEVELS, "expected"), (MOST_LEVELS + 1, "nests hundreds of levels deep")])
def test_what_is_never_closed_is_refused_as_too_deep_where_it_is(tmp_path: Path, levels: int, words: str) -> None:
    path = tmp_path / "open.yaml"
    path.write_text("[" * levels, encoding="utf-8")
    with pytest.raises(DeclarationError, match=words):
        read_yaml(path, "a declaration")


def test_an_anchor_that_multiplies_is_read_and_not_multiplied(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x]", *(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]" for n in range(1, 60))]
    path = tmp_path / "laughs.yaml"
    path.write_text("\n".join(lines), encoding="utf-8")
    assert len(read_yaml(path, "a declaration")) == 60


def test_as_deep_as_may_be_is_read(tmp_path: Path) -> None:
    path = tmp_path / "deep.yaml"
    path.write_text("[" * (MOST_LEVELS - 1) + "1" + "]" * (MOST_LEVELS - 1), encoding="utf-8")
    assert read_yaml(path, "a declaration") != []


def test_a_file_that_is_missing_is_named_from_where_the_reader_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(DeclarationError) as told:
        read_yaml(tmp_path / "stacks" / "Pulumi.nope.yaml", "the settings of stack nope")
    assert [(fault.path, fault.message) for fault in told.value.faults] == [
        ("stacks/Pulumi.nope.yaml", "write the settings of stack nope here")
    ]
