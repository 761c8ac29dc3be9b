"""Pictures are drawn from the files of the report and from rows that ran: what no file says and no row has isn't drawn."""

from __future__ import annotations

import html
import json
import re
from datetime import date
from functools import cache
from typing import Any

import pytest

from powerbi.charts import _plot, _value_axis
from powerbi.items import FabricItem
from powerbi.layout import Field
from powerbi.preview import Picture, Query, nothing, page_html, pictures
from powerbi.report import city_report, consolidated_report
from tests.support.report_figures import Figures
from tests.support.report_pictures import FOLDER, RECORD, file_of, hashes, reports
from tests.support.report_store import ReportStore
from tests.support.report_world import BERLIN, CITIES, LYON, NOW, Outage, alert_rows, availability, device_row, world
from tests.support.shared_data import REPOSITORY

REPORTS = {"city": city_report("lyon", "Lyon", "Europe/Paris"), "all": consolidated_report()}
CITY = Field("Cities", "city", False)
CITY_ID = Field("Cities", "cityId", False)
DEVICE = Field("Devices", "device", False)


@cache
def figures() -> Figures:
    return Figures(world())


@cache
def drawn(report: str) -> dict[str, Picture]:
    return pictures(
        REPORTS[report], figures(), {CITY: "Berlin", DEVICE: "Name of b", Field("Workspaces", "room", False): "Room b"}
    )


def files(report: FabricItem, name: str) -> dict[str, list[dict[str, Any]]]:
    """The files of a name of each page, as the report has them."""
    pages = {
        path.split("/")[2]: json.loads(part)["displayName"] for path, part in report.parts.items() if path.endswith("page.json")
    }
    found: dict[str, list[dict[str, Any]]] = {}
    for path, part in report.parts.items():
        if path.endswith(f"/{name}"):
            found.setdefault(pages[path.split("/")[2]], []).append(json.loads(part))
    return found


# ---- what the files say


@pytest.mark.parametrize(("name", "kind"), [("visual.json", "desktop"), ("mobile.json", "phone")])
@pytest.mark.parametrize("report", REPORTS)
def test_every_visual_is_where_the_report_has_it(report: str, name: str, kind: str) -> None:
    assert drawn(report).keys() == files(REPORTS[report], name).keys()
    for page, documents in files(REPORTS[report], name).items():
        for document in documents:
            at = document["position"]
            place = f"left:{at['x']}px;top:{at['y']}px;width:{at['width']}px;height:{at['height']}px"
            assert place in getattr(drawn(report)[page], kind)


@pytest.mark.parametrize("report", REPORTS)
def test_every_visual_says_what_it_says_with_rows_and_without(report: str) -> None:
    empty = pictures(REPORTS[report], nothing)
    for page, documents in files(REPORTS[report], "visual.json").items():
        for body in (
            document["visual"] for document in documents if document["visual"]["visualType"] in ("tableEx", "cardVisual")
        ):
            (state,) = body["query"]["queryState"].values()
            for label in (html.escape(one["displayName"]) for one in state["projections"]):
                for picture in (drawn(report)[page], empty[page]):
                    assert label in picture.desktop and label in picture.phone


def test_a_change_of_a_file_shows() -> None:
    report = REPORTS["all"]
    path = next(path for path, part in report.parts.items() if '"tableEx"' in str(part))
    text = str(report.parts[path])
    moved = text.replace('"y": 236', '"y": 239').replace('"displayName": "City"', '"displayName": "Town"')
    changed = pictures(FabricItem(report.type, report.name, {**report.parts, path: moved}), nothing)["Cities"]
    assert "top:239px" in changed.desktop and "<th>Town</th>" in changed.desktop


@pytest.mark.parametrize("report", REPORTS)
def test_nothing_is_drawn_that_no_file_says(report: str) -> None:
    for page in drawn(report).values():
        whole = page_html(page.desktop, "x")
        assert "dasharray" not in whole and "☐" not in whole
        assert "border: 1px" not in whole


def test_states_have_their_colours_where_the_report_has_rules_for_them() -> None:
    report = REPORTS["city"]
    assert '<span style="color:#B0211C">▼ Down</span>' in drawn("city")["Rooms"].desktop
    bare = {
        path: json.dumps(without_rules(json.loads(str(part)))) if path.endswith("visual.json") else part
        for path, part in report.parts.items()
    }
    assert "#B0211C" not in pictures(FabricItem(report.type, report.name, bare), figures())["Rooms"].desktop


