"""What the sensors of a workspace can report, and whether somebody has set that up: only what is configured gives readings."""

from __future__ import annotations

from webex_simulator.catalogue import CAPABILITY_SENSORS
from webex_simulator.chance import key, unit
from webex_simulator.estate import Estate, Workspace

UNCONFIGURED_SHARE = 0.05

_CONFIGURED = key("configured")


def capabilities(estate: Estate, workspace: Workspace) -> dict[str, dict[str, bool]]:
    """The capabilities of a workspace as the API gives them."""
    supported = {sensor for index in workspace.devices for sensor in estate.devices[index].product.sensors}
    return {
        capability: {"supported": sensor in supported, "configured": sensor in supported and _is_set_up(workspace, sensor)}
        for capability, sensor in CAPABILITY_SENSORS.items()
    }


def measures(estate: Estate, workspace: Workspace, sensor: str) -> bool:
    """Whether a workspace has a sensor and it is set up."""
    return any(sensor in estate.devices[index].product.sensors for index in workspace.devices) and _is_set_up(workspace, sensor)


def _is_set_up(workspace: Workspace, sensor: str) -> bool:
    return unit(workspace.key, _CONFIGURED ^ key(sensor)) >= UNCONFIGURED_SHARE
