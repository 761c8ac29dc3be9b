"""Facts that hold on both sides: for what is deployed, which imports nothing of the repository, and for what plans and runs it.

Each is written here once. `tests/processors/contracts/test_facts.py` holds the JSON Schemas of this folder to them.
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass

SEVERITY_NAMES = {1: "Critical", 2: "Major", 3: "Minor", 4: "Info"}
"""What people read; 1 is worst."""
SEVERITIES = tuple(SEVERITY_NAMES)
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
ANY_OTHER_CITY = "*"
"""Stands for every city that no stack file lists."""
STORAGE_SCOPE = "https://storage.azure.com/.default"
"""What a token of Entra has to be for, to read and write blobs."""
UNASSIGNED = "unassigned"
"""The city of observations whose location belongs to none (docs/contracts.md)."""
PARTNER_UNASSIGNED = f"{UNASSIGNED}-"
"""The same of a partner's organisation, with its slug behind it: two organisations have not one such city together."""
REMOVAL_HOLD_HOURS = 72
"""How long devices that go missing in bulk are kept where no stack says otherwise: a lost admin role is found after a weekend."""
RESERVED_SLUGS = {
    UNASSIGNED: "is what rooms of no city are filed under",
    "any-other-city": "is where the alert fan-out keeps its book of cities that no stack lists",
    "rejected": "is where the alert fan-out keeps lines that were not alerts",
}
"""Slugs that no city may have, and why."""


def unassigned_in(organisation: str) -> str:
    """The city of what belongs to none in an organisation; empty for the stack's own."""
    return f"{PARTNER_UNASSIGNED}{organisation}" if organisation else UNASSIGNED


def is_unassigned(city_id: str) -> bool:
    """Whether a city stands for what belongs to none."""
    return city_id == UNASSIGNED or city_id.startswith(PARTNER_UNASSIGNED)


@dataclass(frozen=True)
class OfficeHours:
    """Days (as in WEEKDAYS) and times of day (HH:MM, `closes` may be 24:00) in the city's own time."""

    days: tuple[str, ...] = WEEKDAYS[:5]
    opens: str = "08:00"
    closes: str = "18:00"


def normalised(text: str) -> str:
    """A name in the form names are compared in: composed, of one width, trimmed, inner white space single, case folded."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
