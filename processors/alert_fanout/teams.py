"""Microsoft Teams through a workflow ("When a Teams webhook request is received"): an Adaptive Card each for beginning and end.

A workflow's address can't change what it posted, so an incident that grows is told again only when it is over. The address is
itself the secret that lets one post. Teams takes 28 kB a message.
"""

from __future__ import annotations

from typing import Any

import requests

from processors.alert_fanout.channels import DeliveryError, call
from processors.alert_fanout.render import Notice
from processors.alert_fanout.secrets import SecretMissing, Secrets
from processors.alert_fanout.settings import TeamsChannel

TEXT_LIMIT = 8000


class TeamsWorkflow:
    """POSTs cards to a workflow."""

    def __init__(self, settings: TeamsChannel, secrets: Secrets) -> None:
        self._settings, self._secrets = settings, secrets
        self._session = requests.Session()

    def send(self, notice: Notice) -> None:
        """See Channel.send."""
        who = f"the Teams workflow {self._settings.url_secret}"
        try:
            url = self._secrets(self._settings.url_secret)
        except SecretMissing as fault:
            raise DeliveryError(f"{who}: {fault}") from None
        card = {"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": adaptive_card(notice)}
        call(self._session, "POST", url, who, json={"type": "message", "attachments": [card]})

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


def adaptive_card(notice: Notice) -> dict[str, Any]:
    """The card: a coloured title, then facts where a line is `name: value` and text where it is not."""
    facts, text = [], []
    for line in notice.text[:TEXT_LIMIT].split("\n"):
        name, colon, value = line.partition(": ")
        if colon and " " not in name.replace("Folded in", "Folded").replace("Not back yet", "Not"):
            facts.append({"title": name, "value": value})
        else:
            text.append({"type": "TextBlock", "text": line, "wrap": True})
    style = "good" if notice.state == "resolved" else "attention" if notice.lead.severity == 1 else "warning"
    if notice.lead.is_drill:
        style = "accent"
    title = {"type": "TextBlock", "text": notice.title, "weight": "Bolder", "size": "Medium", "wrap": True}
    return {
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "type": "AdaptiveCard",
        "version": "1.4",
        "msteams": {"width": "Full"},
        "body": [
            {"type": "Container", "style": style, "bleed": True, "items": [title]},
            *text,
            {"type": "FactSet", "facts": facts},
        ],
    }
