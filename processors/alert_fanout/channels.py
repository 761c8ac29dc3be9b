"""The ways an alert reaches people. `deliver` returns when the channel has it, or raises DeliveryError after bounded tries."""

from __future__ import annotations

import contextlib
import hashlib
import os
import random
import sqlite3
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlsplit

import requests

from processors.alert_fanout.render import Message
from processors.alert_fanout.settings import AzureMonitorChannel, ChannelSettings, InboxChannel
from processors.clock import utc_now
from processors.timestamps import format_time

TRIES = 3
BACKOFF_SECONDS = 0.5
"""Wait before the second try; each further wait is twice as long."""
WEBHOOK_SECONDS = 5.0
"""How long an address may take to connect, and to answer."""
INBOX_SECONDS = 5.0
"""How long to wait while another process writes the inbox."""

_INBOX_SCHEMA = """
CREATE TABLE IF NOT EXISTS inbox (
  alert_id TEXT NOT NULL, state TEXT NOT NULL, rule_id TEXT NOT NULL, severity INTEGER NOT NULL, city_id TEXT NOT NULL,
  title TEXT NOT NULL, text TEXT NOT NULL, entity_id TEXT NOT NULL, started_at TEXT NOT NULL, observed_at TEXT NOT NULL,
  delivered_at TEXT NOT NULL, clock_delivered_at TEXT NOT NULL,
  PRIMARY KEY (alert_id, state)
)
"""


class DeliveryError(Exception):
    """A channel did not take an alert. The text names the channel (a webhook by its host only) and the reason."""


class Channel(Protocol):
    """A way to tell people. `key` tells channels apart, over restarts too, and gives no secret away."""

    key: str

    def deliver(self, message: Message) -> None:
        """Deliver; a message delivered twice must be seen once. Raises DeliveryError."""

    def close(self) -> None:
        """Let go of connections."""


def channel_of(settings: ChannelSettings) -> Channel:
    """The channel that settings describe; raises SettingsError when what it needs is not there."""
    if isinstance(settings, AzureMonitorChannel):
        from processors.alert_fanout.azure_monitor import AzureMonitor

        return AzureMonitor.from_environment(settings.audience, os.environ)
    return Inbox(settings.path) if isinstance(settings, InboxChannel) else Webhook(settings.url)


class Inbox:
    """Rows of the table `inbox`, one per alert and state. `delivered_at` is real time, `clock_delivered_at` the clock's."""

    def __init__(self, path: Path) -> None:
        self.key = f"inbox:{path}"
        self._path = path
        self._database: sqlite3.Connection | None = None

    def deliver(self, message: Message) -> None:
        """See Channel.deliver."""
        alert = message.alert
        row = (
            alert.alert_id, alert.state, alert.rule_id, alert.severity, alert.city_id, message.title, message.text,
            alert.entity_id, alert.started_at, alert.observed_at, format_time(datetime.now(UTC)), format_time(utc_now()),
        )  # fmt: skip
        try:
            if self._database is None:
                self._database = self._opened()
            with self._database:
                self._database.execute(f"INSERT OR IGNORE INTO inbox VALUES ({', '.join('?' * len(row))})", row)
        except (sqlite3.Error, OSError) as fault:
            self.close()
            raise DeliveryError(f"the inbox {self._path} can't be written ({fault}); is it a SQLite file with room?") from fault

    def close(self) -> None:
        """Close the file."""
        if self._database is not None:
            self._database.close()
            self._database = None

    def _opened(self) -> sqlite3.Connection:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        # A Functions host may call from another thread each time, though never from two at once.
        database = sqlite3.connect(self._path, timeout=INBOX_SECONDS, check_same_thread=False)
        with contextlib.ExitStack() as undo:
            undo.callback(database.close)
            database.execute(_INBOX_SCHEMA)
            undo.pop_all()
        return database


class Webhook:
    """POSTs an alert as JSON, with `Idempotency-Key` so that a receiver can drop what it got before."""

    def __init__(self, url: str) -> None:
        self.key = f"webhook:{urlsplit(url).hostname}:{hashlib.sha256(url.encode()).hexdigest()[:16]}"
        self._url = url
        self._session = requests.Session()

    def deliver(self, message: Message) -> None:
        """See Channel.deliver."""
        for attempt in range(TRIES):
            fault = self._post(message)
            if fault is None:
                return
            if attempt + 1 < TRIES:
                time.sleep(BACKOFF_SECONDS * 2**attempt * random.uniform(0.8, 1.2))
        raise DeliveryError(f"the webhook at {urlsplit(self._url).hostname} did not take it in {TRIES} tries: {fault}")

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def _post(self, message: Message) -> str | None:
        """One try; gives what went wrong, None when it was taken."""
        alert = message.alert
        headers = {"Idempotency-Key": quote(f"{alert.alert_id}|{alert.state}", safe="|:=.-")}
        try:
            response = self._session.post(
                self._url, json=payload(message), headers=headers, timeout=WEBHOOK_SECONDS, allow_redirects=False
            )
        except requests.RequestException as fault:
            return type(fault).__name__  # its text may hold the whole address
        return None if 200 <= response.status_code < 300 else f"status {response.status_code}"


def payload(message: Message) -> dict[str, str | int | float]:
    """What a webhook gets: the words for people (`text` is what chat tools show) and the facts for programs."""
    alert = message.alert
    facts: dict[str, str | int | float | None] = {
        "title": message.title,
        "text": message.text,
        "alertId": alert.alert_id,
        "ruleId": alert.rule_id,
        "severity": alert.severity,
        "state": alert.state,
        "cityId": alert.city_id,
        "locationName": alert.location_name,
        "workspaceName": alert.workspace_name,
        "entity": alert.entity,
        "entityId": alert.entity_id,
        "name": alert.name,
        "signal": alert.signal,
        "value": alert.value,
        "threshold": alert.threshold,
        "startedAt": alert.started_at,
        "observedAt": alert.observed_at,
    }
    return {name: value for name, value in facts.items() if value is not None}
