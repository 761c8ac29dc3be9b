"""What a channel is sent about an incident: text, and the facts it was made of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from processors.alert_fanout.alerts import Alert
from processors.clock import utc_now
from processors.timestamps import format_time

_MARKS = {1: "🔴", 2: "🟠", 3: "🟡", 4: "🔵"}
"""By severity."""


_STATES = {"open": "fired", "update": "updated", "remind": "updated", "acknowledge": "acknowledged"}


class Line(NamedTuple):
    """A line of a message, after its label where it has one."""

    text: str
    label: str = ""

    def __str__(self) -> str:
        return f"{self.label}: {self.text}" if self.label else self.text


@dataclass(frozen=True)
class Notice:
    """What a channel is sent about an incident. `action`: open, update, remind, acknowledge, merge or close; `key` is the same
    when it is repeated; `escalated`: it is opened here because nobody has acknowledged it elsewhere;
    `is_digest`: it names several incidents, of which some go on; `ref` is the channel's id of what it was sent before; `devices`
    are the names of what is folded in; `merged_into` is the incident that this one became part of; `page` is the address at which
    people act on it.

    All of it is text, each line one line, whatever the names in it are. A channel whose fields know markup takes care of that.
    """

    action: str
    key: str
    incident: str
    title: str
    lines: tuple[Line, ...]
    lead: Alert
    end: Alert | None
    city: str
    runbook: str | None
    devices: tuple[str, ...]
    held_back: int
    ref: str | None
    merged_into: str | None = None
    escalated: bool = False
    is_digest: bool = False
    page: str | None = None

    @property
    def link(self) -> str | None:
        """The runbook's address, where it has one that opens."""
        return self.runbook if self.runbook and self.runbook.startswith("https://") else None

    @property
    def links(self) -> tuple[tuple[str, str], ...]:
        """What opens, with the words for it: the incident's page, the runbook."""
        page = self.page if self.page and self.page.startswith("https://") else None
        return tuple((words, url) for words, url in (("Incident", page), ("Runbook", self.link)) if url)

    @property
    def text(self) -> str:
        """The lines as text."""
        return "\n".join(map(str, self.lines))

    @property
    def state(self) -> str:
        """fired, updated, acknowledged, resolved or digest. What became part of another is resolved as well (`merged_into`)."""
        return "digest" if self.is_digest else _STATES.get(self.action, "resolved")

    @property
    def look(self) -> str:
        """What it is shown as: fired, merged, resolved or digest. What is merged is not over, nor is all that a digest names."""
        return "digest" if self.is_digest else {"merge": "merged", "close": "resolved"}.get(self.action, "fired")

    @property
    def mark(self) -> str:
        """A sign for the beginning of plain text: of its severity, of its end, or of a drill."""
        if self.lead.is_drill:
            return "🧪"
        return {"merged": "↪️", "resolved": "✅", "digest": "📋"}.get(self.look, _MARKS[self.lead.severity])

    @property
    def observed_at(self) -> str:
        """When it was seen; now for what no row says: who has it, and the end of a merge or a storm."""
        if self.state == "acknowledged" or (self.state == "resolved" and self.end is None):
            return format_time(utc_now())
        return (self.end or self.lead).observed_at
