"""What becomes of a link that a client attaches: a sender, a receiver, a request or a reply link, or a refusal."""

from __future__ import annotations

from event_hubs_local import performatives
from event_hubs_local.connection import Session
from event_hubs_local.hubs import Refused
from event_hubs_local.links import IncomingLink, Link, Receiver, Sender
from event_hubs_local.management import ReplyLink, RequestLink, node_of
from event_hubs_local.performatives import Attach


def attach(session: Session, request: Attach) -> None:
    """Answer an attach. A refused link is attached first and then detached with the reason, as Event Hubs does."""
    refusal: Refused | None = None
    try:
        link = _link_for(session, request)
    except Refused as fault:
        refusal, link = fault, Link(session, request)
    session.links[request.handle] = link
    session.send(performatives.attach(request))
    if refusal is not None:
        link.detach(refusal.condition, str(refusal))
    elif isinstance(link, IncomingLink):
        link.grant()


def _link_for(session: Session, request: Attach) -> Link:
    terminus = request.source if request.role else request.target
    address = terminus.value[0] if terminus is not None and terminus.value else None
    if not isinstance(address, str):
        raise Refused("amqp:invalid-field", "The link names no address.")
    node = node_of(address)
    if node is not None:
        return ReplyLink(session, request, node) if request.role else RequestLink(session, request, node)
    place = session.namespace.find(address)
    if not request.role:
        return Sender(session, request, place)
    if place.partition is None or place.group is None:
        raise Refused("amqp:invalid-field", f"A receiver needs a consumer group and a partition; {address!r} names not both.")
    return Receiver(session, request, place, place.partition)
