"""Slack through an incoming webhook: a message each for beginning and end.

The address is itself the secret that lets one post; it belongs to one channel, can neither edit nor answer, and takes about one
message a second (docs.slack.dev: "Sending messages using incoming webhooks", "Rate limits", "Formatting message text", "Blocks").
"""

from __future__ import annotations

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
from processors.alert_fanout.notice import Notice
from processors.alert_fanout.secrets import Secrets, address

HEADER_LENGTH = 150
SECTION_LENGTH = 3000
"""What Slack takes of a header and of a section."""
_MARKS = {1: "🔴", 2: "🟠", 3: "🟡", 4: "🔵"}
"""How a message begins, by severity."""
_MANNER = Manner(limit=10, updates=0, updates_at_once=False, hears_merges=False)


@dataclass(frozen=True, kw_only=True)
class SlackChannel(ChannelSettings):
    """A channel of Slack, whose incoming webhook's address is the secret `url_secret`."""

    url_secret: str

    @property
    def contact_kind(self) -> str:
        """See ChannelSettings.contact_kind."""
        return "slack"

    @property
    def manner(self) -> Manner:
        """See ChannelSettings.manner."""
        return _MANNER

    def open(self, secrets: Secrets) -> SlackWebhook:
        """See ChannelSettings.open."""
        return SlackWebhook(self, secrets)

    @property
    def _name(self) -> str:
        return f"slack:{self.url_secret}"


class SlackWebhook:
    """POSTs messages to an incoming webhook."""

    def __init__(self, settings: SlackChannel, secrets: Secrets) -> None:
        self._settings, self._secrets = settings, secrets
        self._service = Service(f"the Slack webhook {settings.url_secret}")

    def check(self) -> None:
        """See Channel.check."""
        self._address()

    def send(self, notice: Notice) -> None:
        """See Channel.send."""
        self._service.call("POST", self._address(), json=message(notice))

    def close(self) -> None:
        """Close the connections."""
        self._service.close()

    def _address(self) -> str:
        return address(self._secrets, self._settings.url_secret)


def message(notice: Notice) -> dict[str, Any]:
    """The title as a header, the lines as a section; `text` is what a notification shows. None of it is mrkdwn, no link in it is
    opened for a preview.
    """
    title = f"{_mark(notice)} {notice.title}"
    return {
        "text": _escaped(title, SECTION_LENGTH),
        "mrkdwn": False,
        "unfurl_links": False,
        "unfurl_media": False,
        "blocks": [
            {"type": "header", "text": _plain(title, HEADER_LENGTH)},
            {"type": "section", "text": _plain(notice.text, SECTION_LENGTH)},
            *([_link(notice.link)] if notice.link else []),
        ],
    }


def _mark(notice: Notice) -> str:
    if notice.lead.is_drill:
        return "🧪"
    return {"merged": "↪️", "resolved": "✅"}.get(notice.look, _MARKS[notice.lead.severity])


def _link(url: str) -> dict[str, Any]:
    """A link as an element, so that no text has to hold markup."""
    section = {"type": "rich_text_section", "elements": [{"type": "link", "url": url, "text": "Runbook"}]}
    return {"type": "rich_text", "elements": [section]}


def _plain(text: str, most: int) -> dict[str, Any]:
    return {"type": "plain_text", "emoji": False, "text": _escaped(text, most)}


def _escaped(text: str, most: int) -> str:
    """Text in which Slack sees no mention and no link: `<`, `>` and `&` begin them everywhere, in plain text too.

    It is cut so that an entity stays whole.
    """
    signs = [{"&": "&amp;", "<": "&lt;", ">": "&gt;"}.get(sign, sign) for sign in text]
    while sum(map(len, signs)) > most:
        del signs[-max(1, (sum(map(len, signs)) - most) // 5) :]
    return "".join(signs)


KIND = ChannelKind(
    type="slack",
    required=("urlSecret",),
    properties={"urlSecret": {"$ref": "#/$defs/secretName"}},
    schema={},
    has_terms=True,
    read=lambda written, terms: SlackChannel(url_secret=written["urlSecret"], **terms._asdict()),
    contacts=(
        ContactKind(
            name="slack",
            plain="addressSecret",
            plain_schema="secretName",
            properties={
                "addressSecret": {
                    "$ref": "#/$defs/secretName",
                    "description": "the name of the secret that holds the address of the Slack webhook",
                }
            },
            required=("addressSecret",),
            definitions={},
            list_schema={"writeOnly": True, "description": "a list of names of secrets, or mappings with addressSecret"},
            documented="names of secrets that hold the address of a Slack incoming webhook",
            severities=(1, 2, 3),
            read=lambda written: Address(address_secret=written["addressSecret"]),
            faults=no_faults,
            label=lambda address: f"slack {address.address_secret}",
            reaches_people=yes,
            chat=True,
            loud=yes,
            channel=lambda address: {"type": "slack", "urlSecret": address.address_secret},
            examples=lambda city: f"slack-{city}",
        ),
    ),
    markup=("<!channel>", "<@U0", "<https://"),
    examples=lambda url: (Example({"type": "slack", "urlSecret": "slack"}, {"slack": url}, {}),),
    documented=(("`slack`", "a message", "-", "a message", _MANNER),),
)
