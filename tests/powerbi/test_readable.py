"""What managers read has words, units, an order and colours that everybody can tell apart."""

from __future__ import annotations

import json
import re
from itertools import combinations
from typing import Any

import pytest

from powerbi.health import HEALTH_COLOURS
from powerbi.layout import Field, Page, Visual, city_layout, consolidated_layout
from powerbi.report import THEME, city_report, consolidated_report
from powerbi.semantic_model import read_model
from tests.support.dax_engine import measures_of
from tests.support.report_store import ReportStore
from tests.support.report_world import LYON, NOW, Outage, alert_rows, device_row
from tests.support.shared_data import REPOSITORY

VISUALS = [visual for page in (*city_layout(), *consolidated_layout()) for visual in page.visuals]
FILES = [
    json.loads(str(part))["visual"]
    for report in (city_report("lyon", "Lyon", "Europe/Paris"), consolidated_report())
    for path, part in report.parts.items()
    if path.endswith("visual.json")
]
PROJECTIONS = [
    one for file in FILES for state in file.get("query", {}).get("queryState", {}).values() for one in state["projections"]
]
UNITS = {"temperature": "(°C)", "humidity": "(%)", "minutes": "(minutes)", "observedAt": "time)", "startedAt": "time)"}
UNITS |= {"Call loss": "(%)", "Call jitter": "(ms)", "firmwareBehind": "(days)", "hour": "time)", "minute": "time)"}


MEASURES = {name: measure for table in read_model().tables.values() for name, measure in table.measures.items()}


def shown() -> set[Field]:
    return {field for visual in VISUALS for fields in visual.roles.values() for field in fields}


def label(field: Field) -> str:
    table = read_model().tables[field.table]
    return table.measures[field.name].label if field.is_measure else table.columns[field.name].label


@pytest.mark.parametrize("field", sorted(shown(), key=str), ids=lambda field: field.name)
def test_a_field_is_called_by_words_and_its_unit(field: Field) -> None:
    assert re.fullmatch(r"[A-Z][^A-Z]*(?: ?\((?:TVOC|[^A-Z]).*\))?", label(field)), label(field)
    assert label(field).endswith(UNITS.get(field.name, ""))


def test_the_report_says_these_words() -> None:
    said = {(next(iter(one["field"].values()))["Property"], one["displayName"]) for one in PROJECTIONS}
    assert said == {(field.name, label(field)) for field in shown()}


@pytest.mark.parametrize("field", sorted(shown(), key=str), ids=lambda field: field.name)
def test_no_id_and_no_bare_number_stands_for_a_word(field: Field) -> None:
    assert field.name not in {"ruleId", "severity", "health", "alertId", "entityId", "deviceId", "workspaceId", "cityId"}


@pytest.mark.parametrize(
    "visual", [one for one in VISUALS if one.type in ("tableEx", "clusteredBarChart")], ids=lambda one: one.title
)
def test_the_worst_comes_first(visual: Visual) -> None:
    rows = visual.roles.get("Values", visual.roles.get("Category", ()))
    assert visual.sort or rows[0].name == "device", "a list of many has an order; a device alone needs none"
    fields = [field for role in visual.roles.values() for field in role]
    assert all(field in fields for field, _ in visual.sort)


def test_order_and_colour_are_in_the_files() -> None:
    tables = [file for file in FILES if file["visualType"] == "tableEx"]
    alerts = next(file for file in tables if "Alerts" in json.dumps(file["query"]["queryState"]))
    assert [next(iter(one["field"].values()))["Property"] for one in alerts["query"]["sortDefinition"]["sort"]] == [
        "stateName", "severityName", "minutes",
    ]  # fmt: skip
    assert [one["direction"] for one in alerts["query"]["sortDefinition"]["sort"]] == ["Ascending", "Ascending", "Descending"]
    for file in tables:
        states = {one["queryRef"] for one in file["query"]["queryState"]["Values"]["projections"]}
        states &= {"Devices.state", "Workspaces.state", "Alerts.severityName"}
        assert {rule["selector"]["metadata"] for rule in file.get("objects", {}).get("values", ())} == states
    for file in FILES:
        if file["visualType"] == "slicer":
            assert file["objects"]["data"][0]["properties"]["mode"]["expr"]["Literal"]["Value"] == "'Dropdown'"


def test_a_bar_of_a_share_is_as_long_as_the_share() -> None:
    for file in FILES:
        measures = [one for state in file.get("query", {}).get("queryState", {}).get("Y", {}).values() for one in state]
        shares = [one for one in measures if MEASURES[one["nativeQueryRef"]].format.endswith("%")]
        axis = file.get("objects", {}).get("valueAxis")
        ends = axis and [axis[0]["properties"][end]["expr"]["Literal"]["Value"] for end in ("start", "end")]
        assert ends == (["0D", "1D"] if shares and file["visualType"] != "lineChart" else None)


