"""Requests and replies: `$cbs` takes tokens, `$management` describes hubs and partitions."""

from __future__ import annotations

from typing import Any

from event_hubs_local.amqp import (
    FALSE,
    NULL,
    TRUE,
    AmqpError,
    array_of_text,
    decode,
    described,
    encode,
    int32,
    list_of,
    long,
    map_of,
    symbol,
    text,
    timestamp,
)  # fmt: skip
from event_hubs_local.connection import Session
from event_hubs_local.hubs import Hub, Namespace, Partition, Refused
from event_hubs_local.links import IncomingLink, Link
from event_hubs_local.message import APPLICATION_PROPERTIES, PROPERTIES, VALUE, sections
from event_hubs_local.performatives import Attach, Transfer, accepted, rejected

CBS, MANAGEMENT = "$cbs", "$management"
_OK, _TOKEN_ACCEPTED, _BAD_REQUEST, _NOT_FOUND = 200, 202, 400, 404


def node_of(address: str) -> str | None:
    """The node an address ends in, when it is one that answers requests."""
    last = address.rpartition("/")[2]
    return last if last in (CBS, MANAGEMENT) else None


class RequestLink(IncomingLink):
    """A client's requests to a node; each reply goes out over a `ReplyLink` of the same session."""

    def __init__(self, session: Session, request: Attach, node: str) -> None:
        super().__init__(session, request)
        self.node = node

    def on_message(self, transfer: Transfer, message: bytes) -> None:
        """Answer a request."""
        try:
            request = _Request(message)
        except AmqpError as fault:
            self._settle(transfer, rejected(transfer.delivery_id or 0, "amqp:decode-error", str(fault)))
            return
        self._settle(transfer, accepted(transfer.delivery_id or 0))
        link = self._reply_link(request.reply_to)
        if link is not None:
            link.reply(_answer(self.session.namespace, self.node, request))

    def _settle(self, transfer: Transfer, outcome: bytes) -> None:
        if not transfer.settled:
            self.session.send(outcome)

    def _reply_link(self, reply_to: str | None) -> ReplyLink | None:
        """By address, by link name (the JavaScript client), or the only one there is (the Python client names none)."""
        links = [link for link in self.session.links.values() if isinstance(link, ReplyLink) and link.node == self.node]
        named = [link for link in links if reply_to is not None and reply_to in (link.reply_to, link.name)]
        return next(iter(named or links), None)


class ReplyLink(Link):
    """A client's receiver of replies from a node."""

    def __init__(self, session: Session, request: Attach, node: str) -> None:
        super().__init__(session, request)
        self.node = node
        target = request.target.value if request.target else []
        self.reply_to = target[0] if target else None

    def reply(self, message: bytes) -> None:
        """Send a reply."""
        self.session.send_messages(self.handle, [message])


class _Request:
    """What matters of a request: its id, where the reply goes, its application properties. Raises AmqpError."""

    def __init__(self, message: bytes) -> None:
        found: dict[int, Any] = {}
        for section in sections(message):
            if section.code in (PROPERTIES, APPLICATION_PROPERTIES):
                found[section.code] = decode(message, section.value)[0]
        properties = [*found.get(PROPERTIES, []), *[None] * 5]
        self.message_id = properties[0]
        self.reply_to: str | None = properties[4]
        self.arguments: dict[str, Any] = found.get(APPLICATION_PROPERTIES, {})


def _answer(namespace: Namespace, node: str, request: _Request) -> bytes:
    if node == CBS:
        return _reply(request, _TOKEN_ACCEPTED, "Accepted", NULL)
    name, partition = request.arguments.get("name"), request.arguments.get("partition")
    if not isinstance(name, str):
        return _reply(request, _BAD_REQUEST, "The request names no hub.", NULL, "amqp:invalid-field")
    try:
        place = namespace.find(name if partition is None else f"{name}/Partitions/{partition}")
    except Refused as refusal:
        return _reply(request, _NOT_FOUND, str(refusal), NULL, refusal.condition)
    body = _describe_hub(place.hub) if place.partition is None else _describe_partition(place.hub, place.partition)
    return _reply(request, _OK, "OK", body)


def _reply(request: _Request, status: int, description: str, body: bytes, condition: str | None = None) -> bytes:
    properties = list_of(NULL, NULL, NULL, NULL, NULL, encode(request.message_id))
    outcome = [text("status-code"), int32(status), text("status-description"), text(description)]
    if condition is not None:
        outcome += [text("error-condition"), symbol(condition)]
    return described(PROPERTIES, properties) + described(APPLICATION_PROPERTIES, map_of(*outcome)) + described(VALUE, body)


def _describe_hub(hub: Hub) -> bytes:
    return map_of(
        text("name"), text(hub.name),
        text("type"), text("com.microsoft:eventhub"),
        text("created_at"), timestamp(hub.created_ms),
        text("partition_count"), int32(len(hub.partitions)),
        text("partition_ids"), array_of_text([partition.id for partition in hub.partitions]),
        text("georeplication_factor"), int32(1),
    )  # fmt: skip


def _describe_partition(hub: Hub, partition: Partition) -> bytes:
    log = partition.log
    return map_of(
        text("name"), text(hub.name),
        text("type"), text("com.microsoft:partition"),
        text("partition"), text(partition.id),
        text("begin_sequence_number"), long(log.first_sequence),
        text("last_enqueued_sequence_number"), long(log.next_sequence - 1),
        text("last_enqueued_offset"), text(str(log.last_offset)),
        text("last_enqueued_time_utc"), timestamp(log.last_enqueued_ms),
        text("is_partition_empty"), TRUE if log.first_sequence == log.next_sequence else FALSE,
    )  # fmt: skip
