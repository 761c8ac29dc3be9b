"""The model, the reports and the dashboard are what Power BI and Fabric accept, as far as that can be known without them."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

import pytest

from powerbi.city_view import city_view
from powerbi.items import FabricItem
from powerbi.real_time_dashboard import dashboard
from powerbi.report import city_report, consolidated_report
from powerbi.semantic_model import Measure, Model, Relationship, read_model, semantic_model
from tests.support.definition_checks import dashboard_faults, dax_faults, model_faults, report_faults, tmdl_faults
from tests.support.kusto_checker import check_kql, tile_findings
from tests.support.report_store import ReportStore
from tests.support.report_world import CITIES, HOUR, NOW, Outage, alert_rows, device_row

pytestmark = pytest.mark.kusto

MODEL = read_model()
REPORT = city_report("lyon", "Lyon", "Europe/Paris")


def texts(item: FabricItem) -> dict[str, str]:
    return {path: part for path, part in item.parts.items() if isinstance(part, str)}


@pytest.mark.parametrize("item", [REPORT, consolidated_report()], ids=["city", "consolidated"])
def test_a_report_is_valid(item: FabricItem) -> None:
    assert report_faults(texts(item), MODEL) == []


def test_the_model_is_valid_and_has_the_columns_of_kusto() -> None:
    assert list(model_faults(MODEL, tile_findings().functions)) == []
    assert list(tmdl_faults(texts(semantic_model()), MODEL)) == []


def test_the_role_keeps_its_id_so_that_it_keeps_its_members() -> None:
    role = texts(semantic_model())["definition/roles/CityReader.tmdl"]
    assert re.search(r"^\tannotation PBI_Id = [0-9a-f]{32}$", role, re.MULTILINE)
    assert role == texts(semantic_model())["definition/roles/CityReader.tmdl"]


def test_the_dashboard_is_valid_and_kusto_accepts_its_queries() -> None:
    part = texts(dashboard())["RealTimeDashboard.json"]
    assert list(dashboard_faults(part)) == []
    queries = {query["id"]: query["text"].replace("['_city']", "dynamic(['lyon'])") for query in json.loads(part)["queries"]}
    assert check_kql(queries).faults == ()


def dashboard_tables() -> dict[str, str]:
    """The queries of the dashboard's tables by their titles, for one city."""
    document = json.loads(texts(dashboard())["RealTimeDashboard.json"])
    queries = {query["id"]: query["text"].replace("['_city']", "dynamic(['lyon'])") for query in document["queries"]}
    return {tile["title"]: queries[tile["queryRef"]["queryId"]] for tile in document["tiles"] if tile["visualType"] == "table"}


def test_a_table_of_the_dashboard_has_columns_that_people_read_and_no_id() -> None:
    found = check_kql(dashboard_tables())
    assert found.faults == () and len(found.columns) == 11
    for title, columns in found.columns.items():
        assert all(name[0].isupper() for name in columns), title
        assert not [name for name in columns if name.lower().endswith("id")], title
        times = [name for name, kind in columns.items() if kind == "datetime"]
        assert all(name.endswith("(UTC)") for name in times), title
        assert "dynamic" not in columns.values(), title


@pytest.mark.parametrize("health", ["down", "issues", "unknown", "asleep", "up"])
def test_the_dashboard_says_healths_and_severities_as_the_reports_do(health: str) -> None:
    device = device_row("a", "lyon", NOW, health=health)
    alert = [row | {"severity": 1 + number} for number, row in enumerate(alert_rows(Outage("a", "lyon", NOW - HOUR, None)))]
    store = ReportStore(NOW, {"Processed": [device], "Alerts": alert}, [city.script for city in CITIES])
    tables = dashboard_tables()
    (room,), (shown,) = store.rows(tables["Rooms"]), store.rows("ReportRooms()")
    assert room["State"] == shown["state"]
    (fired,), (listed,) = store.rows(tables["Open alerts"]), store.rows("ReportAlerts()")
    assert (fired["Severity"], fired["Rule"]) == (listed["severityName"], listed["rule"])


