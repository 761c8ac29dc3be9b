"""One poll: read Webex, find out what to send, send it, and only then remember it.

Order matters: devices go out page by page (an outage is on its way before the last page is read), locations follow, then as many
workspace metrics as a poll may read, and last a `poll` observation per city, so that a city that has fallen silent can be seen.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from processors.clock import utc_now
from processors.ingest import metrics
from processors.ingest.changes import GONE_AFTER_POLLS, KnownDevice, observed, reason_to_send
from processors.ingest.city_mapping import UNASSIGNED, CityMapping
from processors.ingest.cloud_events import Event
from processors.ingest.directory import Directory, Place
from processors.ingest.firmware import NewestReleases
from processors.ingest.fleet import Tally, tally
from processors.ingest.observations import (
    PollContext,
    city_observation,
    device_observation,
    location_observation,
    metric_observation,
    removed_observation,
)
from processors.ingest.poll_telemetry import Telemetry
from processors.ingest.quarantine import Quarantine
from processors.ingest.records import BadRecord, Device, Location, Workspace, read_device, read_location, read_workspace
from processors.ingest.settings import IngestSettings
from processors.ingest.signals import RuleBook
from processors.ingest.sinks import OBSERVATIONS, Sink
from processors.ingest.state import IngestState, Watermark
from processors.ingest.webex_client import Deadline, DeadlinePassed, NotPermitted, Page, Unavailable, WebexClient, WebexError
from processors.timestamps import format_time, slot_of

PAGE_SIZE = 1000
DEADLINE_SHARE = 0.8
"""Share of the poll interval after which a poll ships what it has."""
METRIC_EVENTS_AT_ONCE = 1000
"""Readings are sent when so many have come together: catching up after a long pause must not fill the memory."""

log = logging.getLogger("roompulse.ingest")
figures_log = logging.getLogger("roompulse.figures")

Record = TypeVar("Record", Location, Workspace)


@dataclass
class PollReport:
    """What one poll did. `devices` are those known after it; `faults` says what Webex would not answer, and why.

    `idle`: it did nothing, because another instance has the turn.
    """

    poll_id: str
    snapshot: bool
    partial: bool = False
    observations: int = 0
    quarantined: int = 0
    requests: int = 0
    devices: int = 0
    personal_devices: int = 0
    idle: bool = False
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)


class Poller:
    """Polls one Webex organisation. Not for use by several threads at once."""

    def __init__(
        self,
        settings: IngestSettings,
        client: WebexClient,
        sink: Sink,
        state: IngestState,
        telemetry: Telemetry | None = None,
    ) -> None:
        self.settings = settings
        self.telemetry = telemetry
        self.client = client
        self.sink = sink
        self.state = state
        self.mapping = CityMapping(settings.cities)
        self.book = RuleBook(settings.cities)
        self.quarantine = Quarantine()
        self.directory: Directory | None = None
        self._totals = {"polls": 0, "observations": 0, "requests": 0, "quarantined": 0}

    def poll(self) -> PollReport:
        """Make one poll. Raises SendError or StateError; what Webex could not answer makes the poll partial instead.

        Of several instances one polls, the others do nothing until its turn ends.
        """
        began = time.monotonic()
        slot = slot_of(utc_now(), self.settings.poll_seconds)
        if not self.state.begin():
            log.info("another instance polls", extra={"ids": {"pollId": format_time(slot)}})
            return PollReport(format_time(slot), snapshot=False, idle=True)
        report = _Poll(self, slot).run()
        self.state.finish()
        report.seconds = round(time.monotonic() - began, 3)
        self._publish(report)
        return report

    def close(self) -> None:
        """Close connections and state."""
        self.client.close()
        self.sink.close()
        self.state.close()
        if self.telemetry:
            self.telemetry.close()

    def _publish(self, report: PollReport) -> None:
        self._totals["polls"] += 1
        for name in ("observations", "requests", "quarantined"):
            self._totals[name] += getattr(report, name)
        figures = {**self._totals, "devices": report.devices, "partial": report.partial, "poll_seconds": report.seconds}
        figures_log.info("figures", extra={"figures": figures})
        ids = {"pollId": report.poll_id, **{name: value for name, value in vars(report).items() if name != "poll_id"}}
        if self.telemetry:
            self.telemetry.record(report, self.client.throttled)
        log.log(logging.WARNING if report.partial else logging.INFO, "polled", extra={"ids": ids})


class _Poll:
    """One poll while it runs."""

    def __init__(self, poller: Poller, slot: datetime) -> None:
        self.poller = poller
        self.client = poller.client
        self.state = poller.state
        self.slot = slot
        self.poll_id = format_time(slot)
        self.snapshot = poller.state.snapshot_due(slot, poller.settings.snapshot_minutes)
        self.report = PollReport(self.poll_id, self.snapshot)
        self.deadline = Deadline(poller.settings.poll_seconds * DEADLINE_SHARE)
        self.requests_before = poller.client.requests_made
        self.seen: set[str] = set()
        self.cities_seen: set[str] = set()
        self.newest = NewestReleases((known.device.product, known.device.software) for known in self.state.devices.values())

    def run(self) -> PollReport:
        """Do everything in its order."""
        self.poller.quarantine.begin_poll(self.snapshot)
        self._read_directory()
        directory = self.poller.directory
        if directory is not None:
            self._read_devices(directory)
        counted = self._count(directory)
        if directory is not None:
            self._send_locations(directory, counted)
            self._read_metrics(directory)
        self._send_cities(counted)
        self.report.requests = self.client.requests_made - self.requests_before
        self.report.quarantined = self.poller.quarantine.count
        self.report.devices = len(self.state.devices)
        return self.report

    def _read_directory(self) -> None:
        """Read where everything is; when that fails, what the last poll read serves on (without any, no device can be placed)."""
        try:
            locations = self._read_all("/locations", {}, read_location)
            workspaces = self._read_all("/workspaces", {"includeCapabilities": "true"}, read_workspace)
        except WebexError as fault:
            self._missed(fault)
        else:
            self.poller.directory = Directory(self.poller.mapping, locations, workspaces)

    def _read_all(self, path: str, params: dict[str, str], read: Callable[[object], Record]) -> dict[str, Record]:
        found: dict[str, Record] = {}
        for page in self.client.pages(path, params, PAGE_SIZE, self.deadline):
            for item in page.items:
                try:
                    record = read(item)
                except BadRecord as fault:
                    self._quarantine(fault, item, page)
                else:
                    found.setdefault(record.id, record)
        return found

    def _read_devices(self, directory: Directory) -> None:
        try:
            for page in self.client.pages("/devices", {}, PAGE_SIZE, self.deadline):
                self._send_page(page, directory)
        except WebexError as fault:
            self._missed(fault)
            return
        self._miss_devices()
        self.state.doubtful = False
        if self.snapshot:
            self.state.commit_snapshot(self.slot)

    def _send_page(self, page: Page, directory: Directory) -> None:
        """Send what has to be sent of one page of devices, then remember the page."""
        events: list[Event] = []
        changed: dict[str, KnownDevice] = {}
        for now in self._placed_devices(page, directory):
            before = self.state.devices.get(now.device.id)
            uncertain = now.device.id in self.state.uncertain
            reason = reason_to_send(before, now, self.snapshot, uncertain) or ("snapshot" if self.state.doubtful else None)
            if reason:
                events.append(device_observation(self._context, self.poller.book, now, reason, before))
            if uncertain or now != before:
                changed[now.device.id] = now
        self.state.announce(changed)
        self._send(events)
        self.state.commit_devices(changed)

    def _placed_devices(self, page: Page, directory: Directory) -> list[KnownDevice]:
        """The devices of a page that concern us, as they are known after this poll."""
        devices = self._listed_devices(page)
        self.newest.note((device.product, device.software) for device in devices)
        placed = []
        for device in devices:
            place = directory.place_of(device.location_id, device.workspace_id)
            self.cities_seen.add(place.city_id)
            in_maintenance = directory.in_maintenance(device, self.slot)
            behind = self.newest.days_behind(device.product, device.software)
            before = self.state.devices.get(device.id)
            placed.append(observed(device, place, before, self.slot, in_maintenance, behind))
        return placed

    def _listed_devices(self, page: Page) -> list[Device]:
        """The devices of a page that concern us, each id once over all pages (the list may move between two pages)."""
        devices = []
        for item in page.items:
            try:
                device = read_device(item)
            except BadRecord as fault:
                self._quarantine(fault, item, page)
                if fault.record_id:
                    self.seen.add(fault.record_id)  # it exists, though we can't tell how it is
                continue
            if device.person_id and not device.workspace_id:
                self.report.personal_devices += 1
            elif device.id not in self.seen:
                self.seen.add(device.id)
                devices.append(device)
        return devices

    def _miss_devices(self) -> None:
        """Count the polls that did not list a known device; after some it is gone, and a last observation resolves its alerts."""
        missed: dict[str, KnownDevice] = {}
        gone: list[KnownDevice] = []
        for device_id, known in self.state.devices.items():
            if device_id in self.seen:
                continue
            if known.missed_polls + 1 < GONE_AFTER_POLLS:
                missed[device_id] = known._replace(missed_polls=known.missed_polls + 1)
            else:
                gone.append(known)
        gone_ids = tuple(known.device.id for known in gone)
        self.state.announce(gone_ids)
        self._send([removed_observation(self._context, self.poller.book, known) for known in gone])
        self.state.commit_devices(missed, gone_ids)

    def _count(self, directory: Directory | None) -> Tally:
        """The estate in numbers. A city's locations are in it even when empty: an outage ends when its last device is removed."""
        locations = directory.locations.values() if directory else ()
        mapping = self.poller.mapping
        watched = [location.id for location in locations if mapping.city_of(location.id, location.name) != UNASSIGNED]
        return tally(self.state.devices.values(), [city.slug for city in self.poller.settings.cities], watched)

    def _send_locations(self, directory: Directory, counted: Tally) -> None:
        self._send(
            [
                location_observation(self._context, self.poller.book, directory.place_of(location_id, None), count)
                for location_id, count in counted.locations.items()
            ]
        )

    def _read_metrics(self, directory: Directory) -> None:
        """Read and send as many readings as this poll may. What can't be had is a fault, but the poll has seen all devices."""
        settings = self.poller.settings
        due = metrics.asks(directory, settings.metrics, self.state.watermarks, self.slot, settings.metric_requests_per_poll)
        events: list[Event] = []
        watermarks: dict[tuple[str, str], Watermark] = {}
        for ask in due:
            read_to = ask.watermark.read_to if ask.watermark else None
            try:
                page = self.client.get("/workspaceMetrics", metrics.query(ask, self.slot), self.deadline)
            except DeadlinePassed as fault:
                self.report.faults.append(str(fault))
                break
            except (NotPermitted, Unavailable) as fault:
                self.report.faults.append(str(fault))
                watermarks[ask.key] = Watermark(read_to, self.poll_id)
                if isinstance(fault, Unavailable):
                    break
                continue
            for reading in self._readings(page, ask):
                read_to = format_time(reading.time)
                events.append(self._metric_event(directory, ask, reading, read_to))
            watermarks[ask.key] = Watermark(read_to, self.poll_id)
            if len(events) >= METRIC_EVENTS_AT_ONCE:
                self._send_readings(events, watermarks)
        self._send_readings(events, watermarks)

    def _readings(self, page: Page, ask: metrics.Ask) -> list[metrics.Reading]:
        understood = []
        for item in page.items:
            try:
                understood.append(metrics.read_reading(item, self.slot))
            except BadRecord as fault:
                self._quarantine(fault, item, page)
        return metrics.new_readings(understood, ask, self.slot)

    def _metric_event(self, directory: Directory, ask: metrics.Ask, reading: metrics.Reading, measured_at: str) -> Event:
        workspace = ask.workspace
        place: Place = directory.place_of(workspace.location_id, workspace.id)
        slot = format_time(slot_of(reading.time, self.poller.settings.poll_seconds))
        return metric_observation(slot, self.poller.book, place, workspace, ask.metric, measured_at, reading.value)

    def _send_readings(self, events: list[Event], watermarks: dict[tuple[str, str], Watermark]) -> None:
        self._send(events)
        self.state.commit_watermarks(watermarks)
        events.clear()
        watermarks.clear()

    def _send_cities(self, counted: Tally) -> None:
        names = {city.slug: city.name for city in self.poller.settings.cities} | {UNASSIGNED: "Unassigned"}
        requests = self.client.requests_made - self.requests_before
        bad = self.poller.quarantine.count
        seen = {slug: self._last_seen(slug) for slug in counted.cities}
        events = []
        for slug, count in counted.cities.items():
            unseen, name = self._minutes_since(seen[slug]), names.get(slug, slug)
            events.append(city_observation(self._context, self.poller.book, slug, name, count, unseen, requests, bad))
        self._send(events)
        self.state.commit_cities_seen(seen)

    def _last_seen(self, slug: str) -> datetime:
        """When a poll last listed a device of a city; for one never seen, when we first looked."""
        return self.slot if slug in self.cities_seen else self.state.cities_seen.get(slug, self.slot)

    def _minutes_since(self, moment: datetime) -> float:
        return round(max(0.0, (self.slot - moment).total_seconds() / 60), 2)

    @property
    def _context(self) -> PollContext:
        return PollContext(self.poll_id, self.report.partial)

    def _send(self, events: list[Event]) -> None:
        """Send observations and what has been quarantined so far; returns when all of it is acknowledged."""
        too_large = self.poller.sink.send(events, OBSERVATIONS)
        self.report.observations += len(events) - len(too_large)
        for event in too_large:
            reason = f"an observation of {len(event.body)} bytes is too large for Event Hubs"
            self.poller.quarantine.put(reason, event.body.decode(), self.poll_id, None, None)
        self.poller.quarantine.send(self.poller.sink)

    def _quarantine(self, fault: BadRecord, record: object, page: Page) -> None:
        self.poller.quarantine.put(str(fault), record, self.poll_id, page.endpoint, page.tracking_id)

    def _missed(self, fault: WebexError) -> None:
        self.report.partial = True
        self.report.faults.append(str(fault))
