"""The observations of a poll: devices, metric readings, locations and cities, as events with their signals and rules."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from processors.ingest.changes import KnownDevice
from processors.ingest.city_facts import NO_FACTS, CityFacts
from processors.ingest.cloud_events import OBSERVATION_TYPE, Event, sealed
from processors.ingest.details import NOTHING, About, device_details
from processors.ingest.directory import Place
from processors.ingest.fleet import CityTally, LocationTally
from processors.ingest.records import Device, Workspace
from processors.ingest.room_status import RoomStatus
from processors.ingest.signals import (
    RuleBook,
    Signal,
    city_signals,
    device_signals,
    location_signals,
    reading_signals,
    removed_signals,
)

REMOVED = "removed"
"""connectionStatus of the last observation of a device that left the organisation; Webex itself has no such status."""


class PollContext(NamedTuple):
    """What every observation of a poll says about it: its time slot, and whether it is known by now not to see everything; and
    what Webex's own status page reports, where it reports anything.

    `time`: of what was pushed, when that was; what was polled is of the slot.
    """

    poll_id: str
    partial: bool
    webex_status: dict[str, Any] | None = None
    time: str | None = None

    @property
    def moment(self) -> str:
        """The time of its observations."""
        return self.time or self.poll_id


def device_observation(
    poll: PollContext,
    book: RuleBook,
    known: KnownDevice,
    reason: str,
    before: KnownDevice | None = None,
    about: About = NOTHING,
) -> Event:
    """A device as it is now, and what is known `about` it; `before` is what was last acknowledged of the device."""
    signals = device_signals(book, known, before)
    data = _data(poll, known.place, "device", known.device.id, known.device.name, reason, signals)
    data["errorCodes"] = known.device.error_codes
    data["statusSince"] = known.status_since
    _add_known(data, connectionStatus=known.device.connection_status)
    _add_device(data, known.device, about)
    return sealed(OBSERVATION_TYPE, known.device.id, poll.moment, data)


def removed_observation(poll: PollContext, book: RuleBook, known: KnownDevice) -> Event:
    """The last word on a device that Webex no longer lists."""
    signals = removed_signals(book, known)
    data = _data(poll, known.place, "device", known.device.id, known.device.name, "change", signals)
    data |= {"connectionStatus": REMOVED, "statusSince": poll.poll_id}
    _add_device(data, known.device, NOTHING)
    return sealed(OBSERVATION_TYPE, known.device.id, poll.poll_id, data)


def metric_observation(
    slot: str, book: RuleBook, place: Place, workspace: Workspace, metric: str, time: str, value: float
) -> Event:
    """A reading measured at `time`; `slot` is the poll slot that time falls into, so that reading it again gives the same id."""
    signals = reading_signals(book, place.city_id, workspace, metric, value)
    data = _data(PollContext(slot, partial=False), place, "workspace", workspace.id, workspace.name, "metric", signals)
    return sealed(OBSERVATION_TYPE, workspace.id, time, data)


def use_observation(
    poll: PollContext, book: RuleBook, place: Place, workspace: Workspace, status: RoomStatus, booking: Mapping[str, float]
) -> list[Event]:
    """How a room is used, as its device says now, with what follows for its `booking`: one observation, or none where it does not
    say.
    """
    signals = book.signals(place.city_id, "workspace", {**status.of_room(workspace.capacity), **booking})
    return [_of_room(poll, place, workspace, signals)] if signals else []


def booking_observation(
    poll: PollContext, book: RuleBook, place: Place, workspace: Workspace, booking: Mapping[str, float]
) -> Event:
    """How it stands with a room's booking, by what was said before."""
    return _of_room(poll, place, workspace, book.signals(place.city_id, "workspace", booking))


def _of_room(poll: PollContext, place: Place, workspace: Workspace, signals: list[Signal]) -> Event:
    data = _data(poll, place, "workspace", workspace.id, workspace.name, "metric", signals)
    return sealed(OBSERVATION_TYPE, workspace.id, poll.moment, data)


def location_observation(poll: PollContext, book: RuleBook, place: Place, count: LocationTally) -> Event:
    """A location, which `place` names, by the devices at it."""
    location_id = place.location_id or ""
    name = place.location_name or location_id
    data = _data(poll, place, "location", location_id, name, "poll", location_signals(book, place.city_id, count))
    return sealed(OBSERVATION_TYPE, location_id, poll.poll_id, data)


def city_observation(
    poll: PollContext,
    book: RuleBook,
    slug: str,
    name: str,
    count: CityTally,
    facts: CityFacts = NO_FACTS,
) -> Event:
    """A city by its devices and rooms, and what else is known of it."""
    signals = city_signals(book, slug, count, facts)
    data = _data(poll, Place(slug, None, None, None, None), "city", slug, name, "poll", signals)
    return sealed(OBSERVATION_TYPE, slug, poll.poll_id, data)


def _data(
    poll: PollContext, place: Place, entity: str, entity_id: str, name: str, reason: str, signals: list[Signal]
) -> dict[str, Any]:
    data: dict[str, Any] = {
        "cityId": place.city_id,
        "entity": entity,
        "entityId": entity_id,
        "name": name,
        "reason": reason,
        "errorCodes": (),
        "pollId": poll.poll_id,
        "partial": poll.partial,
        "signals": signals,
    }
    if poll.webex_status and entity != "workspace":
        data["details"] = {"webexStatus": poll.webex_status}
    _add_known(data, locationId=place.location_id, locationName=place.location_name)
    _add_known(data, workspaceId=place.workspace_id, workspaceName=place.workspace_name)
    return data


def _add_device(data: dict[str, Any], device: Device, about: About) -> None:
    _add_known(data, product=device.product, software=device.software)
    if details := device_details(device, about) | data.get("details", {}):
        data["details"] = details


def _add_known(data: dict[str, Any], **fields: str | None) -> None:
    """Add fields that have a value: what is unknown is left out, never null."""
    for name, value in fields.items():
        if value is not None:
            data[name] = value
