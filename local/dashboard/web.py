"""The page over HTTP: the HTML page, the sections it shows as JSON, and a stream of what changes (server-sent events).

Served to this machine only, or to whoever has signed in (guard.py). Nothing comes from anywhere else, and the content security
policy holds browsers to that.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from local.dashboard.directory import Asked
from local.dashboard.feed import Feed, ViewKey
from local.dashboard.guard import KnownNames, SecureHeaders, SignInRequired, names_of
from local.dashboard.sign_in import SignIn
from local.part import PartError

STATIC = Path(__file__).parent / "static"

HEARTBEAT_SECONDS = 5.0
"""How often an idle stream says that it lives: the page calls a stream dead after two missing heartbeats."""
RETRY_MILLISECONDS = 2000
"""How long a browser waits before it connects again."""

_VIEWS: Mapping[str | None, ViewKey] = {
    None: ViewKey("overview"),
    "alerts": ViewKey("alerts"),
    "wall": ViewKey("wall"),
    "frame": ViewKey("frame"),
}


def create_app(feed: Feed, sign_in: SignIn | None = None, more: Sequence[Route] = ()) -> Starlette:
    """The web application over a feed, which somebody else keeps running, with more routes. `sign_in`: whom it is for; None where
    it is for all who reach it.
    """
    guards = [
        Middleware(SecureHeaders),
        Middleware(KnownNames, names=names_of(feed.settings.page_host), addresses=sign_in is not None),
    ]
    if sign_in is not None:
        guards.append(Middleware(SignInRequired, sign_in=sign_in))

    async def page(request: Request) -> Response:
        slug = request.path_params.get("slug")
        if slug is not None and not feed.knows(slug):
            raise HTTPException(404)
        return FileResponse(STATIC / "page.html")  # which page it becomes, it reads from its own address

    def page_of(knows: Callable[[str], bool]) -> Callable[[Request], Awaitable[Response]]:
        async def entity_page(request: Request) -> Response:
            if not await asyncio.to_thread(knows, request.path_params["id"]):
                raise HTTPException(404)
            return FileResponse(STATIC / "page.html")

        return entity_page

    def answer_of(asked: Callable[[Request], object]) -> Callable[[Request], Awaitable[Response]]:
        """What a lookup gives as JSON: 404 for None, 503 with the reason where it can't be looked up."""

        async def answered(request: Request) -> Response:
            try:
                found = await asyncio.to_thread(asked, request)
            except PartError as fault:
                return JSONResponse({"error": str(fault)}, 503)
            return JSONResponse({"error": "nobody has heard of it"}, 404) if found is None else JSONResponse(found)

        return answered

    async def devices_csv(request: Request) -> Response:
        text = await asyncio.to_thread(feed.lookup.csv, _asked(request))
        headers = {"Content-Disposition": f'attachment; filename="devices-{feed.settings.clock.now():%Y-%m-%dT%H%MZ}.csv"'}
        return Response(text.encode(), media_type="text/csv; charset=utf-8; header=present", headers=headers)

    async def sections(request: Request) -> Response:
        key = _key(feed, request.path_params.get("slug"), request.path_params.get("view"))
        return Response(_message(feed, feed.view(key).newer_than(0)), media_type="application/json")

    async def events(request: Request) -> Response:
        key = _key(feed, request.query_params.get("city"), request.query_params.get("view"))
        return StreamingResponse(_stream(feed, key), media_type="text/event-stream", headers={"Cache-Control": "no-store"})

    async def session(_: Request) -> Response:
        return Response(status_code=204)  # who gets here is signed in

    async def health(_: Request) -> Response:
        status = feed.view(ViewKey("overview")).sections["status"][1]
        return JSONResponse({"status": json.loads(status)["state"], "clock": feed.clock()})

    return Starlette(
        routes=[
            Route("/", page),
            Route("/cities/{slug}", page),
            Route("/alerts", page),
            Route("/wall", page),
            Route("/devices", page),
            Route("/search", page),
            Route("/devices.csv", devices_csv),
            Route("/devices/{id:path}", page_of(feed.lookup.knows_device)),
            Route("/rooms/{id:path}", page_of(feed.lookup.knows_room)),
            Route("/api/devices", answer_of(lambda request: feed.lookup.devices(_asked(request), _offset(request)))),
            Route("/api/search", answer_of(lambda request: feed.lookup.search(request.query_params.get("q", "")))),
            Route("/api/devices/{id:path}", answer_of(lambda request: feed.lookup.device(request.path_params["id"]))),
            Route("/api/rooms/{id:path}", answer_of(lambda request: feed.lookup.room(request.path_params["id"]))),
            Route("/api/snapshot", sections),
            Route("/api/cities/{slug}", sections),
            Route("/api/session", session),
            Route("/api/{view}", sections),
            Route("/events", events),
            Route("/healthz", health),
            Mount("/static", StaticFiles(directory=STATIC)),
            *more,
        ],
        middleware=guards,
        exception_handlers={404: _not_found},
    )


async def _not_found(request: Request, fault: Exception) -> Response:
    """A page with the way back; for programs the reason as text."""
    if request.url.path.startswith(("/api/", "/events", "/static/")):
        return PlainTextResponse(f"{fault.detail if isinstance(fault, HTTPException) else 'not found'}\n", 404)
    return FileResponse(STATIC / "not_found.html", 404)


def _asked(request: Request) -> Asked:
    query = request.query_params
    return Asked(query.get("q", ""), query.get("city", ""), query.get("health", ""), query.get("sort", "health"))


def _offset(request: Request) -> int:
    given = request.query_params.get("offset", "0")
    return int(given) if given.isascii() and given.isdecimal() and len(given) < 9 else 0


def _key(feed: Feed, city: str | None, view: str | None) -> ViewKey:
    if city is not None:
        if not feed.knows(city):
            raise HTTPException(404, f"there is no city {city}")
        return ViewKey("city", city)
    if view not in _VIEWS:
        raise HTTPException(404, f"there is no view {view}: ask for alerts, for the wall, for a city, or for none")
    return _VIEWS[view]


def _message(feed: Feed, sections: dict[str, str]) -> str:
    """A JSON object of sections that are JSON text already, with the clock."""
    return "{" + ",".join(f'"{name}":{text}' for name, text in {"clock": json.dumps(feed.clock()), **sections}.items()) + "}"


async def _stream(feed: Feed, key: ViewKey) -> AsyncIterator[str]:
    """All sections of a view, then those that change, and a heartbeat when nothing does."""
    yield f"retry: {RETRY_MILLISECONDS}\n\n"
    seen = 0
    while not feed.closed:
        sections = feed.view(key).newer_than(seen)
        seen = feed.generation
        if sections:
            yield _event("sections", _message(feed, sections))
        while not await feed.newer_than(seen, HEARTBEAT_SECONDS):
            yield _event("heartbeat", _message(feed, {}))


def _event(name: str, data: Any) -> str:
    return f"event: {name}\ndata: {data}\n\n"
