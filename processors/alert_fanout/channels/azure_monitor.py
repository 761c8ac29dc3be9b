"""Azure Monitor as a channel: alert rows in a Log Analytics table, over which rules send e-mail and text messages by city.

Where to write is known only once Azure has made the table, so it comes from the environment: ALERT_LOG_ENDPOINT (Logs Ingestion
endpoint), ALERT_LOG_COLLECTION (immutable id of the data collection rule), ALERT_LOG_STREAM, ALERT_LOG_CLIENT_ID (the app's
managed identity).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Self

from processors.alert_fanout.channel_kind import (
    EMAIL_ADDRESS,
    Address,
    Capabilities,
    ChannelKind,
    ChannelSettings,
    ContactKind,
    Example,
    no,
    no_faults,
    yes,
)
from processors.alert_fanout.delivery import DeliveryError
from processors.alert_fanout.http_call import Service
from processors.alert_fanout.notice import Notice
from processors.alert_fanout.secrets import Secrets
from processors.contracts.validation import SettingsError
from processors.timestamps import format_time

API_VERSION = "2023-01-01"
SCOPE = "https://monitor.azure.com/.default"
_NEEDED = {
    "ALERT_LOG_ENDPOINT": "the Logs Ingestion endpoint, https://...ingest.monitor.azure.com",
    "ALERT_LOG_COLLECTION": "the immutable id of the data collection rule, dcr-...",
    "ALERT_LOG_STREAM": "the stream of that rule, Custom-...",
    "ALERT_LOG_CLIENT_ID": "the client id of the app's managed identity",
}


_KEY = "azure-monitor"
# A beginning and an end are a mail each, and Azure drops what is over a hundred mails to an address in an hour.
_CAPABILITIES = Capabilities(limit=8, updates=0, updates_at_once=False, hears_merges=True, reminds=False, acts_as="")


@dataclass(frozen=True, kw_only=True)
class AzureMonitorChannel(ChannelSettings):
    """The Log Analytics table over which Azure Monitor notifies an audience by e-mail or text message; the environment says where
    the table is.
    """

    audience: str

    @property
    def contact_kind(self) -> str | None:
        """See ChannelSettings.contact_kind. An audience is called `lyon/sms-12`; that of rooms of no city hears everything."""
        _, slash, name = self.audience.partition("/")
        return re.split("[-_]", name)[0] if slash else None

    @property
    def capabilities(self) -> Capabilities:
        """See ChannelSettings.capabilities."""
        return _CAPABILITIES

    def open(self, secrets: Secrets) -> AzureMonitor:
        """See ChannelSettings.open."""
        return AzureMonitor.from_environment(self.audience, os.environ)

    @property
    def _name(self) -> str:
        return f"{_KEY}:{self.audience}"


class AzureMonitor:
    """Writes the alert rows of one audience. Rules look at an alert's newest state, so a row written twice changes nothing."""

    def __init__(self, audience: str, address: str, token: Callable[[], str]) -> None:
        """`address` takes the rows by POST; `token` gives a bearer token for Azure Monitor."""
        self._audience = audience
        self._address = address
        self._token = token
        self._service = Service("Azure Monitor")

    def check(self) -> None:
        """See Channel.check."""
        self._headers()

    @classmethod
    def from_environment(cls, audience: str, environment: Mapping[str, str]) -> Self:
        """The channel the environment describes; raises SettingsError naming every variable that is missing."""
        missing = [f"{name} is not set: {meaning}." for name, meaning in _NEEDED.items() if not environment.get(name)]
        if missing:
            raise SettingsError("The channel azureMonitor can't be used:\n" + "\n".join(missing))
        endpoint = environment["ALERT_LOG_ENDPOINT"].rstrip("/")
        stream = f"dataCollectionRules/{environment['ALERT_LOG_COLLECTION']}/streams/{environment['ALERT_LOG_STREAM']}"
        return cls(audience, f"{endpoint}/{stream}?api-version={API_VERSION}", _token_of(environment["ALERT_LOG_CLIENT_ID"]))

    def send(self, notice: Notice) -> None:
        """See Channel.send."""
        self._service.call("POST", self._address, json=[row_of(notice, self._audience)], headers=self._headers())

    def _headers(self) -> dict[str, str]:
        from azure.core.exceptions import AzureError

        try:
            return {"Authorization": f"Bearer {self._token()}"}
        except AzureError as fault:
            raise DeliveryError(f"Azure Monitor: no token ({type(fault).__name__}): does the app have its identity?") from None

    def close(self) -> None:
        """Close the connections."""
        self._service.close()


