"""What the page shows, as JSON: sections put together from the tiles of the live store, the inbox and the settings of the run.

The page knows these sections only, never the tiles. docs/stages/live-page.md lists them by view; the types below say what is in
each.
Times are ISO 8601 in UTC; what is not known is null.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from statistics import median
from typing import Any, TypedDict
from zoneinfo import ZoneInfo

from local.clock import SimulatedClock
from local.dashboard.inbox import InboxAlert
from local.dashboard.incidents import Incident, as_they_are_now, dark_locations, open_incidents
from local.dashboard.kept import Kept
from local.dashboard.notified import NOBODY, Notifications
from local.dashboard.office_hours import office_hours, office_hours_text
from local.dashboard.silences import NONE, Silences
from local.run_settings import LocalCity, RunSettings
from processors.alert_fanout.details import kept_of
from processors.contracts.signals import CALENDAR, METRICS

Row = Mapping[str, Any]
Tiles = Mapping[str, Sequence[Row]]
Sections = dict[str, Any]

MISSED_POLLS = 3
"""A city is stale when this many polls in a row have not come: one may fail and be made good by the next."""
TRAVEL_SECONDS = 10.0
"""How long an observation may take from Webex to the page, in real seconds."""

INCIDENTS_SHOWN = 60
ROOMS_LISTED = 12
VERSIONS_LISTED = 10

WORST_FIRST = {"down": 0, "issues": 1, "unknown": 2, "asleep": 3, "up": 4}
OUTAGE_RATIO = 0.5
"""Locations with at least this share of devices down come first; the same share as the rule site-outage."""

ENVIRONMENT = tuple(name for name, capability in METRICS.items() if capability != CALENDAR)


class City(TypedDict):
    """A city as of its newest poll; every count is null before the first. `declared`: the stack knows it. `maintenance`: how many
    devices are being worked on as planned; `roomsInUse`: of `roomsReporting`, the rooms that say how they are used; `muted`: the
    rules of which nobody is notified there today; `silences`: how many that people have made hold now.
    """

    slug: str
    name: str
    timeZone: str
    declared: bool
    lastPoll: str | None
    partial: bool
    devices: dict[str, int | None]
    rooms: int | None
    roomsUsable: int | None
    roomsReporting: int | None
    roomsInUse: int | None
    incidents: int
    worstSeverity: int | None
    maintenance: int | None
    muted: list[str]
    silences: int


class Trend(TypedDict):
    """The last hour of a city by minute; the lists have the same length, `at` is the end of each minute."""

    at: list[str]
    down: list[float | None]
    issues: list[float | None]
    rooms: list[float | None]
    roomsUsable: list[float | None]


class WorstRoom(TypedDict):
    """A room (or a device that is in no room) that is not well: since when, and which of its devices are the reason.
    `maintenance`: all of these are being worked on as planned.
    """

    key: str
    cityId: str
    room: str | None
    locationName: str | None
    health: str
    since: str | None
    maintenance: bool
    devices: list[dict[str, Any]]


class Room(TypedDict):
    """A room: as bad as the worst of its devices. `maintenance`: how many of them are being worked on as planned."""

    workspaceId: str
    name: str
    health: str
    devices: int
    maintenance: int


class Location(TypedDict):
    """A location with its rooms, worst first; `offlineRatio` is the share of its devices that is down."""

    locationId: str
    name: str
    offlineRatio: float | None
    devices: int | None
    rooms: list[Room]


class Reading(TypedDict):
    """A signal over all rooms of a city: the middle, the lowest and the highest value, and the rooms these were measured in."""

    signal: str
    rooms: int
    median: float
    low: float
    lowRoom: str
    high: float
    highRoom: str


class Places:
    """The cities a page can show: those of the stack, and `unassigned` or others that turn up in the data."""

    def __init__(self, cities: Sequence[LocalCity], tiles: Tiles) -> None:
        declared = {city.slug: city for city in cities}
        seen = [str(row["cityId"]) for row in tiles.get("cities", ()) if row["cityId"] not in declared]
        strays = {slug: LocalCity(slug, "Unassigned" if slug == "unassigned" else slug, "UTC", ()) for slug in seen}
        self.declared: Collection[str] = declared.keys()
        self.by_slug: dict[str, LocalCity] = declared | strays


def frame_sections(settings: RunSettings, tiles: Tiles, kept: Kept | None = None) -> Sections:
    """What every page shows around its content: the run, its pace, when data counts as stale, and how many alerts are open."""
    stale_after = MISSED_POLLS * settings.poll_seconds + TRAVEL_SECONDS * settings.clock.speed
    alerts = tiles.get("open_alerts", ())
    incidents = _incidents(settings, "", tiles, kept or Kept())
    return {
        "run": {"stack": settings.stack, "pollSeconds": settings.poll_seconds, "staleAfterSeconds": stale_after},
        "counts": {"openAlerts": len(alerts), "incidents": len(incidents)},
        "webexStatus": webex_status(tiles.get("cities", ())),
        "pipeline": next(iter(tiles.get("pipeline", ())), {"newest": None, "readings5m": 0, "quarantined1h": 0}),
    }


def wall_sections(settings: RunSettings, tiles: Tiles, silences: Silences = NONE) -> Sections:
    """The wall: every city, and the one incident that the headline may name."""
    places = Places(settings.cities, tiles)
    incidents = _incidents(settings, "", tiles, Kept())
    return frame_sections(settings, tiles) | {
        "cities": cities(settings, places, tiles, incidents, silences),
        "worst": worst_incident(places, incidents),
    }


def worst_incident(places: Places, incidents: Iterable[Incident]) -> Incident | None:
    """The worst and longest open incident of the cities that the stack knows; null where none is open."""
    return next((incident for incident in incidents if incident["cityId"] in places.declared), None)


def webex_status(cities: Iterable[Row]) -> dict[str, Any] | None:
    """What Webex's own status page reports, as the newest poll has it; None while it reports nothing."""
    newest = max(cities, key=lambda city: city["lastPoll"] or "", default=None)
    return newest["webexStatus"] if newest else None


