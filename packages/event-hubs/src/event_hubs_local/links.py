"""Links, and what flows over them: a `Sender` brings events in, a `Receiver` takes them out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from event_hubs_local import performatives
from event_hubs_local.amqp import NULL, long, map_of, symbol, text, timestamp
from event_hubs_local.hubs import Namespace, Partition, Place, Refused, selector_of
from event_hubs_local.log import LogError
from event_hubs_local.message import with_delivery_annotations
from event_hubs_local.performatives import MESSAGE_BYTES, Attach, Flow, Transfer

if TYPE_CHECKING:
    from event_hubs_local.connection import Session

SENDER_CREDIT = 300
"""Deliveries a client may send before the broker must grant more; it grants more long before that."""
CONNECTION_UNFINISHED_BYTES = 8 << 20
UNFINISHED_BYTES = 64 << 20
"""How much of messages whose end has not come yet is held, for one connection and for all."""
READ_BYTES = 256 * 1024
"""How much is read from a log at a time, so that a fast reader costs little memory."""
_OWNER_LEVEL = "com.microsoft:epoch"
_RUNTIME_METRIC = "com.microsoft:enable-receiver-runtime-metric"


class Link:
    """A link of a session, by its handle."""

    def __init__(self, session: Session, request: Attach) -> None:
        self.session = session
        self.handle = request.handle
        self.name = request.name

    def on_flow(self, flow: Flow) -> None:
        """The client says how much it takes."""

    def on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        """The client sends something; on a link that only gives, it is ignored."""

    def resume(self) -> None:
        """There is room to send again."""

    def detach(self, condition: str = "", reason: str = "") -> None:
        """End the link, with an error when there is a condition."""
        fault = performatives.error(condition, reason) if condition else NULL
        self.session.send(performatives.detach(self.handle, fault))
        self.forget()

    def forget(self) -> None:
        """The link is gone."""
        self.session.links.pop(self.handle, None)


class IncomingLink(Link):
    """A link on which the client sends: grants credit and puts messages together that come in several transfers."""

    def __init__(self, session: Session, request: Attach) -> None:
        super().__init__(session, request)
        self._delivery_count = request.initial_delivery_count or 0
        self._credit = 0
        self._first: Transfer | None = None
        self._message = bytearray()

    def grant(self) -> None:
        """Let the client send more when it has used most of what it was granted."""
        if self._credit < SENDER_CREDIT // 3:
            self._credit = SENDER_CREDIT
            self.session.send_flow(self.handle, self._delivery_count, self._credit)

    def on_transfer(self, transfer: Transfer, payload: bytes) -> None:
        """Collect; a whole message goes to `on_message`, an oversized one ends the link."""
        first = self._first = self._first or transfer
        if len(self._message) + len(payload) > MESSAGE_BYTES:
            self.detach("amqp:link:message-size-exceeded", f"A message may have {MESSAGE_BYTES} bytes, this one has more.")
            return
        if transfer.more and not transfer.aborted:
            self._hold(payload)
            return
        message = b"".join((self._message, payload)) if self._message else payload
        self._let_go()
        self._delivery_count += 1
        self._credit -= 1
        if not transfer.aborted:
            self.on_message(first, message)
        self.grant()

    def on_message(self, transfer: Transfer, message: bytes) -> None:
        """A whole message has come."""
        raise NotImplementedError

    def forget(self) -> None:
        """Let go of what will never be whole."""
        self._let_go()
        super().forget()

    def _hold(self, payload: bytes) -> None:
        connection, namespace = self.session.connection, self.session.namespace
        self._message += payload
        connection.unfinished_bytes += len(payload)
        namespace.unfinished_bytes += len(payload)
        if connection.unfinished_bytes > CONNECTION_UNFINISHED_BYTES or namespace.unfinished_bytes > UNFINISHED_BYTES:
            self.detach(
                "amqp:resource-limit-exceeded",
                f"Too many messages are unfinished: a connection may have {CONNECTION_UNFINISHED_BYTES} bytes of them under way, "
                f"all together {UNFINISHED_BYTES}. Finish a message before the next is begun.",
            )

    def _let_go(self) -> None:
        self.session.connection.unfinished_bytes -= len(self._message)
        self.session.namespace.unfinished_bytes -= len(self._message)
        self._first, self._message = None, bytearray()


class Sender(IncomingLink):
    """A client's producer: each delivery is stored before it is accepted."""

    def __init__(self, session: Session, request: Attach, place: Place) -> None:
        super().__init__(session, request)
        self.place = place

    def on_message(self, transfer: Transfer, message: bytes) -> None:
        """Store the events, say so, and wake the readers."""
        partition = None
        try:
            partition = self.session.namespace.store(self.place, message, transfer.message_format)
            outcome = performatives.accepted(transfer.delivery_id or 0)
        except Refused as refusal:
            outcome = performatives.rejected(transfer.delivery_id or 0, refusal.condition, str(refusal))
        if not transfer.settled:
            self.session.send(outcome)
        if partition is not None:
            partition.wake()


