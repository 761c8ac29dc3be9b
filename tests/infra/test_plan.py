"""The offline plan says what the deployment would be, and how two differ. A changed plan shows in the review of its snapshot."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from functools import cache
from hashlib import sha256
from typing import Any

import pytest
from typer.testing import CliRunner

from activator.declarations import DeclarationError
from activator.rules import Override
from cli.main import app
from infra.azure.function_app import HOOKS
from infra.offline import STACK_TYPE
from infra.parts import part_of
from infra.plan import Plan, PlanError, plan, plan_against, plan_of
from infra.plan_difference import compare, render_difference
from infra.plan_text import render, render_details
from infra.settings.contacts import Contact
from infra.settings.deployment import IncidentPages
from processors.alert_fanout import inbound
from tests.infra.deployments import city, recording, stack, with_cities
from tests.infra.recorded import triggers
from tests.support.rules import RULES
from tests.support.shared_data import REPOSITORY

UPDATE = "ROOMPULSE_UPDATE_SNAPSHOTS"


@cache
def planned(name: str) -> Plan:
    return plan(name)


@pytest.mark.parametrize("name", ["dev", "prod", "fabric"])
def test_the_plan_is_the_reviewed_one(name: str) -> None:
    """When this fails the deployment has changed: look at the difference, and if it is meant, write the snapshot anew."""
    snapshot = REPOSITORY / "tests" / "infra" / "snapshots" / f"{name}.txt"
    text = render_details(planned(name))
    if os.environ.get(UPDATE):
        snapshot.write_text(text, encoding="utf-8")
    assert text == snapshot.read_text(encoding="utf-8"), (
        f"meant? {UPDATE}=1 pytest tests/infra/test_plan.py, and review the change"
    )


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_every_resource_is_in_the_plan_once(name: str) -> None:
    resources = [resource.name for service in planned(name).services for resource in service.resources]
    assert sorted(resources) == sorted(resource.name for resource in recording(name).resources)


def test_every_route_of_the_apps_is_among_what_answers_from_the_internet() -> None:
    """A function with a route that nobody has reviewed is a door that nobody has reviewed."""
    for processor in ("ingest", "alert_fanout"):
        name = f"{processor.removeprefix('alert_')}-app"
        doors = [line for line in planned("dev").public if line.startswith(f"{name}: ")]
        named = [trigger["route"] for trigger in triggers(processor).values() if "route" in trigger]
        routes = [route.partition("{")[0].rstrip("/") for route in named]
        assert len(doors) == len(routes) > 0
        for route in routes:
            assert any(line.startswith(f"{name}: /{route}") for line in doors), f"{name} answers at /{route}"
    assert sorted(HOOKS) == sorted(f"{inbound.PATH}/{service}" for service in inbound._SERVICES)


def test_incident_pages_that_are_on_are_said_to_be_for_whom_entra_has_signed_in() -> None:
    dev = stack("dev")
    assert dev.azure
    pages = IncidentPages("00000000-0000-0000-0000-000000000001", "00000000-0000-0000-0000-000000000002")
    with_pages = replace(dev, azure=replace(dev.azure, incident_pages=pages))
    assert "fanout-app: /incidents, to people whom Entra has signed in" in plan_of(with_pages, RULES).public


def test_the_screen_tells_what_it_carries_what_is_open_and_who_may_what() -> None:
    text = render(planned("prod"))
    wanted = ["11 cities, 8,400 devices", "obs/s steady", "keys         none", "with Entra tokens only"]
    for words in (*wanted, "Storage Blob Data Owner", "room-too-warm: threshold 30 until 2027-06-30"):
        assert words in text


@pytest.mark.parametrize("name", ["dev", "prod", "fabric"])
def test_services_are_listed_as_the_program_makes_them(name: str) -> None:
    """All of them: the first registration of each part, in its order, is where a plan lists it."""
    made = [registration.type for registration in recording(name).registrations if not registration.custom]
    parts = list(dict.fromkeys(part_of(type_) for type_ in made if type_ != STACK_TYPE))
    listed = [service.title for service in planned(name).services if not service.city]
    order = [next(part for part in parts if re.fullmatch(part.title.replace("{name}", ".+"), title)) for title in listed]
    assert list(dict.fromkeys(order)) == [part for part in parts if not part.of_city]


def test_a_plan_survives_json() -> None:
    text = json.dumps(planned("prod").as_json())
    assert Plan.from_json(json.loads(text)) == planned("prod")


def test_no_secret_is_in_a_plan() -> None:
    dev = stack("dev")
    contacts = (
        Contact("email", "av@example.com"),
        Contact("webhook", "https://hooks.example.com/very-secret-path", template="roompulse"),
    )
    text = json.dumps(plan_of(with_cities(dev, [replace(dev.cities[0], contacts=contacts)]), RULES).as_json())
    assert "hooks.example.com" in text and "very-secret-path" not in text


def test_a_stack_is_no_different_from_itself() -> None:
    assert compare(planned("dev"), planned("dev")).is_empty


def test_dev_and_prod_differ_in_cities_and_in_what_the_stack_files_say() -> None:
    difference = compare(planned("prod"), planned("dev"))
    assert set(difference.cities_added) == {"berlin", "london", "madrid", "new-york", "oslo", "paris", "sao-paulo", "sydney"}
    assert difference.cities_removed == difference.added == ()
    assert {"Workspace fabric-workspace", "FabricItem lakehouse-roompulse"} <= set(difference.removed), "prod has no Fabric"
    changed = {change.path for change in difference.changed}
    assert {"protected", "sku.name", "zones", "zoneRedundant", "partitionCount", "streamingUnits", "retentionInDays"} <= changed
    assert not any("contoso" in str(change.now) for change in difference.changed), "names of the stacks are not a difference"


def test_a_new_city_is_one_line() -> None:
    dev = stack("dev")
    larger = plan_of(with_cities(dev, [*dev.cities, city("oslo")]), RULES)
    text = render_difference(compare(larger, planned("dev"), label="main"))
    first, city_, *views = text.splitlines()
    assert [first, city_] == ["against main:  + 1   ~ 1   - 0", "  + city oslo"]
    assert all("views" in line for line in views), "the script of all cities' views, and nothing else that is shared"


def test_what_a_processor_is_given_is_a_difference_that_says_whose_and_never_what() -> None:
    """Settings are files of the apps: a changed one shows by its hash, since it may hold somebody's address."""
    dev = stack("dev")
    hook = Contact("webhook", "https://hooks.example.com/very-secret-path")
    later = [
        replace(dev.cities[0], quiet_hours=("22:00", "07:00")),
        replace(dev.cities[1], contacts=(*dev.cities[1].contacts, hook)),
    ]
    changes = {
        "poll": (replace(dev, poll=replace(dev.poll, xapi_seconds=120)), {"ingest-settings-common"}),
        "hours": (with_cities(dev, [later[0], *dev.cities[1:]]), {"fanout-settings-city-lyon"}),
        "contact": (with_cities(dev, [dev.cities[0], later[1], dev.cities[2]]), {"fanout-settings-city-toronto"}),
    }
    for changed, files in changes.values():
        found = [one for one in compare(plan_of(changed, RULES), planned("dev")).changed if one.path == "content"]
        assert {one.resource.removeprefix("BlobFile ") for one in found} == files
        assert f"  ~ content: another text  ({', '.join(sorted(files))})" in render_difference(
            compare(plan_of(changed, RULES), planned("dev"))
        )
        assert all(re.fullmatch("<text [0-9a-f]{12}>", str(one.now)) and one.now != one.against for one in found)