def test_a_chart_of_healths_has_their_colours() -> None:
    (health,) = [file for file in FILES if "dataPoint" in file.get("objects", {})]
    assert health["query"]["queryState"]["Category"]["projections"][0]["queryRef"] == "Workspaces.state"
    fill = health["objects"]["dataPoint"][0]["properties"]["fill"]["solid"]["color"]["expr"]["Measure"]
    assert fill["Property"] == "Room colour"


PAGES = [*city_layout(), *consolidated_layout()]
HEADING = 100
"""Above it are a page's title and what stands beside that."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.title)
def test_figures_stand_before_lists(page: Page) -> None:
    cards, tables = ([one for one in page.visuals if one.type == kind] for kind in ("cardVisual", "tableEx"))
    tables = [one for one in tables if one.y + one.height > HEADING]  # what names the page stands beside its title
    order = [page.visuals.index(one) for one in (*cards, *tables)]
    assert order == sorted(order)
    assert all(card.y + card.height <= table.y for card in cards for table in tables)


@pytest.mark.parametrize("chart", [one for one in VISUALS if one.type == "clusteredBarChart"], ids=lambda one: one.title)
def test_the_pointer_tells_more_of_a_bar_than_its_length(chart: Visual) -> None:
    assert chart.roles["Tooltips"]
    assert not set(chart.roles["Tooltips"]) & set(chart.roles["Y"])


@pytest.mark.parametrize("layout", [city_layout(), consolidated_layout()], ids=["city", "all cities"])
def test_a_list_leads_to_every_page_behind_it(layout: tuple[Page, ...]) -> None:
    """One drills through a field that is shown: a page behind a field that no list shows can't be reached."""
    listed = {
        (page.name, field) for page in layout for one in page.visuals if one.type == "tableEx" for field in one.roles["Values"]
    }
    behind = {page.name: page.drill_through for page in layout if page.drill_through}
    assert behind.keys() == ({"room", "device", "alert"} if layout == city_layout() else {"city"})
    for name, field in behind.items():
        assert any(field == shown and page != name for page, shown in listed)


def test_an_alert_leads_to_its_room_and_the_devices_in_it() -> None:
    (page,) = [page for page in PAGES if page.drill_through and page.drill_through.table == "Alerts"]
    lists = {one.where.name: one.roles["Values"][0] for one in page.visuals if one.where}
    behind = {other.drill_through for other in PAGES if other.drill_through}
    assert lists.keys() == {"Rooms of alerts", "Devices of alerts"}
    assert set(lists.values()) <= behind


OF_A_PLACE = [page for page in PAGES if page.drill_through and page.drill_through.table != "Alerts"]


@pytest.mark.parametrize("page", OF_A_PLACE, ids=lambda page: page.title)
def test_a_page_behind_another_has_history_and_its_own_alerts(page: Page) -> None:
    fields = {(field.table, one.type) for one in page.visuals for field in one.roles.get("Category", ())}
    assert ("Dates", "clusteredColumnChart") in fields
    (alerts,) = [one for one in page.visuals if one.type == "tableEx" and one.roles["Values"][0].table == "Alerts"]
    own = {"Room": "Alerts of rooms", "Device": "Alerts of devices", "City": None}[page.title]
    assert (alerts.where.name if alerts.where else None) == own


def test_a_theme_of_power_bi_is_below_ours() -> None:
    for report in (city_report("lyon", "Lyon", "Europe/Paris"), consolidated_report()):
        themes = json.loads(str(report.parts["definition/report.json"]))["themeCollection"]
        assert (themes["baseTheme"]["name"], themes["baseTheme"]["type"]) == ("CY24SU10", "SharedResources")
        assert themes["customTheme"]["name"] == THEME.name


def test_states_are_ordered_by_how_bad_they_are() -> None:
    ordered = {
        (table.name, column.name): column.sort_by for table in read_model().tables.values() for column in table.columns.values()
    }
    assert {key: by for key, by in ordered.items() if by} == {
        ("Devices", "state"): "healthOrder", ("Workspaces", "state"): "healthOrder", ("Alerts", "severityName"): "severity",
    }  # fmt: skip


def test_a_page_says_whose_clock_it_goes_by() -> None:
    headings = [json.dumps(file["objects"], ensure_ascii=False) for file in FILES if file["visualType"] == "textbox"]
    assert all("Times of Europe/Paris" in text or "Days of each city" in text for text in headings)


