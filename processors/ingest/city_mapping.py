"""Which city a Webex location belongs to.

A stack lists a city's locations by id or by name. Names are typed by people twice (in Control Hub and in the stack), so they are
compared without regard to case, width of characters and spacing, and then also without accents, as long as that leaves no doubt.
A location that no city lists belongs to the city that its address names. One that fits nowhere belongs to `unassigned`.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Collection, Iterable, Iterator

from processors.contracts.facts import UNASSIGNED, normalised
from processors.ingest.records import Location
from processors.ingest.settings import City


class CityMapping:
    """Location id, name or address to city slug. An id wins over a name, a name over an address."""

    def __init__(self, cities: Iterable[City], unassigned: str = UNASSIGNED) -> None:
        """`unassigned`: the city of what belongs to none."""
        self._unassigned = unassigned
        cities = self._cities = tuple(cities)
        self._slug_by_location: dict[str, str] = {}
        for city in cities:
            for location in city.webex_locations:
                self._slug_by_location[location] = city.slug
                self._slug_by_location.setdefault(normalised(location), city.slug)
        listed = [(location, city.slug) for city in cities for location in city.webex_locations]
        self._slug_by_plain_name = _unambiguous(listed)
        # What a city lists as its locations also says how its name is spelt in addresses: Munich, München.
        self._slug_by_address = _unambiguous(
            [*listed, *((text, city.slug) for city in cities for text in (city.name, city.slug))]
        )

        self._known: dict[tuple[str | None, str | None, str | None], str] = {}

    def city_of(self, location_id: str | None, location_name: str | None, address_city: str | None = None) -> str:
        """The slug of the city of this location, or `unassigned`."""
        key = location_id, location_name, address_city
        if key not in self._known:
            self._known[key] = self._find(location_id, location_name, address_city)
        return self._known[key]

    def unknown(self, locations: Collection[Location]) -> Iterator[tuple[City, str]]:
        """What cities list that is neither id nor name nor address of any of these locations."""
        ids = {location.id for location in locations}
        names = {plain(text) for location in locations for text in (location.name, location.city) if text}
        for city in self._cities:
            for listed in city.webex_locations:
                if listed not in ids and plain(listed) not in names:
                    yield city, listed

    def _find(self, location_id: str | None, location_name: str | None, address_city: str | None) -> str:
        by_id = self._slug_by_location.get(location_id) if location_id else None
        if by_id:
            return by_id
        if location_name:
            by_name = self._slug_by_location.get(normalised(location_name)) or self._slug_by_plain_name.get(plain(location_name))
            if by_name:
                return by_name
        return self._slug_by_address.get(plain(address_city), self._unassigned) if address_city else self._unassigned


def plain(name: str) -> str:
    """The same without accents and other marks: Zürich and Zurich are alike."""
    decomposed = unicodedata.normalize("NFKD", normalised(name))
    return "".join(character for character in decomposed if not unicodedata.combining(character))


def _unambiguous(named: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Slugs by plain name, without the names that more than one city could mean."""
    slugs: dict[str, set[str]] = {}
    for text, slug in named:
        slugs.setdefault(plain(text), set()).add(slug)
    return {text: next(iter(found)) for text, found in slugs.items() if len(found) == 1}
