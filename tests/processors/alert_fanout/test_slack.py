"""Messages of Slack, held to what its documentation takes: header 150, section 3,000, `&`, `<` and `>` as entities."""

from __future__ import annotations

import html
import re
from dataclasses import replace
from typing import Any

import pytest

from processors.alert_fanout.channels.slack import message
from processors.alert_fanout.notice import Line
from tests.processors.alert_fanout.messages import FIELDS, Names, notices

HOSTILE = "<!channel> <https://evil.example|sign in> <@U012> &lt;!here&gt; *b* `c`"


def texts(sent: dict[str, Any]) -> list[str]:
    return [sent["text"], *(block["text"]["text"] for block in sent["blocks"] if "text" in block)]


def test_a_message_is_a_header_and_a_section_of_plain_text() -> None:
    sent = message(notices(Names())["open"])
    header, section = sent["blocks"]
    assert (header["type"], section["type"]) == ("header", "section")
    assert header["text"] == {"type": "plain_text", "emoji": False, "text": "🟠 Device offline: Room Bar 1, Lyon"}
    assert section["text"]["text"].splitlines()[1:3] == [
        "What: device Room Bar 1",
        "Where: Room 1, North, Lyon Part-Dieu, Lyon",
    ]
    assert (sent["mrkdwn"], sent["unfurl_links"], sent["unfurl_media"]) == (False, False, False)


@pytest.mark.parametrize("field", FIELDS)
def test_a_name_is_shown_as_it_is_and_nothing_in_it_is_a_mention_or_a_link(field: str) -> None:
    plain, hostile = (notices(replace(Names(), **{field: name})) for name in ("x", HOSTILE))
    for kind, notice in hostile.items():
        for text in texts(message(notice)):
            assert not re.search(r"[<>]|&(?!amp;|lt;|gt;)", text), kind
    shown = "\n".join(html.unescape(text) for notice in hostile.values() for text in texts(message(notice)))
    assert HOSTILE in shown and plain


@pytest.mark.parametrize("sign", ["x", "&", "<", "é", "🔴"])
@pytest.mark.parametrize("length", [140, 149, 150, 151, 2999, 3000, 3001, 9000])
def test_what_is_too_long_is_cut_between_characters(sign: str, length: int) -> None:
    notice = replace(notices(Names())["open"], title=sign * length, lines=(Line(sign * length),))
    for text, most in zip(texts(message(notice)), (3000, 150, 3000), strict=True):
        assert len(text) <= most and not re.search(r"&(?!amp;|lt;|gt;)", text)
        assert html.unescape(text).removeprefix("🟠 ").strip(sign) == ""
    assert len(texts(message(notice))[2]) >= min(length, 3000) - 5


def test_its_mark_says_how_bad_it_is_that_it_is_over_and_that_it_is_a_drill() -> None:
    found = notices(Names())
    marks = [message(notices(Names(), severity=severity)["open"])["text"][0] for severity in (1, 2, 3, 4)]
    assert marks == ["🔴", "🟠", "🟡", "🔵"]
    assert [message(found[kind])["text"][0] for kind in ("close", "drill")] == ["✅", "🧪"]
