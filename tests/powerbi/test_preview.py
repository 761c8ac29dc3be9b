"""Previews are drawn from the files of the report: every visual where it is, with its words, and nothing the report has not."""

from __future__ import annotations

import html
import json
from typing import Any

import pytest

from powerbi.items import FabricItem
from powerbi.preview import NOTE, pages_html
from powerbi.report import city_report, consolidated_report

REPORTS = {"city": city_report("lyon", "Lyon", "Europe/Paris"), "all": consolidated_report()}


def visuals(report: FabricItem) -> dict[str, list[dict[str, Any]]]:
    """The visuals of each page, as the report's files have them."""
    pages = {
        path.split("/")[2]: json.loads(part)["displayName"] for path, part in report.parts.items() if path.endswith("page.json")
    }
    files = ((path.split("/")[2], json.loads(part)) for path, part in report.parts.items() if path.endswith("visual.json"))
    found: dict[str, list[dict[str, Any]]] = {}
    for page, document in files:
        found.setdefault(pages[page], []).append(document)
    return found


@pytest.mark.parametrize("report", REPORTS)
def test_every_visual_is_where_the_report_has_it_and_says_what_it_says(report: str) -> None:
    drawn = pages_html(REPORTS[report])
    assert drawn.keys() == visuals(REPORTS[report]).keys()
    for page, documents in visuals(REPORTS[report]).items():
        for document in documents:
            at = document["position"]
            place = f"left:{at['x']}px;top:{at['y']}px;width:{at['width']}px;height:{at['height']}px"
            assert place in drawn[page]
            for state in document["visual"].get("query", {}).get("queryState", {}).values():
                labels = [one["displayName"] for one in state["projections"]]
                if document["visual"]["visualType"] in ("tableEx", "cardVisual"):
                    assert not [label for label in labels if html.escape(label) not in drawn[page]]
        assert NOTE in drawn[page]
    assert pages_html(REPORTS[report]) == drawn


def test_a_change_of_a_file_shows() -> None:
    report = REPORTS["all"]
    path = next(path for path, part in report.parts.items() if '"tableEx"' in str(part))
    text = str(report.parts[path])
    moved = text.replace('"y": 236', '"y": 239').replace('"displayName": "City"', '"displayName": "Town"')
    drawn = pages_html(FabricItem(report.type, report.name, {**report.parts, path: moved}))["Cities"]
    assert "top:239px" in drawn and "<th >Town</th>" in drawn


@pytest.mark.parametrize("report", REPORTS)
def test_nothing_is_drawn_that_no_file_says(report: str) -> None:
    for drawn in pages_html(REPORTS[report]).values():
        assert "dasharray" not in drawn and "☐" not in drawn
        assert "border: 1px" not in drawn


def test_states_have_their_colours_where_the_report_has_rules_for_them() -> None:
    report = REPORTS["city"]
    assert '<span style="color:#B0211C">▼ Down</span>' in pages_html(report)["Rooms"]
    bare = {
        path: json.dumps(without_rules(json.loads(str(part)))) if path.endswith("visual.json") else part
        for path, part in report.parts.items()
    }
    assert "color:#B0211C" not in pages_html(FabricItem(report.type, report.name, bare))["Rooms"]


def without_rules(document: dict[str, Any]) -> dict[str, Any]:
    """A visual without its conditional colours."""
    document["visual"].get("objects", {}).pop("values", None)
    return document


def test_a_name_is_text_and_never_markup() -> None:
    drawn = pages_html(city_report("x", "<b>x</b>", "Europe/Paris"))
    assert not [page for page in drawn.values() if "<b>x</b>" in page]
