"""Pulumi's real engine over a stack that is changed: each change is deployed, and taken back as easily as it was made.

One stack for all, since each change is undone: a test begins with everything as the stack file of this repository has it.
"""

from __future__ import annotations

import copy
import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.infra.engine.machine import NEEDS_ENGINE, REYKJAVIK, SECRETS, Machine, services_outside
from tests.infra.providers.fake_service import arm_error

pytestmark = NEEDS_ENGINE
Document = dict[str, Any]


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    """Everything is there, by one `up`."""
    with services_outside() as outside:
        machine = Machine(tmp_path_factory.mktemp("engine"), "dev", outside)
        machine.pulumi("stack", "init", "dev")
        for key, value in SECRETS.items():
            machine.pulumi("config", "set", "--secret", key, text=f"{value}\n")
        machine.pulumi("up", "--yes", "--skip-preview")
        yield machine


def azure(document: Document) -> Document:
    part: Document = document["config"]["roompulse:azure"]
    return part


def cities(document: Document) -> Document:
    part: Document = document["config"]["roompulse:cities"]
    return part


def without_live_store(document: Document) -> None:
    azure(document).pop("kusto")


def another_slug(document: Document) -> None:
    cities(document)["lugdunum"] = cities(document).pop("lyon")


def secret_contact(document: Document) -> None:
    cities(document)["lyon"]["contacts"]["webhook"] = [{"to": "https://hooks.example.com/lyon", "secret": "hook-lyon"}]


def private_network(document: Document) -> None:
    azure(document)["network"] = {"private": True, "deployFrom": ["203.0.113.7"]}
    azure(document)["fabric"] = {"enabled": False}  # it can't enter one


CHANGES: dict[str, tuple[Callable[[Document], None], dict[str, set[str]]]] = {
    "no live store": (without_live_store, {"delete": {"cluster", "city-silent"}}),
    "a city under another slug": (another_slug, {"create": {"ag-email-lugdunum"}, "delete": {"ag-email-lyon"}}),
    "a contact with a secret": (secret_contact, {"create": {"secret-hook-lyon"}}),
    "a private network": (private_network, {"create": {"virtual-network"}}),
}


@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_deployed_and_taken_back_and_made_again(machine: Machine, change: str) -> None:
    edit, wanted = CHANGES[change]
    before = machine.stack()
    changed = copy.deepcopy(before)
    edit(changed)
    try:
        machine.write_stack(changed)
        steps = machine.steps()
        assert all(names <= steps.get(operation, set()) for operation, names in wanted.items()), steps
        deployed(machine)
    finally:
        machine.write_stack(before)
        deployed(machine)
    machine.write_stack(changed)
    deployed(machine)
    machine.write_stack(before)
    deployed(machine)


def deployed(machine: Machine) -> None:
    machine.pulumi("up", "--yes", "--skip-preview")
    assert machine.steps() == {}, "a second look finds nothing to do"


def test_a_secret_that_somebody_set_is_there_when_its_contact_comes_back(machine: Machine) -> None:
    before = machine.stack()
    changed = copy.deepcopy(before)
    secret_contact(changed)
    machine.write_stack(changed)
    machine.pulumi("up", "--yes", "--skip-preview")
    (name,) = machine.jobs.vault.secrets
    machine.jobs.vault.secrets[name]["value"] = "set by a person"
    for document in (before, changed, before):
        machine.write_stack(document)
        machine.pulumi("up", "--yes", "--skip-preview")
    assert machine.jobs.vault.secrets[name]["value"] == "set by a person"


def test_the_second_of_two_deployments_at_once_is_refused_and_the_first_is_whole(machine: Machine) -> None:
    """The state's lock: whoever comes second changes nothing, and is told who holds it and what to do."""
    machine.with_city("reykjavik", REYKJAVIK)
    hold = machine.cloud_file.with_suffix(".hold")
    hold.touch()
    first = machine.start("up", "--yes", "--skip-preview")
    while not list((machine.folder / ".pulumi" / "locks").rglob("*.json")) and first.poll() is None:
        time.sleep(0.1)
    second = machine.pulumi("up", "--yes", "--skip-preview", fails=True)
    hold.unlink()
    assert "currently locked by 1 lock(s)" in second and "pulumi cancel" in second
    output, _ = first.communicate(timeout=120)
    assert first.returncode == 0, output[-3000:]
    assert machine.steps() == {}
    machine.with_city("reykjavik", None)
    machine.pulumi("up", "--yes", "--skip-preview")


DRIFTS: dict[str, tuple[str, str, Any]] = {
    "an alert rule switched off": ("no-poll", "enabled", False),
    "local authentication let in again": ("namespace", "disableLocalAuth", False),
    "a threshold raised": ("rooms-site-outage", "severity", 4),
    "a resource deleted": ("apr-email-lyon", "", None),
    "a role taken away": ("ingest-observations", "", None),
}


def test_what_somebody_changed_by_hand_is_found_by_refresh_and_put_right_by_up(machine: Machine) -> None:
    before = machine.cloud()
    ids = {resource["urn"].rsplit("::", 1)[-1]: str(resource.get("id")) for resource in machine.resources()}
    changed = copy.deepcopy(before)
    for name, key, value in DRIFTS.values():
        if key:
            changed[ids[name]][key] = value
        else:
            del changed[ids[name]]
    machine.cloud_file.write_text(json.dumps(changed), encoding="utf-8")
    assert machine.steps() == {}, "without a refresh Pulumi believes its state"
    machine.pulumi("refresh", "--yes")
    assert machine.steps() == {
        "update": {name for name, key, _ in DRIFTS.values() if key},
        "create": {name for name, key, _ in DRIFTS.values() if not key},
    }
    deployed(machine)
    assert machine.cloud() == before


def test_half_an_up_is_destroyed_whole(machine: Machine) -> None:
    """Azure refuses in the middle; whoever gives up then leaves nothing behind. Last here: it takes everything down."""
    whole = machine.everything_outside()
    machine.pulumi("destroy", "--yes", "--skip-preview")
    assert machine.everything_outside() == 0
    machine.purge()
    for refused in ("lake-account", "query"):
        machine.cloud_file.with_suffix(".fail").write_text(refused)
        if refused == "query":
            machine.jobs.fail("PUT", "/streamingjobs/asa-roompulse-contoso-dev", arm_error(409, "Conflict", "seeded"), times=99)
        machine.pulumi("up", "--yes", "--skip-preview", fails=True)
        machine.cloud_file.with_suffix(".fail").unlink()
        assert 0 < machine.everything_outside() < whole, "half of it is there"
        machine.pulumi("destroy", "--yes", "--skip-preview")
        assert machine.everything_outside() == 0
        machine.purge()


def test_a_stack_across_zones_is_made_from_nothing(tmp_path: Path) -> None:
    """Zones can't be switched on or off later: the plan refuses that. So they are there from the first `up`."""
    with services_outside() as outside:
        machine = Machine(tmp_path, "prod", outside)
        assert azure(machine.stack())["zones"] is True
        machine.pulumi("stack", "init", "prod")
        for key, value in SECRETS.items():
            machine.pulumi("config", "set", "--secret", key, text=f"{value}\n")
        deployed(machine)
