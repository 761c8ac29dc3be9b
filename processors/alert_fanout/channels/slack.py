"""Slack through an incoming webhook: a message each for beginning and end.

The address is itself the secret that lets one post; it belongs to one channel, can neither edit nor answer, and takes about one
message a second (docs.slack.dev: "Sending messages using incoming webhooks", "Rate limits", "Formatting message text", "Blocks").
"""

from __future__ import annotations

from typing import Any

from processors.alert_fanout.channel_kind import Capabilities
from processors.alert_fanout.notice import Notice
from processors.alert_fanout.posting import PostedChannel, Posting, posting_kind

HEADER_LENGTH = 150
SECTION_LENGTH = 3000
"""What Slack takes of a header and of a section."""


def message(notice: Notice) -> dict[str, Any]:
    """The title as a header, the lines as a section; `text` is what a notification shows. None of it is mrkdwn, no link in it is
    opened for a preview.
    """
    title = f"{notice.mark} {notice.title}"
    return {
        "text": _escaped(title, SECTION_LENGTH),
        "mrkdwn": False,
        "unfurl_links": False,
        "unfurl_media": False,
        "blocks": [
            {"type": "header", "text": _plain(title, HEADER_LENGTH)},
            {"type": "section", "text": _plain(notice.text, SECTION_LENGTH)},
            *([_links(notice)] if notice.links else []),
        ],
    }


def _links(notice: Notice) -> dict[str, Any]:
    """Links as elements, so that no text has to hold markup; a paragraph for each."""
    links = [{"type": "link", "url": url, "text": words} for words, url in notice.links]
    return {"type": "rich_text", "elements": [{"type": "rich_text_section", "elements": [link]} for link in links]}


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


_CAPABILITIES = Capabilities(limit=10, updates=0, updates_at_once=False, hears_merges=False, reminds=True, acts_as="")


class SlackChannel(PostedChannel, posting=Posting("slack", "Slack", "webhook", _CAPABILITIES, message)):
    """A channel of Slack, whose incoming webhook's address is the secret `url_secret`."""


KIND = posting_kind(
    SlackChannel,
    documented="the address of a Slack incoming webhook",
    beginning="a message",
    end="a message",
    markup=("<!channel>", "<@U0", "<https://"),
)
