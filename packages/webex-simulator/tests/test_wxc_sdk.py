"""An independent client reads the simulator: wxc-sdk. It is stricter than the API, so the traps are off."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from webex_world import World


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    return make_world(devices=300, traps=False, page_cap=70)


@pytest.fixture
def sdk(world: World, monkeypatch: pytest.MonkeyPatch) -> Any:
    import wxc_sdk  # two seconds: not at the head, or every process that collects the tests pays them
    from wxc_sdk.rest import RestSession

    monkeypatch.setattr(RestSession, "BASE", world.simulator.url)
    with wxc_sdk.WebexSimpleApi(tokens="simulated-access-token") as api:
        yield api


def test_it_lists_every_device_over_the_pages(world: World, sdk: Any) -> None:
    devices = list(sdk.devices.list())
    assert [device.device_id for device in devices] == [device["id"] for device in world.all("/devices")]
    assert {device.product_type for device in devices} == {"roomdesk", "accessory", "phone"}


def test_it_finds_a_device_by_its_id_and_its_mac_address(sdk: Any) -> None:
    device = next(device for device in sdk.devices.list() if device.mac)
    assert sdk.devices.details(device_id=device.device_id).serial == device.serial
    assert [found.device_id for found in sdk.devices.list(mac=device.mac.replace(":", ""))] == [device.device_id]


def test_it_lists_workspaces_with_devices_and_capabilities(world: World, sdk: Any) -> None:
    workspaces = list(sdk.workspaces.list(include_devices=True, include_capabilities=True))
    assert len(workspaces) == len(world.simulator.estate.workspaces)
    assert all(workspace.devices for workspace in workspaces)
    assert any(workspace.capabilities.temperature.configured for workspace in workspaces)


def test_it_lists_locations_and_their_floors(sdk: Any) -> None:
    locations = list(sdk.locations.list())
    assert {location.address.city for location in locations} == {"Lyon", "Toronto", "Singapore"}
    assert len(list(sdk.locations.list_floors(location_id=locations[0].location_id))) >= 1


def test_it_queries_statuses(sdk: Any) -> None:
    from wxc_sdk.devices import ConnectionStatus

    device = next(d for d in sdk.devices.list(product_type="roomdesk") if d.connection_status == ConnectionStatus.connected)
    answer = sdk.xapi.query_status(device_id=device.device_id, name=["SystemUnit.Uptime", "Diagnostics.Message[*]"])
    assert answer.result["SystemUnit"]["Uptime"] > 0


def test_it_understands_our_errors(sdk: Any) -> None:
    from wxc_sdk.rest import RestError

    with pytest.raises(RestError) as refused:
        sdk.xapi.query_status(device_id="unknown", name=["Standby"])
    assert refused.value.response.status_code == 404
    assert refused.value.detail.tracking_id.startswith("SIMULATOR_")
