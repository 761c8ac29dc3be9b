"""Microsoft Teams through a workflow ("When a Teams webhook request is received"): an Adaptive Card each for beginning and end.

A workflow's address can't change what it posted, so an incident that grows is sent again only when it is over. The address is
itself the secret that lets one post. Teams takes 28 kB a message.
"""

from __future__ import annotations

import re
from typing import Any

from processors.alert_fanout.channel_kind import Capabilities
from processors.alert_fanout.notice import Line, Notice
from processors.alert_fanout.posting import PostedChannel, Posting, posting_kind

_STYLES = {1: "attention", 2: "warning", 3: "emphasis", 4: "default"}
"""The ground of the title by severity."""
_FUNCTIONS = re.compile(r"(?<=\{)(?=\{[A-Z])|(?<=\$)(?=\{)")
"""Where `{{DATE(...)}}` and `${...}` begin, which cards run in any text. A run of text that ends there is followed by one that is
no function any more."""


def message(notice: Notice) -> dict[str, Any]:
    """The request that a workflow takes: a card."""
    card = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": adaptive_card(notice)}
    return {"type": "message", "attachments": [card]}


def adaptive_card(notice: Notice) -> dict[str, Any]:
    """The card: a coloured title, and a paragraph for each line.

    All of it are runs of text, in which there is no Markdown; TextBlock and FactSet have it.
    """
    style = {"merged": "emphasis", "resolved": "good", "digest": "emphasis"}.get(notice.look, _STYLES[notice.lead.severity])
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
        **({"actions": [_opens(words, url) for words, url in notice.links]} if notice.links else {}),
    }


def _opens(words: str, url: str) -> dict[str, Any]:
    return {"type": "Action.OpenUrl", "title": words, "url": url}


def _line(line: Line, before: Line | None) -> dict[str, Any]:
    label = _runs(f"{line.label}: ", weight="Bolder") if line.label else []
    close = {"spacing": "Small"} if line.label and before and before.label else {}
    return _paragraph([*label, *_runs(line.text)], **close)


def _paragraph(runs: list[dict[str, Any]], **look: str) -> dict[str, Any]:
    return {"type": "RichTextBlock", **look, "inlines": runs}


def _runs(text: str, **look: str) -> list[dict[str, Any]]:
    return [{"type": "TextRun", "text": part, **look} for part in _FUNCTIONS.split(text)]


_CAPABILITIES = Capabilities(limit=10, updates=0, updates_at_once=False, hears_merges=False, reminds=True, acts_as="")


class TeamsChannel(PostedChannel, posting=Posting("teams", "Teams", "workflow", _CAPABILITIES, message)):
    """A Teams workflow, whose address is the secret `url_secret`."""


KIND = posting_kind(
    TeamsChannel,
    documented="the address of a Teams workflow",
    beginning="an Adaptive Card",
    end="a card",
    markup=("{{DATE(", "${"),
)
