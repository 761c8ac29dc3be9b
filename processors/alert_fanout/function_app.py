"""The alert fan-out as an Azure Function: `deliver` gets batches of events from hub ALERTS_HUB, consumer group
ALERTS_GROUP; `tend` runs every few seconds and sends what waited, failed or changed.

Environment: EVENT_HUBS (where the hub is), SETTINGS_BLOB_URL (a container with the settings in pieces) or FANOUT_SETTINGS
(path of a folder of pieces, or of one file), TEND_SCHEDULE (NCRONTAB), and where the state is: STATE_BLOB_URL (a blob container,
entered as AZURE_CLIENT_ID) or else STATE_FOLDER (a folder of this machine).
INCIDENTS_HUB is the hub that what becomes of incidents is sent to, in INCIDENTS_NAMESPACE where that is another than EVENT_HUBS.
SECRETS_VAULT_URI is the Key Vault with the contacts' secrets; locally they are SECRET_* or files of SECRETS_FOLDER.
`incidents` serves the pages of incidents, to people whom Entra has signed in: INCIDENT_PAGES is `entra` where the deployment has
switched that on, and the platform says so too (WEBSITE_AUTH_ENABLED). INCIDENT_PAGES_URL is where the pages are otherwise.
`hooks` takes what PagerDuty and ServiceNow send back, where a contact names the secret by which that is known.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import List  # noqa: UP035 (see deliver)
from urllib.parse import urlsplit

import azure.functions as func

from processors.alert_fanout import inbound
from processors.alert_fanout.fan_out import FanOut
from processors.alert_fanout.history import history_of
from processors.alert_fanout.incident_page import Request, answer
from processors.alert_fanout.secrets import secret_from
from processors.alert_fanout.settings import FanoutSettings, fanout_settings_of
from processors.alert_fanout.state import SqliteTexts, State, TextStore
from processors.clock import utc_now
from processors.contracts.validation import FANOUT_SETTINGS
from processors.deployed_content import health_route
from processors.settings_source import Settings, settings_from
from processors.telemetry import export_log

SERVICE = "roompulse-alert-fanout"

app = func.FunctionApp()
app.register_functions(health_route)

_one_at_a_time, _one_page_at_a_time = threading.Lock(), threading.Lock()
_settings: Settings | None = None
_fan_out: FanOut | None = None
_pages: State | None = None


class EnvironmentFault(Exception):
    """Environment variables are missing. The text names each one and what it should hold."""


@app.retry(strategy="exponential_backoff", max_retry_count="-1", minimum_interval="00:00:02", maximum_interval="00:01:00")  # type: ignore[untyped-decorator]
@app.event_hub_message_trigger(  # type: ignore[untyped-decorator]
    arg_name="events",
    event_hub_name="%ALERTS_HUB%",
    connection="EVENT_HUBS",
    consumer_group="%ALERTS_GROUP%",
    cardinality=func.Cardinality.MANY,
)
def deliver(events: List[func.EventHubEvent]) -> None:  # noqa: UP006 (the worker takes typing.List, and no list[...])
    """Enter the alerts of these events and send what is due. It raises only when they could not be written down.

    On Azure a batch whose function raised would be gone: the retry policy gives it again, and moves no checkpoint, for as long as
    it takes.
    """
    bodies = [event.get_body() for event in events]
    _with_fan_out(lambda fan_out: fan_out.handle(bodies))


@app.timer_trigger(arg_name="timer", schedule="%TEND_SCHEDULE%", run_on_startup=False, use_monitor=False)  # type: ignore[untyped-decorator]
def tend(timer: func.TimerRequest) -> None:
    """Send what waited for its hour or its channel, and what has changed."""
    _with_fan_out(lambda fan_out: fan_out.tend())


@app.route(route="hooks/{service}", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)  # type: ignore[untyped-decorator]
def hooks(req: func.HttpRequest) -> func.HttpResponse:
    """What PagerDuty and ServiceNow send back, known by its signature. `req` must be called so: see `incidents`."""
    headers = {name.lower(): value for name, value in req.headers.items()}
    with _one_page_at_a_time:
        state, settings = _page_state()
        got = inbound.answer(req.route_params["service"], headers, req.get_body(), state, settings, secret_from(), utc_now())
    return func.HttpResponse(got.text, status_code=got.status, mimetype="text/plain", charset="utf-8")


@app.route(route="incidents/{*name}", methods=["GET", "POST"], auth_level=func.AuthLevel.ANONYMOUS)  # type: ignore[untyped-decorator]
def incidents(req: func.HttpRequest) -> func.HttpResponse:
    """The pages of incidents. `req` must be called so: the worker binds a route to this name."""
    if not _signs_in(os.environ):
        return func.HttpResponse("Incident pages are off: azure.incidentPages of the stack switches them on.", status_code=404)
    url, headers = urlsplit(req.url), {name.lower(): value for name, value in req.headers.items()}
    person = headers.get("x-ms-client-principal-name") if headers.get("x-ms-client-principal-idp") == "aad" else None
    with _one_page_at_a_time:
        state, settings = _page_state()
        got = answer(Request(req.method, url.path, headers, req.get_body(), person), state, settings, utc_now())
    others = {name: value for name, value in got.headers.items() if name != "Content-Type"}
    return func.HttpResponse(got.body, status_code=got.status, headers=others, mimetype="text/html", charset="utf-8")


def _signs_in(environment: Mapping[str, str]) -> bool:
    """Whether nobody comes here but whom Entra has signed in, so that the headers that name them are the platform's."""
    return environment.get("INCIDENT_PAGES") == "entra" and environment.get("WEBSITE_AUTH_ENABLED", "").lower() == "true"


