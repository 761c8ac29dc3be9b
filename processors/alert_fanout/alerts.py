"""Alert rows as the stream query writes them, read from the bodies of events."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import orjson

from processors.alert_fanout.details import kept_of
from processors.contracts.plain_text import name_of, one_line
from processors.contracts.validation import ALERT, faults

TEXT_LIMIT = 500
"""The longest text of a signal that is kept: a device with more issues than that names some of them."""
DRILL_PREFIX = "drill-"
"""How the id of an entity starts that exists for a drill only."""


@dataclass(frozen=True)
class Alert:
    """An alert that fired or was resolved. Times are ISO 8601 texts in UTC; names are text to show (contracts.plain_text), and
    `name` falls back on the entity's id. `product` is the kind of a device, `text` what the signal says besides its value (issue
    codes), `details` what else is known of it (see details.kept_of). `more`: see incidents.Book.
    """

    alert_id: str
    rule_id: str
    severity: int
    state: str
    entity: str
    entity_id: str
    name: str
    city_id: str
    location_id: str | None
    location_name: str | None
    workspace_id: str | None
    workspace_name: str | None
    signal: str
    value: float
    threshold: float
    started_at: str
    observed_at: str
    product: str | None = None
    text: str | None = None
    details: dict[str, Any] | None = None
    more: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def __post_init__(self) -> None:
        """Names are made text here, so that no alert can hold one that is not: from a hub, from a book, or from a test."""
        object.__setattr__(self, "name", name_of(self.name) or name_of(self.entity_id))
        object.__setattr__(self, "location_name", name_of(self.location_name) or None)
        object.__setattr__(self, "workspace_name", name_of(self.workspace_name) or None)
        object.__setattr__(self, "product", name_of(self.product) or None)
        object.__setattr__(self, "text", one_line(self.text or "", TEXT_LIMIT) or None)

    @property
    def is_drill(self) -> bool:
        """Whether `roompulse alerts fire` made it: nothing is wrong."""
        return self.entity_id.startswith(DRILL_PREFIX)


def alert_of_ours(
    *,
    rule_id: str,
    about: str,
    entity: str,
    entity_id: str,
    name: str,
    city_id: str,
    signal: str,
    moment: str,
    text: str | None = None,
) -> Alert:
    """An alert that no query raised: the fan-out itself saw something at a moment. `about`: what no other of its rule has."""
    return Alert(
        alert_id=f"{rule_id}|{about}",
        rule_id=rule_id,
        severity=2,
        state="fired",
        entity=entity,
        entity_id=entity_id,
        name=name,
        city_id=city_id,
        location_id=None,
        location_name=None,
        workspace_id=None,
        workspace_name=None,
        signal=signal,
        value=1,
        threshold=1,
        started_at=moment,
        observed_at=moment,
        text=text,
    )


class Rejected(NamedTuple):
    """A line that is not an alert, and why."""

    record: str
    reason: str


def alerts_in(body: bytes) -> Iterator[Alert | Rejected]:
    """The alerts in an event's body: one JSON object, or several separated by line feeds; a Rejected for a line that is none."""
    for line in body.decode("utf-8", errors="replace").split("\n"):
        if line.strip():
            yield _alert(line)


def _alert(line: str) -> Alert | Rejected:
    try:
        row = orjson.loads(line)  # strictly: half a character and a number that is none, which nothing can store, are refused
    except ValueError as fault:
        return Rejected(line, f"no JSON: {fault}")
    found = faults(ALERT, row)
    if found:
        return Rejected(line, "; ".join(map(str, found)))
    return Alert(
        alert_id=row["alertId"],
        rule_id=row["ruleId"],
        severity=row["severity"],
        state=row["state"],
        entity=row["entity"],
        entity_id=row["entityId"],
        name=row.get("name") or "",
        city_id=row["cityId"],
        location_id=row.get("locationId"),
        location_name=row.get("locationName"),
        workspace_id=row.get("workspaceId"),
        workspace_name=row.get("workspaceName"),
        signal=row["signal"],
        value=row["value"],
        threshold=row["threshold"],
        started_at=row["startedAt"],
        observed_at=row["observedAt"],
        product=row.get("product"),
        text=row.get("text"),
        details=kept_of(row.get("details")),
    )
