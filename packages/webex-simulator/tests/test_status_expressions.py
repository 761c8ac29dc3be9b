"""Status expressions: leaves, branches, wildcards and items of arrays."""

from __future__ import annotations

from typing import Any

import pytest

from webex_simulator.answers import ApiError
from webex_simulator.status_expressions import merge, select

TREE: dict[str, Any] = {
    "Audio": {"Volume": 50, "Microphones": {"Mute": "On"}},
    "Video": {"Output": {"Connector": [{"id": 1, "Connected": "True", "Type": "HDMI"}, {"id": 2, "Connected": "False"}]}},
}
FIRST, SECOND = TREE["Video"]["Output"]["Connector"]


def connectors(*items: dict[str, Any]) -> dict[str, Any]:
    return {"Video": {"Output": {"Connector": list(items)}}}


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("Audio.Volume", {"Audio": {"Volume": 50}}),
        ("audio.microphones", {"Audio": {"Microphones": {"Mute": "On"}}}),
        ("Audio.*", {"Audio": TREE["Audio"]}),
        ("*.Volume", {"Audio": {"Volume": 50}}),
        ("Video.Output.Connector[2]", connectors(SECOND)),
        ("Video.Output.Connector[*]", connectors(FIRST, SECOND)),
        ("Video.Output.Connector", connectors(FIRST, SECOND)),
        ("Video.Output.Connector[*].Type", connectors({"id": 1, "Type": "HDMI"})),
        ("Video.Output.Connector[9]", {}),
        ("Audio.Volume.Deeper", {}),
        ("Nothing", {}),
    ],
)
def test_an_expression_names_its_part_of_the_tree(expression: str, expected: dict[str, Any]) -> None:
    assert select(TREE, expression) == expected


def test_an_array_that_is_empty_is_shown_empty() -> None:
    tree: dict[str, Any] = {"Diagnostics": {"Message": []}}
    assert select(tree, "Diagnostics.Message[*]") == tree


@pytest.mark.parametrize("expression", ["", "Audio..Volume", "Audio[x]", "Audio Volume"])
def test_what_is_no_expression_is_refused_by_name(expression: str) -> None:
    with pytest.raises(ApiError, match="is not a status expression") as refused:
        select(TREE, expression)
    assert refused.value.status == 400


def test_parts_are_merged_and_items_matched_by_their_ids() -> None:
    whole: dict[str, Any] = {}
    for part in ("Video.Output.Connector[1].Connected", "Video.Output.Connector[*].Type", "Video.Output.Connector[2]"):
        merge(whole, select(TREE, part))
    assert whole == connectors({"id": 1, "Connected": "True", "Type": "HDMI"}, SECOND)
