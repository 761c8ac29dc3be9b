"""Items as data: their references, and a hash that is the same before and after a deployment."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from powerbi.items import WORKSPACE_ID, FabricItem, ItemError, Reference, resolved

MODEL = Reference("SemanticModel", "RoomPulse", "id")
STORE = Reference("KQLDatabase", "roompulse", "queryServiceUri")
PARTS: dict[str, str | bytes] = {
    "definition.pbir": f'{{"connectionString": "semanticmodelid={MODEL.placeholder}"}}',
    "a.json": f'{{"workspace": {{"id": "{WORKSPACE_ID.placeholder}"}}, "uri": "{STORE.placeholder}"}}',
    "picture.png": b"\x89PNG{{fabric:of no meaning}}",
}


def test_references_are_what_the_text_parts_name_each_once() -> None:
    assert FabricItem("Report", "Lyon", PARTS).references == (STORE, MODEL, WORKSPACE_ID)


def test_references_are_resolved_in_place() -> None:
    values = {WORKSPACE_ID.placeholder: "w-1", STORE.placeholder: "https://store", MODEL.placeholder: "m-1"}
    text = PARTS["a.json"]
    assert isinstance(text, str)
    assert resolved(text, values) == '{"workspace": {"id": "w-1"}, "uri": "https://store"}'


def test_a_reference_nobody_can_resolve_is_named() -> None:
    with pytest.raises(ItemError, match=r"nothing is known of \{\{fabric:SemanticModel/RoomPulse/id\}\}"):
        resolved(str(PARTS["definition.pbir"]), {})


@pytest.mark.parametrize(
    "target", ["Workspace", "Workspace/w/id", "Report/Lyon", "KQLDatabase/x/uri", "a/b/c/id", "Report/x/queryServiceUri", " "]
)
def test_what_looks_like_a_reference_and_is_none_is_a_fault(target: str) -> None:
    with pytest.raises(ItemError, match=r"Report Lyon, x: .* is not a reference: write"):
        FabricItem("Report", "Lyon", {"x": f"{{{{fabric:{target}}}}}"})


def test_a_type_we_do_not_deploy_is_a_fault() -> None:
    with pytest.raises(ItemError, match="'Dashboard' is not an item type we deploy: one of Eventhouse"):
        FabricItem("Dashboard", "x", {})


@given(st.dictionaries(st.text(max_size=4), st.text("ab", max_size=4) | st.binary(max_size=4), max_size=5))
def test_the_hash_depends_on_paths_and_content_and_on_nothing_else(parts: dict[str, str | bytes]) -> None:
    content = FabricItem("Report", "Lyon", parts).content_hash
    assert FabricItem("Report", "Oslo", dict(reversed(parts.items()))).content_hash == content
    for path in parts:
        others = {other: parts[other] for other in parts if other != path}
        assert FabricItem("Report", "Lyon", {**parts, path: b"other"}).content_hash != content
        assert FabricItem("Report", "Lyon", others).content_hash != content


def test_text_moved_from_one_part_to_the_next_is_another_content() -> None:
    first, second = ({"a": "bc", "d": ""}, {"a": "b", "cd": ""})
    assert FabricItem("Report", "x", first).content_hash != FabricItem("Report", "x", second).content_hash