def test_a_long_text_is_its_hash_in_a_plan_and_not_in_a_review() -> None:
    query = next(one.inputs["query"] for one in recording("dev").resources if one.name == "query")
    planned_query = next(one for service in planned("dev").services for one in service.resources if one.name == "query")
    assert planned_query.properties["query"] == f"<text {sha256(query.encode()).hexdigest()[:12]}>"
    assert "    query: <text>\n" in render_details(planned("dev")), "it changes with every change of the code"


def test_a_city_s_override_is_a_difference_people_can_read() -> None:
    dev = stack("dev")
    override = Override("device-offline", "core switch replacement", "2026-12-19", for_seconds=900)
    changed = with_cities(dev, [replace(dev.cities[0], overrides=(override,)), *dev.cities[1:]])
    text = render_difference(compare(plan_of(changed, RULES), planned("dev")))
    assert "overrides: none → device-offline: for 900 s until 2026-12-19 (core switch replacement)  (lyon)" in text


def test_a_removed_live_store_is_told_resource_by_resource() -> None:
    assert "kusto:Cluster cluster" in compare(changed_plan(kusto=None), planned("dev")).removed


@cache
def changed_plan(**azure: object) -> Plan:
    dev = stack("dev")
    assert dev.azure is not None
    return plan_of(replace(dev, azure=replace(dev.azure, **azure)), RULES)  # type: ignore[arg-type]


