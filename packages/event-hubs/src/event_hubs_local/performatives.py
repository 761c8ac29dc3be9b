"""Frames and performatives of AMQP 1.0: what the broker sends, and the ones it receives by name of their fields.

Every performative is sent with all of its fields: azure-eventhub up to 5.15.1 reads them by position without looking at how many
there are (Azure/azure-sdk-for-python#47660), although the standard lets trailing nulls be left out.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from event_hubs_local.amqp import (
    EMPTY_LIST,
    FALSE,
    NULL,
    TRUE,
    UINT32,
    Described,
    array_of_symbols,
    boolean,
    described,
    encode,
    list_of,
    map_of,
    symbol,
    text,
    ubyte,
    uint,
    ulong,
    ushort,
)  # fmt: skip

AMQP_HEADER = b"AMQP\x00\x01\x00\x00"
SASL_HEADER = b"AMQP\x03\x01\x00\x00"
AMQP_FRAME, SASL_FRAME = 0, 1

OPEN, BEGIN, ATTACH, FLOW, TRANSFER, DISPOSITION, DETACH, END, CLOSE = range(0x10, 0x19)
SASL_MECHANISMS, SASL_INIT, SASL_OUTCOME = 0x40, 0x41, 0x44
_ACCEPTED, _REJECTED, _ERROR = 0x24, 0x25, 0x1D
_SETTLED, _MIXED = 1, 2
_FIRST = 0
"""Ways of settling: of a sender, and of a receiver."""

FRAME_BYTES = 1 << 20
"""Largest frame the broker takes."""
MESSAGE_BYTES = 1 << 20
"""Largest message, batch or single, as in the standard tier of Event Hubs."""
IDLE_SECONDS = 240.0
"""A client that says nothing for so long is cut off, as Event Hubs does; an empty frame now and then is enough."""
_CHANNEL_MAX = 8191
_ENDLESS = 0x7FFFFFFF
"""Window of transfers the broker takes: it is not limited by it."""


class Open(NamedTuple):
    """A client opens the connection."""

    container_id: str | None = None
    hostname: str | None = None
    max_frame_size: int | None = None
    channel_max: int | None = None
    idle_time_out: int | None = None


class Begin(NamedTuple):
    """A client begins a session."""

    remote_channel: int | None = None
    next_outgoing_id: int = 0
    incoming_window: int = 0


class Attach(NamedTuple):
    """A client attaches a link; `role` is true when the client receives."""

    name: str = ""
    handle: int = 0
    role: bool = False
    snd_settle_mode: int | None = None
    rcv_settle_mode: int | None = None
    source: Described | None = None
    target: Described | None = None
    unsettled: Any = None
    incomplete_unsettled: bool | None = None
    initial_delivery_count: int | None = None
    max_message_size: int | None = None
    offered_capabilities: Any = None
    desired_capabilities: Any = None
    properties: dict[Any, Any] | None = None


class Flow(NamedTuple):
    """A client says how much it takes."""

    next_incoming_id: int | None = None
    incoming_window: int = 0
    next_outgoing_id: int = 0
    outgoing_window: int = 0
    handle: int | None = None
    delivery_count: int | None = None
    link_credit: int | None = None
    available: int | None = None
    drain: bool | None = None


class Transfer(NamedTuple):
    """A client sends a message, or a part of it."""

    handle: int = 0
    delivery_id: int | None = None
    delivery_tag: bytes | None = None
    message_format: int | None = None
    settled: bool | None = None
    more: bool | None = None
    rcv_settle_mode: int | None = None
    state: Any = None
    resume: bool | None = None
    aborted: bool | None = None


def frame(channel: int, body: bytes, kind: int = AMQP_FRAME) -> bytes:
    """A frame; an empty body is a heartbeat."""
    return b"".join((UINT32.pack(len(body) + 8), b"\x02", bytes((kind,)), channel.to_bytes(2, "big"), body))


def sasl_mechanisms() -> bytes:
    """The ways to log in; the broker accepts each without looking: it listens on loopback only."""
    return described(SASL_MECHANISMS, list_of(array_of_symbols(["ANONYMOUS", "PLAIN", "MSSBCBS", "EXTERNAL"])))


def sasl_welcome() -> bytes:
    """Logged in."""
    return described(SASL_OUTCOME, list_of(ubyte(0), NULL))


def open_(hostname: str | None, idle_seconds: float = IDLE_SECONDS) -> bytes:
    """The broker's side of the connection."""
    name = text("event-hubs-local")
    limits = (uint(FRAME_BYTES), ushort(_CHANNEL_MAX), uint(round(idle_seconds * 1000)))
    return described(OPEN, list_of(name, text(hostname or ""), *limits, *[NULL] * 4, map_of(symbol("product"), name)))


