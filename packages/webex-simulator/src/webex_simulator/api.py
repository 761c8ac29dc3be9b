"""The documented API: which request gets which answer."""

from __future__ import annotations

import threading
from typing import NamedTuple

from webex_simulator import status_page
from webex_simulator.answers import Answer, ApiError, Query, error_answer, json_answer
from webex_simulator.api_faults import before_answering, corrupted
from webex_simulator.clock import Clock
from webex_simulator.conditions import Conditions
from webex_simulator.control_hub import ControlHub
from webex_simulator.effects import Effects
from webex_simulator.environment import Environment
from webex_simulator.estate import Device, Estate
from webex_simulator.integrations import Integrations
from webex_simulator.listing import DEVICE_FILTERS, WORKSPACE_FILTERS, Listing, PagingTraps, filtered, page
from webex_simulator.names import fold
from webex_simulator.records import Records
from webex_simulator.tokens import Tokens
from webex_simulator.workspace_metrics import workspace_durations, workspace_metrics
from webex_simulator.xapi import xapi_status

LOCATIONS_CAP = 500
"""Documented as the default page size of /locations."""


class Request(NamedTuple):
    """A request to the API: `base` is the address it came to, scheme and host."""

    method: str
    base: str
    path: str
    query: Query
    authorization: str | None
    body: str


class Api:
    """Answers requests from the estate as it is at the time of the clock. Thread-safe."""

    def __init__(self, estate: Estate, effects: Effects, clock: Clock, page_cap: int) -> None:
        """`page_cap`: most devices or workspaces a page."""
        self._estate = estate
        self._effects = effects
        self._clock = clock
        self._page_cap = page_cap
        self._conditions = Conditions(estate, effects)
        self._environment = Environment(estate, self._conditions, effects)
        self._records = Records(estate, self._conditions, effects)
        self._tokens = Tokens(estate.seed, effects)
        self.control_hub = ControlHub(estate, Conditions(estate, effects), effects, clock)
        """Sends alerts about devices where it is set up to."""
        self.integrations = Integrations(estate, self._environment, self._conditions, effects, clock)
        """Those that are activated: their devices report by themselves."""
        self._lock = threading.Lock()

    def respond(self, request: Request, tracking_id: str) -> Answer:
        """The answer to a request, errors included. Raises Dropped when the connection is to be cut instead."""
        try:
            if request.path == status_page.PATH:
                return status_page.unresolved_incidents(self._effects, self._clock.seconds())
            before_answering(self._effects, request.path, self._clock.seconds())
            pushed = self._pushed(request)
            if pushed is not None:
                return pushed
            with self._lock:
                now = self._clock.seconds()
                return corrupted(self._route(request, now), self._effects, request.path, now)
        except ApiError as error:
            return error_answer(error, tracking_id)

    def _pushed(self, request: Request) -> Answer | None:
        """The answer to what only integrations ask for; None for another request. It may take long, so it holds no lock."""
        parts = request.path.strip("/").split("/")
        match parts:
            case ["jwks"]:
                return json_answer(self.integrations.signer.jwks())
            case ["xapi", "api", "organizations", self._estate.organization_id, "apps", app_id, *rest]:
                self._tokens.check(request.authorization, self._clock.seconds(), app_id)
                return self.integrations.respond(app_id, request.method, rest, request.body, request.base)
        return None

    def _route(self, request: Request, now: float) -> Answer:
        parts = request.path.strip("/").split("/")
        if parts == ["v1", "access_token"]:
            if request.method != "POST":
                raise ApiError(405, "Use POST with a form.")
            return self._tokens.refresh(request.body, now)
        self._tokens.check(request.authorization, now)
        if request.method != "GET":
            raise ApiError(405, "The simulator only reads.")
        match parts:
            case ["v1", "authorizations", "tokenExpiry"]:
                return self._tokens.expiry(request.authorization, now)
            case ["v1", "devices"]:
                devices = Listing(len(self._estate.devices), lambda index: self._records.device(index, now))
                return self._page(filtered(devices, request.query, DEVICE_FILTERS), request, self._page_cap, now)
            case ["v1", "devices", device_id]:
                return Answer(200, self._records.device(self._device(device_id).index, now))
            case ["v1", "workspaces"]:
                return self._workspaces(request, now)
            case ["v1", "locations"]:
                return self._locations(request, now)
            case ["v1", "locations", location_id, "floors"] if location_id in self._estate.location_of_id:
                return Answer(200, self._records.floors(self._estate.location_of_id[location_id]))
            case ["v1", "workspaceMetrics"]:
                return workspace_metrics(self._estate, self._environment, request.query, now)
            case ["v1", "workspaceDurationMetrics"]:
                return workspace_durations(self._estate, request.query, now)
            case ["v1", "xapi", "status"]:
                return self._xapi(request.query, now)
        raise ApiError(404, f"The requested resource could not be found: {request.path}")

    def _workspaces(self, request: Request, now: float) -> Answer:
        devices, capabilities = request.query.flag("includeDevices"), request.query.flag("includeCapabilities")
        workspaces = self._estate.workspaces

        def render(index: int) -> bytes:
            return self._records.workspace(workspaces[index], now, devices=devices, capabilities=capabilities)

        listing = filtered(Listing(len(workspaces), render), request.query, WORKSPACE_FILTERS)
        return self._page(listing, request, self._page_cap, now)

    def _locations(self, request: Request, now: float) -> Answer:
        """Locations by id, and by a part of the name whatever its case."""
        name, wanted = fold(request.query.get("name") or ""), request.query.get("id")
        chosen = [each for each in self._estate.locations if name in fold(each.name) and wanted in (None, each.id)]
        return self._page(Listing(len(chosen), lambda index: self._records.location(chosen[index])), request, LOCATIONS_CAP, now)

    def _xapi(self, query: Query, now: float) -> Answer:
        device = self._device(query.required("deviceId"))
        return xapi_status(self._estate, self._environment, self._records.condition(device.index, now), device, query, now)

    def _device(self, device_id: str) -> Device:
        device = self._estate.device_of_id.get(device_id)
        if device is None:
            raise ApiError(404, "There is no such device.")
        return device

    def _page(self, listing: Listing, request: Request, cap: int, now: float) -> Answer:
        traps = self._effects.of_kind("paging-traps", now)
        return page(
            listing, request.query, f"{request.base}{request.path}", cap, PagingTraps(**traps.values) if traps else PagingTraps()
        )