def row_of(notice: Notice, audience: str) -> dict[str, Any]:
    """A notice as the table's columns (infra/azure/room_alerts.py declares them)."""
    alert, newest = notice.lead, notice.end or notice.lead
    return {
        "TimeGenerated": format_time(datetime.now(UTC)),
        "AlertId": notice.incident,
        "RuleId": alert.rule_id,
        "Severity": alert.severity,
        "State": notice.state,
        "CityId": alert.city_id,
        "Audience": audience,
        "Name": _unroutable(f"DRILL {alert.name}" if alert.is_drill else alert.name),
        "LocationName": _unroutable(alert.location_name or ""),
        "Text": _unroutable(notice.text),
        "Value": newest.value,
        "Threshold": alert.threshold,
        "StartedAt": alert.started_at,
        "ObservedAt": notice.observed_at,  # an end must be newer than its beginning, also where no row has ended it
    }


def _unroutable(name: str) -> str:
    """A name that is not a route. A processing rule knows its alerts by `to=AUDIENCE;` anywhere in what they carry
    (infra/azure/compiled_rules.py), so a device that is called so would choose who is notified.
    """
    return name.replace(";", ",")


def _token_of(client_id: str) -> Callable[[], str]:
    from azure.identity import ManagedIdentityCredential  # 100 ms: not while a function app without this channel starts

    credential = ManagedIdentityCredential(client_id=client_id)
    return lambda: credential.get_token(SCOPE).token


KIND = ChannelKind(
    type="azureMonitor",
    titles={_KEY: "E-mail or text message"},
    required=("audience",),
    properties={
        "audience": {"type": "string", "minLength": 1, "description": "whose action group is notified, such as lyon/email"},
    },
    schema={},
    has_terms=True,
    read=lambda written, terms: AzureMonitorChannel(audience=written["audience"], **terms._asdict()),
    contacts=(
        ContactKind(
            name="email",
            plain="to",
            plain_schema="emailAddress",
            properties={"to": {"$ref": "#/$defs/emailAddress", "description": "an e-mail address"}},
            required=("to",),
            definitions={"emailAddress": {"type": "string", "pattern": f"^{EMAIL_ADDRESS}$", "description": "an e-mail address"}},
            list_schema={},
            documented="e-mail addresses",
            severities=(1, 2, 3, 4),
            read=lambda written: Address(written["to"]),
            faults=no_faults,
            label=lambda address: address.to or "",
            reaches_people=yes,
            chat=False,
            loud=no,  # it waits for the morning
            reminds=no,  # a log alert is sent once
            channel=None,
            examples=lambda city: f"av-{city}@example.com",
        ),
        ContactKind(
            name="sms",
            plain="to",
            plain_schema="telephoneNumber",
            properties={"to": {"$ref": "#/$defs/telephoneNumber", "description": "a telephone number"}},
            required=("to",),
            definitions={
                "telephoneNumber": {
                    "type": "string",
                    "pattern": r"^\+[1-9][0-9]{6,14}$",
                    "description": "a telephone number as +country and digits, quoted",
                }
            },
            list_schema={},
            documented="telephone numbers as +country and digits, quoted",
            severities=(1, 2),  # nobody's telephone rings for a warm room
            read=lambda written: Address(written["to"]),
            faults=no_faults,
            label=lambda address: address.to or "",
            reaches_people=yes,
            chat=False,
            loud=yes,
            reminds=no,
            channel=None,
            examples=lambda city: f"+1555{sum(map(ord, city)):07d}",
        ),
    ),
    markup=(";",),
    examples=lambda url: (
        Example(
            {"type": "azureMonitor", "audience": "lyon/email"},
            {},
            {
                "ALERT_LOG_ENDPOINT": url,
                "ALERT_LOG_COLLECTION": "dcr-1",
                "ALERT_LOG_STREAM": "Custom-RoomAlerts",
                "ALERT_LOG_CLIENT_ID": "an-identity",
            },
        ),
    ),
    documented=(
        (
            "e-mail, text message (`azureMonitor`)",
            "a row of a Log Analytics table, by which Azure Monitor notifies the audience",
            "-",
            "a row",
            _CAPABILITIES,
        ),
    ),
)
