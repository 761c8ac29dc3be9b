"""A city is data: a new one brings its own items and touches no shared one."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from activator.declarations import DeclarationError
from infra.settings.fabric_items import fabric_items, view_of
from infra.settings.stack import StackSettings, load_stack
from powerbi.folders import FolderError, write_items
from tests.support.rules import RULES
from tests.support.shared_data import REPOSITORY

TODAY = "2026-11-25"


def stack(*, without: str = "") -> StackSettings:
    declared = load_stack(REPOSITORY / "Pulumi.dev.yaml", RULES)
    return replace(declared, cities=tuple(city for city in declared.cities if city.slug != without))


def files(folder: Path) -> dict[str, bytes]:
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_new_city_brings_a_report_and_alerts_and_touches_nothing_else() -> None:
    before, after = fabric_items(stack(without="toronto"), RULES, TODAY), fabric_items(stack(), RULES, TODAY)
    assert [item.content_hash for item in before.shared] == [item.content_hash for item in after.shared]
    assert {slug: [item.content_hash for item in items] for slug, items in before.cities.items()} == {
        slug: [item.content_hash for item in items] for slug, items in after.cities.items() if slug != "toronto"
    }
    assert [(item.type, item.name) for item in after.cities["toronto"]] == [("Report", "Toronto"), ("Reflex", "Alerts Toronto")]


def test_no_shared_item_names_a_city() -> None:
    shared = " ".join(str(part) for item in fabric_items(stack(), RULES, TODAY).shared for part in item.parts.values())
    assert not [city.name for city in stack().cities if city.name in shared or f"'{city.slug}'" in shared]


def test_readers_and_office_hours_are_in_the_view() -> None:
    city = replace(stack().cities[0], readers=("ana@example.com",))
    assert 'readers = dynamic(["ana@example.com"])' in view_of(city)
    assert "opens = 480m, closes = 1080m" in view_of(city)


def test_cities_of_one_name_are_refused() -> None:
    twin = replace(stack().cities[0], slug="lyon-2", name="LYON")
    slashed = replace(stack().cities[0], slug="other", name="A/B")
    with pytest.raises(DeclarationError) as caught:
        fabric_items(replace(stack(), cities=(*stack().cities, twin, slashed)), RULES, TODAY)
    assert [fault.path for fault in caught.value.faults] == ["cities/lyon/name", "cities/lyon-2/name", "cities/other/name"]


@pytest.mark.parametrize(
    ("name", "twin"),
    [
        ("Reykjav\u00edk", "Reykjavi\u0301k"),  # one accent, typed on two machines
        ("S\u00e3o Paulo", "SA\u0303O  PAULO"),
        ("Stra\u00dfe", "STRASSE"),
        ("Paris 2", "Paris\u00a02"),
        ("\u6771\u4eac 1", "\u6771\u4eac \uff11"),
    ],
)
def test_names_that_look_the_same_are_one_name(name: str, twin: str) -> None:
    first = stack().cities[0]
    cities = (replace(first, slug="one", name=name), replace(first, slug="two", name=twin))
    with pytest.raises(DeclarationError) as caught:
        fabric_items(replace(stack(), cities=cities), RULES, TODAY)
    assert [fault.path for fault in caught.value.faults] == ["cities/one/name", "cities/two/name"]


def test_a_slug_that_is_the_name_of_the_shared_report_is_refused() -> None:
    declared = stack()
    with pytest.raises(DeclarationError, match="is what the report of all cities is called: take another slug") as refused:
        fabric_items(replace(declared, cities=(replace(declared.cities[0], slug="roompulse-all-cities"),)), RULES, TODAY)
    assert [fault.path for fault in refused.value.faults] == ["cities/roompulse-all-cities"]


def test_a_build_is_the_same_each_time_and_removes_what_a_city_left(tmp_path: Path) -> None:
    def build(settings: StackSettings) -> tuple[str, ...]:
        items = fabric_items(settings, RULES, TODAY)
        return write_items([*items.shared, *(one for found in items.cities.values() for one in found)], tmp_path).removed

    (tmp_path / "PowerBI-reports" / "mine.Report").mkdir(parents=True)
    (tmp_path / "PowerBI-reports" / "mine.Report" / "note.txt").write_text("not RoomPulse's")
    build(stack())
    first = files(tmp_path)
    assert build(stack()) == () and files(tmp_path) == first
    assert build(stack(without="toronto")) == (
        "PowerBI-reports/Toronto.Report", "PowerBI-reports/Toronto.pbip", "dashboards/Alerts Toronto.Reflex",
    )  # fmt: skip
    left = files(tmp_path)
    assert not [path for path in left if "Toronto" in path] and "PowerBI-reports/mine.Report/note.txt" in left


def test_a_report_on_disk_finds_its_model_by_path(tmp_path: Path) -> None:
    items = fabric_items(stack(), RULES, TODAY)
    write_items([*items.shared, *items.cities["lyon"]], tmp_path, "https://adx.example.kusto.windows.net")
    reports = tmp_path / "PowerBI-reports"
    shortcut = json.loads((reports / "Lyon.pbip").read_text())
    folder = reports / shortcut["artifacts"][0]["report"]["path"]
    reference = json.loads((folder / "definition.pbir").read_text())["datasetReference"]["byPath"]["path"]
    model = (folder / reference).resolve()
    assert (model / "definition.pbism").is_file()
    assert '"https://adx.example.kusto.windows.net"' in (model / "definition/expressions.tmdl").read_text()


def test_what_activator_is_not_asked_for_is_listed_rules_of_the_platform_included() -> None:
    refused = {refusal.rule_id for refusal in fabric_items(stack(), RULES, TODAY).refusals}
    assert "pipeline-stale" in refused


def test_on_disk_is_no_reference_that_only_a_deployment_resolves(tmp_path: Path) -> None:
    items = fabric_items(stack(), RULES, TODAY)
    write_items([*items.shared, *(one for found in items.cities.values() for one in found)], tmp_path)
    texts = {path: content.decode(errors="replace") for path, content in files(tmp_path).items()}
    assert not [path for path, text in texts.items() if "{{fabric:" in text]
    rules = yaml.safe_load(texts["parameter.yml"])["find_replace"]
    assert {rule["replace_value"]["_ALL_"] for rule in rules} == {
        "$workspace.$id", "$items.KQLDatabase.roompulse.$id", "$items.Eventhouse.roompulse.$queryserviceuri",
    }  # fmt: skip
    del texts["parameter.yml"]
    for rule in rules:
        assert any(rule["find_value"] in text for text in texts.values()), rule


def test_a_damaged_list_and_a_folder_that_is_a_file_are_named(tmp_path: Path) -> None:
    (tmp_path / "roompulse-items.json").write_text("{")
    with pytest.raises(FolderError, match=r"roompulse-items.json is damaged"):
        write_items([], tmp_path)
    (tmp_path / "file").write_text("")
    with pytest.raises(FolderError, match=r"choose another folder"):
        write_items(fabric_items(stack(), RULES, TODAY).shared, tmp_path / "file")


def test_activator_links_to_the_runbooks_of_the_stack() -> None:
    there = replace(stack(), runbooks="https://wiki.example.com/runbooks/")
    (alerts,) = [item for item in fabric_items(there, RULES, TODAY).cities["lyon"] if item.type == "Reflex"]
    assert "https://wiki.example.com/runbooks/device-offline.md" in str(alerts.parts["ReflexEntities.json"])