def overview_sections(settings: RunSettings, tiles: Tiles, silences: Silences = NONE, kept: Kept | None = None) -> Sections:
    """The consolidated page: every city, the worst incidents and rooms, the last hour. No more than a few rows per city."""
    kept = kept or Kept()
    places = Places(settings.cities, tiles)
    alerts = tiles.get("open_alerts", ())
    incidents = _incidents(settings, "", tiles, kept)
    return frame_sections(settings, tiles, kept) | {
        "cities": cities(settings, places, tiles, incidents, silences),
        "worst": worst_incident(places, incidents),
        "openAlerts": incidents[:INCIDENTS_SHOWN],
        "trends": kept.made("trends", trends, tiles.get("city_trend", ())),
        "worstRooms": kept.made("worst rooms", _rooms_listed, tiles.get("worst_rooms", ()), alerts, tiles.get("maintenance", ())),
    }


def city_sections(
    settings: RunSettings, tiles: Tiles, slug: str, silences: Silences = NONE, kept: Kept | None = None
) -> Sections:
    """The page of one city, with all of its rooms. Raises KeyError for a city that is neither declared nor in the data."""
    kept = kept or Kept()
    places = Places(settings.cities, tiles)
    place = places.by_slug[slug]
    by_name = {name: kept.made(("by city", name), by_city, rows) for name, rows in tiles.items()}
    own = {name: kept.same((name, slug), rows.get(slug, [])) for name, rows in by_name.items()}
    incidents = _incidents(settings, slug, own, kept)
    (city,) = (city for city in cities(settings, places, tiles, incidents, silences) if city["slug"] == slug)
    return frame_sections(settings, tiles, kept) | {
        "city": city,
        "openAlerts": incidents[:INCIDENTS_SHOWN],
        "trend": trends(own.get("city_trend", ())).get(slug),
        "officeHours": office_hours_of(place, settings.clock.now()),
        "locations": kept.made(
            ("locations", slug), locations, own.get("locations", ()), own.get("rooms", ()), own.get("maintenance", ())
        ),
        "environment": kept.made(("environment", slug), environment, own.get("environment", ())),
        "firmware": kept.made(("firmware", slug), firmware, own.get("firmware", ())),
    }


def _incidents(settings: RunSettings, slug: str, tiles: Tiles, kept: Kept) -> list[Incident]:
    """The open incidents of a city, or of all of them."""
    opened = kept.made(("incidents", slug), open_incidents, tiles.get("open_alerts", ()), settings.causes)
    down = kept.same(("down", slug), kept.made(("devices down", slug), devices_down, tiles.get("locations", ())))
    closed = kept.same("closed", closed_cities(settings, tiles))
    return kept.made(("incidents now", slug), as_they_are_now, opened, down, closed, settings.outside_severities)


def devices_down(rows: Iterable[Row]) -> dict[str, int]:
    """By location how many of its devices are down, from the rows of the tile `locations`."""
    return {row["locationId"]: round(row["offlineRatio"] * row["devices"]) for row in rows if row["offlineRatio"] is not None}


