"""Webex messages: one message per incident, edited while it grows, its end as a reply in its thread.

API: developer.webex.com/docs/api/v1/messages. A message has at most 7,439 bytes and can be edited ten times.
"""

from __future__ import annotations

import os
import re

import requests

from processors.alert_fanout.channels import DeliveryError, call
from processors.alert_fanout.render import Notice
from processors.alert_fanout.secrets import SecretMissing, Secrets
from processors.alert_fanout.settings import WebexChannel

API = "https://webexapis.com/v1"
MESSAGE_BYTES = 7400
_WHO = "the Webex messages API"
_MARKS = re.compile(r"([*_`\[\]<>#\\])")


class WebexMessages:
    """Tells a room or a person as a bot. WEBEX_MESSAGES_API in the environment replaces the address of the API."""

    def __init__(self, settings: WebexChannel, secrets: Secrets) -> None:
        self._settings, self._secrets = settings, secrets
        self._api = os.environ.get("WEBEX_MESSAGES_API") or API
        self._session = requests.Session()

    def send(self, notice: Notice) -> str | None:
        """See Channel.send. The id it gives is that of the message and of its room: an edit needs both."""
        try:
            token = self._secrets(self._settings.secret)
        except SecretMissing as fault:
            raise DeliveryError(f"{_WHO}: {fault}") from None
        headers = {"Authorization": f"Bearer {token}"}
        message, room = (notice.ref or "|").split("|", 1)
        if notice.action == "update":
            if not message:
                return None  # its id was lost: the end will tell
            body = {"roomId": room, "markdown": markdown(notice)}
            call(self._session, "PUT", f"{self._api}/messages/{message}", _WHO, json=body, headers=headers)
            return None
        to = self._settings.to
        body = {"toPersonEmail" if "@" in to else "roomId": to, "markdown": markdown(notice)}
        if message:
            body["parentId"] = message
        response = call(self._session, "POST", f"{self._api}/messages", _WHO, json=body, headers=headers)
        try:
            sent = response.json()
            return None if message else f"{sent['id']}|{sent['roomId']}"
        except (ValueError, KeyError, TypeError):
            return None  # it was sent; only its thread is lost

    def close(self) -> None:
        """Close the connections."""
        self._session.close()


def markdown(notice: Notice) -> str:
    """A notice as Webex shows it: the title bold, one line each."""
    mark = {"fired": "🔴" if notice.lead.severity == 1 else "🟠", "updated": "🟠", "resolved": "✅"}[notice.state]
    if notice.lead.is_drill:
        mark = "🧪"
    text = f"{mark} **{_escaped(notice.title)}**\n\n" + "  \n".join(_escaped(line) for line in notice.text.split("\n"))
    return text.encode()[:MESSAGE_BYTES].decode(errors="ignore")


def _escaped(text: str) -> str:
    """Names are people's: what looks like formatting is none."""
    return _MARKS.sub(r"\\\1", text)
