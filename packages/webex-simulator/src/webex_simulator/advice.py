"""What Webex writes of an issue of a room, and what it recommends. Our own words: Cisco's have not been seen."""

from __future__ import annotations

from typing import NamedTuple


class Advice(NamedTuple):
    """The texts of an issue."""

    title: str
    recommended_action: str


OFFLINE = "offline"
_KNOWN = {
    OFFLINE: Advice("Device offline", "Check that the device has power, and that its network cable and the switch port are up."),
    "touchpanelconnection": Advice(
        "No touch panel connected", "Check that the touch panel has power and its cable is plugged in, then pair it again."
    ),
    "microphonesconnected": Advice("No microphone connected", "Check that the microphones are plugged in and switched on."),
    "missingdisplay": Advice("No display connected", "Check that the display is on and its HDMI cable is plugged in."),
    "camerapairing": Advice("Camera not paired", "Check the camera's power and cable, then pair it with the device again."),
    "networkquality": Advice("Poor network quality", "Check the network between the device and Webex for loss and delay."),
}


def advice_on(code: str) -> Advice:
    """The texts of the issue with this code."""
    return _KNOWN.get(code, Advice(f"Device reports {code}", "Look the issue up in Control Hub and follow its steps."))
