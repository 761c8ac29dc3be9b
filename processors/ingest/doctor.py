"""Looks at all the ingest needs, and says what an administrator must mend: token, scopes, reach, pages, cities, Event Hubs.

It only reads, with a handful of requests, and goes on after every fault: all of them at once.
"""

from __future__ import annotations

import difflib
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal
from urllib.parse import urlencode

import requests

from processors.azure_blobs import BlobContainer, BlobError
from processors.clock import utc_now
from processors.contracts.facts import UNASSIGNED, normalised
from processors.contracts.signals import METRICS
from processors.contracts.validation import SettingsError
from processors.ingest.city_mapping import CityMapping
from processors.ingest.environment import WEBEX_API, faults_of, ingest_settings_from, token_source
from processors.ingest.settings import IngestSettings
from processors.ingest.sinks import OBSERVATIONS, EventHubsSink
from processors.ingest.webex_client import TokenError

Verdict = Literal["ok", "warning", "error"]

PAGE_SIZE = 1000
MOST_PAGES = 200
TIMEOUT_SECONDS = (5.0, 20.0)
SHORTEST_TOKEN_DAYS = 3.0
SCOPE_OF = {
    "/devices": "spark-admin:devices_read",
    "/workspaces": "spark-admin:workspaces_read",
    "/locations": "spark-admin:locations_read",
    "/workspaceMetrics": "spark-admin:workspace_metrics_read",
    "/xapi/status": "spark:xapi_statuses",
}
XAPI_PERMISSIONS = frozenset({"xapi:readonly", "xapi:all"})


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is, and what to do about it (nothing when it is well)."""

    check: str
    verdict: Verdict
    text: str
    fix: str = ""


@dataclass(frozen=True)
class _Answer:
    """An answer of Webex; status 0 when there was none, `items` None when it holds no list."""

    status: int
    document: dict[str, Any]
    next_url: str | None
    tracking_id: str | None

    @property
    def items(self) -> list[dict[str, Any]] | None:
        """The objects of a listing."""
        items = self.document.get("items")
        return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else None


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
    yield Finding("settings", "ok", f"{len(settings.cities)} cities, a poll every {settings.poll_seconds:g} s")
    yield from _Webex(environment, settings).examine()
    if event_hubs:
        yield _event_hubs(environment)
    if container := environment.get("STATE_BLOB_URL"):
        yield _state(container, environment)


class _Webex:
    """What there is to see of Webex."""

    def __init__(self, environment: Mapping[str, str], settings: IngestSettings) -> None:
        self._environment = environment
        self._settings = settings
        self._base = environment.get("WEBEX_API_BASE", WEBEX_API).rstrip("/")
        self._token = ""

    def examine(self) -> Iterator[Finding]:
        """Token first: without one there is nothing else to see."""
        try:
            self._token = token_source(self._environment).token()
        except TokenError as fault:
            yield Finding("token", "error", str(fault), "See the text; the rest of Webex could not be looked at.")
            return
        token = self._examine_token()
        yield token
        if token.verdict == "error":
            return
        locations = yield from self._listing("/locations", {})
        workspaces = yield from self._listing("/workspaces", {"includeCapabilities": "true"})
        devices = yield from self._listing("/devices", {})
        if locations is not None:
            yield from _cities(self._settings, locations, devices or [])
        if workspaces:
            yield from self._metrics(workspaces)
        if devices:
            yield from self._xapi(devices)

    def _examine_token(self) -> Finding:
        answer = self._ask(f"{self._base}/authorizations/tokenExpiry")
        if answer.status == 0:
            fix = "See WEBEX_API_BASE, the proxy and the firewall: the ingest needs https to webexapis.com."
            return Finding("token", "error", f"Webex can't be reached at {self._base}", fix)
        if answer.status == 401:
            fix = "Authorise the service app in Control Hub, and store the token it gives."
            return Finding("token", "error", f"Webex refuses the token (tracking id {answer.tracking_id})", fix)
        expiry = answer.document.get("exp")
        if not isinstance(expiry, int | float):
            return Finding("token", "warning", f"valid; Webex does not say until when ({answer.status})")
        days = (datetime.fromtimestamp(expiry / 1000, UTC) - utc_now()).total_seconds() / 86_400
        renewed = "WEBEX_TOKEN_VAULT_URI" in self._environment or "WEBEX_TOKEN_FILE" in self._environment
        if days < SHORTEST_TOKEN_DAYS and not renewed:
            fix = "Nothing renews WEBEX_ACCESS_TOKEN: give the ingest a token set (WEBEX_TOKEN_FILE, WEBEX_TOKEN_VAULT_URI)."
            return Finding("token", "warning", f"valid for {days:.1f} days only", fix)
        return Finding("token", "ok", f"valid for {days:.1f} days" + (", renewed by the ingest" if renewed else ""))

    def _listing(self, path: str, params: dict[str, str]) -> Generator[Finding, None, list[dict[str, Any]] | None]:
        """The records of a listing (None when it can't be had), all pages; says how it went."""
        url: str | None = f"{self._base}{path}?{urlencode({**params, 'max': str(PAGE_SIZE)})}"
        records: list[dict[str, Any]] = []
        pages, largest = 0, 0
        while url and pages < MOST_PAGES:
            answer = self._ask(url)
            if answer.items is None:
                yield self._refused(path, answer)
                return None
            pages, largest = pages + 1, max(largest, len(answer.items))
            records += answer.items
            url = answer.next_url
        cap = f"; asked for {PAGE_SIZE}, pages hold {largest}" if pages > 1 and largest < PAGE_SIZE else ""
        yield Finding(path, "ok", f"{len(records):,} records in {pages} page{'s' if pages != 1 else ''}{cap}")
        return records

    def _refused(self, path: str, answer: _Answer) -> Finding:
        text = f"Webex answers {answer.status or 'nothing'} (tracking id {answer.tracking_id})"
        if answer.status == 403:
            return Finding(path, "error", text, f"Add the scope {SCOPE_OF[path]} to the service app, then authorise it again.")
        return Finding(path, "error", text, "Run this again; if it stays, ask Cisco support with the tracking id.")

    def _metrics(self, workspaces: list[dict[str, Any]]) -> Iterator[Finding]:
        for metric in self._settings.metrics:
            capability = METRICS[metric]
            equipped = [one for one in workspaces if ((one.get("capabilities") or {}).get(capability) or {}).get("configured")]
            if equipped:
                params = {"workspaceId": str(equipped[0]["id"]), "metricName": metric, "aggregation": "none"}
                answer = self._ask(f"{self._base}/workspaceMetrics?{urlencode(params)}")
                if answer.status == 403:
                    yield self._refused("/workspaceMetrics", answer)
                else:
                    yield Finding("/workspaceMetrics", "ok", f"{len(equipped):,} of {len(workspaces):,} rooms measure {metric}")
                return
        if self._settings.metrics:
            fix = "Turn the sensors on in Control Hub, or take metrics out of the stack."
            yield Finding("/workspaceMetrics", "warning", "no room has a sensor of the configured metrics set up", fix)

    def _xapi(self, devices: list[dict[str, Any]]) -> Iterator[Finding]:
        rooms = [one for one in devices if one.get("type") == "roomdesk"]
        granted = [one for one in rooms if XAPI_PERMISSIONS & set(one.get("permissions") or ())]
        share = f"{len(granted):,} of {len(rooms):,} room devices grant xAPI"
        if rooms and not granted:
            yield Finding(
                "xAPI", "warning", share, f"Add the scope {SCOPE_OF['/xapi/status']} to the service app, if calls matter."
            )
            return
        reachable = [one for one in granted if str(one.get("connectionStatus", "")).startswith("connected")]
        if reachable:
            params = {"deviceId": str(reachable[0].get("id")), "name": "SystemUnit.State.NumberOfActiveCalls"}
            answer = self._ask(f"{self._base}/xapi/status?{urlencode(params)}")
            if answer.status == 403:
                yield self._refused("/xapi/status", answer)
                return
        yield Finding("xAPI", "ok", share)

    def _ask(self, url: str) -> _Answer:
        try:
            headers = {"Authorization": f"Bearer {self._token}"}
            response = requests.get(url, headers=headers, timeout=TIMEOUT_SECONDS, allow_redirects=False)
            next_url = response.links.get("next", {}).get("url")
            document = response.json()
        except requests.JSONDecodeError:
            return _Answer(response.status_code, {}, None, response.headers.get("TrackingID"))
        except requests.RequestException:
            return _Answer(0, {}, None, None)
        proper = document if isinstance(document, dict) else {}
        next_url = next_url if next_url and next_url.startswith(self._base) else None
        return _Answer(response.status_code, proper, next_url, response.headers.get("TrackingID"))


def _cities(settings: IngestSettings, locations: list[dict[str, Any]], devices: list[dict[str, Any]]) -> Iterator[Finding]:
    """Locations that no city lists, and what cities list that Webex does not know."""
    mapping = CityMapping(settings.cities)
    at: dict[str, int] = {}
    for device in devices:
        at[str(device.get("locationId"))] = at.get(str(device.get("locationId")), 0) + 1
    unassigned = [one for one in locations if mapping.city_of(one.get("id"), one.get("name")) == UNASSIGNED]
    for one in unassigned:
        text = f'location "{one.get("name")}" ({at.get(str(one.get("id")), 0)} devices) belongs to no city'
        yield Finding("cities", "warning", text, f'Add it to a city of the stack: webexLocations: ["{one.get("name")}"]')
    names = {normalised(str(one.get("name"))): str(one.get("name")) for one in locations}
    known = {*names, *(one.get("id") for one in locations)}
    unknown = False
    for city in settings.cities:
        for wanted in city.webex_locations:
            if wanted not in known and normalised(wanted) not in known:
                unknown = True
                near = difflib.get_close_matches(normalised(wanted), names, n=1)
                meant = f' Did you mean "{names[near[0]]}"?' if near else ""
                fix = f"Correct webexLocations of city {city.slug}.{meant}"
                yield Finding("cities", "error", f'city {city.slug} lists "{wanted}", which Webex does not have', fix)
    if not unassigned and not unknown:
        yield Finding("cities", "ok", f"every one of {len(locations)} locations belongs to a city")


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
