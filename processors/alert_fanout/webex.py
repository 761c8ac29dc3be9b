"""Webex messages: one message per incident, edited while it grows, its end as a reply in its thread.

API: developer.webex.com/docs/api/v1/messages. A message has at most 7,439 bytes and can be edited ten times.
"""

from __future__ import annotations

import os

import requests

from processors.alert_fanout.channels import DeliveryError, call
from processors.alert_fanout.render import Notice
from processors.alert_fanout.secrets import SecretMissing, Secrets
from processors.alert_fanout.settings import WebexChannel

API = "https://webexapis.com/v1"
MESSAGE_BYTES = 7400
_WHO = "the Webex messages API"
_MARKS = {1: "🔴", 2: "🟠", 3: "🟡", 4: "🔵"}
"""How a message begins, by severity."""


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
            body = {"roomId": room, "text": text_of(notice)}
            call(self._session, "PUT", f"{self._api}/messages/{message}", _WHO, json=body, headers=headers)
            return None
        to = self._settings.to
        body = {"toPersonEmail" if "@" in to else "roomId": to, "text": text_of(notice)}
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


def text_of(notice: Notice) -> str:
    """A notice as Webex shows it: the title, then a line each.

    It is sent as `text`, which is plain: `markdown` and `html` know links, tags and `<@all>`, and no published grammar of theirs
    says how to write a name in them.
    """
    told = "↪️" if notice.merged_into else "✅" if notice.state == "resolved" else _MARKS[notice.lead.severity]
    mark = "🧪" if notice.lead.is_drill else told
    return f"{mark} {notice.title}\n\n{notice.text}".encode()[:MESSAGE_BYTES].decode(errors="ignore")
