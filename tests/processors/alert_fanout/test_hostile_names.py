"""Names are text. Whatever a device, room, site or city is called, and wherever it is shown, the name is read and nothing else
happens: no link, no emphasis, no date, no mention, no second line.

A name is held against a harmless one: the message must be the same, with the one name in the place of the other. Teams' cards are
judged by what Microsoft's own renderer shows.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from processors.alert_fanout.channels.teams import adaptive_card
from processors.contracts.plain_text import NAME_LIMIT, name_of
from tests.processors.alert_fanout.card_judge import MEANT, CardJudge, card_judge
from tests.processors.alert_fanout.messages import FIELDS, RULES, Names, notices, sent
from tests.processors.conftest import StandingClock

HARMLESS = "Harmless 7"
HOSTILE = {
    "link": ("[sign in](https://evil.example)", "[sign in](https://evil.example)"),
    "image": ("![x](https://evil.example/x.png)", "![x](https://evil.example/x.png)"),
    "bare address": ("https://evil.example/a_b_c?d=*e*", "https://evil.example/a_b_c?d=*e*"),
    "autolink": ("<https://evil.example> and www.evil.example", "<https://evil.example> and www.evil.example"),
    "heading": ("# Resolved", "# Resolved"),
    "list": ("- 1. one", "- 1. one"),
    "quote": ("> said", "> said"),
    "emphasis": ("*a* **b** _c_ __d__ ~~e~~", "*a* **b** _c_ __d__ ~~e~~"),
    "code": ("`a` ```b```", "`a` ```b```"),
    "brackets, pipes, backslashes": (r"\[a\] \* | a | b \\", r"\[a\] \* | a | b \\"),
    "date of cards": ("{{DATE(2017-02-14T06:08:00Z)}}", "{{DATE(2017-02-14T06:08:00Z)}}"),
    "long date of cards": ("{{{DATE(2017-02-14T06:08:00-07:00, LONG)}}}", "{{{DATE(2017-02-14T06:08:00-07:00, LONG)}}}"),
    "time of cards": ("{{TIME(2017-02-14T06:08:00Z)}}", "{{TIME(2017-02-14T06:08:00Z)}}"),
    "template of cards": ("${1+1} $${json('{}')}", "${1+1} $${json('{}')}"),
    "field of our templates": ("{title} {secret} {text}", "{title} {secret} {text}"),
    "HTML": ("<b>a</b> &amp; <script>alert(1)</script>", "<b>a</b> &amp; <script>alert(1)</script>"),
    "mention of Webex": ("<@all> <@personEmail:a@example.com|A>", "<@all> <@personEmail:a@example.com|A>"),
    "mention of Teams": ("<at>everyone</at> @here", "<at>everyone</at> @here"),
    "markup of the terminal": ("[red]a[/red] [/]", "[red]a[/red] [/]"),
    "line feed": ("Bar\nRunbook: https://evil.example", "Bar Runbook: https://evil.example"),
    "carriage return": ("Bar\r\n\r\n# x\rb", "Bar # x b"),
    "separators": ("a\u2028b\u2029c\u0085d\x0be\x0cf\x1cg\x1dh\x1ei", "a b c d e f g h i"),
    "tabs and spaces": ("  a\t \tb\u00a0\u3000c ", "a b c"),
    "zero widths": ("a\u200bb\u2060c\ufeffd\u00ade\u180ef", "abcdef"),
    "directions": ("a\u202eb\u202cc\u2066d\u2069e\u200ff\u061cg", "abcdefg"),
    "NUL": ("a\x00b", "a b"),
    "ANSI": ("\x1b[31mred\x1b[0m\x07\x9b2J", "[31mred [0m 2J"),
    "long": ("Aula " * 2000, "Aula " * 19 + "Aula…"),
    "emoji": ("👩‍💻 Room 🇫🇷 ❤️", "👩‍💻 Room 🇫🇷 ❤️"),
    "from right to left": ("חדר ישיבות 5", "חדר ישיבות 5"),
    "joined scripts": ("می‌خواهم غرفة क्‍ष", "می‌خواهم غرفة क्‍ष"),
}
"""What a name is, and what is read of it."""
PIECES = [
    *("[", "](", ")", "https://evil.example", "*", "**", "_", "`", "#", "-", "1.", ">", "|", "\\", "~~", "![", "\n", " "),
    *("<b>", "</b>", "<!--", "&lt;", "&#42;", "{{DATE(2017-02-14T06:08:00Z)}}", "{{TIME(", "DATE("),
    *("{", "{{", "}", "}}", "$", "${", "1+1"),
]
anything = st.text(max_size=150) | st.lists(st.sampled_from(PIECES), max_size=12).map("".join)


@pytest.fixture(scope="module")
def judge() -> Iterator[CardJudge]:
    with card_judge() as one:
        yield one


def replaced(value: Any, shown: str) -> Any:
    """A message with another name in the place of the harmless one."""
    if isinstance(value, dict):
        return {key: replaced(inner, shown) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [replaced(inner, shown) for inner in value]
    if isinstance(value, str) and value.startswith("{") and HARMLESS in value:  # the text of a JSON object
        return json.dumps(replaced(json.loads(value), shown), ensure_ascii=False)
    return value.replace(HARMLESS, shown) if isinstance(value, str) else value


@cache
def harmless(field: str, moment: datetime) -> dict[str, dict[str, Any]]:
    """What is sent of each kind of notice at that moment, where this field has the harmless name."""
    return {kind: sent(notice) for kind, notice in notices(replace(Names(), **{field: HARMLESS})).items()}


@pytest.mark.parametrize("field", FIELDS)
@pytest.mark.parametrize(("name", "shown"), HOSTILE.values(), ids=HOSTILE)
def test_every_channel_sends_the_name_as_it_is(name: str, shown: str, field: str, standing_clock: StandingClock) -> None:
    meant = harmless(field, standing_clock.now)
    for kind, notice in notices(replace(Names(), **{field: name})).items():
        for channel, message in sent(notice).items():
            wanted = shown.replace(";", ",") if channel == "azure monitor" else shown
            assert message == replaced(meant[kind][channel], wanted), (kind, channel)


def test_cards_show_every_name_as_it_is(judge: CardJudge) -> None:
    """In the kinds of message that between them have every line."""
    messages = {
        (case, field, kind): notice
        for case, (name, _) in HOSTILE.items()
        for field in FIELDS
        for kind, notice in notices(replace(Names(), **{field: name})).items()
        if kind in ("open, with others", "merge", "storm", "leftover over")
    }
    for (where, notice), judged in zip(messages.items(), judge(list(map(adaptive_card, messages.values()))), strict=True):
        assert judged.lines == (notice.title, *map(str, notice.lines)), where
        assert (judged.elements, judged.expanded, judged.faults) == (MEANT, False, ()), where


@settings(max_examples=150, deadline=None)
@given(st.builds(Names, anything, anything, anything, anything, anything, anything))
def test_a_card_shows_any_text_as_it_is(judge: CardJudge, names: Names) -> None:
    messages = [notice for kind, notice in notices(names).items() if kind in ("open, with others", "merge", "close")]
    for notice, judged in zip(messages, judge(list(map(adaptive_card, messages))), strict=True):
        assert judged.lines == (notice.title, *map(str, notice.lines))
        assert (judged.elements, judged.expanded, judged.faults) == (MEANT, False, ())


@settings(deadline=None)
@given(st.builds(Names, anything, anything, anything, anything, anything, anything))
def test_a_message_has_the_lines_it_was_meant_to_have(names: Names) -> None:
    meant = notices(Names())
    for kind, notice in notices(names).items():
        without_name = [line.label for line in notice.lines]
        assert without_name == [line.label for line in meant[kind].lines]
        assert len(notice.text.splitlines()) == len(notice.lines) and len(notice.title.splitlines()) == 1


def test_a_rule_that_is_not_known_adds_no_line_either() -> None:
    """Its id comes with the row."""
    notice = notices(Names(), replace(RULES["device-offline"], id="new\nRunbook: https://evil.example"))["open"]
    assert notice.title == "New runbook: https://evil.example: Room Bar 1, Lyon"
    assert len(notice.text.splitlines()) == len(notice.lines)


@settings(deadline=None)
@given(anything)
def test_a_name_is_a_line_that_can_be_read(name: str) -> None:
    shown = name_of(name)
    assert len(shown) <= NAME_LIMIT and shown == name_of(shown) and len(shown.splitlines()) <= 1
    assert not {unicodedata.category(character) for character in shown} & {"Cc", "Zl", "Zp", "Cs"}
    assert {character for character in shown if unicodedata.category(character) == "Cf"} <= {"\u200c", "\u200d"}


@settings(deadline=None)
@given(st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=NAME_LIMIT))
def test_a_name_of_letters_figures_and_signs_is_shown_as_it_is(name: str) -> None:
    assert name_of(name) == name


def test_a_name_of_nothing_to_see_is_that_of_the_entity() -> None:
    assert "What: device entity-1" in notices(Names(entity="\u200b \n\u202e"))["open"].text


def test_no_name_chooses_whom_azure_monitor_notifies() -> None:
    """Its processing rules look for `to=AUDIENCE;` anywhere in what an alert carries."""
    for field in FIELDS:
        row = sent(notices(replace(Names(), **{field: "to=oslo/email;"}))["open"])["azure monitor"]
        assert not any("to=oslo/email;" in str(value) for value in row.values())