def pages_url(environment: Mapping[str, str]) -> str | None:
    """Where the pages of incidents are; None where there are none."""
    if environment.get("INCIDENT_PAGES") == "entra" and environment.get("WEBSITE_HOSTNAME"):
        return f"https://{environment['WEBSITE_HOSTNAME']}"
    return environment.get("INCIDENT_PAGES_URL") or None


def _page_state() -> tuple[State, FanoutSettings]:
    """A state of the pages' own, so that nobody waits for what is being sent."""
    global _pages, _settings
    _settings = _settings or _settings_of(os.environ)
    _pages = _pages or State(store_of(os.environ))
    return _pages, fanout_settings_of(_settings.document())


def _with_fan_out(what: Callable[[FanOut], None]) -> None:
    global _fan_out, _settings
    export_log(os.environ, SERVICE)
    with _one_at_a_time:
        _settings = _settings or _settings_of(os.environ)
        if _fan_out and _settings.changed():
            _fan_out.close()
            _fan_out = None
        _fan_out = _fan_out or _opened(os.environ, _settings)
        try:
            what(_fan_out)
        except Exception:
            _fan_out.close()  # its files may be gone: open them anew the next time
            _fan_out = None
            raise


def _settings_of(environment: Mapping[str, str]) -> Settings:
    missing = []
    if not (environment.get("SETTINGS_BLOB_URL") or environment.get("FANOUT_SETTINGS")):
        missing.append("FANOUT_SETTINGS is not set: the path of the fan-out's settings (or SETTINGS_BLOB_URL, a blob container).")
    if not environment.get("STATE_BLOB_URL") and not environment.get("STATE_FOLDER"):
        missing.append("STATE_FOLDER is not set: a folder to keep state in (or STATE_BLOB_URL, a blob container).")
    if missing:
        raise EnvironmentFault("\n".join(missing))
    return settings_from(environment, "FANOUT_SETTINGS", FANOUT_SETTINGS)


def _opened(environment: Mapping[str, str], settings: Settings) -> FanOut:
    state = State(store_of(environment))
    with_pages = replace(fanout_settings_of(settings.document()), pages=pages_url(environment))
    instance = environment.get("WEBSITE_INSTANCE_ID", "local")
    return FanOut(with_pages, state, instance=instance, history=history_of(environment))


def store_of(environment: Mapping[str, str]) -> TextStore:
    """Where the environment says that the state is."""
    if environment.get("STATE_BLOB_URL"):
        from processors.alert_fanout.state_blobs import BlobTexts  # its client takes 120 ms to import

        return BlobTexts(environment["STATE_BLOB_URL"], environment)
    return SqliteTexts(Path(environment["STATE_FOLDER"]) / "fanout.sqlite")