def closed_cities(settings: RunSettings, tiles: Tiles) -> set[str]:
    """The cities in which it is not office hours now."""
    now = settings.clock.now()
    return {slug for slug, city in Places(settings.cities, tiles).by_slug.items() if not city.is_at_work(now)}


def by_city(rows: Iterable[Row]) -> dict[str, list[Row]]:
    """Rows by the city they are about, in their order."""
    found = defaultdict[str, list[Row]](list)
    for row in rows:
        found[row.get("cityId", "")].append(row)
    return found


def alert_sections(
    settings: RunSettings, tiles: Tiles, inbox: Sequence[InboxAlert], notified: Notifications = NOBODY
) -> Sections:
    """The alert inbox, the cities it may name, and who was notified of those of its incidents of which that is still known."""
    places = Places(settings.cities, tiles)
    names = [{"slug": city.slug, "name": city.name, "timeZone": city.time_zone} for city in places.by_slug.values()]
    known = {alert["alertId"]: notified[alert["alertId"]] for alert in inbox if alert["alertId"] in notified}
    now = {incident["alertId"]: incident["severity"] for incident in _incidents(settings, "", tiles, Kept())}
    listed = [
        alert if alert["resolvedAt"] else alert | {"severity": now.get(alert["alertId"], alert["severity"])} for alert in inbox
    ]
    return frame_sections(settings, tiles) | {"cities": names, "inbox": listed, "notified": known}


def clock_section(clock: SimulatedClock) -> dict[str, Any]:
    """What time it is in the run, how much faster than real time it passes, and how many minutes it is ahead of that."""
    return {"now": iso(clock.now()), "speed": clock.speed, "aheadMinutes": round(clock.seconds_ahead / 60)}


def cities(settings: RunSettings, places: Places, tiles: Tiles, incidents: Sequence[Incident], silences: Silences) -> list[City]:
    """Every city in the order of the stack file, so that cards stay where they are."""
    polled = {row["cityId"]: row for row in tiles.get("cities", ())}
    maintained = Counter(row["cityId"] for row in tiles.get("maintenance", ()))
    severities = defaultdict[str, list[int]](list)
    for incident in incidents:
        severities[incident["cityId"]].append(incident["severity"])
    now = settings.clock.now()
    return [
        _city(place, polled.get(place.slug, {}), severities[place.slug], maintained[place.slug])
        | {"declared": place.slug in places.declared, "muted": muted_rules(place, now), "silences": silences.get(place.slug, 0)}
        for place in places.by_slug.values()
    ]


def _city(place: LocalCity, polled: Row, severities: Sequence[int], maintained: int) -> City:
    return {
        "slug": place.slug,
        "name": place.name,
        "timeZone": place.time_zone,
        "declared": True,
        "lastPoll": polled.get("lastPoll"),
        "partial": bool(polled.get("partial")),
        "devices": {
            "total": _count(polled.get("devices")),
            **{health: _count(polled.get(f"devices{health.capitalize()}")) for health in WORST_FIRST},
        },
        "rooms": _count(polled.get("rooms")),
        "roomsUsable": _count(polled.get("roomsUsable")),
        "roomsReporting": _count(polled.get("roomsReporting")),
        "roomsInUse": _count(polled.get("roomsInUse")),
        "incidents": len(severities),
        "worstSeverity": min(severities, default=None),
        "maintenance": maintained if polled else None,
        "muted": [],
        "silences": 0,
    }


def muted_rules(city: LocalCity, now: datetime) -> list[str]:
    """The rules that a city has muted on the day it is there."""
    today = now.astimezone(ZoneInfo(city.time_zone)).date().isoformat()
    return sorted(rule for rule, until in city.mutes.items() if today <= until)


def in_maintenance(rows: Iterable[Row]) -> set[str]:
    """Ids of the devices that are being worked on as planned, from the rows of the tile `maintenance`."""
    return {row["entityId"] for row in rows}


def trends(rows: Iterable[Row]) -> dict[str, Trend]:
    """The last hour by city."""
    found: dict[str, Trend] = {}
    for row in rows:
        trend = found.setdefault(row["cityId"], {"at": [], "down": [], "issues": [], "rooms": [], "roomsUsable": []})
        trend["at"].append(row["windowEnd"])
        trend["down"].append(_rounded(row["devicesDown"]))
        trend["issues"].append(_rounded(row["devicesIssues"]))
        trend["rooms"].append(_rounded(row["rooms"]))
        trend["roomsUsable"].append(_rounded(row["roomsUsable"]))
    return found


def _rooms_listed(rows: Iterable[Row], alerts: Iterable[Row], maintenance: Iterable[Row]) -> list[WorstRoom]:
    return worst_rooms(rows, dark_locations(alerts), in_maintenance(maintenance))


