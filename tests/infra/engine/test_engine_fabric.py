"""Pulumi's real engine deploys, changes and destroys Fabric's items, in a tenant that behaves as its users have met it.

The tenant accepts with 202 and finishes later, throttles, forgets for a while what was just made, keeps the names of what was
deleted, loses answers, and sleeps with its capacity (tests/infra/providers/fabric/fake_fabric.py). Each life is one stack's, in
order: a step begins where the one before ended.
"""

from __future__ import annotations

import copy
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from infra.settings.fabric import REPLACED
from tests.infra.engine.machine import NEEDS_ENGINE, OWN, REYKJAVIK, SECRETS, SETTINGS, Machine, services_outside
from tests.infra.providers.fabric.fake_fabric import CAPACITY, FakeFabric, fabric_error
from tests.infra.providers.fake_service import Answer, Fault, Request

pytestmark = NEEDS_ENGINE
OWN_ITEMS = {"view-reykjavik", "report-reykjavik", "reflex-reykjavik"}
"""What a city is in Fabric."""


@contextmanager
def machine_of(stack: str, folder: Path, capacity: str) -> Iterator[tuple[Machine, FakeFabric]]:
    """A machine with a stack of its own and an empty tenant that has one active capacity."""
    tenant = FakeFabric()
    tenant.capacities = [{"id": CAPACITY, "displayName": capacity, "sku": "F2", "region": "West Europe", "state": "Active"}]
    with services_outside() as outside:
        machine = Machine(folder, stack, outside, tenant)
        machine.pulumi("stack", "init", stack)
        for key, value in SECRETS.items():
            machine.pulumi("config", "set", "--secret", key, text=f"{value}\n")
        yield machine, tenant
    tenant.close()


def on_route_fabric(document: dict[str, Any]) -> dict[str, Any]:
    """The stack with its data inside Fabric, on the capacity that it has."""
    switched = copy.deepcopy(document)
    azure = switched["config"]["roompulse:azure"]
    azure["route"] = "fabric"
    for part in REPLACED:
        azure.pop(part, None)
    return switched


def named(tenant: FakeFabric) -> list[str]:
    """Every item of the workspace by type and name: twice where it was made twice."""
    return sorted(f"{item.type} {item.name}" for item in tenant.workspace.items.values())


def creates(name: str) -> Fault:
    """An item of this name is made, and the answer is lost on its way."""

    def applies(request: Request) -> bool:
        return request.method == "POST" and request.path.endswith("/items") and request.json["displayName"] == name

    return Fault(applies, None, afterwards=True)


def test_from_nothing_to_everything_inside_fabric_and_back(tmp_path: Path) -> None:
    with machine_of("fabric", tmp_path, "contosofabric") as (machine, tenant):
        assert {"fabric-workspace", "eventhouse-roompulse", "reflex-lyon"} <= machine.steps()["create"]
        assert machine.everything_outside() == 0, "a preview makes nothing"

        tenant.capacities[0]["state"] = "Paused"
        refused = machine.pulumi("up", "--yes", "--skip-preview", fails=True)
        assert "resume it (az fabric capacity resume)" in refused and not tenant.workspaces
        tenant.capacities[0]["state"] = "Active"

        tenant.fail("POST", "/items", Answer(429, None, {"Retry-After": "30"}), times=2)
        tenant.fail("POST", "/roleAssignments", fabric_error(400, "PrincipalNotFound", "Unknown principal."), times=3)
        tenant.faults += [creates("Lyon"), creates("roompulse-incidents")]
        machine.pulumi("up", "--yes", "--skip-preview")
        assert not [fault for fault in tenant.faults if fault.times], "the tenant did misbehave"
        first = named(tenant)
        assert len(first) == len(set(first)) and {"Report Lyon", "Eventstream roompulse-incidents"} <= set(first)
        assert {role["role"] for role in tenant.workspace.roles.values()} == {"Viewer", "Contributor"}

        sent = len([one for one in tenant.requests if one.method != "GET"])
        assert machine.steps() == {}, "a second look finds nothing to do"
        machine.pulumi("up", "--yes", "--skip-preview")
        assert len([one for one in tenant.requests if one.method != "GET"]) == sent, "a second `up` asks Fabric for nothing"
        assert "unchanged" in machine.pulumi("refresh", "--yes")

        machine.with_city("reykjavik", REYKJAVIK)
        assert machine.steps() == {"create": OWN | OWN_ITEMS}
        machine.pulumi("up", "--yes", "--skip-preview")
        assert set(named(tenant)) - set(first) == {"Report Reykjavik", "Reflex Alerts Reykjavik"}
        before = {item.id for item in tenant.workspace.items.values()}

        machine.with_city("reykjavik", {**REYKJAVIK, "name": "Reykjavík"})
        assert machine.steps() == {"update": OWN_ITEMS | SETTINGS}
        machine.pulumi("up", "--yes", "--skip-preview")
        assert {item.id for item in tenant.workspace.items.values()} == before, "a rename keeps the items people have links to"

        tenant.item("Report", "Lyon").parts["definition/report.json"] = "e30="  # by hand, and another is gone
        gone = tenant.item("Report", "Toronto")
        del tenant.workspace.items[gone.id]
        machine.pulumi("refresh", "--yes")
        assert machine.steps() == {"update": {"report-lyon"}, "create": {"report-toronto"}}
        tenant.cooling = {"Toronto": 3}
        machine.pulumi("up", "--yes", "--skip-preview")
        assert tenant.item("Report", "Lyon").parts["definition/report.json"] != "e30=" and tenant.item("Report", "Toronto")

        tenant.paused = True
        refused = machine.pulumi("refresh", "--yes", fails=True)
        assert "resume the capacity (az fabric capacity resume)" in refused
        tenant.paused = False
        assert machine.steps() == {}, "what sleeps is not held for gone"

        machine.with_city("reykjavik", None)
        assert machine.steps() == {"delete": OWN | OWN_ITEMS}
        machine.pulumi("up", "--yes", "--skip-preview")
        assert named(tenant) == first
        machine.with_city("reykjavik", REYKJAVIK)  # its names are kept by the deletion for a while
        machine.pulumi("up", "--yes", "--skip-preview")
        assert "Report Reykjavik" in named(tenant)

        machine.pulumi("destroy", "--yes", "--skip-preview")
        assert machine.everything_outside() == 0


