"""One poll: read Webex, find out what to send, send it, and only then remember it.

Order matters: devices go out page by page (an outage is on its way before the last page is read), locations follow, then a `poll`
observation per city, so that a city that has fallen silent can be seen. The slow tiers come last, within what is left of the
budget.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Collection, Container, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, TypeVar

from processors.clock import utc_now
from processors.contracts.facts import is_unassigned, unassigned_in
from processors.ingest.changes import GONE_AFTER_POLLS, KnownDevice, observed, reason_to_send
from processors.ingest.city_facts import CityFacts
from processors.ingest.city_mapping import CityMapping
from processors.ingest.cloud_events import Event
from processors.ingest.directory import Directory
from processors.ingest.disappearance import Gate, Shrunken
from processors.ingest.endpoint import DEVICES, DURATIONS, METRICS, ROOM_STATUS
from processors.ingest.firmware import NewestReleases
from processors.ingest.fleet import Sights, Tally, tally
from processors.ingest.floors import Floors
from processors.ingest.health import UNHEALTHY, health_of
from processors.ingest.left_alone import LeftAlone
from processors.ingest.listing import Listing
from processors.ingest.observations import (
    PollContext,
    city_observation,
    device_observation,
    location_observation,
    removed_observation,
)
from processors.ingest.personal import without_name, without_person
from processors.ingest.places import Places, Register
from processors.ingest.poll_telemetry import Telemetry
from processors.ingest.push.cities import PushedCities
from processors.ingest.push.listener import Listener
from processors.ingest.quarantine import Quarantine
from processors.ingest.records import (
    BadRecord,
    Device,
    Location,
    Note,
    Workspace,
    read_device,
    read_location,
    read_workspace,
    with_last_known,
)
from processors.ingest.request_budget import RequestBudget, share_out
from processors.ingest.room_use import RoomUses
from processors.ingest.settings import IngestSettings
from processors.ingest.signals import RuleBook
from processors.ingest.sinks import OBSERVATIONS, Sink
from processors.ingest.slow_tiers import SlowTiers
from processors.ingest.state import IngestState
from processors.ingest.unknowns import Unknowns
from processors.ingest.vanished import noted, vanished_from
from processors.ingest.webex_client import Deadline, Page, TokenError, Unavailable, WebexClient, WebexError
from processors.ingest.webex_status import WebexStatus
from processors.timestamps import format_time, parse_time, slot_of

DEADLINE_SHARE = 0.8
"""Share of the poll interval after which a poll ships what it has."""
LISTING_SHARE = 0.75
"""The same after which the listing of devices begins no further page: the next poll goes on, the slow tiers have their turn."""
DIRECTORY_SHARE = 0.2
"""The same for each listing of what is optional, locations and workspaces: one that hangs must leave time for the devices."""
OUTAGES: dict[str, float] = {"disconnected": 0.35, "connected_with_issues": 0.5}
"""What is listed by itself in every poll where the listing of all devices takes several, by `connectionStatus`: so outages are
reported in every poll, whatever the size of the estate. With the share of the poll after which it begins no further page."""
POSITION, INVENTORY = "listing:/devices", "inventory"
"""Notes of the state: where the listing of devices goes on; since when the last one that took several polls was begun."""
LONGEST_WITHOUT_DIRECTORY = timedelta(minutes=5)
"""How long such a listing is left alone at most after it has failed."""
FEWEST_INVENTORY_REQUESTS = 3

log = logging.getLogger("roompulse.ingest")
figures_log = logging.getLogger("roompulse.figures")

Record = TypeVar("Record", Location, Workspace)


@dataclass
class PollReport:
    """What one poll did, of the partner with the slug `organisation` (empty: the stack's own). `devices` are those known after
    it; `faults` says what Webex would not answer, and why.

    `inventory_minutes`: since the last complete listing of devices was begun (or since the first poll of the process).
    `budget` and `made`: the requests planned and made, by tier. `unknown`: values Webex sent that nobody has documented, and how
    often. `unmapped`: names of locations that belong to no city. `held`: where removals are held back, `organisation` or ids of
    locations. `not_permitted`: devices and sensors left alone for an hour.
    `throttled`: how often Webex asked us to pause; `requests_per_second`: how fast devices are listed after that. `idle`: it did
    nothing, because another instance has the turn.
    """

    poll_id: str
    snapshot: bool
    organisation: str = ""
    partial: bool = False
    observations: int = 0
    quarantined: int = 0
    requests: int = 0
    devices: int = 0
    inventory_minutes: float = 0.0
    personal_devices: int = 0
    idle: bool = False
    seconds: float = 0.0
    faults: list[str] = field(default_factory=list)
    budget: dict[str, int] = field(default_factory=dict)
    made: dict[str, int] = field(default_factory=dict)
    unknown: dict[str, int] = field(default_factory=dict)
    unmapped: list[str] = field(default_factory=list)
    held: list[str] = field(default_factory=list)
    not_permitted: int = 0
    throttled: int = 0
    requests_per_second: float = 0.0


class Poller:
    """Polls one Webex organisation. Not for use by several threads at once."""

    def __init__(
        self,
        settings: IngestSettings,
        client: WebexClient,
        sink: Sink,
        state: IngestState,
        telemetry: Telemetry | None = None,
        webex_status: WebexStatus | None = None,
        listener: Listener | None = None,
        lives: Callable[[], Mapping[str, float | None]] | None = None,
    ) -> None:
        """`listener`: hears what is pushed, where a city has that on; it outlives this poller. `lives`: how many days the tokens
        have left (ServiceAppToken.lives), where they are renewed here.
        """
        self._lives = lives
        self.settings = settings
        self.telemetry = telemetry
        self.webex_status = webex_status
        self.client = client
        self.sink = sink
        self.state = state
        self.mapping = CityMapping(settings.cities, unassigned_in(settings.organisation))
        self.book = RuleBook(settings.cities)
        self.quarantine = Quarantine()
        self._places: Places | None = None
        self._devices: Listing | None = None
        self.outages = {status: Listing(DEVICES, {"connectionStatus": status}) for status in OUTAGES}
        self.sights: dict[str, datetime] = {}
        """When each device was last listed to this process."""
        self.held: set[str] = set()
        """Devices that the last complete listing lacked, too many at once to be believed gone."""
        self.inventory_at: datetime | None = None
        """When the last complete listing of devices was begun."""
        self.directory_failures: LeftAlone[str] = LeftAlone(timedelta(seconds=settings.poll_seconds), LONGEST_WITHOUT_DIRECTORY)
        self.inventory_requests = FEWEST_INVENTORY_REQUESTS
        """What the inventory took last time: the next budget sets as much aside."""
        self.requests_reported = client.requests_made
        """Requests that city observations have reported so far."""
        self.floors = Floors(client, timedelta(minutes=settings.location_minutes))
        self.pushed = PushedCities(settings, sink, state, self.book, listener)
        self.uses = RoomUses()
        self.slow_tiers = SlowTiers(settings, client, state, self.book, self.pushed.coverage, self.uses)
        self.gate = Gate(state, timedelta(hours=settings.removal_hold_hours))
        self.priority_tags = frozenset(settings.priority_tags)
        self._totals = {"polls": 0, "observations": 0, "requests": 0, "quarantined": 0, "throttled": 0}

    @property
    def places(self) -> Places:
        """Where everything is; at first as the state's devices report it."""
        if self._places is None:
            self._places = Places(self.mapping, self.state.devices.values(), self.floors.names)
        return self._places

    @property
    def devices(self) -> Listing:
        """The listing of all devices; at first where another process stopped."""
        if self._devices is None:
            self._devices = Listing(DEVICES)
            self._devices.resume(self.state.marks.get(POSITION, ""))
        return self._devices

    def token_days(self) -> float | None:
        """Days until the refresh token ends; None where that is not known, or the token set can't be read, which the log says."""
        try:
            return self._lives()["refresh"] if self._lives else None
        except TokenError:
            return None

    def sighted_by(self, slot: datetime) -> datetime:
        """When devices that this process has not been listed were seen, as far as is known."""
        if self.inventory_at is None:
            self.inventory_at = parse_time(self.state.marks.get(INVENTORY)) or self.state.last_snapshot or slot
        return self.inventory_at

    def poll(self, followed: bool = False) -> PollReport:
        """Make one poll. Raises SendError or StateError; what Webex could not answer makes the poll partial instead.

        `followed`: another poll begins with the next slot, so one that begins late leaves its slow tiers to that one.
        Of several instances one polls, the others do nothing until its turn ends.
        """
        began = time.monotonic()
        slot = slot_of(utc_now(), self.settings.poll_seconds)
        if not self._begin():
            log.info("another instance polls", extra={"ids": {"pollId": format_time(slot)}})
            return PollReport(format_time(slot), snapshot=False, organisation=self.settings.organisation, idle=True)
        report = _Poll(self, slot, followed).run()
        with self.state.lock:
            self.state.finish()
        self.pushed.listen(self.places, self.slow_tiers.about, self.uses)
        report.seconds = round(time.monotonic() - began, 3)
        self._publish(report)
        return report

    def _begin(self) -> bool:
        """Take the turn; whoever does not have it listens to nothing."""
        with self.state.lock:
            begun = self.state.begin()
        if not begun:
            self.pushed.stop()
        return begun

    def close(self) -> None:
        """Close connections and state."""
        self.pushed.stop()
        self.slow_tiers.close()
        self.client.close()
        if self.webex_status:
            self.webex_status.close()
        self.sink.close()
        self.state.close()
        if self.telemetry:
            self.telemetry.close()

    def sent(self, observations: int) -> None:
        """Count observations as soon as they are acknowledged: a poll that is cut short has sent them all the same."""
        self._totals["observations"] += observations
        figures_log.info("figures", extra={"figures": {"observations": self._totals["observations"]}})

    def _publish(self, report: PollReport) -> None:
        self._totals["polls"] += 1
        for name in ("requests", "quarantined", "throttled"):
            self._totals[name] += getattr(report, name)
        figures: dict[str, Any] = {
            **self._totals,
            "devices": report.devices,
            "partial": report.partial,
            "poll_seconds": report.seconds,
        }
        figures |= {"requests_by_tier": report.made, "unknown": report.unknown, "unmapped": report.unmapped}
        figures |= {"held": report.held, "not_permitted": report.not_permitted, "requests_per_second": report.requests_per_second}
        figures_log.info("figures", extra={"figures": figures})
        ids = {"pollId": report.poll_id, **{name: value for name, value in vars(report).items() if name != "poll_id"}}
        if self.telemetry:
            self.telemetry.record(report, self.client.throttled)
        log.log(logging.WARNING if report.partial else logging.INFO, "polled", extra={"ids": ids})


class _Poll:
    """One poll while it runs."""

    def __init__(self, poller: Poller, slot: datetime, followed: bool) -> None:
        self.poller = poller
        self.client = poller.client
        self.state = poller.state
        self.slot = slot
        self.poll_id = format_time(slot)
        self.listing = poller.devices
        self.takes_several = self.listing.goes_on or INVENTORY in self.state.marks
        """Whether listing all devices takes more than a poll."""
        self.begins = self.listing.begin(slot)
        if self.begins:
            self.listing.snapshot = poller.state.snapshot_due(slot, poller.settings.snapshot_minutes)
        self.report = PollReport(self.poll_id, self.listing.snapshot, poller.settings.organisation)
        interval = poller.settings.poll_seconds
        late = (utc_now() - slot).total_seconds() if followed else 0.0
        self.inventory_deadline = Deadline(interval * DEADLINE_SHARE)
        self.deadline = Deadline(interval * DEADLINE_SHARE - late)
        """By when the slow tiers have to be over: a poll that begins late must not take the next one's slot."""
        self.requests_before = poller.client.requests_made
        self.throttled_before = poller.client.throttled
        self.made: Counter[str] = Counter()
        self.unknowns = Unknowns()
        self.seen: set[str] = set()
        """Devices that this poll has been listed."""
        self.cities_seen: set[str] = set()
        self.held = poller.held
        self.newest = NewestReleases((known.device.release_line, known.device.software) for known in self.state.devices.values())

    def run(self) -> PollReport:
        """Do everything in its order."""
        self.poller.quarantine.begin_poll(self.begins and self.listing.snapshot)
        budget = self._plan()
        directory = self.poller.places.directory
        if directory is not None and self.takes_several:
            self._read_outages(directory)
        self._read_directory()
        directory = self.poller.places.directory
        if directory is not None:
            self._read_devices(directory)
        counted = self._count(directory)
        if directory is not None:
            self._send_locations(directory, counted)
        self.made["inventory"] = self.client.requests_made - self.requests_before
        self.poller.inventory_requests = max(FEWEST_INVENTORY_REQUESTS, self.made["inventory"])
        self._send_cities(counted)
        if self.poller.webex_status:
            self.poller.webex_status.read(self)
        if directory is not None:
            self._read_floors(directory)
            self._ask_further(directory, budget)
        self._sum_up(directory)
        for cause in self.poller.pushed.faults():
            self.report.faults.append(cause)
        return self.report

    def _plan(self) -> RequestBudget:
        """How many requests each tier may make, as far as is known before anything is read."""
        total = max(self.poller.inventory_requests, self.client.endpoints.within(self.deadline.left()))
        rooms = len(self.poller.slow_tiers.rooms_due(self.slot))
        metrics = self.poller.settings.metric_requests_per_poll
        budget = share_out(total, self.poller.inventory_requests, *self._askable(rooms, metrics))
        self.report.budget = budget._asdict()
        log.info("planned", extra={"ids": {"pollId": self.poll_id, **self.report.budget}})
        return budget

    def _ask_further(self, directory: Directory, budget: RequestBudget) -> None:
        """The slow tiers, within the budget: what the inventory has found to ask meanwhile shares what is left of it."""
        tiers = self.poller.slow_tiers
        rooms, metrics = tiers.rooms_due(self.slot), tiers.metrics_due(directory, self.slot, self.deadline.left())
        total = max(0, min(budget.total - self.made["inventory"], self.client.endpoints.within(self.deadline.left())))
        shares = share_out(total, 0, *self._askable(len(rooms), len(metrics)))
        tiers.ask_rooms(self, directory, rooms[: shares.room_status])
        tiers.read_metrics(self, directory, metrics[: total - self.made["roomStatus"]])
        tiers.report_unattended(self, directory)

    def _read_floors(self, directory: Directory) -> None:
        """Learn the names of some floors."""
        due = self.poller.floors.due(directory.workspaces.values(), self.slot)
        if not due:
            return
        before = self.client.requests_made
        known = self.state.devices.values()
        unwell = {one.place.location_id or "" for one in known if health_of(one.device.connection_status) in UNHEALTHY}
        self.poller.floors.read(self, due, unwell)
        self.made["floors"] = self.client.requests_made - before

    def _askable(self, rooms: int, metrics: int) -> tuple[int, int]:
        """Of so many rooms and metrics to ask for, how many their endpoints bear until the poll has to be over."""
        left, of = self.deadline.left(), self.client.endpoints.of
        of_metrics = sum(of(path).within(left) for path in (METRICS, DURATIONS)) if metrics else 0
        return min(rooms, of(ROOM_STATUS).within(left)) if rooms else 0, min(metrics, of_metrics)

    def _sum_up(self, directory: Directory | None) -> None:
        report = self.report
        report.requests = self.client.requests_made - self.requests_before
        report.throttled = self.client.throttled - self.throttled_before
        report.requests_per_second = round(self.client.endpoints.of(DEVICES).rate, 2)
        report.quarantined = self.poller.quarantine.count
        report.devices = len(self.state.devices)
        report.inventory_minutes = self._minutes_since(self.poller.sighted_by(self.slot))
        report.made = dict(self.made)
        report.unknown = dict(self.unknowns.counts)
        report.unmapped = directory.unmapped() if directory else []
        report.not_permitted = self.poller.slow_tiers.barred(self.slot)

    def _read_directory(self) -> None:
        """Read where everything is, in a part of the time: what can't be read, or is missing, serves on as it was."""
        places = self.poller.places
        if places.locations_due(self.slot, timedelta(minutes=self.poller.settings.location_minutes)):
            believed = self._read_register(places.locations, read_location, self._locations_of_devices)
            places.met_new_location = not believed
        if self._read_register(places.workspaces, read_workspace, self._workspaces_of_devices):
            self.poller.slow_tiers.forget_gone_workspaces(places.workspaces.records)

    def _locations_of_devices(self) -> set[str | None]:
        return {known.device.location_id or known.place.location_id for known in self.state.devices.values()}

    def _workspaces_of_devices(self) -> set[str | None]:
        return {known.device.workspace_id for known in self.state.devices.values()}

    def _read_register(
        self, register: Register[Record], read: Callable[[object, Note], Record], needed: Callable[[], Container[str | None]]
    ) -> bool:
        """List locations or workspaces, unless they have failed a while ago; says whether all of it was listed and believed."""
        failures = self.poller.directory_failures
        if failures.includes(register.path, self.slot):
            text = f"GET {register.path}: it failed lately and is left alone for now; what was known serves on."
            self._missed(Unavailable(text))
            return False
        try:
            self._read_all(register, read)
            failures.answered(register.path)
            if register.listing.finished:
                register.take(needed, self.slot)
            return register.listing.finished
        except Shrunken as fault:
            self._missed(fault)
        except WebexError as fault:
            failures.failed(register.path, self.slot)
            self._missed(fault)
        return False

    def _read_all(self, register: Register[Record], read: Callable[[object, Note], Record]) -> None:
        """Read the pages of locations or workspaces that there is time for."""
        if register.listing.begin(self.slot):
            register.pending = {}
        share = DIRECTORY_SHARE * self.poller.settings.poll_seconds
        until = self.inventory_deadline.at_most(share / 2 if self.takes_several else share)
        for page in register.listing.pages(self.client, until, self.inventory_deadline.at_most(share)):
            for item in page.items:
                odd: dict[str, str] = {}
                try:
                    record = read(item, odd.__setitem__)
                except BadRecord as fault:
                    self.put_aside(fault, item, page)
                    continue
                if record.id not in register.pending:
                    self._report_odd(odd, item, page)
                    register.pending[record.id] = with_last_known(record, register.records.get(record.id), odd)
            register.listing.passed(page)

    def _after(self, share: float) -> Deadline:
        """When this share of the interval has passed."""
        return self.inventory_deadline.at_most(
            self.inventory_deadline.left() - (DEADLINE_SHARE - share) * self.poller.settings.poll_seconds
        )

    def _read_outages(self, directory: Directory) -> None:
        """List what is down or has issues, before anything else."""
        for status, share in OUTAGES.items():
            listing = self.poller.outages[status]
            listing.begin(self.slot)
            try:
                for page in listing.pages(self.client, self._after(share), self.inventory_deadline):
                    self._send_page(page, directory, listing)
                    listing.passed(page)
            except WebexError as fault:
                self._missed(fault)
        if all(listing.finished for listing in self.poller.outages.values()):
            self.cities_seen.update(known.place.city_id for known in self.state.devices.values())

    def _read_devices(self, directory: Directory) -> None:
        """List all devices, as far as there is time; the next poll goes on from there."""
        listing = self.listing
        try:
            for page in listing.pages(self.client, self._after(LISTING_SHARE), self.inventory_deadline):
                self._send_page(page, directory, listing)
                listing.passed(page)
                self._note_position()
        except WebexError as fault:
            self._missed(fault)
        self._note_position()
        if listing.finished:
            with self.state.lock:
                self._finish_listing(listing)

    def _note_position(self) -> None:
        """Remember where the listing goes on, once it takes more than a poll."""
        if self.listing.goes_on:
            self.state.commit_marks({POSITION: self.listing.text()})

    def _finish_listing(self, listing: Listing) -> None:
        """All devices are listed: what is missing, and since when the inventory is known."""
        if listing.whole:
            self._miss_devices(listing)
            self.state.doubtful = False
        begun = listing.begun or self.slot
        if listing.snapshot:
            self.state.commit_snapshot(begun)
        self.poller.inventory_at = begun
        notes = {POSITION: None, INVENTORY: format_time(begun) if begun < self.slot else None}
        self.state.commit_marks({name: text for name, text in notes.items() if text != self.state.marks.get(name)})

    def _send_page(self, page: Page, directory: Directory, listing: Listing) -> None:
        """Send what has to be sent of one page of devices, then remember the page."""
        with self.state.lock:
            self._send_page_as_one(page, directory, listing)

    def _send_page_as_one(self, page: Page, directory: Directory, listing: Listing) -> None:
        events: list[Event] = []
        changed: dict[str, KnownDevice] = {}
        for now in self._placed_devices(page, directory, listing):
            before = self.state.devices.get(now.device.id)
            uncertain = now.device.id in self.state.uncertain
            reason = reason_to_send(before, now, listing.snapshot, uncertain) or ("snapshot" if self.state.doubtful else None)
            if reason:
                about = self.poller.slow_tiers.about(now, directory, self.slot)
                events.append(device_observation(self.context, self.poller.book, now, reason, before, about))
            if uncertain or now != before:
                changed[now.device.id] = now
        self.state.announce(changed)
        self.send(events)
        self.state.commit_devices(changed)

    def _placed_devices(self, page: Page, directory: Directory, listing: Listing) -> list[KnownDevice]:
        """The devices of a page that concern us, as they are known after this poll."""
        devices = self._listed_devices(page, listing)
        self.newest.note((device.release_line, device.software) for device in devices)
        placed = []
        for device in devices:
            before = self.state.devices.get(device.id)
            place = directory.place_of(device.location_id, device.workspace_id)
            if place.location_id and place.location_id not in directory.locations:
                self.poller.places.met_new_location = True
            self.cities_seen.add(place.city_id)
            self.poller.sights[device.id] = self.slot
            in_maintenance = directory.in_maintenance(device, self.slot) or self._was_in_maintenance(before)
            behind = self.newest.days_behind(device.release_line, device.software)
            placed.append(observed(device, place, before, self.slot, in_maintenance, behind))
        return placed

    def _was_in_maintenance(self, before: KnownDevice | None) -> bool:
        """Whether a device is left in maintenance because nobody has listed its room since the start."""
        return before is not None and before.condition.in_maintenance and self.poller.places.workspaces.listed_at is None

    def _listed_devices(self, page: Page, listing: Listing) -> list[Device]:
        """The devices of a page that concern us, each id once over all pages (the list may move between two pages)."""
        devices = []
        for item in page.items:
            odd: dict[str, str] = {}
            try:
                device = read_device(item, self.poller.priority_tags, odd.__setitem__)
            except BadRecord as fault:
                self.put_aside(fault, without_person(item), page)
                continue
            if device.id in self.seen:
                listing.seen.add(device.id)
                continue
            known = self.state.devices.get(device.id)
            device = with_last_known(device, known.device if known else None, odd)
            if device.is_personal:
                self.report.personal_devices += 1
                if not self.poller.settings.personal_devices:
                    continue
                device = without_name(device)
            elif device.person_id is not None:
                device = device._replace(person_id=None)
            self.seen.add(device.id)
            listing.seen.add(device.id)
            self.unknowns.note_device(item, device)
            self._report_odd(odd, without_person(item), page)
            devices.append(device)
        return devices

    def _miss_devices(self, listing: Listing) -> None:
        """Count the complete listings without a known device; after some it is gone, and a last observation resolves its alerts.

        So many at once that it can't be true stay.
        """
        missing = [known for device_id, known in self.state.devices.items() if device_id not in listing.seen]
        self._hold_back(missing)
        missed: dict[str, KnownDevice] = {}
        gone: list[KnownDevice] = []
        for known in missing:
            if known.missed_polls + 1 < GONE_AFTER_POLLS:
                missed[known.device.id] = known._replace(missed_polls=known.missed_polls + 1)
            elif known.device.id not in self.held:
                gone.append(known)
        gone_ids = tuple(known.device.id for known in gone)
        self.state.announce(gone_ids)
        self.send([removed_observation(self.context, self.poller.book, known) for known in gone])
        self.state.commit_marks(noted(self.state.marks, gone, self.slot))
        self.state.commit_devices(missed, gone_ids)
        if gone:
            self._forget_gone(gone_ids)

    def _forget_gone(self, gone_ids: Collection[str]) -> None:
        for device_id in gone_ids:
            self.poller.sights.pop(device_id, None)
        self.poller.slow_tiers.forget_gone_devices()
        self.poller.gate.forget_all_but(self.report.held)

    def _hold_back(self, missing: list[KnownDevice]) -> None:
        """Find out which of the missing devices can't all be gone, and say so."""
        self.held.clear()
        for subject, devices in self.poller.gate.held(missing, self.slot).items():
            self.held.update(known.device.id for known in devices)
            self.report.held.append(subject)
            self._missed(self.poller.gate.fault(subject))

    def _count(self, directory: Directory | None) -> Tally:
        """The estate in numbers. A city's locations are in it even when empty: an outage ends when its last device is removed."""
        locations = directory.locations.values() if directory else ()
        watched = [location.id for location in locations if directory and not is_unassigned(directory.city_of_location(location))]
        sights = Sights(self.poller.sights, self.poller.sighted_by(self.slot), self.slot)
        cities = [city.slug for city in self.poller.settings.cities]
        floors = directory.floors_of_rooms() if directory else {}
        return tally(self.state.devices.values(), cities, watched, self.held, sights, floors)

    def _send_locations(self, directory: Directory, counted: Tally) -> None:
        self.send(
            [
                location_observation(self.context, self.poller.book, directory.place_of(location_id, None), count)
                for location_id, count in counted.locations.items()
            ]
        )

    def _send_cities(self, counted: Tally) -> None:
        names = {city.slug: city.name for city in self.poller.settings.cities} | self._unassigned()
        requests = self.client.requests_made - self.poller.requests_reported
        bad = self.poller.quarantine.count
        seen = {slug: self._last_seen(slug) for slug in counted.cities}
        events = []
        for slug, count in counted.cities.items():
            count.rooms_reporting, count.rooms_in_use = self.poller.slow_tiers.count_use(count.rooms, self.slot)
            facts = self._facts_of(slug)._replace(
                unseen_minutes=self._minutes_since(seen[slug]), requests=requests, quarantined=bad
            )
            events.append(city_observation(self.context, self.poller.book, slug, names.get(slug, slug), count, facts))
        self.send(events)
        self.state.commit_cities_seen(seen)
        self.poller.requests_reported += requests

    def _facts_of(self, slug: str) -> CityFacts:
        """What is known of a city besides its devices and this poll."""
        status, silent = self.poller.webex_status, self.poller.pushed.silent_in(slug)
        return CityFacts(
            push_silent=None if silent is None else float(silent),
            devices_vanished=vanished_from(self.state.marks, slug, self.state.devices, self.slot),
            webex_incidents=status.open_incidents if status else None,
            token_days=self.poller.token_days(),
        )

    def _unassigned(self) -> dict[str, str]:
        """What the city of what belongs to none is called."""
        partner = self.poller.settings.organisation
        return {unassigned_in(partner): f"Unassigned ({partner})" if partner else "Unassigned"}

    def _last_seen(self, slug: str) -> datetime:
        """When a poll last listed a device of a city; for one never seen, when we first looked."""
        return self.slot if slug in self.cities_seen else self.state.cities_seen.get(slug, self.slot)

    def _minutes_since(self, moment: datetime) -> float:
        return round(max(0.0, (self.slot - moment).total_seconds() / 60), 2)

    @property
    def context(self) -> PollContext:
        """What the observations made from now on say about the poll."""
        status = self.poller.webex_status
        return PollContext(self.poll_id, self.report.partial, status.reported if status else None)

    def send(self, events: list[Event]) -> None:
        """Send observations and what has been quarantined so far; returns when all of it is acknowledged."""
        with self.state.lock:
            self._send_as_one(events)

    def _send_as_one(self, events: list[Event]) -> None:
        too_large = self.poller.sink.send(events, OBSERVATIONS)
        self.report.observations += len(events) - len(too_large)
        self.poller.sent(len(events) - len(too_large))
        for event in too_large:
            reason = "an observation is too large for Event Hubs"
            self.poller.quarantine.put(reason, event.body.decode(), self.poll_id, None, None, about=event.subject)
        self.poller.quarantine.send(self.poller.sink)

    def _report_odd(self, odd: Mapping[str, str], record: object, page: Page) -> None:
        """Count the fields of a record that were fixed or dropped, and quarantine it; what else it says holds."""
        if odd:
            self.unknowns.note_odd(page.endpoint.removeprefix("/"), odd)
            reason = ", ".join(f"{field} is {kind}" for field, kind in sorted(odd.items()))
            self.put_aside(BadRecord(f"not understood in part: {reason}"), record, page)

    def put_aside(self, fault: BadRecord, record: object, page: Page) -> None:
        """Quarantine a record."""
        self.poller.quarantine.put(str(fault), record, self.poll_id, page.endpoint, page.tracking_id)

    def fault(self, fault: WebexError) -> None:
        """Remember what could not be had, each text once."""
        if str(fault) not in self.report.faults:
            self.report.faults.append(str(fault))

    def _missed(self, fault: WebexError) -> None:
        self.report.partial = True
        self.fault(fault)
