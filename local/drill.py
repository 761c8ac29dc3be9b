"""A drill: an alert that is none, sent through everything a real one goes through, with the time of each hop.

An observation of an entity that exists for the drill only breaches a rule, and a second one ends it. Its `reason` is `drill`, by
which the query keeps it out of everything but the alerts; its id starts with DRILL_PREFIX, by which everybody sees that it is
a drill.
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Self

from activator.rules import Rule
from local.event_hubs.unencrypted import context_for
from processors.alert_fanout.alerts import DRILL_PREFIX
from processors.alert_fanout.channel_kind import DAILY, ChannelSettings
from processors.alert_fanout.incidents import Delivery, Incident
from processors.alert_fanout.routing import hears
from processors.alert_fanout.settings import City, RuleMeaning
from processors.alert_fanout.state import State
from processors.ingest.cloud_events import OBSERVATION_TYPE, Event, sealed
from processors.ingest.sinks import OBSERVATIONS, EventHubsSink
from processors.timestamps import format_time, slot_of

if TYPE_CHECKING:
    from azure.core.credentials import AccessToken
    from azure.eventhub.aio import EventHubConsumerClient

GROUP = "$Default"
"""The consumer group every hub has; nothing of the pipeline reads with it."""
LOOK_SECONDS = 0.2
CLOSE_SECONDS = 5.0
MARGIN = timedelta(minutes=1)
"""How far the hub's clock may be ahead of ours."""
Clock = Callable[[], datetime]


@dataclass
class Hop:
    """A step of the way: `seconds` after the drill was sent, or None with the reason in `note`."""

    name: str
    seconds: float | None
    note: str = ""


@dataclass(frozen=True)
class Drill:
    """What is drilled: a rule in a city, with the settings by which the fan-out notifies its people."""

    city_id: str
    city: City
    rule: Rule
    meaning: RuleMeaning
    poll_seconds: float
    id: str = field(default_factory=lambda: f"{DRILL_PREFIX}{uuid.uuid4().hex[:12]}")

    def observation(self, now: datetime, breached: bool) -> Event:
        """The event that begins the drill, or ends it."""
        at = slot_of(now, self.poll_seconds)
        value = self.rule.threshold if breached else self.rule.threshold + (-1 if self.rule.op == ">=" else 1)
        rule = {
            "id": self.rule.id,
            "severity": self.rule.severity,
            "op": self.rule.op,
            "threshold": self.rule.threshold,
            "forSeconds": self.rule.for_seconds,
        }
        signal: dict[str, Any] = {"name": self.rule.signal, "value": value, "rules": [rule]}
        if breached:  # as if it had lasted for long enough already
            signal["since"] = format_time(at - timedelta(seconds=self.rule.for_seconds))
        data = {
            "cityId": self.city_id,
            "entity": self.rule.entity,
            "entityId": self.id,
            "name": f"Drill {self.id[-4:]}",
            "reason": "drill",
            "errorCodes": [],
            "pollId": format_time(at),
            "partial": False,
            "signals": [signal],
        }
        return sealed(OBSERVATION_TYPE, self.id, format_time(at), data)


class SignedIn:
    """Whoever is signed in to Azure here, for an asynchronous client. azure.identity.aio would want aiohttp for the same."""

    def __init__(self) -> None:
        from azure.identity import DefaultAzureCredential

        self._credential = DefaultAzureCredential()

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        """See azure.core.credentials.TokenCredential."""
        return await asyncio.to_thread(self._credential.get_token, *scopes, **options)

    async def close(self) -> None:
        """Close its connections."""
        self._credential.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *fault: object) -> None:
        await self.close()


class AlertsHub:
    """Reads new events of hub `alerts` in a thread, and notes when the rows of one drill came by.

    With the SDK's asynchronous client, as all receivers here: its synchronous one occupies a processor until it has a partition.
    """

    def __init__(self, environment: Mapping[str, str], drill_id: str) -> None:
        self.seen: dict[str, float] = {}
        self._drill_id = drill_id
        self._environment = environment
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._read(),), daemon=True)
        self._closing = asyncio.Event()
        self._thread.start()

    def close(self) -> None:
        """Stop reading."""
        self._loop.call_soon_threadsafe(self._closing.set)
        self._thread.join(timeout=CLOSE_SECONDS)
        if not self._thread.is_alive():
            self._loop.close()

    async def _read(self) -> None:
        async with self._client() as client:
            since = datetime.now(UTC) - MARGIN
            reading = asyncio.create_task(client.receive_batch(self._note, starting_position=since, max_wait_time=LOOK_SECONDS))
            await self._closing.wait()
            reading.cancel()

    def _client(self) -> EventHubConsumerClient:
        from azure.eventhub.aio import EventHubConsumerClient

        if local := self._environment.get("EVENT_HUBS"):
            return EventHubConsumerClient.from_connection_string(
                local, GROUP, eventhub_name="alerts", ssl_context=context_for(local)
            )
        host = self._environment["EVENT_HUBS__fullyQualifiedNamespace"]
        return EventHubConsumerClient(host, "alerts", GROUP, SignedIn())

    async def _note(self, context: Any, events: list[Any]) -> None:
        for event in events:
            for line in event.body_as_str().split("\n"):
                row = json.loads(line) if line.strip() else {}
                if row.get("entityId") == self._drill_id:
                    self.seen.setdefault(row["state"], time.monotonic())


