"""Which city a Webex location belongs to.

A stack lists a city's locations by id or by name. Names are typed by people twice (in Control Hub and in the stack), so they are
compared without regard to case, width of characters and spacing. A location that no city lists belongs to `unassigned`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable

from processors.ingest.settings import City

UNASSIGNED = "unassigned"


class CityMapping:
    """Location id or name to city slug. Ids win over names."""

    def __init__(self, cities: Iterable[City]) -> None:
        self._slug_by_location: dict[str, str] = {}
        for city in cities:
            for location in city.webex_locations:
                self._slug_by_location[location] = city.slug
                self._slug_by_location.setdefault(normalised(location), city.slug)

    def city_of(self, location_id: str | None, location_name: str | None) -> str:
        """The slug of the city that lists this location, or `unassigned`."""
        by_id = self._slug_by_location.get(location_id) if location_id else None
        by_name = self._slug_by_location.get(normalised(location_name)) if location_name else None
        return by_id or by_name or UNASSIGNED


def normalised(name: str) -> str:
    """A location name in the form names are compared in."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())
