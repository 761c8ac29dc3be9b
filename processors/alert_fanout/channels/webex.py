"""Webex messages: one message per incident, edited while it grows, its end as a reply in its thread.

API: developer.webex.com/docs/api/v1/messages. A message has at most 7,439 bytes and can be edited ten times.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass

from processors.alert_fanout.channel_kind import (
    EMAIL_ADDRESS,
    Address,
    Capabilities,
    ChannelKind,
    ChannelSettings,
    ContactKind,
    Example,
    digest,
    no_faults,
    yes,
)
from processors.alert_fanout.http_call import Caller
from processors.alert_fanout.notice import Notice
from processors.alert_fanout.secrets import Secrets, token

API = "https://webexapis.com/v1"
MESSAGE_BYTES = 7400
_WHO = "the Webex messages API"


DEFAULT_BOT = "webex-bot"
"""The secret that holds the bot's token where a contact names none."""
# Webex refuses the eleventh edit.
_CAPABILITIES = Capabilities(limit=10, updates=9, updates_at_once=False, hears_merges=True, reminds=True, acts_as="")


@dataclass(frozen=True, kw_only=True)
class WebexChannel(ChannelSettings):
    """A Webex room (its id) or a person (an e-mail address), notified by the bot whose token is the secret `secret`."""

    to: str
    secret: str

    @property
    def contact_kind(self) -> str:
        """See ChannelSettings.contact_kind."""
        return "webex"

    @property
    def capabilities(self) -> Capabilities:
        """See ChannelSettings.capabilities."""
        return _CAPABILITIES

    def open(self, secrets: Secrets) -> WebexMessages:
        """See ChannelSettings.open."""
        return WebexMessages(self, secrets)

    @property
    def _name(self) -> str:
        return f"webex:{'person' if '@' in self.to else 'room'}:{digest(f'{self.to}|{self.secret}')}"


class WebexMessages(Caller):
    """Notifies a room or a person as a bot. WEBEX_MESSAGES_API in the environment replaces the address of the API."""

    def __init__(self, settings: WebexChannel, secrets: Secrets) -> None:
        super().__init__(_WHO)
        self._settings, self._secrets = settings, secrets
        self._api = os.environ.get("WEBEX_MESSAGES_API") or API

    def check(self) -> None:
        """See Channel.check."""
        self._headers()

    def send(self, notice: Notice) -> str | None:
        """See Channel.send. The id it gives is that of the message and of its room: an edit needs both."""
        headers = self._headers()
        message, room = (notice.ref or "|").split("|", 1)
        if notice.action == "update":
            if not message:
                return None  # its id was lost: the end will be sent
            body = {"roomId": room, "text": text_of(notice)}
            self._service.call("PUT", f"{self._api}/messages/{message}", json=body, headers=headers)
            return None
        to = self._settings.to
        body = {"toPersonEmail" if "@" in to else "roomId": to, "text": text_of(notice)}
        if message:
            body["parentId"] = message
        answer = self._service.call("POST", f"{self._api}/messages", json=body, headers=headers)
        try:
            sent = json.loads(answer)
            return None if message else f"{sent['id']}|{sent['roomId']}"
        except (ValueError, KeyError, TypeError):
            return None  # it was sent; only its thread is lost

    def _headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {token(self._secrets, self._settings.secret)}"}


def text_of(notice: Notice) -> str:
    """A notice as Webex shows it: the title, then a line each.

    It is sent as `text`, which is plain: `markdown` and `html` know links, tags and `<@all>`, and no published grammar of theirs
    says how to write a name in them.
    """
    return f"{notice.mark} {notice.title}\n\n{notice.text}".encode()[:MESSAGE_BYTES].decode(errors="ignore")


def _label(address: Address) -> str:
    to = address.to or ""
    return to if "@" in to else f"Webex room …{to[-6:]}"


KIND = ChannelKind(
    type="webex",
    titles={"webex": "Webex"},
    required=("to", "secret"),
    properties={
        "to": {"type": "string", "minLength": 1, "description": "a room's id, or a person's e-mail address"},
        "secret": {"$ref": "#/$defs/secretName"},
    },
    schema={},
    has_terms=True,
    read=lambda written, terms: WebexChannel(to=written["to"], secret=written["secret"], **terms._asdict()),
    contacts=(
        ContactKind(
            name="webex",
            plain="to",
            plain_schema="webexAddress",
            properties={
                "to": {"$ref": "#/$defs/webexAddress", "description": "a Webex room's id, or a person's e-mail address"},
                "bot": {"$ref": "#/$defs/secretName"},
            },
            required=("to",),
            definitions={
                "webexAddress": {
                    "type": "string",
                    "pattern": f"^({EMAIL_ADDRESS}|[A-Za-z0-9_-]{{20,}})$",
                    "description": "a Webex room's id, or a person's e-mail address",
                }
            },
            list_schema={},
            documented="Webex rooms by their id, people by their e-mail address",
            severities=(1, 2, 3),
            read=lambda written: Address(to=written["to"], secret=written.get("bot", DEFAULT_BOT)),
            faults=no_faults,
            label=_label,
            reaches_people=yes,
            chat=True,
            loud=yes,
            reminds=yes,
            channel=lambda address: {"type": "webex", "to": address.to, "secret": address.secret},
            examples=lambda city: f"room-{city}@example.com",
        ),
    ),
    markup=(),
    examples=lambda url: (
        Example({"type": "webex", "to": "ROOM", "secret": "bot"}, {"bot": "bot-token"}, {"WEBEX_MESSAGES_API": url}),
    ),
    documented=(("`webex`", "a message", "the message is edited (9 times at most)", "a reply in its thread", _CAPABILITIES),),
)
