"""What a stack file may say about Fabric, and what it can't mean."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from infra.settings.fabric import Content, FabricSettings
from infra.settings.stack import load_stack
from tests.infra.settings.test_stack import city, faults_of, stack_file
from tests.support.rules import RULES

ONE, TWO = "00000000-0000-4000-8000-000000000001", "00000000-0000-4000-8000-000000000002"
CAPACITY = {"sku": "F2", "admins": ["a@example.com"]}


def azure(**more: Any) -> dict[str, Any]:
    return {"location": "westeurope", "organisation": "contoso", "operations": {"email": ["a@example.com"]}, **more}


def loaded(folder: Path, **more: Any) -> tuple[str, FabricSettings | None]:
    settings = load_stack(stack_file(folder, cities={"lyon": city()}, azure=azure(**more)), RULES)
    assert settings.azure is not None
    return settings.azure.route, settings.azure.fabric


def test_by_default_there_is_none_and_data_goes_through_azure(tmp_path: Path) -> None:
    assert loaded(tmp_path) == ("azure", None)
    assert loaded(tmp_path, fabric={"enabled": False, "capacity": "cap"}) == ("azure", None)


def test_a_workspace_on_a_capacity_that_exists(tmp_path: Path) -> None:
    route, fabric = loaded(tmp_path, route="fabric", fabric={"enabled": True, "capacity": "cap", "viewers": [ONE]})
    assert route == "fabric"
    content: tuple[Content, ...] = ("reports", "dashboard", "activator")
    assert fabric == FabricSettings("RoomPulse test", "cap", {"Viewer": (ONE,)}, content, ("email",), hot_days=7, keep_days=365)


def test_a_workspace_on_the_capacity_of_the_stack(tmp_path: Path) -> None:
    kusto = {"enabled": True, "keepDays": 8}  # nothing is shown that would need more days
    _, fabric = loaded(tmp_path, kusto=kusto, fabricCapacity=CAPACITY, fabric={"enabled": True, "content": []})
    assert fabric is not None and fabric.capacity is None and fabric.content == ()


@pytest.mark.parametrize(
    ("more", "path", "message"),
    [
        ({"route": "fabric"}, "azure/fabric", "route fabric runs in Fabric: write fabric: { enabled: true, capacity: NAME }"),
        ({"route": "fabric", "fabric": {"enabled": True}}, "azure/fabric/capacity", "is missing"),
        ({"route": "fabric", "kusto": {"enabled": True}}, "azure/kusto", "means nothing in route fabric: the eventhouse takes"),
        ({"route": "fabric", "eventHubs": {}}, "azure/eventHubs", "means nothing in route fabric"),
        ({"route": "kafka"}, "azure/route", "azure"),
        ({"fabric": {"enabled": True, "capacity": "cap"}}, "azure/fabric", "follow the live store: write kusto"),
        ({"fabric": {"enabled": True, "capacity": "cap"}, "fabricCapacity": CAPACITY}, "azure/fabric/capacity", "on one"),
        ({"fabric": {"enabled": True, "admins": [ONE], "viewers": [TWO, ONE]}}, "azure/fabric/viewers/1", "is in admins already"),
        ({"fabric": {"enabled": True, "viewers": ["AV team"]}}, "azure/fabric/viewers/0", "The object id of an Entra group"),
        ({"fabric": {"enabled": True, "hotDays": 30, "keepDays": 7}}, "azure/fabric/hotDays", "30 is more than keepDays (7)"),
        ({"fabric": {"enabled": True}, "kusto": {"enabled": True, "keepDays": 31}}, "azure/kusto/keepDays", "31 is less than"),
        ({"route": "fabric", "fabric": {"enabled": True, "keepDays": 9}}, "azure/fabric/keepDays", "9 is less than the 32 days"),
        ({"fabric": {"enabled": True}, "network": {"private": True}}, "azure/fabric", "can't enter a private network"),
        ({"fabric": {"enabled": True, "content": ["pictures"]}}, "azure/fabric/content/0", "reports"),
    ],
)  # fmt: skip
def test_what_can_not_be_meant_is_explained(tmp_path: Path, more: dict[str, Any], path: str, message: str) -> None:
    assert message in faults_of(stack_file(tmp_path, cities={"lyon": city()}, azure=azure(**more)))[path]


def test_all_faults_are_told_at_once(tmp_path: Path) -> None:
    more = {"route": "fabric", "lake": {}, "streamAnalytics": {}, "fabric": {"enabled": True, "hotDays": 400}}
    found = faults_of(stack_file(tmp_path, cities={"lyon": city()}, azure=azure(**more)))
    assert found.keys() == {"azure/lake", "azure/streamAnalytics", "azure/fabric/capacity", "azure/fabric/hotDays"}
