"""Healths and severities as people see them: one map for reports, their pictures, the real-time dashboard and the live page.

The words and signs are those of ReportedHealth and ReportAlerts (powerbi/kusto/functions.kql), the colours those of the model and
of the page (local/dashboard/static/css/theme.css); tests hold all of them to this.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shown:
    """A word with its sign. A real-time dashboard has four colours with names of its own (`painted`) and a list of icons
    (`icon`); None: it stands plain.
    """

    text: str
    painted: str | None = None
    icon: str | None = None


HEALTHS = {
    "down": Shown("▼ Down", "red", "warning"),
    "issues": Shown("◆ Issues", "yellow", "warning"),
    "unknown": Shown("? Unknown"),
    "asleep": Shown("☾ Asleep"),
    "up": Shown("● Up", "green", "completed"),
}
"""Worst first."""
SEVERITIES = {
    1: Shown("▼ Critical", "red", "warning"),
    2: Shown("◆ Major", "yellow", "warning"),
    3: Shown("● Minor"),
    4: Shown("○ Info"),
}
HEALTH_COLOURS = {"down": "#B0211C", "issues": "#B77400", "unknown": "#818C86", "asleep": "#7F8D9C", "up": "#3C8069"}
"""Worst first. Never alone: a sign and a word stand with each."""