def test_everything_is_the_same_each_time() -> None:
    for make in (semantic_model, consolidated_report, dashboard, lambda: city_report("lyon", "Lyon", "Europe/Paris")):
        assert make().parts == make().parts


def test_a_city_is_locked_to_its_report_and_named_nowhere_shared() -> None:
    report = json.loads(texts(REPORT)["definition/report.json"])
    (city,) = report["filterConfig"]["filters"]
    assert city["isLockedInViewMode"] and city["isHiddenInViewMode"]
    assert city["filter"]["Where"][0]["Condition"]["In"]["Values"] == [[{"Literal": {"Value": "'lyon'"}}]]
    assert "filterConfig" not in json.loads(texts(consolidated_report())["definition/report.json"])


def test_a_list_that_a_measure_filters_leaves_out_what_is_not_above_0() -> None:
    lists = [json.loads(part) for path, part in texts(REPORT).items() if path.endswith("visual.json") and "filterConfig" in part]
    filters = {one["field"]["Measure"]["Property"]: one for entry in lists for one in entry["filterConfig"]["filters"]}
    assert filters.keys() == {"Alerts of rooms", "Alerts of devices", "Rooms of alerts", "Devices of alerts"}
    for name, one in filters.items():
        (condition,) = one["filter"]["Where"]
        comparison = condition["Condition"]["Comparison"]
        assert (comparison["ComparisonKind"], comparison["Right"]) == (GREATER_THAN, {"Literal": {"Value": "0L"}})
        assert comparison["Left"]["Measure"]["Property"] == name
        assert one["isHiddenInViewMode"] and one["isLockedInViewMode"]


GREATER_THAN = 1
"""As Power BI's query has it: 0 equal, 1 greater, 2 greater or equal, 3 less, 4 less or equal."""


def test_reports_of_two_cities_share_no_id() -> None:
    def names(item: FabricItem) -> set[str]:
        return {json.loads(part)["name"] for path, part in texts(item).items() if path.endswith(("page.json", "visual.json"))}

    assert not names(REPORT) & names(city_report("oslo", "Oslo", "Europe/Oslo"))


def test_a_citys_view_yields_what_the_empty_one_yields() -> None:
    view = city_view("new-york", 'New "York"', "America/New_York", ("mon", "sun"), "08:30", "24:00", ("b@x.com", "a@x.com"))
    body = view[view.index("{\n") + 1 : view.rindex("}")]
    findings = check_kql({"view": body})
    assert findings.faults == ()
    assert findings.columns["view"] == findings.functions["City_none"]
    assert view.splitlines()[1] == "City_new_york()"
    assert "dynamic([1, 0])" in body and "510m" in body and "1440m" in body and '["a@x.com", "b@x.com"]' in body


Change = Callable[[dict[str, Any]], object]


def with_visual_changed(change: Change) -> dict[str, str]:
    """The report with the first table of its first page changed."""
    parts = texts(REPORT)
    page = json.loads(parts["definition/pages/pages.json"])["pageOrder"][0]
    for path, part in parts.items():
        document = json.loads(part) if path.startswith(f"definition/pages/{page}/visuals/") else {}
        if document.get("visual", {}).get("visualType") == "tableEx":
            change(document)
            return parts | {path: json.dumps(document)}
    raise AssertionError("no table")


