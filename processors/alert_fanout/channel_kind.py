"""What every kind of channel says of itself, and what every channel can do.

A kind is one module of `processors/alert_fanout/channels` with a `KIND`. Everything it has to say is required here, so that a
kind which leaves something out is refused by the type checker; what stack files, schemas, documentation and checks know of it is
made from that (`make generate`).
"""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, NamedTuple, Protocol

from processors.alert_fanout.notice import Notice
from processors.alert_fanout.secrets import Secrets
from processors.contracts.facts import SEVERITIES

ALWAYS, DAILY = "always", "daily"
Written = Mapping[str, Any]
"""A part of a settings file that its schema has taken."""


class Channel(Protocol):
    """A way to notify people."""

    def check(self) -> None:
        """Whether it could send, as far as that shows without sending anything; raises DeliveryError."""

    def send(self, notice: Notice) -> str | None:
        """Notify; gives the channel's own id of the message, if it has one. What is sent twice should be seen once, where the
        service can see by the notice's key. Raises DeliveryError.
        """

    def close(self) -> None:
        """Let go of connections."""


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """How a channel is notified: new incidents it takes within STORM_WINDOW at most (None: any number), how often a message may
    be updated and whether at once (otherwise once in UPDATE_EVERY), whether it must hear that an incident became part of
    another, whether it can be notified again of what it knows and given several things in one message (others take that for a
    repeat, or for the end of one), and under which name people act there (Act.way): it hears who has an incident, unless that was
    done there.
    """

    limit: int | None
    updates: int
    updates_at_once: bool
    hears_merges: bool
    reminds: bool
    acts_as: str


EMAIL_ADDRESS = r"""[^@\s,;:<>()\[\]"\\]+@(?!.*\.\.)[A-Za-z0-9][A-Za-z0-9.-]*\.[A-Za-z0-9-]*[A-Za-z0-9]"""
"""One address as people write it, as a pattern: no list, no `mailto:`, no angle brackets, and a domain as DNS has it (ASCII)."""


class Address(NamedTuple):
    """Where a contact is and what it takes to reach it; see Contact in infra/settings/contacts.py."""

    to: str | None = None
    address_secret: str | None = None
    secret: str | None = None
    template: str | None = None
    back_secret: str | None = None


class Terms(NamedTuple):
    """For which severities, when (always, office-hours, off-hours, daily: in one message when the office opens) and of which
    rules (none: all) a channel is notified; `after` how many seconds in which nobody has acknowledged, and every `repeat` seconds
    once more.
    """

    severities: tuple[int, ...] = SEVERITIES
    when: str = ALWAYS
    rules: tuple[str, ...] = ()
    after: int = 0
    repeat: int = 0

    @property
    def label(self) -> str:
        """What distinguishes channels of one address, such as `12:off-hours:after-15m`; empty for everything, always, at once."""
        parts = (
            "" if self.severities == SEVERITIES else "".join(map(str, self.severities)),
            "" if self.when == ALWAYS else self.when,
            f"only-{digest('|'.join(sorted(self.rules)))[:6]}" if self.rules else "",
            f"after-{span_of(self.after)}" if self.after else "",
        )
        return ":".join(filter(None, parts))


@dataclass(frozen=True, kw_only=True)
class ChannelSettings(ABC):
    """A channel as the fan-out's settings describe it, and for what it is notified when: see Terms."""

    severities: tuple[int, ...] = SEVERITIES
    when: str = ALWAYS
    rules: tuple[str, ...] = ()
    after: int = 0
    repeat: int = 0

    @cached_property
    def key(self) -> str:
        """What distinguishes channels, over restarts too; it gives no secret and no person away."""
        return ":".join(filter(None, (self._name, self.terms.label)))

    @property
    def terms(self) -> Terms:
        """For what it is notified, and when."""
        return Terms(self.severities, self.when, self.rules, self.after, self.repeat)

    @property
    @abstractmethod
    def contact_kind(self) -> str | None:
        """What a rule calls contacts like this one (email, webex, ...); None where it hears of every rule."""

    @property
    @abstractmethod
    def capabilities(self) -> Capabilities:
        """How it is notified."""

    @abstractmethod
    def open(self, secrets: Secrets) -> Channel:
        """The channel itself; raises SettingsError when what it needs of its environment is not there."""

    @property
    @abstractmethod
    def _name(self) -> str:
        """The key without the terms."""


