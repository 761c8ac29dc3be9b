"""The pages of incidents on one machine, and what PagerDuty and ServiceNow send back: what the fan-out serves on Azure, from the
state and the settings of this run.

Whoever sits at this machine has a name here. Whoever has signed in from another one (sign_in.py) has none, and what is done
about an incident has an author: they are sent back.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Iterator
from contextlib import contextmanager

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from local.run_settings import RunSettings
from processors.alert_fanout import inbound, incident_page
from processors.alert_fanout.secrets import secret_from
from processors.alert_fanout.settings import FanoutSettings, load_fanout_settings
from processors.alert_fanout.state import SqliteTexts, State
from processors.contracts.validation import SettingsError, is_this_machine

LIVE_PAGES = (("Cities", "/"), ("Wall", "/wall"), ("Devices", "/devices"), ("Alerts", "/alerts"))
"""The pages that the live page's navigation leads to, besides these (static/page.html)."""
_ELSEWHERE = (
    "Incidents are acted on from the machine that RoomPulse runs on, where you have a name: open this there, or take "
    "roompulse alerts list. On Azure people sign in (azure.incidentPages)."
)


def incident_routes(settings: RunSettings) -> list[Route]:
    """The routes of the pages, and of what is sent back."""
    secrets = secret_from(os.environ | {"SECRETS_FOLDER": str(settings.secrets_dir)})

    @contextmanager
    def opened() -> Iterator[tuple[State, FanoutSettings]]:
        state = State(SqliteTexts(settings.state_dir / "fanout.sqlite"))
        try:
            yield state, load_fanout_settings(settings.fanout_settings_path)
        finally:
            state.close()

    def answered(request: incident_page.Request) -> incident_page.Response:
        try:
            with opened() as (state, known):
                return incident_page.answer(request, state, known, settings.clock.now())
        except SettingsError as fault:
            return incident_page.message(request, 503, "Not now", str(fault))

    def taken(service: str, headers: inbound.Headers, body: bytes) -> inbound.Answer:
        with opened() as (state, known):
            return inbound.answer(service, headers, body, state, known, secrets, settings.clock.now())

    async def hook(request: Request) -> Response:
        sent = request.path_params["service"], dict(request.headers), await request.body()
        got = await run_in_threadpool(taken, *sent)
        return PlainTextResponse(got.text, got.status)

    async def page(request: Request) -> Response:
        here = request.client is not None and is_this_machine(request.client.host)
        asked = incident_page.Request(
            request.method,
            request.url.path,
            dict(request.headers),
            await request.body(),
            getpass.getuser() if here else None,
            LIVE_PAGES,
        )
        elsewhere = incident_page.message(asked, 403, "Not from another machine", _ELSEWHERE)
        got = await run_in_threadpool(answered, asked) if here else elsewhere
        return Response(got.body, got.status, dict(got.headers))

    paths = (incident_page.PATH, incident_page.PATH + "/{name:path}")
    pages = [Route(path, page, methods=["GET", "POST"]) for path in paths]
    return [*pages, Route(inbound.PATH + "/{service}", hook, methods=["POST"])]
