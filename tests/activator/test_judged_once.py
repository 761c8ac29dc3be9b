"""A declaration that is read again as it was is not judged again; whatever differs is, however much alike it looks."""

from __future__ import annotations

from typing import Any

import pytest

from activator.declarations import schema_faults

SCHEMA: dict[str, Any] = {"properties": {"severity": {"type": "integer"}, "1": {"type": "string"}}}


@pytest.mark.parametrize(
    ("sound", "broken"),
    [
        ({"severity": 1}, {"severity": True}),
        ({"severity": 1}, {"severity": "1"}),
        ({"severity": 1}, {"severity": 1.5}),
        ({"1": "a"}, {"1": ["a"]}),
    ],
    ids=repr,
)
def test_what_looks_alike_is_judged_apart(sound: Any, broken: Any) -> None:
    for _ in range(2):
        assert schema_faults(sound, SCHEMA) == []
        assert len(schema_faults(broken, SCHEMA)) == 1


def test_what_was_changed_since_is_judged_anew_and_so_is_another_schema() -> None:
    document = {"severity": 1}
    assert schema_faults(document, SCHEMA) == []
    document["severity"] = None  # type: ignore[assignment]
    assert [fault.path for fault in schema_faults(document, SCHEMA)] == ["severity"]
    assert schema_faults(document, {"properties": {"severity": {"type": "null"}}}) == []


def test_whoever_adds_to_the_faults_that_were_found_adds_to_their_own() -> None:
    schema_faults({"severity": "x"}, SCHEMA).clear()
    assert len(schema_faults({"severity": "x"}, SCHEMA)) == 1
