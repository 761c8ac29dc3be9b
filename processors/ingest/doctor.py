"""Looks at all the ingest needs, and says what an administrator must fix: token, scopes, reach, pages, cities, Event Hubs.

It only reads, with a handful of requests, and goes on after every fault: all of them at once.
"""

from __future__ import annotations

import difflib
from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal

from processors.azure_blobs import BlobContainer, BlobError
from processors.clock import utc_now
from processors.contracts.facts import is_unassigned
from processors.contracts.signals import METRICS
from processors.contracts.validation import SettingsError
from processors.ingest import metrics, room_status
from processors.ingest.changes import KnownDevice, answers
from processors.ingest.city_mapping import CityMapping, plain
from processors.ingest.directory import Directory
from processors.ingest.endpoint import DEVICES, DURATIONS, LOCATIONS, ROOM_STATUS, WORKSPACES
from processors.ingest.endpoint import METRICS as ENDPOINT_OF_METRICS
from processors.ingest.environment import (
    ORGANISATION,
    WEBEX_API,
    faults_of,
    ingest_settings_from,
    organisations_of_settings,
    token_source,
    webex_status_from,
)
from processors.ingest.first_look import Fired, Listed, Look, look
from processors.ingest.listing import PAGE_SIZE
from processors.ingest.push.app import App
from processors.ingest.push.home import home_from
from processors.ingest.push.manifest import unapproved
from processors.ingest.push.trust import NotTrusted, Trust
from processors.ingest.records import Location
from processors.ingest.room_status import ROOM_DEVICE
from processors.ingest.settings import AlertRule, IngestSettings
from processors.ingest.sinks import OBSERVATIONS, EventHubsSink
from processors.ingest.tokens import INTEGRATION, ServiceAppToken, TokenStoreError
from processors.ingest.webex_client import Deadline, TokenError, WebexClient, WebexError

Verdict = Literal["ok", "warning", "error"]

