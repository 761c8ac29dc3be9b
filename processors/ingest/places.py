"""Where everything is, over many polls: what can't be listed, or is missing from a listing, serves on as it was last known.

Locations and workspaces are optional: they say where a device is, and a device that is down is reported whatever they answer.
After a restart they are what the state's devices report of them, until they are listed. One that a listing lacks stays as long as
a device refers to it, so no device wanders to `unassigned` because of a row left out; when none does, it goes after some
listings.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Container, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Generic, TypeVar

from processors.ingest.changes import GONE_AFTER_POLLS, KnownDevice
from processors.ingest.city_mapping import CityMapping
from processors.ingest.directory import Directory
from processors.ingest.disappearance import Shrunken, is_bulk
from processors.ingest.endpoint import LOCATIONS, WORKSPACES
from processors.ingest.listing import Listing
from processors.ingest.records import Location, Workspace

SOONEST_LOCATIONS = timedelta(minutes=5)
"""A device at a location we have not met makes us list them again, but no more often than this."""

Record = TypeVar("Record", Location, Workspace)


class Register(Generic[Record]):
    """The records of one listing, by id."""

    def __init__(self, path: str, remembered: Mapping[str, Record], params: Mapping[str, str] | None = None) -> None:
        self.records: dict[str, Record] = dict(remembered)
        self.listed_at: datetime | None = None
        """When they were last listed by this process."""
        self.path = path
        self.listing = Listing(path, params)
        self.pending: dict[str, Record] = {}
        """What a listing that isn't finished yet has listed so far."""
        self._missed: Counter[str] = Counter()

    def take(self, needed: Callable[[], Container[str | None]], at: datetime) -> None:
        """Take what is pending as a complete listing of `at`. `needed`: ids that devices refer to.

        Raises Shrunken when it is not believed: what it lists is taken, and nothing goes.
        """
        listed, self.pending = self.pending, {}
        missing = self.records.keys() - listed.keys()
        known = len(self.records)
        self.records |= listed
        self.listed_at = at
        if is_bulk(len(missing), known):
            raise Shrunken(
                f"GET {self.path}: {len(missing)} of {known} that were known are no longer listed; they stay as they were. "
                "Has the Webex service app lost its admin role? Run roompulse ingest doctor."
            )
        referred_to = needed() if missing else ()
        self._missed = Counter({key: self._missed[key] + 1 for key in missing if key not in referred_to})
        for key, missed in self._missed.items():
            if missed >= GONE_AFTER_POLLS:
                del self.records[key]


class Places:
    """Locations and workspaces as last known, and the directory that they make."""

    def __init__(self, mapping: CityMapping, known: Iterable[KnownDevice], floors: Mapping[str, str]) -> None:
        """`known`: the devices of the state, which say where they were. `floors`: the names of floors as they become known."""
        self._floors = floors
        self._mapping = mapping
        locations: dict[str, Location] = {}
        workspaces: dict[str, Workspace] = {}
        for place in {known.place for known in known}:
            if place.location_id and place.location_name is not None:
                # A slug stands for the address: it is among the names by which a city is found.
                locations[place.location_id] = Location(place.location_id, place.location_name, place.city_id)
            if place.workspace_id and place.workspace_name is not None:
                workspaces[place.workspace_id] = Workspace(
                    place.workspace_id, place.workspace_name, place.location_id, frozenset()
                )
        self.locations = Register(LOCATIONS, locations)
        self.workspaces = Register(WORKSPACES, workspaces, {"includeCapabilities": "true"})
        self.met_new_location = False

    @property
    def directory(self) -> Directory | None:
        """Where things are; None when no location has ever been known: then no device can be placed."""
        if not self.locations.records and self.locations.listed_at is None:
            return None
        return Directory(self._mapping, self.locations.records, self.workspaces.records, self._floors)

    def locations_due(self, now: datetime, every: timedelta) -> bool:
        """Whether to list locations: never done, long ago, or a while ago and the last poll met one that was not listed."""
        read_at = self.locations.listed_at
        if read_at is None or not timedelta() <= now - read_at < every:
            return True
        return self.met_new_location and now - read_at >= SOONEST_LOCATIONS