class Receiver(Link):
    """A client's consumer of one partition: sends events as long as the client has credit and the connection takes them."""

    def __init__(self, session: Session, request: Attach, place: Place, partition: Partition) -> None:
        super().__init__(session, request)
        self.partition = partition
        self.group = place.group or ""
        self.owner_level: int | None = (request.properties or {}).get(_OWNER_LEVEL)
        capabilities = request.desired_capabilities or []
        self.reports_last_enqueued = _RUNTIME_METRIC in (capabilities if isinstance(capabilities, list) else [capabilities])
        source = request.source.value if request.source else []
        filters = source[7] if len(source) > 7 and isinstance(source[7], dict) else {}
        self._next = partition.position(selector_of(filters))
        self._credit = 0
        self._delivery_count = 0
        partition.admit(self)

    def on_flow(self, flow: Flow) -> None:
        """Take the client's credit; a draining client gets back what can't be used now."""
        self._credit = (flow.delivery_count or 0) + (flow.link_credit or 0) - self._delivery_count
        self.push()
        if flow.drain and self._credit > 0:
            self._delivery_count += self._credit
            self._credit = 0
            self.session.send_flow(self.handle, self._delivery_count, 0)

    def resume(self) -> None:
        """Send on."""
        self.push()

    def push(self) -> None:
        """Send what is there and wanted; a log that can't be read ends the link with the reason."""
        log, session = self.partition.log, self.session
        while (room := min(self._credit, session.window)) > 0 and session.connection.writable:
            try:
                messages, self._next = log.read(self._next, room, READ_BYTES)
            except (LogError, OSError) as fault:
                session.namespace.reporter.warning(str(fault))
                self.detach("amqp:internal-error", str(fault))
                return
            if not messages:
                return
            self._credit -= len(messages)
            self._delivery_count += len(messages)
            session.namespace.events_out += len(messages)
            if self.reports_last_enqueued:
                annotations = _last_enqueued(self.partition, session.namespace)
                messages = [with_delivery_annotations(message, annotations) for message in messages]
            session.send_messages(self.handle, messages)

    def forget(self) -> None:
        """Leave the partition."""
        self.partition.leave(self)
        super().forget()


def _last_enqueued(partition: Partition, namespace: Namespace) -> bytes:
    """What a client asks for that tracks how far behind it is."""
    log = partition.log
    return map_of(
        symbol("last_enqueued_sequence_number"), long(log.next_sequence - 1),
        symbol("last_enqueued_offset"), text(str(log.last_offset)),
        symbol("last_enqueued_time_utc"), timestamp(log.last_enqueued_ms),
        symbol("runtime_info_retrieval_time_utc"), timestamp(namespace.clock()),
    )  # fmt: skip
