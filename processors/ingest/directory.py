"""Where things are: the locations and workspaces Webex lists, and the place and city of a device found through them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from processors.contracts.facts import is_unassigned
from processors.ingest.city_mapping import CityMapping
from processors.ingest.maintenance import under_way
from processors.ingest.records import Device, Location, Workspace


class Place(NamedTuple):
    """City, location and workspace of something; what is unknown is None (the city is then `unassigned`)."""

    city_id: str
    location_id: str | None
    location_name: str | None
    workspace_id: str | None
    workspace_name: str | None


@dataclass(frozen=True)
class Directory:
    """Locations and workspaces by id, as of one reading of both lists."""

    mapping: CityMapping
    locations: dict[str, Location]
    workspaces: dict[str, Workspace]
    floors: Mapping[str, str] = field(default_factory=dict)
    """Names of floors by their ids."""

    def place_of(self, location_id: str | None, workspace_id: str | None) -> Place:
        """The place of a device: by its own location, else by its workspace's (devices can lack a locationId)."""
        workspace = self.workspaces.get(workspace_id) if workspace_id else None
        location_id = location_id or (workspace.location_id if workspace else None)
        location = self.locations.get(location_id) if location_id else None
        location_name = location.name if location else None
        city_id = self.mapping.city_of(location_id, location_name, location.city if location else None)
        return Place(city_id, location_id, location_name, workspace_id, workspace.name if workspace else None)

    def floor_of(self, workspace: Workspace | None) -> str | None:
        """The name of the floor a workspace is on, where both are known."""
        return self.floors.get(workspace.floor_id) if workspace and workspace.floor_id else None

    def floors_of_rooms(self) -> dict[str, str]:
        """The floor of each workspace that reports one, by name, or by id while that is not known."""
        rooms = self.workspaces.values()
        return {room.id: self.floors.get(room.floor_id, room.floor_id) for room in rooms if room.floor_id}

    def in_maintenance(self, device: Device, moment: datetime) -> bool:
        """Whether a device, or the room it stands in, is in planned maintenance."""
        workspace = self.workspaces.get(device.workspace_id) if device.workspace_id else None
        if device.maintenance is None and (workspace is None or workspace.maintenance is None):
            return False
        return under_way(device.maintenance, moment) or (workspace is not None and under_way(workspace.maintenance, moment))

    def city_of_location(self, location: Location) -> str:
        """The slug of the city a location belongs to."""
        return self.mapping.city_of(location.id, location.name, location.city)

    def unmapped(self) -> list[str]:
        """Names of the locations that belong to no city, in order: an operator adds them to the stack, or knows why not."""
        return sorted(location.name for location in self.locations.values() if is_unassigned(self.city_of_location(location)))