@dataclass(frozen=True, kw_only=True)
class ContactKind:
    """A kind of contact: how a stack file writes one, and what it means."""

    name: str
    plain: str
    """What plain text is: `to`, or `addressSecret`."""
    plain_schema: str
    """The name of the definition that checks it."""
    properties: Written
    """JSON Schema of a contact written as a mapping, besides `severities` and `when`."""
    required: tuple[str, ...]
    """Which of them it can't do without."""
    definitions: Written
    """JSON Schema definitions that only this kind needs."""
    list_schema: Written
    """What else the schema says of the list of such contacts."""
    documented: str
    """What the list holds, for docs/configuration.md."""
    severities: tuple[int, ...]
    """At which severities a rule notifies it, unless the rule says otherwise."""
    read: Callable[[Written], Address]
    """The address of a contact written as a mapping (plain text is one with `plain` alone)."""
    faults: Callable[[Written], Iterable[tuple[str, str]]]
    """What no schema can say about one: where in it, and what is wrong."""
    label: Callable[[Address], str]
    """What people know it by; it gives no secret away, and of an address only the host."""
    reaches_people: Callable[[Address], bool]
    """Whether somebody hears it."""
    chat: bool
    """Whether people talk there: what the cases of the rules call `chat`."""
    loud: Callable[[Address], bool]
    """Whether it is heard at night."""
    reminds: Callable[[Address], bool]
    """Whether it can be notified again of what it knows, and given several things in one message."""
    channel: Callable[[Address], dict[str, Any]] | None
    """The channel of the fan-out that notifies it, without its terms; None for those that Azure Monitor notifies by audience."""
    examples: Callable[[str], Any]
    """A contact of this kind for the cases of the alert rules, made from the name of a city."""


class Example(NamedTuple):
    """A channel that notifies a service at an address of one's choice: its settings without terms, the values of its secrets by
    name, and variables of its environment.
    """

    settings: Written
    secrets: Mapping[str, str]
    environment: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ChannelKind:
    """A kind of channel."""

    type: str
    """Its name in the fan-out's settings."""
    titles: Mapping[str, str]
    """What people call its channels, by what their keys begin with."""
    required: tuple[str, ...]
    properties: Written
    """JSON Schema of its settings besides `type`, `severities` and `when`."""
    schema: Written
    """What else its schema says."""
    has_terms: bool
    """Whether its settings may have terms: `severities`, `when`, ..."""
    read: Callable[[Written, Terms], ChannelSettings]
    """Its settings as the fan-out's settings file has them."""
    contacts: tuple[ContactKind, ...]
    """The kinds of contacts that are notified through it."""
    markup: tuple[str, ...]
    """What it would take for markup, a mention or code where a message holds a name: none of it may reach it as it is."""
    examples: Callable[[str], tuple[Example, ...]]
    """Every way its settings can be written, notifying the service at an address: for the faults that every kind has to bear."""
    documented: tuple[tuple[str, str, str, str, Capabilities], ...]
    """Rows for docs/stages/alert-fanout.md: what it is called, a beginning, an update, an end, and how it is notified."""


def yes(address: Address) -> bool:
    """For what holds of every contact of a kind."""
    return True


def no(address: Address) -> bool:
    """For what holds of none."""
    return False


def no_faults(written: Written) -> Iterable[tuple[str, str]]:
    """For a kind whose schema says everything."""
    return ()


def span_of(seconds: int) -> str:
    """`15m` or `4h`: whole minutes, in hours where they are whole too."""
    return f"{seconds // 3600}h" if seconds % 3600 == 0 else f"{seconds // 60}m"


def digest(text: str) -> str:
    """Short text that is the same for the same `text` and gives nothing of it away."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]