def test_what_azure_never_changes_is_refused_with_the_way_back() -> None:
    dev = stack("dev").azure
    assert dev is not None
    eight = changed_plan(event_hubs=replace(dev.event_hubs, partitions=8))
    refused = compare(eight, planned("dev"), label="main").refused
    assert len(refused) == 5, "one for each hub"
    assert refused[0] == (
        "eventhub:EventHub alerts: partitionCount 4 → 8 can't be changed once it is made: set azure.eventHubs.partitions back, "
        "or deploy a new stack beside it, and destroy this one when it is no longer wanted."
    )
    assert "  ! eventhub:EventHub alerts: partitionCount 4 → 8" in render_difference(compare(eight, planned("dev")))


@pytest.mark.parametrize(
    ("azure", "told"),
    [
        (
            {"location": "northeurope"},
            "azure.location westeurope → northeurope: everything would be made anew, and its data lost.",
        ),
        (
            {"organisation": "fabrikam"},
            "azure.organisation contoso → fabrikam: everything would be made anew, and its data lost.",
        ),
        (
            {"zones": True, "kusto": None},
            "storage:StorageAccount lake-account: sku.name Standard_LRS → Standard_ZRS can't",
        ),
    ],
)
def test_every_change_that_up_would_stop_at_is_refused(azure: dict[str, object], told: str) -> None:
    assert any(refusal.startswith(told) for refusal in compare(changed_plan(**azure), planned("dev")).refused)


def test_what_holds_data_is_not_deleted_while_it_is_protected() -> None:
    prod = stack("prod")
    assert prod.azure is not None
    without = plan_of(replace(prod, azure=replace(prod.azure, kusto=None)), RULES)
    refused = compare(without, planned("prod")).refused
    assert [line.split(" is ")[0] for line in refused] == ["kusto:Cluster cluster", "kusto:ReadWriteDatabase database"]


@pytest.mark.parametrize("azure", [{"streaming_units": 7}, {"logs_keep_days": 60}, {"kusto": None}])
def test_what_azure_changes_in_place_is_not_refused(azure: dict[str, object]) -> None:
    assert compare(changed_plan(**azure), planned("dev")).refused == ()


def test_two_stacks_may_differ_in_everything() -> None:
    assert compare(planned("prod"), planned("dev")).refused == ()


def test_the_command_fails_on_what_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    dev = stack("dev").azure
    assert dev is not None
    eight = changed_plan(event_hubs=replace(dev.event_hubs, partitions=8))
    monkeypatch.setattr("infra.plan.plan_against", lambda *_: planned("dev"))
    monkeypatch.setattr("infra.plan.plan", lambda _: eight)
    result = CliRunner().invoke(app, ["plan", "--stack", "dev", "--against", "HEAD"])
    assert result.exit_code == 1 and "partitionCount 4 → 8" in result.output


def test_a_plan_can_be_compared_with_a_revision() -> None:
    """What is committed can be planned from its own files, whatever has changed since."""
    assert plan_against("dev", "HEAD").stack == "dev"


def test_a_plan_can_be_compared_with_another_stack() -> None:
    assert plan_against("dev", "prod") == planned("prod")


def test_a_revision_that_does_not_exist_is_named() -> None:
    with pytest.raises(PlanError, match="no-such-revision is neither a stack nor a git revision"):
        plan_against("dev", "no-such-revision")


def test_a_stack_that_does_not_exist_is_named() -> None:
    with pytest.raises(DeclarationError, match=r"Pulumi\.nowhere\.yaml is missing"):
        plan("nowhere")


def test_a_name_that_no_file_can_have_is_not_a_stack() -> None:
    with pytest.raises(DeclarationError, match=r"is missing \(1 fault\):(?s:.)*take a stack that is there: dev, fabric, prod"):
        plan("x" * 300)


def test_a_revision_whose_plan_ends_without_a_word_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    """As when the system ends it for want of memory."""
    run = subprocess.run

    def silenced(command: list[str], **rest: Any) -> subprocess.CompletedProcess[Any]:
        return subprocess.CompletedProcess(command, -9, "", "") if "infra.plan" in command else run(command, **rest)

    monkeypatch.setattr(subprocess, "run", silenced)
    with pytest.raises(PlanError, match="Stack dev can't be planned at HEAD: it ended with -9"):
        plan_against("dev", "HEAD")


def test_the_command_prints_json_and_reports_faults() -> None:
    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "infra.plan", *arguments], cwd=REPOSITORY, capture_output=True, text=True, check=False
        )

    assert Plan.from_json(json.loads(run("dev").stdout)) == planned("dev")
    refused = run("nowhere")
    assert refused.returncode == 1 and "Pulumi.nowhere.yaml is missing" in refused.stderr