ANSWER_SECONDS = 20.0
SHORTEST_TOKEN_DAYS = 3.0
SCOPE_OF = {
    DEVICES: "spark-admin:devices_read",
    WORKSPACES: "spark-admin:workspaces_read",
    LOCATIONS: "spark-admin:locations_read",
    ENDPOINT_OF_METRICS: "spark-admin:workspace_metrics_read",
    DURATIONS: "spark-admin:workspace_metrics_read",
    ROOM_STATUS: "spark:xapi_statuses",
}
MOST_NAMED = 3
"""So many things that a rule would fire on are named; the others are counted."""
_ON_THE_WAY = (407, 511)
"""Statuses that proxies and sign-in pages answer."""


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is, and what to do about it (nothing when it is well)."""

    check: str
    verdict: Verdict
    text: str
    fix: str = ""


def examine(environment: Mapping[str, str], *, event_hubs: bool = True) -> Iterator[Finding]:
    """Findings, one after another as they are made. `event_hubs`: whether events are to go there."""
    faults = faults_of(environment, event_hubs=event_hubs, state=False)
    if faults:
        yield from (Finding("environment", "error", fault, "Set it, then run this again.") for fault in faults)
        return
    yield Finding("environment", "ok", "all variables are there")
    try:
        settings = ingest_settings_from(environment)
    except SettingsError as fault:
        yield Finding("settings", "error", str(fault), "Make the file anew: roompulse run, or pulumi up.")
        return
    number = len(settings.cities)
    of_partner = f" of partner {settings.organisation}" if settings.organisation else ""
    named = f"{number} {'city' if number == 1 else 'cities'}{of_partner}"
    yield Finding("settings", "ok", f"{named}, a poll every {settings.poll_seconds:g} s")
    yield from _other_organisations(environment, settings.organisation)
    yield from _Webex(environment, settings).examine()
    if pushed := [city.slug for city in settings.cities if city.push]:
        yield push(environment, pushed)
    if event_hubs:
        yield _event_hubs(environment)
    if container := environment.get("STATE_BLOB_URL"):
        yield _state(container, environment)


def _other_organisations(environment: Mapping[str, str], looked_at: str) -> Iterator[Finding]:
    """Those that the settings name and this is not a look at: each has a token set and a state of its own."""
    for name in organisations_of_settings(environment):
        if name != looked_at:
            whose = f"partner {name}" if name else "the stack's own organisation"
            fix = f"Look at it too: {ORGANISATION}={name} roompulse ingest doctor, with its token."
            yield Finding("organisations", "warning", f"cities of {whose} are polled apart, and not looked at here", fix)


class _Webex:
    """What there is to see of Webex."""

    def __init__(self, environment: Mapping[str, str], settings: IngestSettings) -> None:
        self._environment = environment
        self._settings = settings
        self._base = environment.get("WEBEX_API_BASE", WEBEX_API).rstrip("/")
        self._tokens = token_source(environment)
        self._client = WebexClient(self._base, self._tokens, settings.rates)

    def examine(self) -> Iterator[Finding]:
        """Token first: without one there is nothing else to see."""
        token = self._examine_token()
        yield token
        if token.verdict == "error":
            return
        seen = look(self._base, self._tokens, self._settings)
        for path in (LOCATIONS, WORKSPACES, DEVICES):
            yield _listing(path, seen)
        yield from _odd(seen)
        if seen.directory is not None:
            yield from cities(self._settings, seen.directory, seen.state.devices.values())
            yield from self._metrics(seen.directory)
        yield from _status_page(self._environment)
        yield from self._xapi([known for known in seen.state.devices.values() if known.device.kind == ROOM_DEVICE])
        if seen.state.devices:
            yield from rules(self._settings, seen.heard.fired)
        self._client.close()

    def _examine_token(self) -> Finding:
        try:
            ends = self._client.token_expiry(Deadline(ANSWER_SECONDS))
        except TokenError as fault:
            return Finding("token", "error", str(fault), "See the text; the rest of Webex could not be looked at.")
        except WebexError as fault:
            return self._without_expiry(fault)
        if ends is None:
            return Finding("token", "warning", "valid; Webex does not say until when")
        days = (ends - utc_now()).total_seconds() / 86_400
        renewed = "WEBEX_TOKEN_VAULT_URI" in self._environment or "WEBEX_TOKEN_FILE" in self._environment
        if days < SHORTEST_TOKEN_DAYS and not renewed:
            fix = "Nothing renews WEBEX_ACCESS_TOKEN: give the ingest a token set (WEBEX_TOKEN_FILE, WEBEX_TOKEN_VAULT_URI)."
            return Finding("token", "warning", f"valid for {days:.1f} days only", fix)
        return Finding("token", "ok", f"valid for {days:.1f} days" + (", renewed by the ingest" if renewed else ""))

    def _without_expiry(self, fault: WebexError) -> Finding:
        if fault.status == 401:
            fix = "Authorise the service app in Control Hub, and store the token it gives."
            return Finding("token", "error", f"Webex refuses the token: {fault}", fix)
        if fault.status is None or fault.status < 400 or fault.status in _ON_THE_WAY:
            fix = "See WEBEX_API_BASE, the proxy and the firewall: the ingest needs https to webexapis.com."
            return Finding("token", "error", f"Webex can't be reached at {self._base}: {fault}", fix)
        return Finding("token", "warning", f"Webex does not say until when it is valid: {fault}")

    def _metrics(self, directory: Directory) -> Iterator[Finding]:
        rooms = directory.workspaces.values()
        asked: set[str] = set()
        for metric in self._settings.metrics:
            equipped = [room for room in rooms if METRICS[metric] in room.configured]
            if equipped and metrics.path_of(metric) not in asked:
                question, path = metrics.query(metrics.Ask(equipped[0], metric, None), utc_now()), metrics.path_of(metric)
                share = f"{len(equipped):,} of {len(rooms):,} rooms have {metric}"
                yield self._asked(path, share, partial(self._client.get, path, question))
                asked.add(path)
        if self._settings.metrics and not asked:
            fix = "Turn the sensors on in Control Hub, or take metrics out of the stack."
            yield Finding(ENDPOINT_OF_METRICS, "warning", "no room has a sensor of the configured metrics set up", fix)

    def _xapi(self, rooms: list[KnownDevice]) -> Iterator[Finding]:
        granted = [known.device for known in rooms if known.device.may_be_asked]
        share = f"{len(granted):,} of {len(rooms):,} room devices grant xAPI"
        if rooms and not granted:
            fix = f"Add the scope {SCOPE_OF[ROOM_STATUS]} to the service app, if calls matter."
            yield Finding("xAPI", "warning", share, fix)
            return
        reachable = [device.id for device in granted if answers(device)]
        if not reachable:
            yield Finding("xAPI", "ok", share)
            return
        ask = partial(self._client.device_status, reachable[0], room_status.expressions(self._settings.bookings))
        found = self._asked(ROOM_STATUS, share, ask)
        yield found if found.verdict == "error" else replace(found, check="xAPI")

    def _asked(self, path: str, share: str, ask: Callable[[Deadline], object]) -> Finding:
        """What comes of one question of a slow tier; a room that does not answer says nothing of the others."""
        try:
            ask(Deadline(ANSWER_SECONDS))
        except WebexError as fault:
            if fault.status == 403:
                return _refused(path, fault)
            return Finding(path, "warning", f"{share}; the one that was asked did not answer: {fault}")
        return Finding(path, "ok", share)


def _status_page(environment: Mapping[str, str]) -> Iterator[Finding]:
    """What Webex's own status page reports, where it is to be read."""
    status = webex_status_from(environment)
    if status is None:
        return
    reported = status.look(Deadline(ANSWER_SECONDS)) or {}
    status.close()
    if "unknown" in reported:
        fix = "Let this machine reach it over https; with WEBEX_STATUS_BASE empty it is not read."
        yield Finding("status page", "warning", f"Webex's status page can't be read: {reported['unknown']}", fix)
        return
    names = ", ".join(incident["name"] for incident in reported.get("incidents", ()))
    yield Finding("status page", "ok", f"Webex reports: {names}" if names else "Webex reports no incident")