@dataclass
class Watch:
    """What a drill is watched with: where observations go, where alerts pass, what the fan-out knows, what time it is there, and
    how many seconds to wait.
    """

    sink: EventHubsSink
    alerts: AlertsHub
    state: State
    clock: Clock
    patience: float


def run(drill: Drill, watch: Watch, arrived: Callable[[Hop], None]) -> list[Hop]:
    """Fire, wait until everybody who is to hear of it has, end it, wait again. Gives every hop to `arrived` as it comes.

    The end is sent whatever happens in between, so that no drill stays open.
    """
    began = time.monotonic()
    hops: list[Hop] = []

    def reached(hop: Hop) -> None:
        hops.append(hop)
        arrived(hop)

    watch.sink.send([drill.observation(watch.clock(), breached=True)], OBSERVATIONS)
    fired_slot = slot_of(watch.clock(), drill.poll_seconds)
    reached(Hop("entry stream: hub observations", time.monotonic() - began))
    try:
        for hop in _followed(drill, watch, began, "fired"):
            reached(hop)
    finally:
        while slot_of(watch.clock(), drill.poll_seconds) <= fired_slot:  # an end in the same poll would be no later
            time.sleep(LOOK_SECONDS)
        ended = time.monotonic()
        watch.sink.send([drill.observation(watch.clock(), breached=False)], OBSERVATIONS)
    reached(Hop("end sent", ended - began))
    if all(hop.seconds is not None for hop in hops[:3]):
        for hop in _followed(drill, watch, began, "resolved"):
            reached(hop)
    return hops


def unheard(hops: Sequence[Hop]) -> str | None:
    """Why a drill has failed: a hop that never came, or nobody at all who was notified; None when it has not."""
    missing = [hop.name for hop in hops if hop.seconds is None and not hop.note.startswith(("not for", "waits for"))]
    if missing:
        return f"It did not arrive everywhere: {', '.join(missing)}."
    if not any(hop.name.startswith("channel ") and hop.seconds is not None for hop in hops):
        return "Nobody was notified: no channel is for this severity at this hour. See contacts, and when they want to hear."
    return None


def _followed(drill: Drill, watch: Watch, began: float, state: str) -> Iterator[Hop]:
    """The hops of a beginning or an end: out of the query, into the book, to each channel."""
    prefix = "" if state == "fired" else "end, "
    until = time.monotonic() + watch.patience
    at = _waited(until, lambda: watch.alerts.seen.get(state))
    yield _hop(f"{prefix}query: hub alerts", at, began, f"no row within {watch.patience:.0f} s: does the stream query run?")
    if at is None:
        return
    noted = _waited(until, lambda: time.monotonic() if _noted(drill, watch, state) else None)
    yield _hop(f"{prefix}fan-out: written down", noted, began, f"not within {watch.patience:.0f} s: does the fan-out run?")
    if noted is None:
        return
    waiting = {channel.key: channel for channel in drill.city.channels}
    while waiting and time.monotonic() < until:
        for key, channel in list(waiting.items()):
            incident = _incident(drill, watch)
            delivery = incident.deliveries.get(key, Delivery()) if incident else Delivery()
            hop = None
            if reason := _unconcerned(drill, channel):
                hop = Hop(f"{prefix}channel {key}", None, reason) if state == "fired" else None
                del waiting[key]
            elif delivery.dead:
                hop = Hop(f"{prefix}channel {key}", None, f"given up: {delivery.dead}")
            elif delivery.held and delivery.stage == "waiting":
                hop = Hop(f"{prefix}channel {key}", None, f"waits for its time: {delivery.why}")
            elif delivery.stage in (("opened", "closed") if state == "fired" else ("closed", "skipped")):
                hop = Hop(f"{prefix}channel {key}", time.monotonic() - began)
            if hop:
                waiting.pop(key, None)
                yield hop
        time.sleep(LOOK_SECONDS)
    for key in waiting:
        yield Hop(f"{prefix}channel {key}", None, f"not within {watch.patience:.0f} s: see the fan-out's log")


def _unconcerned(drill: Drill, channel: ChannelSettings) -> str:
    """Why a channel hears nothing of a drill; empty where it does."""
    if not hears(channel, drill.meaning, drill.rule.id, drill.rule.severity):
        wants = not channel.rules or drill.rule.id in channel.rules
        return f"not for severity {drill.rule.severity}" if wants else f"not for rule {drill.rule.id}"
    return "not for drills: it is notified once a day" if channel.when == DAILY else ""


def _incident(drill: Drill, watch: Watch) -> Incident | None:
    book = watch.state.book(drill.city_id)
    return next((incident for incident in book.incidents.values() if incident.lead.entity_id == drill.id), None)


def _noted(drill: Drill, watch: Watch, state: str) -> bool:
    incident = _incident(drill, watch)
    return incident is not None and (state == "fired" or not incident.open)


def _waited(until: float, what: Callable[[], float | None]) -> float | None:
    while time.monotonic() < until:
        if (found := what()) is not None:
            return found
        time.sleep(LOOK_SECONDS)
    return None


def _hop(name: str, at: float | None, began: float, otherwise: str) -> Hop:
    return Hop(name, None, otherwise) if at is None else Hop(name, at - began)
