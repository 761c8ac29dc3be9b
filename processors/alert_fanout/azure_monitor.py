"""Azure Monitor as a channel: alert rows in a Log Analytics table, over which rules send e-mail and text messages by city.

Where to write is known only once Azure has made the table, so it comes from the environment: ALERT_LOG_ENDPOINT (Logs Ingestion
endpoint), ALERT_LOG_COLLECTION (immutable id of the data collection rule), ALERT_LOG_STREAM, ALERT_LOG_CLIENT_ID (the app's
managed identity).
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any, Self

import requests

from processors.alert_fanout.channels import DeliveryError
from processors.alert_fanout.render import Message
from processors.contracts.validation import SettingsError
from processors.timestamps import format_time

API_VERSION = "2023-01-01"
SCOPE = "https://monitor.azure.com/.default"
TRIES = 3
BACKOFF_SECONDS = 1.0
"""Wait before the second try; each further wait is twice as long."""
ANSWER_SECONDS = 10.0
_NEEDED = {
    "ALERT_LOG_ENDPOINT": "the Logs Ingestion endpoint, https://...ingest.monitor.azure.com",
    "ALERT_LOG_COLLECTION": "the immutable id of the data collection rule, dcr-...",
    "ALERT_LOG_STREAM": "the stream of that rule, Custom-...",
    "ALERT_LOG_CLIENT_ID": "the client id of the app's managed identity",
}


class AzureMonitor:
    """Writes the alert rows of one audience. Rules look at an alert's newest state, so a row written twice changes nothing."""

    def __init__(self, audience: str, address: str, token: Callable[[], str]) -> None:
        """`address` takes the rows by POST; `token` gives a bearer token for Azure Monitor."""
        self.key = f"azure-monitor:{audience}"
        self._audience = audience
        self._address = address
        self._token = token
        self._session = requests.Session()

    @classmethod
    def from_environment(cls, audience: str, environment: Mapping[str, str]) -> Self:
        """The channel the environment describes; raises SettingsError naming every variable that is missing."""
        missing = [f"{name} is not set: {meaning}." for name, meaning in _NEEDED.items() if not environment.get(name)]
        if missing:
            raise SettingsError("The channel azureMonitor can't be used:\n" + "\n".join(missing))
        endpoint = environment["ALERT_LOG_ENDPOINT"].rstrip("/")
        stream = f"dataCollectionRules/{environment['ALERT_LOG_COLLECTION']}/streams/{environment['ALERT_LOG_STREAM']}"
        return cls(audience, f"{endpoint}/{stream}?api-version={API_VERSION}", _token_of(environment["ALERT_LOG_CLIENT_ID"]))

    def deliver(self, message: Message) -> None:
        """See Channel.deliver."""
        for attempt in range(TRIES):
            fault = self._post(row_of(message, self._audience))
            if fault is None:
                return
            if attempt + 1 < TRIES:
                time.sleep(BACKOFF_SECONDS * 2**attempt * random.uniform(0.8, 1.2))
        raise DeliveryError(f"Azure Monitor did not take the alert row in {TRIES} tries: {fault}")

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _post(self, row: dict[str, Any]) -> str | None:
        """One try; gives what went wrong, None when it was taken."""
        from azure.core.exceptions import AzureError

        try:
            headers = {"Authorization": f"Bearer {self._token()}"}
            response = self._session.post(self._address, json=[row], headers=headers, timeout=ANSWER_SECONDS)
        except requests.RequestException as fault:
            return type(fault).__name__
        except AzureError as fault:
            return f"no token ({type(fault).__name__}): does the app have its identity?"
        return None if response.ok else f"status {response.status_code} {response.text[:200]}"


def row_of(message: Message, audience: str) -> dict[str, Any]:
    """An alert as the table's columns (infra/azure/room_alerts.py declares them)."""
    alert = message.alert
    return {
        "TimeGenerated": format_time(datetime.now(UTC)),
        "AlertId": alert.alert_id,
        "RuleId": alert.rule_id,
        "Severity": alert.severity,
        "State": alert.state,
        "CityId": alert.city_id,
        "Audience": audience,
        "Name": alert.name,
        "LocationName": alert.location_name or "",
        "Value": alert.value,
        "Threshold": alert.threshold,
        "StartedAt": alert.started_at,
        "ObservedAt": alert.observed_at,
    }


def _token_of(client_id: str) -> Callable[[], str]:
    from azure.identity import ManagedIdentityCredential  # 100 ms: not while a function app without this channel starts

    credential = ManagedIdentityCredential(client_id=client_id)
    return lambda: credential.get_token(SCOPE).token
