"""Microsoft Teams through a workflow ("When a Teams webhook request is received"): an Adaptive Card each for beginning and end.

A workflow's address can't change what it posted, so an incident that grows is told again only when it is over. The address is
itself the secret that lets one post. Teams takes 28 kB a message.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from processors.alert_fanout.channel_kind import (
    Address,
    ChannelKind,
    ChannelSettings,
    ContactKind,
    Example,
    Manner,
    no_faults,
    yes,
)
from processors.alert_fanout.http_call import Service
from processors.alert_fanout.notice import Line, Notice
from processors.alert_fanout.secrets import Secrets, address

_STYLES = {1: "attention", 2: "warning", 3: "emphasis", 4: "default"}
"""The ground of the title by severity."""
_FUNCTIONS = re.compile(r"(?<=\{)(?=\{[A-Z])|(?<=\$)(?=\{)")
"""Where `{{DATE(...)}}` and `${...}` begin, which cards run in any text. A run of text that ends there is followed by one that is
no function any more."""


_MANNER = Manner(limit=10, updates=0, updates_at_once=False, hears_merges=False)


@dataclass(frozen=True, kw_only=True)
class TeamsChannel(ChannelSettings):
    """A Teams workflow, whose address is the secret `url_secret`."""

    url_secret: str

    @property
    def contact_kind(self) -> str:
        """See ChannelSettings.contact_kind."""
        return "teams"

    @property
    def manner(self) -> Manner:
        """See ChannelSettings.manner."""
        return _MANNER

    def open(self, secrets: Secrets) -> TeamsWorkflow:
        """See ChannelSettings.open."""
        return TeamsWorkflow(self, secrets)

    @property
    def _name(self) -> str:
        return f"teams:{self.url_secret}"


class TeamsWorkflow:
    """POSTs cards to a workflow."""

    def __init__(self, settings: TeamsChannel, secrets: Secrets) -> None:
        self._settings, self._secrets = settings, secrets
        self._service = Service(f"the Teams workflow {settings.url_secret}")

    def check(self) -> None:
        """See Channel.check."""
        self._address()

    def send(self, notice: Notice) -> None:
        """See Channel.send."""
        card = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": adaptive_card(notice)}
        self._service.call("POST", self._address(), json={"type": "message", "attachments": [card]})

    def _address(self) -> str:
        return address(self._secrets, self._settings.url_secret)

    def close(self) -> None:
        """Close the connections."""
        self._service.close()


def adaptive_card(notice: Notice) -> dict[str, Any]:
    """The card: a coloured title, and a paragraph for each line.

    All of it are runs of text, in which there is no Markdown; TextBlock and FactSet have it.
    """
    style = {"merged": "emphasis", "resolved": "good"}.get(notice.look, _STYLES[notice.lead.severity])
    if notice.lead.is_drill:
        style = "accent"
    title = _paragraph(_runs(notice.title, weight="Bolder", size="Medium"))
    return {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "fallbackText": f"RoomPulse: {notice.lead.rule_id}, {notice.state}. This Teams is too old for its card.",
        "msteams": {"width": "Full"},
        "body": [
            {"type": "Container", "style": style, "bleed": True, "items": [title]},
            *(_line(line, before) for before, line in zip((None, *notice.lines), notice.lines, strict=False)),
        ],
        **({"actions": [{"type": "Action.OpenUrl", "title": "Runbook", "url": notice.link}]} if notice.link else {}),
    }


def _line(line: Line, before: Line | None) -> dict[str, Any]:
    label = _runs(f"{line.label}: ", weight="Bolder") if line.label else []
    close = {"spacing": "Small"} if line.label and before and before.label else {}
    return _paragraph([*label, *_runs(line.text)], **close)


def _paragraph(runs: list[dict[str, Any]], **look: str) -> dict[str, Any]:
    return {"type": "RichTextBlock", **look, "inlines": runs}


def _runs(text: str, **look: str) -> list[dict[str, Any]]:
    return [{"type": "TextRun", "text": part, **look} for part in _FUNCTIONS.split(text)]


KIND = ChannelKind(
    type="teams",
    required=("urlSecret",),
    properties={"urlSecret": {"$ref": "#/$defs/secretName"}},
    schema={},
    has_terms=True,
    read=lambda written, terms: TeamsChannel(url_secret=written["urlSecret"], **terms._asdict()),
    contacts=(
        ContactKind(
            name="teams",
            plain="addressSecret",
            plain_schema="secretName",
            properties={
                "addressSecret": {
                    "$ref": "#/$defs/secretName",
                    "description": "the name of the secret that holds the address of the Teams workflow",
                }
            },
            required=("addressSecret",),
            definitions={},
            list_schema={"writeOnly": True, "description": "a list of names of secrets, or mappings with addressSecret"},
            documented="names of secrets that hold the address of a Teams workflow",
            severities=(1, 2, 3),
            read=lambda written: Address(address_secret=written["addressSecret"]),
            faults=no_faults,
            label=lambda address: f"teams {address.address_secret}",
            reaches_people=yes,
            chat=True,
            loud=yes,
            channel=lambda address: {"type": "teams", "urlSecret": address.address_secret},
            examples=lambda city: f"teams-{city}",
        ),
    ),
    markup=("{{DATE(", "${"),
    examples=lambda url: (Example({"type": "teams", "urlSecret": "teams"}, {"teams": url}, {}),),
    documented=(("`teams`", "an Adaptive Card", "-", "a card", _MANNER),),
)
