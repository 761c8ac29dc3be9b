"""Azure Monitor gets every alert as a row of its table, and a fault of it is a delivery to be repeated."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from processors.alert_fanout.alerts import Alert, alerts_in
from processors.alert_fanout.channels.azure_monitor import AzureMonitor, row_of
from processors.alert_fanout.delivery import DeliveryError
from processors.alert_fanout.notice import Line, Notice
from processors.contracts.validation import SettingsError


class Ingestion:
    """A Logs Ingestion endpoint that answers as scripted (204 when nothing is)."""

    def __init__(self) -> None:
        self.address = ""
        self.answers: list[int] = []
        self.requests: list[tuple[str, str, list[dict[str, Any]]]] = []


@pytest.fixture
def ingestion() -> Iterator[Ingestion]:
    state = Ingestion()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            state.requests.append((self.path, self.headers["Authorization"], content))
            self.send_response(state.answers.pop(0) if state.answers else 204)
            self.end_headers()

        def log_message(self, format: str, *args: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    state.address = f"http://127.0.0.1:{server.server_port}/dataCollectionRules/dcr-1/streams/Custom-RoomAlerts"
    yield state
    server.shutdown()
    server.server_close()


def notice() -> Notice:
    row = {
        "alertId": "device-offline|device-1|2026-11-24T09:30:00Z",
        "ruleId": "device-offline",
        "severity": 2,
        "state": "fired",
        "entity": "device",
        "entityId": "device-1",
        "name": "Room Bar 1",
        "cityId": "lyon",
        "signal": "offline",
        "value": 1.0,
        "threshold": 1.0,
        "startedAt": "2026-11-24T09:30:00Z",
        "observedAt": "2026-11-24T09:35:00Z",
    }
    (alert,) = alerts_in(json.dumps(row).encode())
    assert isinstance(alert, Alert)
    return Notice("open", "key", "incident", "title", (Line("text"),), alert, None, "Lyon", None, (), 0, None)


def test_an_alert_arrives_as_one_row_with_the_identity_s_token(ingestion: Ingestion) -> None:
    AzureMonitor("lyon/email", ingestion.address, lambda: "token").send(notice())
    ((path, authorization, (row,)),) = ingestion.requests
    assert path.endswith("/streams/Custom-RoomAlerts") and authorization == "Bearer token"
    assert (row["CityId"], row["State"], row["Severity"], row["LocationName"]) == ("lyon", "fired", 2, "")


@pytest.mark.parametrize(("status", "refused"), [(503, False), (429, False), (403, False), (400, True)])
def test_what_time_fixes_is_distinguished_from_a_refusal(ingestion: Ingestion, status: int, refused: bool) -> None:
    """403 is what a role says that was given a minute ago."""
    ingestion.answers = [status]
    with pytest.raises(DeliveryError) as caught:
        AzureMonitor("lyon/email", ingestion.address, lambda: "token").send(notice())
    assert caught.value.refused is refused


def test_an_end_that_no_row_tells_is_newer_than_the_beginning() -> None:
    row = row_of(replace(notice(), action="merge"), "lyon/email")
    assert row["State"] == "resolved" and row["ObservedAt"] > row["StartedAt"]


def test_a_lasting_fault_is_said_without_the_token(ingestion: Ingestion) -> None:
    ingestion.answers = [403]
    with pytest.raises(DeliveryError, match="status 403") as caught:
        AzureMonitor("lyon/email", ingestion.address, lambda: "secret-token").send(notice())
    assert "secret-token" not in str(caught.value)


def test_no_endpoint_is_a_delivery_that_failed() -> None:
    with pytest.raises(DeliveryError, match="was not reached"):
        AzureMonitor("lyon/email", "http://127.0.0.1:1/", lambda: "token").send(notice())


def test_an_identity_that_is_not_there_is_a_delivery_that_failed(ingestion: Ingestion) -> None:
    from azure.identity import CredentialUnavailableError

    def no_token() -> str:
        raise CredentialUnavailableError("no identity")

    with pytest.raises(DeliveryError, match="does the app have its identity"):
        AzureMonitor("lyon/email", ingestion.address, no_token).send(notice())


def test_every_missing_variable_is_named() -> None:
    with pytest.raises(SettingsError) as caught:
        AzureMonitor.from_environment("lyon/email", {"ALERT_LOG_STREAM": "Custom-RoomAlerts"})
    for variable in ("ALERT_LOG_ENDPOINT", "ALERT_LOG_COLLECTION", "ALERT_LOG_CLIENT_ID"):
        assert f"{variable} is not set" in str(caught.value)