def test_an_up_that_was_killed_is_finished_by_the_next_and_makes_nothing_twice(tmp_path: Path) -> None:
    """The machine dies while Fabric makes an item that Pulumi never hears of; then somebody presses Ctrl-C."""
    with machine_of("fabric", tmp_path, "contosofabric") as (machine, tenant):
        for item, stop in (("roompulse", machine.kill), ("Alerts Lyon", lambda process: process.send_signal(signal.SIGINT))):
            seeded = creates(item)
            tenant.faults = [seeded]
            # one change at a time: what Azure was making as well when the machine died is for `pulumi refresh`, not for this test
            running = machine.start("up", "--yes", "--skip-preview", "--parallel", "1")
            seeded.happening = partial(stop, running)
            output, _ = running.communicate(timeout=240)
            assert running.returncode != 0 and seeded.times == 0, output[-3000:]
            if running.returncode == -signal.SIGKILL:  # its lock stays behind
                machine.pulumi("cancel", "--yes")
        machine.pulumi("up", "--yes", "--skip-preview")
        assert len(named(tenant)) == len(set(named(tenant)))
        assert machine.steps() == {}
        machine.pulumi("destroy", "--yes", "--skip-preview")
        assert machine.everything_outside() == 0


def test_fabric_beside_azure_follows_the_live_store_and_the_lake(tmp_path: Path) -> None:
    """Route azure: the capacity is the stack's own, the lake lets the workspace in after a while."""
    with machine_of("dev", tmp_path, "fabriccontosodev") as (machine, tenant):
        tenant.locations_refused = 4
        machine.pulumi("up", "--yes", "--skip-preview")
        assert machine.steps() == {}
        assert "unchanged" in machine.pulumi("refresh", "--yes")

        machine.pulumi("config", "set", "--secret", "webexClientSecret", text="another\n")
        assert machine.steps() == {"update": {"webex-client-secret"}}, "a new secret is of the vault alone"
        machine.pulumi("up", "--yes", "--skip-preview")
        assert machine.secret("webex-client-secret") == "another"

        on_azure, workspace = machine.stack(), tenant.workspace.id
        for document in (on_route_fabric(on_azure), on_azure):
            machine.write_stack(document)
            machine.pulumi("up", "--yes", "--skip-preview")
            assert machine.steps() == {}, "a second look finds nothing to do"
            assert tenant.workspace.id == workspace, "people have links to it"
            assert len(named(tenant)) == len(set(named(tenant)))
        machine.pulumi("destroy", "--yes", "--skip-preview")
        assert machine.everything_outside() == 0
