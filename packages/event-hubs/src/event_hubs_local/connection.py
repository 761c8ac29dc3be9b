"""One client's connection: frames in and out, its sessions and their links.

Everything runs on one event loop without waiting: a frame is answered as it is read.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any

from event_hubs_local import performatives
from event_hubs_local.amqp import UINT32, AmqpError, Described, decode
from event_hubs_local.hubs import Namespace
from event_hubs_local.links import Link
from event_hubs_local.performatives import (
    AMQP_HEADER,
    FRAME_BYTES,
    IDLE_SECONDS,
    SASL_FRAME,
    SASL_HEADER,
    Attach,
    Begin,
    Flow,
    Open,
    Transfer,
)  # fmt: skip

AttachLink = Callable[["Session", Attach], None]
"""Answers the attaching of a link; see `attaching.py`."""
SEND_BUFFER_BYTES = 1 << 20
"""How much may wait in memory for a client that reads slowly, before its links pause."""
_log = logging.getLogger("event_hubs_local.connection")


class Session:
    """A session of a connection: the windows both sides keep, and the links by handle."""

    def __init__(self, connection: Connection, channel: int, begin: Begin) -> None:
        self.connection = connection
        self.namespace = connection.namespace
        self.links: dict[int, Link] = {}
        self.window = begin.incoming_window
        self._channel = channel
        self._prefix = b"\x02\x00" + channel.to_bytes(2, "big")
        self._next_incoming = begin.next_outgoing_id
        self._next_outgoing = 0
        self._next_delivery = 0

    def send(self, performative: bytes) -> None:
        """Send a performative."""
        self.connection.write(performatives.frame(self._channel, performative))

    def send_flow(self, handle: int, delivery_count: int, credit: int) -> None:
        """Say how much the broker takes on a link, or what it has used up of the client's credit."""
        self.send(performatives.flow(self._next_incoming, self._next_outgoing, handle, delivery_count, credit))

    def send_messages(self, handle: int, messages: list[bytes]) -> None:
        """Send deliveries, settled, each in as many frames as the client's frame size asks for."""
        room = self.connection.frame_bytes - 64
        pieces: list[bytes] = []
        frames = 0
        for message in messages:
            for start in range(0, len(message), room):
                piece = message[start : start + room] if len(message) > room else message
                head = performatives.transfer(handle, self._next_delivery, more=start + room < len(message))
                pieces += (UINT32.pack(8 + len(head) + len(piece)), self._prefix, head, piece)
                frames += 1
            self._next_delivery = (self._next_delivery + 1) & 0xFFFFFFFF
        self._next_outgoing = (self._next_outgoing + frames) & 0xFFFFFFFF
        self.window -= frames
        self.connection.write(b"".join(pieces))

    def on_flow(self, flow: Flow) -> None:
        """The client's window and, with a handle, its credit on a link."""
        if flow.next_incoming_id is not None:
            self.window = (flow.next_incoming_id + flow.incoming_window - self._next_outgoing) & 0xFFFFFFFF
        if flow.handle is None:
            self.resume()
        elif (link := self.links.get(flow.handle)) is not None:
            link.on_flow(flow)

    def on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        """A transfer for one of the links; the link may be gone already."""
        self._next_incoming = (self._next_incoming + 1) & 0xFFFFFFFF
        link = self.links.get(transfer.handle)
        if link is not None:
            link.on_transfer(transfer, payload)

    def resume(self) -> None:
        """There is room to send again."""
        for link in tuple(self.links.values()):
            link.resume()

    def forget(self) -> None:
        """The session is gone, and with it its links."""
        for link in tuple(self.links.values()):
            link.forget()


