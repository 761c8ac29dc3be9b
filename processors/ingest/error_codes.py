"""How bad each Webex device issue code is for a meeting. Which there are: processors/contracts/issues.py."""

from __future__ import annotations

from collections.abc import Mapping

from processors.contracts.issues import OF_CODE, Grade, of_grade

CRITICAL, WARNING, INFO = of_grade("critical"), of_grade("warning"), of_grade("info")
PERIPHERAL = frozenset({"touchpanelconnection", "camerapairing", "microphonesconnected"})
"""A touch panel, a camera or the microphones are lost."""

DISPLAY = frozenset({"missingdisplay", "missingthirddisplay", "osdvideooutput"})
"""A display is lost, or sleeps: devices report that too while a display wakes up."""
TOO_HOT = frozenset({"temperaturecheck"})
"""A device that switches parts of itself off before long."""
OF_SIGNAL: Mapping[str, frozenset[str]] = {
    "warningIssues": WARNING,
    "criticalIssues": CRITICAL,
    "peripheralIssues": PERIPHERAL,
    "displayIssues": DISPLAY,
    "overheatingIssues": TOO_HOT,
}
"""The codes that each signal of a device counts; `issues` counts them all."""


def grade_of(code: str) -> Grade | None:
    """The grade of an issue code, None when it is ungraded."""
    return OF_CODE[code].grade if code in OF_CODE else None


def critical_codes(codes: tuple[str, ...]) -> list[str]:
    """Those of `codes` that keep people from running a meeting."""
    return [code for code in codes if code in CRITICAL]