def _listing(path: str, seen: Look) -> Finding:
    listed = seen.listed.get(path, Listed())
    if listed.fault is not None:
        return _refused(path, listed.fault)
    cap = f"; asked for {PAGE_SIZE}, pages hold {listed.largest}" if listed.pages > 1 and listed.largest < PAGE_SIZE else ""
    text = f"{listed.rows:,} records in {listed.pages} page{'s' if listed.pages != 1 else ''}{cap}"
    faults = [fault for fault in seen.report.faults if fault.startswith(f"GET {path}:")]
    if faults:
        return Finding(path, "error", f"{text}; {faults[0]}", "See the text: what follows is not seen.")
    if path == DEVICES and listed.rows:
        text += f"; {seen.report.personal_devices:,} belong to persons" if seen.report.personal_devices else ""
    if path != WORKSPACES and not listed.rows:
        fix = "Has the Webex service app lost its admin role? A token without it is shown its own devices only."
        return Finding(path, "warning", text, fix)
    return Finding(path, "ok", text)


def _refused(path: str, fault: WebexError) -> Finding:
    if fault.status == 403:
        return Finding(path, "error", str(fault), f"Add the scope {SCOPE_OF[path]} to the service app, then authorise it again.")
    return Finding(path, "error", str(fault), "Run this again; if it stays, ask Cisco support with the tracking id.")


def _odd(seen: Look) -> Iterator[Finding]:
    """Records that are not understood, or in part only, by what is odd."""
    for (endpoint, reason), number in sorted(seen.heard.odd.items()):
        fix = "Other fields hold. Notify Cisco support, with a tracking id from the hub deadletter, if it matters."
        yield Finding(endpoint, "warning", f"{_count(number, 'record')}: {reason}", fix)


def cities(settings: IngestSettings, directory: Directory, devices: Collection[KnownDevice]) -> Iterator[Finding]:
    """What is mapped to each city; locations that no city has, and what cities list that Webex does not know."""
    at = Counter(known.place.location_id for known in devices)
    city_of = {location.id: directory.city_of_location(location) for location in directory.locations.values()}
    unassigned = [location for location in directory.locations.values() if is_unassigned(city_of[location.id])]
    for location in unassigned:
        text = f'location "{location.name}" ({_count(at[location.id], "device")}) belongs to no city'
        yield Finding("cities", "warning", text, f'Add it to a city of the stack: webexLocations: ["{location.name}"]')
    if at[None]:
        fix = "Give their workspaces a location in Control Hub."
        yield Finding("cities", "warning", f"{_count(at[None], 'device')} without a location: no city", fix)
    located = Counter(city_of.values())
    misspelt = [*_misspelt(settings, directory.locations.values(), unassigned, located)]
    yield from misspelt
    if not unassigned and not misspelt:
        yield Finding("cities", "ok", f"every one of {len(city_of)} locations belongs to a city")
    mapped = Counter(known.place.city_id for known in devices)
    for city in settings.cities:
        text = f"city {city.slug}: {_count(mapped[city.slug], 'device')} at {_count(located[city.slug], 'location')}"
        fix = "" if located[city.slug] else f"Name its Webex locations in the stack: webexLocations of city {city.slug}."
        yield Finding("cities", "warning" if fix else "ok", text, fix)


