"""Kinds of channels that POST a message to an address which is itself the secret that lets one post: an incoming webhook.

Such an address belongs to one channel and can neither edit nor answer, so what differs between the services is the message.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

from processors.alert_fanout.channel_kind import (
    Address,
    Capabilities,
    ChannelKind,
    ChannelSettings,
    ContactKind,
    Example,
    no_faults,
    yes,
)
from processors.alert_fanout.http_call import Caller
from processors.alert_fanout.notice import Notice
from processors.alert_fanout.secrets import Secrets, address


@dataclass(frozen=True)
class Posting:
    """A service of that sort: the `name` of the kind, its `title` for people, what its addresses lead to ("workflow"), how
    it is notified, and what makes the body of a request (JSON) of a notice.
    """

    name: str
    title: str
    place: str
    capabilities: Capabilities
    message: Callable[[Notice], dict[str, Any]]

    @property
    def endpoint(self) -> str:
        """What an address of it belongs to, such as `Teams workflow`."""
        return f"{self.title} {self.place}"


@dataclass(frozen=True, kw_only=True)
class PostedChannel(ChannelSettings):
    """A channel at such a service, whose address is the secret `url_secret`. Each kind is a class of its own."""

    posting: ClassVar[Posting]
    url_secret: str

    def __init_subclass__(cls, *, posting: Posting) -> None:
        """`posting` is required, so that the type checker misses it."""
        super().__init_subclass__()
        cls.posting = posting

    @property
    def contact_kind(self) -> str:
        """See ChannelSettings.contact_kind."""
        return self.posting.name

    @property
    def capabilities(self) -> Capabilities:
        """See ChannelSettings.capabilities."""
        return self.posting.capabilities

    def open(self, secrets: Secrets) -> Poster:
        """See ChannelSettings.open."""
        return Poster(self, secrets)

    @property
    def _name(self) -> str:
        return f"{self.posting.name}:{self.url_secret}"


class Poster(Caller):
    """POSTs messages to the address."""

    def __init__(self, settings: PostedChannel, secrets: Secrets) -> None:
        super().__init__(f"the {settings.posting.endpoint} {settings.url_secret}")
        self._settings, self._secrets = settings, secrets

    def check(self) -> None:
        """See Channel.check."""
        self._address()

    def send(self, notice: Notice) -> None:
        """See Channel.send."""
        self._service.call("POST", self._address(), json=self._settings.posting.message(notice))

    def _address(self) -> str:
        return address(self._secrets, self._settings.url_secret)


def posting_kind(
    channel: type[PostedChannel], *, documented: str, beginning: str, end: str, markup: tuple[str, ...]
) -> ChannelKind:
    """The kind of `channel`: `documented` is what its contacts' secrets hold, `beginning` and `end` how it is notified of an
    incident, `markup` as in ChannelKind.
    """
    posting = channel.posting
    contact = ContactKind(
        name=posting.name,
        plain="addressSecret",
        plain_schema="secretName",
        properties={
            "addressSecret": {
                "$ref": "#/$defs/secretName",
                "description": f"the name of the secret that holds the address of the {posting.endpoint}",
            }
        },
        required=("addressSecret",),
        definitions={},
        list_schema={"writeOnly": True, "description": "a list of names of secrets, or mappings with addressSecret"},
        documented=f"names of secrets that hold {documented}",
        severities=(1, 2, 3),
        read=lambda written: Address(address_secret=written["addressSecret"]),
        faults=no_faults,
        label=lambda address: f"{posting.name} {address.address_secret}",
        reaches_people=yes,
        chat=True,
        loud=yes,
        reminds=yes,
        channel=lambda address: {"type": posting.name, "urlSecret": address.address_secret},
        examples=lambda city: f"{posting.name}-{city}",
    )
    return ChannelKind(
        type=posting.name,
        titles={posting.name: posting.title},
        required=("urlSecret",),
        properties={"urlSecret": {"$ref": "#/$defs/secretName"}},
        schema={},
        has_terms=True,
        read=lambda written, terms: channel(url_secret=written["urlSecret"], **terms._asdict()),
        contacts=(contact,),
        markup=markup,
        examples=lambda url: (Example({"type": posting.name, "urlSecret": posting.name}, {posting.name: url}, {}),),
        documented=((f"`{posting.name}`", beginning, "-", end, posting.capabilities),),
    )