# ---- one health, in words, order, signs and colours


def estate() -> ReportStore:
    devices = [device_row(health, "lyon", NOW, health=health) for health in HEALTH_COLOURS]
    alerts = [row | {"severity": number} for number in (1, 2, 3, 4) for row in alert_rows(Outage(str(number), "lyon", NOW, None))]
    return ReportStore(NOW, {"Processed": devices, "Alerts": alerts}, [LYON.script])


def test_every_health_has_a_word_an_order_and_its_colour() -> None:
    store = estate()
    rows = {row["deviceId"]: row for row in store.rows("ReportDevices()")}
    assert [rows[health]["healthOrder"] for health in HEALTH_COLOURS] == [1, 2, 3, 4, 5]
    words = {health: row["state"] for health, row in rows.items()}
    assert {health: word[2:].lower() for health, word in words.items()} == {health: health for health in HEALTH_COLOURS}
    assert len({word[0] for word in words.values()}) == 5, "told apart without colour"
    assert {row["health"]: row["state"] for row in store.rows("ReportRooms()")} == words
    measures = measures_of(store)
    for health, colour in HEALTH_COLOURS.items():
        assert measures.value("Device colour", Devices__health=health) == colour
        assert measures.value("Room colour", Workspaces__health=health) == colour


def test_alerts_are_in_words() -> None:
    store = estate()
    rows = {row["severity"]: row for row in store.rows("ReportAlerts()")}
    assert [rows[number]["severityName"][2:] for number in (1, 2, 3, 4)] == ["Critical", "Major", "Minor", "Info"]
    assert {(row["rule"], row["stateName"]) for row in rows.values()} == {("Device offline", "Open")}
    measures = measures_of(store)
    assert [measures.value("Severity colour", Alerts__severity=[n]) for n in (1, 2, 3)] == ["#B0211C", "#8F4A00", None]


def test_the_live_page_has_the_same_colours() -> None:
    css = (REPOSITORY / "local/dashboard/static/css/theme.css").read_text(encoding="utf-8")
    assert {health: re.search(rf"--{health}: (#\w+);", css)[1].upper() for health in HEALTH_COLOURS} == HEALTH_COLOURS  # type: ignore[index]


# ---- colours told apart

VISION = {
    "all": ((1, 0, 0), (0, 1, 0), (0, 0, 1)),
    "deuteranopes": ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    "protanopes": ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
}
"""How linear colours are seen (Machado, Oliveira and Fernandes 2009, severity 1)."""
XYZ = ((0.4124564, 0.3575761, 0.1804375), (0.2126729, 0.7151522, 0.0721750), (0.0193339, 0.1191920, 0.9503041))
WHITE = (0.95047, 1.0, 1.08883)


def times(matrix: Any, vector: list[float]) -> list[float]:
    return [sum(a * b for a, b in zip(row, vector, strict=True)) for row in matrix]


def linear(colour: str) -> list[float]:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    return [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]


def seen(colour: str, vision: str) -> tuple[float, float, float]:
    """A colour as somebody sees it, in CIE Lab."""
    rgb = [min(1.0, max(0.0, part)) for part in times(VISION[vision], linear(colour))]
    x, y, z = (
        value ** (1 / 3) if value > 0.008856 else 7.787 * value + 16 / 116
        for value in (part / white for part, white in zip(times(XYZ, rgb), WHITE, strict=True))
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


@pytest.mark.parametrize("vision", VISION)
def test_a_dozen_cities_are_told_apart(vision: str) -> None:
    colours = json.loads(THEME.read_text(encoding="utf-8"))["dataColors"]
    assert len(colours) >= 12
    for one, other in combinations(colours, 2):
        distance = sum((a - b) ** 2 for a, b in zip(seen(one, vision), seen(other, vision), strict=True)) ** 0.5
        assert distance > 20, (one, other)


@pytest.mark.parametrize("colour", json.loads(THEME.read_text(encoding="utf-8"))["dataColors"] + list(HEALTH_COLOURS.values()))
def test_a_colour_stands_out_from_the_page(colour: str) -> None:
    luminance = times(XYZ, linear(colour))[1]
    assert 1.05 / (luminance + 0.05) >= 3


@pytest.mark.parametrize(
    "page", [one for one in (*city_layout(), *consolidated_layout()) if one.drill_through], ids=lambda one: one.title
)
def test_a_page_behind_a_list_says_what_it_is_of(page: Page) -> None:
    """A reader comes by a click, and sees no filter."""
    named = {field for visual in page.visuals if visual.type == "tableEx" for field in visual.roles["Values"]}
    assert page.drill_through in named
