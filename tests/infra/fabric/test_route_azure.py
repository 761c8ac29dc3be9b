"""Fabric on top of Azure's services: what is deployed, in which order, and that a city brings its report and nothing else."""

from __future__ import annotations

from dataclasses import replace

from infra.fabric.follower import EVENTHOUSE
from infra.offline import Recording, Registration
from infra.plan import plan_of
from infra.plan_text import render
from infra.settings.fabric import Content
from infra.settings.stack import StackSettings
from powerbi.items import Reference
from tests.infra.checks import findings
from tests.infra.deployments import city, record, recording, stack, with_cities
from tests.infra.recorded import ours
from tests.support.rules import RULES

MODEL = Reference("SemanticModel", "RoomPulse", "id").placeholder
DATABASE = Reference("KQLDatabase", "roompulse", "id").placeholder


def deployed(settings: StackSettings | None = None, *, preview: bool = False) -> Recording:
    return record(settings, preview) if settings else recording("dev", preview)


def items(recorded: Recording) -> dict[str, Registration]:
    return {f"{item.inputs['type']} {item.inputs['name']}": item for item in ours(recorded, "FabricItem")}


def test_nothing_is_wrong_with_it() -> None:
    assert findings(deployed()) == []


def test_without_fabric_nothing_of_it_is_there() -> None:
    dev = stack("dev")
    assert dev.azure is not None
    off = record(replace(dev, azure=replace(dev.azure, fabric=None, fabric_capacity=None)))
    assert not [resource for resource in off.resources if "abric" in resource.type or "fabric" in resource.name]
    assert "fabricWorkspace" not in off.outputs and findings(off) == []


def test_every_item_is_a_resource_of_its_own() -> None:
    shared = {f"Eventhouse {EVENTHOUSE}", "KQLDatabase roompulse", "Lakehouse roompulse", "SemanticModel RoomPulse"}
    shown = {"KQLDashboard RoomPulse live", "Report RoomPulse all cities"}
    of_cities = {name for city_ in ("Lyon", "Toronto", "Singapore") for name in (f"Report {city_}", f"Reflex Alerts {city_}")}
    assert items(deployed()).keys() == shared | shown | of_cities


def test_the_database_follows_the_live_store_and_waits_for_its_tables() -> None:
    database = items(deployed())["KQLDatabase roompulse"]
    creation = database.inputs["creation"]
    assert creation["databaseType"] == "Shortcut" and creation["sourceDatabaseName"] == "roompulse"
    assert creation["sourceClusterUri"] == deployed().outputs["liveStore"]
    assert any(urn.endswith("::schema") for urn in database.depends_on)
    assert any(urn.endswith("::reader-fabric") for urn in database.depends_on)


def test_the_lake_s_tables_are_shortcuts_and_readings_wait_for_the_first_row() -> None:
    shortcuts = {one.inputs["target"]["adlsGen2"]["subpath"]: one for one in ours(deployed(), "Shortcut")}
    waits = {path: {urn.rsplit("::", 1)[-1] for urn in one.depends_on} for path, one in shortcuts.items()}
    assert waits.keys() == {"/lake/readings", "/lake/Alerts", "/lake/CityMinute", "/lake/IncidentSteps"}
    assert {"query", "ingest-package", "fabric-lake"} <= waits["/lake/readings"]
    for table in ("Alerts", "CityMinute", "IncidentSteps"):
        assert {f"table-{table}", "fabric-lake"} <= waits[f"/lake/{table}"] and "query" not in waits[f"/lake/{table}"]


def test_the_query_waits_for_the_tables_that_it_writes_history_to() -> None:
    waits = {urn.rsplit("::", 1)[-1] for urn in deployed()["query"].depends_on}
    assert {"table-Alerts", "table-CityMinute", "table-IncidentSteps", "incidents-streamjob"} <= waits


def test_a_report_waits_until_its_model_can_ask() -> None:
    report = items(deployed())["Report Lyon"]
    assert any(urn.endswith("::binding-roompulse") for urn in report.depends_on)