def worst_rooms(
    rows: Iterable[Row], dark: Collection[str], maintained: Collection[str] = (), most: int = ROOMS_LISTED
) -> list[WorstRoom]:
    """Devices that are not well, gathered by room in the order of the tile: the worst and longest first, at most `most` rooms.

    Devices that are `maintained` as planned come last, and before them those of locations that are `dark`: an incident speaks of
    them already. Either would crowd out all others.
    """
    found: dict[str, WorstRoom] = {}
    for row in sorted(rows, key=lambda row: (row["entityId"] in maintained, row["locationId"] in dark)):
        key = row["workspaceId"] or row["entityId"]
        if key not in found and len(found) == most:
            continue
        room = found.setdefault(
            key,
            {
                "key": key,
                "cityId": row["cityId"],
                "room": row["workspaceName"],
                "locationName": row["locationName"],
                "health": row["health"],
                "since": row["statusSince"],
                "maintenance": row["entityId"] in maintained,
                "devices": [],
            },
        )
        device = {name: row[name] for name in ("name", "product", "health", "errorCodes")}
        room["devices"].append(device | {"details": kept_of(row["details"])})
    return list(found.values())


def locations(rows: Iterable[Row], rooms: Iterable[Row], maintenance: Iterable[Row]) -> list[Location]:
    """Locations, those with an outage first; in each its rooms, worst first. `maintenance`: the devices in it as planned."""
    found: dict[str, Location] = {}
    maintained = Counter(row["workspaceId"] for row in maintenance if row["workspaceId"])
    for row in rows:
        found[row["locationId"]] = {
            "locationId": row["locationId"],
            "name": row["name"] or row["locationId"],
            "offlineRatio": row["offlineRatio"],
            "devices": _count(row["devices"]),
            "rooms": [],
        }
    for row in rooms:
        location = found.setdefault(
            row["locationId"] or "",
            {
                "locationId": row["locationId"] or "",
                "name": row["locationName"] or "No location",
                "offlineRatio": None,
                "devices": None,
                "rooms": [],
            },
        )
        location["rooms"].append(
            {
                "workspaceId": row["workspaceId"],
                "name": row["workspaceName"] or row["workspaceId"],
                "health": row["health"],
                "devices": row["devices"],
                "maintenance": maintained[row["workspaceId"]],
            }
        )
    for location in found.values():
        location["rooms"].sort(key=lambda room: (WORST_FIRST[room["health"]], room["name"], room["workspaceId"]))
    return sorted(found.values(), key=lambda location: ((location["offlineRatio"] or 0) < OUTAGE_RATIO, location["name"]))


def environment(rows: Sequence[Row]) -> list[Reading]:
    """What the sensors of a city's rooms say; a signal that no room measures is left out."""
    readings = []
    for signal in ENVIRONMENT:
        values = sorted([row[signal] for row in rows if row[signal] is not None])
        if values:
            reading: Reading = {
                "signal": signal,
                "rooms": len(values),
                "median": median(values),
                "low": values[0],
                "lowRoom": min(_rooms_with(rows, signal, values[0])),
                "high": values[-1],
                "highRoom": max(_rooms_with(rows, signal, values[-1])),
            }
            readings.append(reading)
    return readings


def _rooms_with(rows: Iterable[Row], signal: str, value: float) -> list[str]:
    return [row["name"] or row["workspaceId"] for row in rows if row[signal] == value]


def firmware(rows: Iterable[Row]) -> list[dict[str, Any]]:
    """How many devices run which version, the most frequent first; the tail is counted together, its version null."""
    spread = Counter({row["software"]: row["devices"] for row in rows}).most_common()
    listed = [{"software": version, "devices": devices} for version, devices in spread[:VERSIONS_LISTED]]
    rest = sum(devices for _, devices in spread[VERSIONS_LISTED:])
    return [*listed, {"software": None, "devices": rest}] if rest else listed


def office_hours_of(city: LocalCity, now: datetime) -> dict[str, Any]:
    """The office hours of the last hour, with the words for them. In steps of a minute, so that it seldom changes."""
    end = now.replace(second=0, microsecond=0) + timedelta(minutes=1)
    spans = office_hours(city, end - timedelta(minutes=61), end)
    return {
        "text": office_hours_text(city),
        "spans": [[iso(opens), iso(closes)] for opens, closes in spans],
    }


def iso(moment: datetime) -> str:
    """A moment in UTC as contracts write it, in milliseconds."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond // 1000:03d}Z"


def _count(value: float | None) -> int | None:
    return None if value is None else round(value)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
