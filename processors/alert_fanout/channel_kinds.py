"""The kinds of channels there are: every module of `processors/alert_fanout/channels` is one."""

from __future__ import annotations

import importlib
import pkgutil
import re

from processors.alert_fanout import channels
from processors.alert_fanout.channel_kind import ChannelKind, ChannelSettings, ContactKind, Terms, Written


def _kind(module_name: str) -> ChannelKind:
    kind = getattr(importlib.import_module(f"{channels.__name__}.{module_name}"), "KIND", None)
    if not isinstance(kind, ChannelKind):
        raise TypeError(f"processors/alert_fanout/channels/{module_name}.py has no KIND = ChannelKind(...) (see channel_kind.py)")
    return kind


# From z to a: the order in which deployed settings have always listed the channels of a city.
CHANNEL_KINDS = tuple(_kind(name) for name in sorted((one.name for one in pkgutil.iter_modules(channels.__path__)), reverse=True))
"""All of them, each once."""
TITLES = {beginning: title for kind in CHANNEL_KINDS for beginning, title in kind.titles.items()}
"""What people call a channel, by what its key begins with."""
_BY_TYPE = {kind.type: kind for kind in CHANNEL_KINDS}
CONTACT_KINDS: dict[str, ContactKind] = {
    contact.name: contact
    for contact in sorted(
        (contact for kind in CHANNEL_KINDS for contact in kind.contacts), key=lambda contact: contact.channel is not None
    )
}
"""The kinds of contacts by name, those first that Azure Monitor notifies."""


_DIGEST = re.compile(r"[0-9a-f]{8,}")


def title(key: str) -> str:
    """What people call the kind of a channel, from its key: `Slack`, `PagerDuty`."""
    kind = key.split(":")[0]
    return TITLES.get(kind, kind.capitalize())


def label(key: str) -> str:
    """A channel for people, from its key: `Slack hooks.slack.com`, `Webex room`. What only distinguishes channels is left out."""
    return " ".join([title(key), *(part for part in key.split(":")[1:] if not _DIGEST.fullmatch(part))])


def channel_settings(written: Written) -> ChannelSettings:
    """A channel of the fan-out's settings, which have no faults."""
    standard = Terms()
    terms = Terms(
        tuple(written.get("severities", standard.severities)),
        written.get("when", standard.when),
        tuple(written.get("rules", ())),
        written.get("afterSeconds", 0),
        written.get("repeatSeconds", 0),
    )
    return _BY_TYPE[written["type"]].read(written, terms)