def without_rules(document: dict[str, Any]) -> dict[str, Any]:
    """A visual without its conditional colours."""
    for name in ("values", "dataPoint"):
        document["visual"].get("objects", {}).pop(name, None)
    return document


def test_a_name_is_text_and_never_markup() -> None:
    markup = "<b>x</b>"
    row = device_row("x", "lyon", NOW) | {"name": markup, "workspaceName": markup, "locationName": markup}
    alerts = [one | {"name": markup, "workspaceName": markup} for one in alert_rows(Outage("x", "lyon", NOW, None))]
    shown = Figures(ReportStore(NOW, {"Processed": [row], "Alerts": alerts}, [LYON.script]))
    pages = pictures(city_report("lyon", markup, "Europe/Paris"), shown)
    assert markup not in "".join(page.desktop + page.phone for page in pages.values())
    assert html.escape(markup) in pages["Overview"].desktop


# ---- what the rows say


def card(page: Picture, label: str) -> str | None:
    found = re.search(rf"<b>([^<]*)</b>{re.escape(label)}<", page.desktop)
    return found[1] if found else None


def test_cards_have_the_figures_of_their_city() -> None:
    overview, city = drawn("city")["Overview"], drawn("all")["City"]
    assert card(overview, "Availability in office hours") == f"{availability(LYON):.2%}".replace("%", " %")
    assert card(city, "Availability in office hours") == f"{availability(BERLIN):.2%}".replace("%", " %")
    assert [card(overview, label) for label in ("Rooms", "Devices down", "Open alerts")] == ["2", "1", "1"]
    assert card(drawn("city")["Environment"], "Mean temperature (°C)") == "--"


def test_a_list_has_a_row_for_each_city_with_its_own_figures() -> None:
    cities = drawn("all")["Cities"].desktop
    assert re.findall(r"<tr><td>(\w+)</td>", cities) == ["Lyon", "Berlin", "Pune"]
    for place in CITIES:
        told = availability(place)
        assert (f"{told:.2%}".replace("%", " %") in cities) if told is not None else place.name not in cities


def test_a_page_of_a_device_shows_that_device_alone() -> None:
    page = drawn("city")["Device"].desktop
    assert "Name of b" in page
    assert "Name of a" not in page
    assert len(re.findall("<td>Device offline</td>", page)) == 2


def test_rows_are_those_that_the_filters_leave_in_the_order_of_the_visual() -> None:
    day, share = Field("Dates", "localDay", False), Field("Devices", "Availability in office hours", True)
    rows = figures()(Query((day, share), {CITY_ID: ("lyon",)}, ((day, True),)))
    found = [(row[day].date(), row[share]) for row in rows]
    days = sorted({one for one, _ in found}, reverse=True)
    assert [one for one, _ in found] == days
    assert dict(found) == {one: pytest.approx(availability(LYON, None, one)) for one in days}
    assert date(2026, 10, 31) not in days


# ---- the pictures of the documentation


def test_the_pictures_are_of_the_reports_as_they_are() -> None:
    """`make pictures` draws them anew."""
    assert json.loads(RECORD.read_text(encoding="utf-8")) == hashes()


def test_every_page_has_its_picture_in_the_documentation() -> None:
    page = (REPOSITORY / "docs/stages/reports.md").read_text(encoding="utf-8")
    for report in reports():
        for title in pictures(report, nothing):
            assert (FOLDER / file_of(report, title)).is_file()
            assert f"../images/reports/{file_of(report, title)})" in page


@pytest.mark.parametrize(
    ("measure", "high", "labels"),
    [
        ("Alerts begun", 3.0, ["0", "3"]),
        ("Alerts begun", 4.0, ["0", "2", "4"]),
        ("Availability in office hours", 1.0, ["0.00 %", "50.00 %", "100.00 %"]),
    ],
)
def test_an_axis_has_no_line_whose_label_is_another_number(measure: str, high: float, labels: list[str]) -> None:
    field = Field("Alerts" if measure == "Alerts begun" else "Devices", measure, True)
    axis = "".join(_value_axis(_plot([0.0, high], 300, 200, "clusteredColumnChart", field), field))
    assert re.findall(r">([^<>]+)</text>", axis) == labels
