"""The pages of incidents on one machine: what the fan-out serves on Azure, from the state and the settings of this run.

Whoever sits at this machine has a name here. Whoever has signed in from another one (sign_in.py) has none, and what is done
about an incident has an author: they are sent back.
"""

from __future__ import annotations

import getpass

from starlette.concurrency import run_in_threadpool
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from local.run_settings import RunSettings
from processors.alert_fanout import incident_page
from processors.alert_fanout.settings import load_fanout_settings
from processors.alert_fanout.state import SqliteTexts, State
from processors.contracts.validation import is_this_machine

_ELSEWHERE = (
    "Incidents are acted on from the machine that RoomPulse runs on, where you have a name: open this there, or take "
    "roompulse alerts list. On Azure people sign in (azure.incidentPages).\n"
)


def incident_routes(settings: RunSettings) -> list[Route]:
    """The routes of the pages."""

    def answered(request: incident_page.Request) -> incident_page.Response:
        state = State(SqliteTexts(settings.state_dir / "fanout.sqlite"))
        try:
            told = load_fanout_settings(settings.fanout_settings_path)
            return incident_page.answer(request, state, told, settings.clock.now())
        finally:
            state.close()

    async def page(request: Request) -> Response:
        if request.client is None or not is_this_machine(request.client.host):
            return PlainTextResponse(_ELSEWHERE, 403)
        asked = incident_page.Request(
            request.method,
            request.url.path,
            dict(request.headers),
            await request.body(),
            getpass.getuser(),
        )
        got = await run_in_threadpool(answered, asked)
        return Response(got.body, got.status, dict(got.headers))

    paths = (incident_page.PATH, incident_page.PATH + "/{name:path}")
    return [Route(path, page, methods=["GET", "POST"]) for path in paths]