def projections(document: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = document["visual"]["query"]["queryState"]["Values"]["projections"]
    return found


def rename_role(document: dict[str, Any]) -> None:
    state = document["visual"]["query"]["queryState"]
    state["Rows"] = state.pop("Values")


def name_a_missing(kind: str, name: str) -> Change:
    def change(document: dict[str, Any]) -> None:
        (body,) = projections(document)[0]["field"].values()
        projections(document)[0]["field"] = {kind: body | {"Property": name}}

    return change


SEEDED = {
    "wrong role": (rename_role, "tableEx has no role Rows"),
    "missing column": (name_a_missing("Column", "sevrity"), "table Alerts has no column sevrity"),
    "missing measure": (name_a_missing("Measure", "No such"), "table Alerts has no measure No such"),
    "missing table": (
        lambda d: projections(d)[0]["field"]["Column"]["Expression"]["SourceRef"].update(Entity="Alarms"),
        "the model has no table Alarms",
    ),
    "no alt text": (lambda d: d["visual"]["visualContainerObjects"].pop("general"), "has no alt text"),
    "overlap": (lambda d: d["position"].update(y=300), "overlaps"),
    "outside the page": (lambda d: d["position"].update(height=400), "outside the page"),
    "tab order twice": (lambda d: d["position"].update(tabOrder=1000), "tab order 1000 is there twice"),
    "no such visual": (lambda d: d["visual"].update(visualType="tabel"), "tabel is not a visual"),
    "unknown property": (lambda d: d.update(colour="red"), "colour"),
    "measure on an axis": (
        lambda d: d["visual"].update(
            visualType="slicer",
            query={"queryState": {"Values": {"projections": [_measure("Alerts", "Open alerts")]}}},
        ),
        "role Values of slicer takes columns, not measures",
    ),
}


def _measure(table: str, name: str) -> dict[str, Any]:
    field = {"Measure": {"Expression": {"SourceRef": {"Entity": table}}, "Property": name}}
    return {"field": field, "queryRef": f"{table}.{name}", "nativeQueryRef": name}


@pytest.mark.parametrize("fault", SEEDED)
def test_a_fault_in_a_report_is_found(fault: str) -> None:
    change, expected = SEEDED[fault]
    found = report_faults(with_visual_changed(change), MODEL)
    assert any(expected in line for line in found), found


def on_the_phone(**place: int) -> dict[str, str]:
    """The report with the place of the last visual of a page changed on the phone."""
    parts = texts(REPORT)
    path = [path for path in parts if path.endswith("mobile.json")][-1]
    document = json.loads(parts[path])
    document["position"] |= place
    return parts | {path: json.dumps(document)}


@pytest.mark.parametrize(
    ("place", "fault"),
    [({"width": 325}, "outside the phone"), ({"y": 8}, "on the phone"), ({"tabOrder": 1}, "the phone has another order")],
    ids=str,
)
def test_a_fault_of_the_phone_is_found(place: dict[str, int], fault: str) -> None:
    assert any(fault in line for line in report_faults(on_the_phone(**place), MODEL))


def test_a_visual_that_is_not_on_the_phone_is_found() -> None:
    parts = texts(REPORT)
    del parts[next(path for path in parts if path.endswith("mobile.json"))]
    assert any("on one of the two layouts only" in line for line in report_faults(parts, MODEL))


def test_a_page_that_pages_json_does_not_list_is_found() -> None:
    parts = texts(REPORT)
    order = json.loads(parts["definition/pages/pages.json"])
    order["pageOrder"].pop()
    assert any(
        "pages.json names" in line for line in report_faults(parts | {"definition/pages/pages.json": json.dumps(order)}, MODEL)
    )


def model_with(table: str, **changes: Any) -> Model:
    return replace(MODEL, tables={**MODEL.tables, table: replace(MODEL.tables[table], **changes)})


def faults_of(model: Model) -> Iterable[str]:
    return model_faults(model, tile_findings().functions)


def test_faults_in_the_model_are_found() -> None:
    alerts = MODEL.tables["Alerts"]
    twice = {**alerts.measures, "device count": Measure("device count", "1", "Again.", "0")}
    assert "measure device count is there twice" in faults_of(model_with("Alerts", measures=twice))
    like_a_column = {**alerts.measures, "Severity": Measure("Severity", "1", "As a column.", "0")}
    assert any("is a column and a measure" in line for line in faults_of(model_with("Alerts", measures=like_a_column)))
    columns = {**alerts.columns, "severity": replace(alerts.columns["severity"], type="string")}
    assert any(line.startswith("Alerts differs from ReportAlerts") for line in faults_of(model_with("Alerts", columns=columns)))
    unnamed = {**alerts.measures, "Nothing said": Measure("Nothing said", "1", "", "0")}
    assert "[Nothing said] has no description or no format" in faults_of(model_with("Alerts", measures=unnamed))
    second_way = Relationship(("RoomHours", "cityId"), ("Cities", "cityId"), False)
    ambiguous = replace(MODEL, relationships=(*MODEL.relationships, second_way))
    assert "there are 2 ways from RoomHours to Cities" in faults_of(ambiguous)
    dangling = replace(MODEL, relationships=(*MODEL.relationships, Relationship(("Alerts", "roomId"), ("Cities", "city"), False)))
    assert {"a relationship names Alerts.roomId, which is not there", "('Cities', 'city') is not a key"} <= set(
        faults_of(dangling)
    )


@pytest.mark.parametrize(
    ("dax", "fault"),
    [
        ("SUM ( Devices[dropz] )", "there is no column Devices[dropz]"),
        ("1 - [Device kount]", "there is no measure [Device kount]"),
        ("COUNTROWS ( Device )", "Device is not a table"),
        ("SUMM ( Devices[drops] )", "SUMM is not a function we know"),
        ("SUM ( Devices[drops]", "a parenthesis is not closed"),
        ("SUM Devices[drops] )", "a parenthesis closes that was not opened"),
        ("SUM ( Devices[drops] ) § 2", "'§' at 23 is not a DAX we know"),
    ],
)
def test_a_fault_in_a_measure_is_found(dax: str, fault: str) -> None:
    assert fault in dax_faults(dax, MODEL)


@pytest.mark.parametrize(
    ("path", "before", "after", "fault"),
    [
        ("model", "ref table Alerts\n", "", "model.tmdl and the tables' files differ"),
        ("model", "ref role CityReader\n", "", "model.tmdl and the roles' files differ"),
        ("tables/Alerts", "\tcolumn name", "    column name", "is indented with spaces"),
        ("tables/Alerts", "dataType: int64", "dataType: string", "Alerts: columns or types differ"),
        ("tables/Alerts", "mode: directQuery", "mode: import", "Alerts: asks nobody"),
        ("tables/Alerts", "table Alerts", "// now\ntable Alerts", "is a comment"),
    ],
)
def test_a_fault_in_tmdl_is_found(path: str, before: str, after: str, fault: str) -> None:
    parts = texts(semantic_model())
    key = f"definition/{path}.tmdl"
    assert before in parts[key]
    assert any(fault in line for line in tmdl_faults(parts | {key: parts[key].replace(before, after)}, MODEL))


def test_faults_in_the_dashboard_are_found() -> None:
    def found(change: Change) -> str:
        document = json.loads(texts(dashboard())["RealTimeDashboard.json"])
        change(document)
        return "\n".join(dashboard_faults(json.dumps(document)))

    assert "asks an unknown data source" in found(lambda d: d["queries"][1]["dataSource"].update(dataSourceId=GONE))
    assert "is used 2 times" in found(lambda d: d["tiles"][0].update(queryRef=d["tiles"][1]["queryRef"]))
    assert "overlaps" in found(lambda d: d["tiles"][1]["layout"].update(x=0))
    assert "is too wide" in found(lambda d: d["tiles"][0]["layout"].update(width=24, x=2))
    assert "is on no page" in found(lambda d: d["tiles"][0].update(pageId=GONE))
    assert "uses other variables than it says" in found(lambda d: d["queries"][1].update(usedVariables=[]))


GONE = "11111111-1111-1111-1111-111111111111"
