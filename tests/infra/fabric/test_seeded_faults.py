"""Mistakes somebody could make in what goes to Fabric, each put into a good deployment: a check finds every one."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest

from infra.offline import Recording, Registration
from tests.infra.checks import findings
from tests.infra.fabric.test_route_azure import DATABASE, MODEL, deployed

VIEWER = "workspace-viewer-3f6c1f0e-0f4e-4c57-9a53-7f0f5c2c9d11"
Change = Callable[[Registration], Registration]


def inputs(**changes: object) -> Change:
    return lambda resource: replace(resource, inputs={**copy.deepcopy(resource.inputs), **changes})


def target(**changes: str) -> Change:
    def change(resource: Registration) -> Registration:
        told = copy.deepcopy(resource.inputs["target"]["adlsGen2"])
        return inputs(target={"adlsGen2": {**told, **changes}})(resource)

    return change


def given(database: str) -> Change:
    """Another id for the database an item asks."""
    return lambda resource: inputs(references={**resource.inputs["references"], DATABASE: database})(resource)


def waiting_for_nothing(resource: Registration) -> Registration:
    return replace(resource, depends_on=())


FAULTS: list[tuple[str, str, Change | None, str]] = [
    ("a data source that is not there", "kqldashboard-roompulse-live", given("id-of-nothing"), "no such item"),
    ("a data source of another kind", "kqldashboard-roompulse-live", given("id-of-lakehouse-roompulse"),
     "no such item"),
    ("a missing placeholder", "report-lyon", inputs(references={}), "nothing is given for {{fabric:SemanticModel/RoomPulse/id}}"),
    ("a report whose model is forgotten", "semanticmodel-roompulse", None, f"{MODEL} is id-of-semanticmodel"),
    ("an item of an unknown type", "report-lyon", inputs(type="Dashboard"), "'Dashboard' is not a type of item"),
    ("two items of one name", "report-lyon", inputs(name="Toronto"), "Report Toronto: 2 items of one name"),
    ("an eventhouse named like the follower", "eventhouse-roompulse-follower", inputs(name="roompulse"), "in its way"),
    ("an eventhouse that is not there", "eventhouse-roompulse-follower", None, "its eventhouse does not exist"),
    ("a shortcut to a container that is not there", "shortcut-readings", target(subpath="/lakes/readings"), "no container lakes"),
    ("a shortcut to a stranger's account", "shortcut-readings", target(location="https://stother.dfs.core.windows.net"),
     "in account stother"),
    ("a shortcut without its connection", "lake-connection", None, "its connection does not exist"),
    ("a shortcut before the role", "shortcut-readings", waiting_for_nothing, "does not wait for the role"),
    ("no role on the lake", "fabric-lake", None, "fabric lacks Storage Blob Data Reader"),
    ("a role Fabric does not have", VIEWER, inputs(role="Reader"), "nothing Fabric has"),
    ("a program that administers", VIEWER,
     inputs(role="Admin", principalType="ServicePrincipal"), "a program that is Admin"),
]  # fmt: skip


@pytest.mark.parametrize(("name", "change", "named"), [case[1:] for case in FAULTS], ids=[case[0] for case in FAULTS])
def test_a_seeded_fault_is_found_and_named(name: str, change: Change | None, named: str) -> None:
    good = deployed()
    assert any(resource.name == name for resource in good.resources)
    kept = [resource for resource in good.registrations if change or resource.name != name]
    broken = [change(resource) if change and resource.name == name else resource for resource in kept]
    found = findings(Recording(tuple(broken), good.outputs))
    assert any(named in finding for finding in found), found