def begin(remote_channel: int) -> bytes:
    """The broker's side of a session."""
    windows = (uint(_ENDLESS), uint(_ENDLESS), uint(_ENDLESS))
    return described(BEGIN, list_of(ushort(remote_channel), uint(0), *windows, NULL, NULL, NULL))


def attach(request: Attach) -> bytes:
    """The broker's side of a link: the client's own words, with the role turned round.

    Each side decides how it settles what it does, and a client may insist on its word (the Go client does): so that is repeated.
    The broker sends everything settled, and settles what it takes at once.
    """
    client_sends = not request.role
    sending = (_MIXED if request.snd_settle_mode is None else request.snd_settle_mode) if client_sends else _SETTLED
    receiving = _FIRST if client_sends else request.rcv_settle_mode or _FIRST
    return described(
        ATTACH,
        list_of(
            text(request.name), uint(request.handle), boolean(client_sends), ubyte(sending), ubyte(receiving),
            encode(request.source), encode(request.target), NULL, FALSE, NULL if client_sends else uint(0),
            ulong(MESSAGE_BYTES), NULL, NULL, NULL,
        ),
    )  # fmt: skip


def flow(next_incoming_id: int, next_outgoing_id: int, handle: int, delivery_count: int, credit: int) -> bytes:
    """How many messages the broker takes on a link, or what it has used of a client's credit."""
    return described(
        FLOW,
        list_of(
            uint(next_incoming_id), uint(_ENDLESS), uint(next_outgoing_id), uint(_ENDLESS),
            uint(handle), uint(delivery_count), uint(credit), NULL, FALSE, FALSE, NULL,
        ),
    )  # fmt: skip


def transfer(handle: int, delivery_id: int, more: bool) -> bytes:
    """The head of a delivery, sent settled; the message follows it.

    All deliveries carry one tag: the client keeps every distinct tag it has seen for as long as the link lives.
    """
    fields = b"".join((uint(handle), uint(delivery_id), b"\xa0\x01\x65\x43\x41", boolean(more), b"\x40\x40\x42\x42\x42"))
    return b"".join((b"\x00\x53\x14\xc0", bytes((len(fields) + 1, 11)), fields))


def accepted(delivery_id: int) -> bytes:
    """A delivery is stored."""
    return _disposition(delivery_id, described(_ACCEPTED, EMPTY_LIST))


def rejected(delivery_id: int, condition: str, reason: str) -> bytes:
    """A delivery is not stored, and why."""
    return _disposition(delivery_id, described(_REJECTED, list_of(error(condition, reason))))


def _disposition(delivery_id: int, state: bytes) -> bytes:
    return described(DISPOSITION, list_of(TRUE, uint(delivery_id), uint(delivery_id), TRUE, state, FALSE))


def detach(handle: int, fault: bytes = NULL) -> bytes:
    """The end of a link."""
    return described(DETACH, list_of(uint(handle), TRUE, fault))


def end() -> bytes:
    """The end of a session."""
    return described(END, list_of(NULL))


def close(fault: bytes = NULL) -> bytes:
    """The end of the connection."""
    return described(CLOSE, list_of(fault))


def error(condition: str, reason: str) -> bytes:
    """An error: a condition from the standard or from Event Hubs, and a text for a person."""
    return described(_ERROR, list_of(symbol(condition), text(reason), NULL))