def test_a_report_belongs_to_its_city() -> None:
    recorded = deployed()
    parent = next(r for r in recorded.registrations if r.urn == items(recorded)["Report Lyon"].parent)
    assert parent.type.endswith(":CityRoute") and parent.name == "lyon"


def test_a_new_city_adds_its_report_and_changes_no_shared_item() -> None:
    settings = stack("dev")
    before = deployed()
    after = deployed(with_cities(settings, [*settings.cities, city("reykjavik")]))
    old, new = ({resource.urn: resource.inputs for resource in one.resources} for one in (before, after))
    added = {urn.rsplit("::", 1)[-1] for urn in new.keys() - old.keys()}
    assert {"report-reykjavik", "reflex-reykjavik"} <= added
    assert all("reykjavik" in name for name in added)
    assert {urn.rsplit("::", 1)[-1] for urn in old if old[urn] != new[urn]} == {"views"}, "a script of the live store, no item"


def test_a_city_that_changes_its_name_keeps_its_report() -> None:
    settings = stack("dev")
    renamed = [replace(one, name="Lugdunum") if one.slug == "lyon" else one for one in settings.cities]
    before, after = (
        {item.urn for item in ours(recorded, "FabricItem")} for recorded in (deployed(), deployed(with_cities(settings, renamed)))
    )
    assert before == after


def test_a_preview_shows_the_same_items() -> None:
    assert {r.urn for r in deployed(preview=True).registrations} == {r.urn for r in deployed().registrations}


def test_no_connection_has_a_key_and_nothing_is_secret() -> None:
    for connection in ours(deployed(), "Connection"):
        assert not connection.secrets and set(connection.inputs) <= {"name", "type", "creationMethod", "parameters", "__provider"}


def test_the_plan_names_every_item_and_puts_a_report_with_its_city() -> None:
    settings = stack("dev")
    text = render(plan_of(settings, RULES))
    for line in (
        "Fabric live store    eventhouse roompulse-follower, database roompulse",
        "Fabric content       connection, dashboard RoomPulse live, report RoomPulse all cities, model RoomPulse, binding",
    ):
        assert line in text
    (lyon,) = [line for line in text.splitlines() if line.strip().startswith("lyon ")]
    assert "report Lyon" in lyon and "rules Alerts Lyon" in lyon


def test_what_a_stack_does_not_want_is_absent() -> None:
    dev = stack("dev")
    assert dev.azure is not None and dev.azure.fabric is not None
    wanted: dict[Content, set[str]] = {
        "reports": {"Report", "SemanticModel"},
        "dashboard": {"KQLDashboard"},
        "activator": {"Reflex"},
    }
    for content, kinds in wanted.items():
        fabric = replace(dev.azure.fabric, content=(content,))
        recorded = record(replace(dev, azure=replace(dev.azure, fabric=fabric)))
        assert {name.split()[0] for name in items(recorded)} == kinds | {"Eventhouse", "KQLDatabase", "Lakehouse"}
        assert findings(recorded) == []


def test_groups_get_their_roles() -> None:
    dev = stack("dev")
    assert dev.azure is not None and dev.azure.fabric is not None
    roles = {role: (f"00000000-0000-4000-8000-00000000000{number}",) for number, role in enumerate(("Admin", "Member", "Viewer"))}
    with_roles = replace(dev, azure=replace(dev.azure, fabric=replace(dev.azure.fabric, roles=roles)))
    given = [one.inputs for one in ours(record(with_roles), "WorkspaceRoleAssignment")]
    assert {one["role"]: (one["principalId"],) for one in given} == roles and len(given) == 3
    assert {one["principalType"] for one in given} == {"Group"}


def test_only_what_holds_data_is_protected_and_only_where_the_stack_says_so() -> None:
    dev = stack("dev")
    assert dev.azure is not None and not any(item.protect for item in items(deployed()).values())
    guarded = items(deployed(replace(dev, azure=replace(dev.azure, protect=True))))
    kinds = {name.split()[0] for name, item in guarded.items() if item.protect}
    assert kinds == {"Eventhouse", "KQLDatabase", "Lakehouse"}
