"""The kinds of channels: a module each, that says everything of itself or is refused."""

from __future__ import annotations

import re
import sys
import types
from dataclasses import MISSING, fields
from pathlib import Path

import pytest

from processors.alert_fanout import channel_kinds, channels
from processors.alert_fanout.channel_kind import Capabilities, ChannelKind, ChannelSettings, ContactKind
from processors.alert_fanout.channel_kinds import CHANNEL_KINDS, CONTACT_KINDS, TITLES, label
from tests.support.shared_data import REPOSITORY


def test_every_module_of_the_folder_is_a_kind_and_no_two_are_called_the_same() -> None:
    modules = {path.stem for folder in channels.__path__ for path in Path(folder).glob("[!_]*.py")}
    assert len(CHANNEL_KINDS) == len(modules)
    assert len({kind.type for kind in CHANNEL_KINDS}) == len(CHANNEL_KINDS)
    assert len(CONTACT_KINDS) == sum(len(kind.contacts) for kind in CHANNEL_KINDS)


@pytest.mark.parametrize("declaration", [ChannelKind, ContactKind, Capabilities])
def test_nothing_a_kind_has_to_say_has_a_default_so_the_type_checker_misses_it(declaration: type) -> None:
    assert [one.name for one in fields(declaration) if (one.default, one.default_factory) != (MISSING, MISSING)] == []


def test_what_a_kind_of_channel_has_to_do_is_abstract_so_the_type_checker_misses_it() -> None:
    assert ChannelSettings.__abstractmethods__ == {"contact_kind", "capabilities", "open", "_name"}


@pytest.mark.parametrize("declared", [{}, {"KIND": None}, {"KIND": ChannelKind}])
def test_a_module_without_a_kind_is_named(declared: dict[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    module = types.ModuleType(f"{channels.__name__}.pager")
    vars(module).update(declared)
    monkeypatch.setitem(sys.modules, module.__name__, module)
    with pytest.raises(TypeError, match=r"channels/pager\.py has no KIND"):
        channel_kinds._kind("pager")


@pytest.mark.parametrize("contact", CONTACT_KINDS.values(), ids=CONTACT_KINDS)
def test_the_example_of_a_kind_of_contact_becomes_a_channel_that_knows_its_kind(contact: ContactKind) -> None:
    written = contact.examples("lyon")
    address = contact.read(written if isinstance(written, dict) else {contact.plain: written})
    if contact.channel is not None:
        assert channel_kinds.channel_settings(contact.channel(address)).contact_kind == contact.name
    assert contact.label(address)


def test_every_kind_has_a_title_for_whatever_its_keys_begin_with() -> None:
    examples = [example for kind in CHANNEL_KINDS for example in kind.examples("https://example.com/in")]
    begun = {channel_kinds.channel_settings(one.settings).key.split(":")[0] for one in examples}
    assert begun | {"inbox"} == TITLES.keys()
    assert len(TITLES) == sum(len(kind.titles) for kind in CHANNEL_KINDS), "no two kinds begin alike"
    assert (TITLES["pagerduty"], TITLES["azure-monitor"], TITLES["slack"]) == ("PagerDuty", "E-mail or text message", "Slack")


CHANNELS_PAGE = (REPOSITORY / "docs/stages/alert-fanout.md").read_text(encoding="utf-8")
NAMES_TABLE = CHANNELS_PAGE.partition("## Names in messages")[2].partition("\n## ")[0]


@pytest.mark.parametrize("kind", [kind for kind in CHANNEL_KINDS if kind.contacts], ids=lambda kind: kind.type)
def test_a_kind_that_people_choose_has_its_section(kind: ChannelKind) -> None:
    headings = re.findall(r"^## (.+)$", CHANNELS_PAGE, re.MULTILINE)
    title = next(iter(kind.titles.values()))
    assert {title, f"{title}s"} & set(headings), f"docs/stages/alert-fanout.md: write its section, ## {title}"


@pytest.mark.parametrize("title", TITLES.values())
def test_what_keeps_a_name_text_in_its_messages_is_written_down(title: str) -> None:
    assert re.search(rf"\b{title}s?\b", NAMES_TABLE, re.IGNORECASE), "docs/stages/alert-fanout.md: a row under Names in messages"


@pytest.mark.parametrize(
    ("key", "words"),
    [
        ("slack:hooks.slack.com:0123456789ab", "Slack hooks.slack.com"),
        ("pagerduty:events.pagerduty.com:0123456789ab:12:office-hours", "PagerDuty events.pagerduty.com 12 office-hours"),
        ("webex:person:0123456789ab", "Webex person"),
        ("azure-monitor:rp-lyon-oncall", "E-mail or text message rp-lyon-oncall"),
    ],
)
def test_a_channel_has_words_and_no_digest(key: str, words: str) -> None:
    assert label(key) == words
