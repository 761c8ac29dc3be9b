"""Takes what is pushed for a poller: to Event Hubs first, into the state then, all of it under the lock of the state."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from typing import Any

from processors.clock import utc_now
from processors.ingest.changes import KnownDevice, with_what_it_said
from processors.ingest.cloud_events import Event
from processors.ingest.places import Places
from processors.ingest.push.coverage import Coverage
from processors.ingest.push.messages import ENDPOINT, OtherMessage, StatusMessage, read_message
from processors.ingest.push.rooms import AboutOf, PushedRooms, Taken
from processors.ingest.quarantine import Quarantine
from processors.ingest.records import BadRecord
from processors.ingest.room_use import RoomUses
from processors.ingest.settings import IngestSettings
from processors.ingest.signals import RuleBook
from processors.ingest.sinks import OBSERVATIONS, SendError, Sink
from processors.ingest.state import IngestState, StateError
from processors.timestamps import format_time

MOST_BAD = 10_000
"""So many bad messages are remembered as sent to hub `deadletter`; then they are sent anew."""

log = logging.getLogger("roompulse.ingest.push")
figures_log = logging.getLogger("roompulse.figures")


class PushDesk:
    """The desk of one poller; see listener.Desk."""

    def __init__(
        self,
        settings: IngestSettings,
        sink: Sink,
        state: IngestState,
        book: RuleBook,
        places: Places,
        coverage: Coverage,
        about: AboutOf,
        uses: RoomUses,
    ) -> None:
        """`about`: what is known of a device besides its own record, at a moment."""
        self._rooms = PushedRooms(settings, state, book, coverage, about, uses)
        self._sink = sink
        self._state = state
        self._places = places
        self._coverage = coverage
        self._quarantine = Quarantine()
        self._unsent: tuple[Taken, list[OtherMessage]] | None = None
        self._totals = {"push_messages": 0, "push_observations": 0, "push_left_out": 0, "push_quarantined": 0}

    def take(self, messages: Sequence[Any]) -> list[OtherMessage]:
        """See listener.Desk."""
        with self._state.lock:
            taken, others = self._unsent or self._understood(messages)
            self._unsent = None
            try:
                self._send(taken)
                self._quarantine.send(self._sink)
            except (SendError, StateError):
                self._unsent = taken, others
                raise
        if taken.readings or taken.left_out:
            self._coverage.heard()
        self._report_figures(len(messages))
        return others

    def _understood(self, messages: Sequence[Any]) -> tuple[Taken, list[OtherMessage]]:
        """What becomes of messages. It is found out once: tried again, the same is sent."""
        statuses, others = self._read(messages)
        directory = self._places.directory
        assert directory is not None, "a poll has placed everything before anybody listens"
        taken = self._rooms.take(statuses, directory)
        for message, fault in taken.odd:
            self._put_aside(str(fault), {"deviceId": message.device_id, "timestamp": format_time(message.time)})
        return taken, others

    def _read(self, messages: Sequence[Any]) -> tuple[list[StatusMessage], list[OtherMessage]]:
        statuses: list[StatusMessage] = []
        others: list[OtherMessage] = []
        if self._quarantine.count > MOST_BAD:
            self._quarantine.begin_poll(snapshot=True)
        for item in messages:
            try:
                message = read_message(item, utc_now())
            except BadRecord as fault:
                self._put_aside(str(fault), item)
                continue
            (statuses if isinstance(message, StatusMessage) else others).append(message)  # type: ignore[arg-type]
        return statuses, others

    def _send(self, taken: Taken) -> None:
        """Send, then remember: the order that loses nothing."""
        self._state.announce(taken.conditions)
        self._put_away(self._sink.send(taken.events, OBSERVATIONS))
        self._state.commit_devices(dict(self._as_known_now(taken)))
        if taken.watermarks:
            self._state.commit_watermarks(taken.watermarks)
        for device_id, readings in taken.readings:
            self._coverage.reported(device_id, readings)
        self._totals["push_observations"] += len(taken.events)
        self._totals["push_left_out"] += taken.left_out

    def _as_known_now(self, taken: Taken) -> Iterator[tuple[str, KnownDevice]]:
        """The devices with what they have reported; a poll may have seen more of them while this waited to be sent."""
        for device_id, reported in taken.conditions.items():
            known = self._state.devices.get(device_id)
            if known is not None:
                yield device_id, known._replace(condition=with_what_it_said(known.condition, reported))

    def _put_aside(self, reason: str, record: object) -> None:
        self._quarantine.put(reason, record, format_time(utc_now()), ENDPOINT, None)
        self._totals["push_quarantined"] += 1

    def _put_away(self, too_large: Sequence[Event]) -> None:
        for event in too_large:
            self._put_aside("an observation is too large for Event Hubs", event.body.decode())

    def _report_figures(self, messages: int) -> None:
        self._totals["push_messages"] += messages
        figures = {**self._totals, "push_rooms": self._coverage.rooms, "push_state": self._coverage.look()}
        figures_log.info("figures", extra={"figures": figures})