def _misspelt(
    settings: IngestSettings, locations: Collection[Location], unassigned: Collection[Location], located: Mapping[str, int]
) -> Iterator[Finding]:
    """What cities list that Webex doesn't know: to fix where it costs a location, else perhaps another spelling."""
    names = {plain(location.name): location.name for location in locations}
    for city, listed in CityMapping(settings.cities).unknown(locations):
        near = difflib.get_close_matches(plain(listed), names, n=1)
        costs = not located[city.slug] or any(plain(location.name) in near for location in unassigned)
        meant = f' Did you mean "{names[near[0]]}"?' if near else ""
        text = f'city {city.slug} lists "{listed}", which Webex does not have'
        yield Finding("cities", "error" if costs else "warning", text, f"Correct webexLocations of city {city.slug}.{meant}")


def rules(settings: IngestSettings, fired: Mapping[str, Sequence[Fired]]) -> Iterator[Finding]:
    """What each rule's condition holds for now. Readings, calls and what lasts is not known by one look."""
    of_cities = {rule.id: rule for city in settings.cities for rule in city.rules}
    for rule in sorted(of_cities.values(), key=lambda one: one.id):
        yield Finding("rules", "ok", f"{rule.id}: {_would_fire(rule, fired.get(rule.id, ()))}")


def _would_fire(rule: AlertRule, fired: Sequence[Fired]) -> str:
    if not fired:
        return "nothing now" if rule.entity != "workspace" else "not reported by one look, which asks no sensor"
    named = ", ".join(f"{one.name} ({one.city_id})" for one in fired[:MOST_NAMED])
    more = f" and {len(fired) - MOST_NAMED:,} more" if len(fired) > MOST_NAMED else ""
    lasting = f", if it lasts {rule.for_seconds:g} s" if rule.for_seconds else ""
    return f"would fire on {_count(len(fired), rule.entity)}{lasting}: {named}{more}"


def _count(number: int, one: str) -> str:
    many = one[:-1] + "ies" if one.endswith("y") else f"{one}s"
    return f"{number:,} {one if number == 1 else many}"


def push(environment: Mapping[str, str], cities: Sequence[str]) -> Finding:
    """Whether Webex can push what the rooms of these cities measure."""
    trust = Trust(environment.get("WEBEX_API_BASE", WEBEX_API))
    names = ", ".join(cities)
    try:
        home = home_from(environment, trust)
        integration = home.integration() if home else None
        if home is None or integration is None:
            cause = "no integration is activated" if home else "nothing says where the integration is kept"
            fix = "roompulse webex integration manifest, then activate (docs/stages/push.md); until then rooms are polled."
            return Finding("push", "error", f"{cause}; {names} should be pushed", fix)
        app = App(integration, ServiceAppToken(home.store, integration.oauth_url, INTEGRATION), trust).described()
    except (NotTrusted, TokenStoreError, WebexError) as fault:
        return Finding("push", "error", str(fault), "See the text; until then rooms are polled.")
    if missing := unapproved(app):
        text = f"not approved yet: {', '.join(missing)}"
        return Finding("push", "warning", text, "Upload the manifest anew in Control Hub, and approve it there.")
    queue = app.get("queue")
    if not isinstance(queue, Mapping) or queue.get("state") != "enabled":
        return Finding("push", "warning", f"the integration has no queue; {names} should be pushed", "Does the ingest run?")
    return Finding("push", "ok", f"the integration is activated, approved and has a queue; pushed: {names}")


def _event_hubs(environment: Mapping[str, str]) -> Finding:
    from azure.core.exceptions import AzureError
    from azure.eventhub.exceptions import EventHubError

    sink = EventHubsSink(environment)
    try:
        producer = sink.producer(OBSERVATIONS)
        partitions = len(producer.get_eventhub_properties()["partition_ids"])
        producer.close()
    except (AzureError, EventHubError, OSError) as fault:
        text = f"hub {OBSERVATIONS} can't be reached ({type(fault).__name__})"
        fix = "See that the namespace runs, its firewall lets this machine in, and the identity may send to the hub."
        return Finding("Event Hubs", "error", text, fix)
    return Finding("Event Hubs", "ok", f"hub {OBSERVATIONS} with {partitions} partitions")


def _state(container: str, environment: Mapping[str, str]) -> Finding:
    try:
        blobs = BlobContainer(container, environment)
        names = [blob.name for blob in blobs.list()]
        blobs.close()
    except BlobError as fault:
        return Finding("state", "error", str(fault), "See the text.")
    return Finding("state", "ok", f"container reached, {len(names)} blobs")