class Connection(asyncio.Protocol):
    """One TCP connection."""

    def __init__(
        self, namespace: Namespace, connections: set[Connection], attach: AttachLink, idle_seconds: float = IDLE_SECONDS
    ) -> None:
        self.namespace = namespace
        self.writable = True
        self.unfinished_bytes = 0
        """What is held of messages whose end has not come yet."""
        self.frame_bytes = 65536
        self._connections = connections
        self._attach = attach
        self._transport: asyncio.Transport
        self._unread = bytearray()
        self._sessions: dict[int, Session] = {}
        self._idle_seconds = idle_seconds
        self._heard_at = 0.0
        self._timers: dict[str, asyncio.TimerHandle] = {}

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected."""
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(high=SEND_BUFFER_BYTES)
        self._transport = transport
        self._connections.add(self)
        self._heard_at = asyncio.get_running_loop().time()
        self._watch()

    def connection_lost(self, exc: Exception | None) -> None:
        """The client is gone."""
        self._connections.discard(self)
        for timer in self._timers.values():
            timer.cancel()
        for session in self._sessions.values():
            session.forget()
        self._sessions.clear()

    def pause_writing(self) -> None:
        """The client reads too slowly."""
        self.writable = False

    def resume_writing(self) -> None:
        """The client has caught up."""
        self.writable = True
        for session in tuple(self._sessions.values()):
            session.resume()

    def write(self, data: bytes) -> None:
        """Send bytes."""
        self._transport.write(data)

    def abort(self) -> None:
        """Cut the connection off."""
        self._transport.abort()

    def data_received(self, data: bytes) -> None:
        """Take what has come; whole frames are acted upon. A client that speaks no AMQP is cut off with the reason."""
        self._heard_at = asyncio.get_running_loop().time()
        self._unread += data
        at = 0
        try:
            while (end := self._end_of_next(at)) is not None:
                self._on_frame(bytes(self._unread[at:end]))
                at = end
        except (AmqpError, TypeError, AttributeError) as fault:
            _log.warning("a client was cut off: %s", fault, exc_info=not isinstance(fault, AmqpError))
            self.write(performatives.frame(0, performatives.close(performatives.error("amqp:framing-error", str(fault)))))
            self._transport.close()
            at = len(self._unread)
        del self._unread[:at]

    def _end_of_next(self, at: int) -> int | None:
        """Where the frame (or protocol header) at `at` ends, None while it is not whole."""
        available = len(self._unread) - at
        if available < 8 or self._transport.is_closing():
            return None
        if self._unread[at : at + 4] == b"AMQP":
            return at + 8
        size = UINT32.unpack_from(self._unread, at)[0]
        if not 8 <= size <= FRAME_BYTES:
            raise AmqpError(f"a frame of {size} bytes; the limit is {FRAME_BYTES}")
        return at + size if size <= available else None

    def _on_frame(self, frame: bytes) -> None:
        if frame.startswith(b"AMQP"):
            self._on_header(frame)
            return
        start, kind, channel = 4 * frame[4], frame[5], int.from_bytes(frame[6:8], "big")
        if start >= len(frame):
            return  # a heartbeat
        performative, end = decode(frame, start)
        if not isinstance(performative, Described) or not isinstance(performative.value, list):
            raise AmqpError("a frame without a performative")
        if kind == SASL_FRAME:
            if performative.descriptor == performatives.SASL_INIT:
                self.write(performatives.frame(0, performatives.sasl_welcome(), SASL_FRAME))
            return
        self._on_performative(channel, performative.descriptor, performative.value, frame[end:])

    def _on_header(self, header: bytes) -> None:
        if header == SASL_HEADER:
            self.write(SASL_HEADER + performatives.frame(0, performatives.sasl_mechanisms(), SASL_FRAME))
        elif header == AMQP_HEADER:
            self.write(AMQP_HEADER)
        else:
            raise AmqpError(f"protocol header {header!r}; this is AMQP 1.0 without TLS")

    def _on_performative(self, channel: int, code: int, fields: list[Any], payload: bytes) -> None:
        if code == performatives.OPEN:
            self._on_open(Open(*fields[: len(Open._fields)]))
        elif code == performatives.BEGIN:
            self._sessions[channel] = session = Session(self, channel, Begin(*fields[: len(Begin._fields)]))
            session.send(performatives.begin(channel))
        elif code == performatives.CLOSE:
            self.write(performatives.frame(0, performatives.close()))
            self._transport.close()
        elif (session_there := self._sessions.get(channel)) is not None:  # azure-eventhub detaches links of ended sessions
            self._on_session_performative(session_there, channel, code, fields, payload)

    def _on_session_performative(self, session: Session, channel: int, code: int, fields: list[Any], payload: bytes) -> None:
        if code == performatives.TRANSFER:
            session.on_transfer(Transfer(*fields[: len(Transfer._fields)]), payload)
        elif code == performatives.FLOW:
            session.on_flow(Flow(*fields[: len(Flow._fields)]))
        elif code == performatives.ATTACH:
            self._attach(session, Attach(*fields[: len(Attach._fields)]))
        elif code == performatives.DETACH:
            link = session.links.get(fields[0])
            if link is not None:
                link.detach()
        elif code == performatives.END:
            del self._sessions[channel]
            session.forget()
            session.send(performatives.end())

    def _on_open(self, opening: Open) -> None:
        self.frame_bytes = max(512, min(opening.max_frame_size or FRAME_BYTES, FRAME_BYTES))
        self.write(performatives.frame(0, performatives.open_(opening.hostname, self._idle_seconds)))
        if opening.idle_time_out:
            self._beat(opening.idle_time_out / 2000)

    def _beat(self, seconds: float) -> None:
        """An empty frame now and then: the client takes silence for death."""
        self.write(performatives.frame(0, b""))
        self._timers["beat"] = asyncio.get_running_loop().call_later(seconds, self._beat, seconds)

    def _watch(self) -> None:
        """Cut off a client that is silent for too long; one that is dead takes no farewell, so nothing waits for that."""
        loop = asyncio.get_running_loop()
        left = self._heard_at + self._idle_seconds - loop.time()
        if left > 0:
            self._timers["watch"] = loop.call_later(left, self._watch)
            return
        allowed = round(self._idle_seconds * 1000)
        text = f"The connection was inactive for more than the allowed {allowed} milliseconds and is closed by the broker."
        self.write(performatives.frame(0, performatives.close(performatives.error("amqp:connection:forced", text))))
        if self._transport.get_write_buffer_size():
            self._transport.abort()
        else:
            self._transport.close()
