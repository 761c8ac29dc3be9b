"""What became of incidents, as events of hub `incidents`: from there it comes into the live store and the lake.

An incident's own notes and what people did about it are all there is to send; the incident remembers how far it has been sent. So
an event is sent at least once, under the same id each time, and the tables drop what they have. No event has a name of a person
or a text that one wrote: those stay with the fan-out.
"""

from __future__ import annotations

import json
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from processors.alert_fanout.acts import Acts
from processors.alert_fanout.book_text import stored_note
from processors.alert_fanout.incidents import Book, Incident

Row = dict[str, Any]
MOST_AT_ONCE = 1000
"""Rows of a city that are sent before it is noted that they are."""
_STEPS = {
    "acknowledge": "acknowledged",
    "unacknowledge": "unacknowledged",
    "take": "taken-over",
    "comment": "commented",
    "snooze": "snoozed",
    "unsilence": "unsnoozed",
}
_OF_EVERYBODY = ("alert", "leftover")
"""Kinds of incidents that are about rooms; of a channel's own backlog there is no history."""


class History(Protocol):
    """Where the history of incidents goes."""

    def send(self, rows: Sequence[Row]) -> None:
        """Send rows, and return when they are acknowledged; raises HistoryError, after which any part may have arrived."""

    def close(self) -> None:
        """Let go of connections."""


class HistoryError(Exception):
    """Rows were not acknowledged. The text names the hub and the next step."""


class Sent(NamedTuple):
    """How far an incident has been sent: how many of its notes, and of the acts about it."""

    notes: int
    acts: int


@dataclass(frozen=True)
class Unsent:
    """Rows to send, and how far each of their incidents has been sent once they are."""

    rows: list[Row]
    sent: Mapping[str, Sent]


def unsent(book: Book, acts: Acts) -> Unsent:
    """What has become of a city's incidents and has not been sent, MOST_AT_ONCE rows and what else is of their last incident."""
    rows: list[Row] = []
    sent: dict[str, Sent] = {}
    for incident in book.incidents.values():
        if len(rows) >= MOST_AT_ONCE:
            break
        if incident.kind in _OF_EVERYBODY and (found := [*_notes(incident), *_acts(incident, acts)]):
            rows += found
            sent[incident.id] = Sent(incident.notes, len(acts.about(incident.id)))
    return Unsent(rows, sent)


def begin(book: Book) -> None:
    """From now on the history of every incident is sent, and none is forgotten before."""
    for incident in book.incidents.values():
        if incident.notes_sent is None and incident.kind in _OF_EVERYBODY:
            incident.notes_sent = 0


def mark(book: Book, sent: Mapping[str, Sent]) -> None:
    """Note how far incidents have been sent."""
    for id_, (notes, acts) in sent.items():
        if incident := book.incidents.get(id_):
            incident.notes_sent, incident.acts_sent = max(incident.notes_sent or 0, notes), max(incident.acts_sent, acts)


def _notes(incident: Incident) -> list[Row]:
    first = incident.notes - len(incident.log)  # so many in the middle are forgotten
    numbered = ((0 if at == 0 else at + first, entry) for at, entry in enumerate(incident.log))
    return [
        _row(incident, f"{incident.handle}-{number}", entry.at, stored_note(entry.what).replace(" ", "-"), entry.channel, "")
        for number, entry in numbered
        if number >= (incident.notes_sent or 0)
    ]


def _acts(incident: Incident, acts: Acts) -> list[Row]:
    fresh = acts.about(incident.id)[incident.acts_sent :]
    return [_row(incident, act.id, act.at, _STEPS.get(act.kind, act.kind), "", act.way) for act in fresh]


def _row(incident: Incident, id_: str, at: str, step: str, channel: str, way: str) -> Row:
    """A row of table IncidentSteps (docs/contracts.md); what is not known is left out."""
    lead = incident.lead
    row = {
        "id": id_,
        "observedAt": at,
        "incidentId": incident.id,
        "step": step,
        "channel": channel,
        "way": way,
        "ruleId": lead.rule_id,
        "severity": lead.severity,
        "entity": lead.entity,
        "entityId": lead.entity_id,
        "cityId": lead.city_id,
        "locationId": lead.location_id,
        "workspaceId": lead.workspace_id,
        "startedAt": lead.started_at,
    }
    return {name: value for name, value in row.items() if value not in (None, "")}


class HubHistory:
    """Hub `incidents` of Event Hubs or its stand-in; what concerns one incident stays in order."""

    def __init__(self, hub: str, environment: Mapping[str, str]) -> None:
        """`environment` names the namespace: EVENT_HUBS (connection string), or without a key
        EVENT_HUBS__fullyQualifiedNamespace, or INCIDENTS_NAMESPACE where this hub has one of its own.
        """
        self._hub, self._environment = hub, environment
        self._producer: Any = None

    def send(self, rows: Sequence[Row]) -> None:
        """See History.send."""
        from azure.core.exceptions import AzureError
        from azure.eventhub.exceptions import EventHubError

        try:
            self._producer = self._producer or self._opened()
            by_key: dict[str, list[Row]] = {}
            for row in rows:
                by_key.setdefault(str(zlib.crc32(row["incidentId"].encode()) % 32), []).append(row)
            for key, of_key in by_key.items():
                self._send(key, of_key)
        except (EventHubError, AzureError, OSError, ValueError) as fault:
            self.close()
            raise HistoryError(
                f"hub {self._hub} did not take the history of incidents ({type(fault).__name__}): see that the namespace runs, "
                "has that hub, and lets this identity send. It is sent again."
            ) from fault

    def close(self) -> None:
        """See History.close."""
        if self._producer is not None:
            self._producer.close()
            self._producer = None

    def _send(self, key: str, rows: Sequence[Row]) -> None:
        from azure.eventhub import EventData

        batch = self._producer.create_batch(partition_key=key)
        for row in rows:
            event = EventData(json.dumps(row, ensure_ascii=False).encode())
            event.properties = {"Table": "IncidentSteps"}
            try:
                batch.add(event)
            except ValueError:  # the batch is full
                self._producer.send_batch(batch)
                batch = self._producer.create_batch(partition_key=key)
                batch.add(event)
        self._producer.send_batch(batch)

    def _opened(self) -> Any:
        from azure.eventhub import EventHubProducerClient  # 80 ms: not while a function app starts

        if connection_string := self._environment.get("EVENT_HUBS"):
            return EventHubProducerClient.from_connection_string(connection_string, eventhub_name=self._hub)
        from azure.identity import DefaultAzureCredential

        credential = DefaultAzureCredential(managed_identity_client_id=self._environment.get("EVENT_HUBS__clientId"))
        namespace = self._environment.get("INCIDENTS_NAMESPACE") or self._environment["EVENT_HUBS__fullyQualifiedNamespace"]
        return EventHubProducerClient(namespace, self._hub, credential=credential)


def history_of(environment: Mapping[str, str]) -> History | None:
    """Where the environment says that the history goes (INCIDENTS_HUB); None where it goes nowhere."""
    hub = environment.get("INCIDENTS_HUB")
    return HubHistory(hub, environment) if hub else None
