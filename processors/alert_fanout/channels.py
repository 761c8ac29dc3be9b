"""The ways an incident reaches people: what they have in common, and which there are."""

from __future__ import annotations

import os
from typing import Any, Protocol

import requests

from processors.alert_fanout.render import Notice
from processors.alert_fanout.secrets import Secrets
from processors.alert_fanout.settings import (
    AzureMonitorChannel,
    ChannelSettings,
    InboxChannel,
    TeamsChannel,
    WebexChannel,
    WebhookChannel,
)
from processors.contracts.retry_after import retry_after

ANSWER_SECONDS = 10.0
"""How long a service may take to connect, and to answer."""
LONGEST_RETRY_AFTER = 900.0
"""The longest pause a service may ask for."""
_TRY_AGAIN = (401, 403, 408, 409, 425, 429)
"""Statuses that time may mend: a token is renewed, a limit passes. Everything else below 500 is a refusal."""


class DeliveryError(Exception):
    """A channel did not take a notice. The text names the channel (an address by its host only) and the reason.

    `refused`: sending the same again will not help. `pause`: seconds the service asked to wait.
    """

    def __init__(self, text: str, *, refused: bool = False, pause: float | None = None) -> None:
        super().__init__(text)
        self.refused, self.pause = refused, pause


class Channel(Protocol):
    """A way to tell people."""

    def send(self, notice: Notice) -> str | None:
        """Tell; gives the channel's own id of the message, if it has one. What is sent twice should be seen once, where the
        service can tell by the notice's key. Raises DeliveryError.
        """

    def close(self) -> None:
        """Let go of connections."""


def channel_of(settings: ChannelSettings, secrets: Secrets) -> Channel:
    """The channel that settings describe; raises SettingsError when what it needs is not there."""
    if isinstance(settings, InboxChannel):
        from processors.alert_fanout.inbox import Inbox

        return Inbox(settings.path)
    if isinstance(settings, AzureMonitorChannel):
        from processors.alert_fanout.azure_monitor import AzureMonitor

        return AzureMonitor.from_environment(settings.audience, os.environ)
    if isinstance(settings, WebexChannel):
        from processors.alert_fanout.webex import WebexMessages

        return WebexMessages(settings, secrets)
    if isinstance(settings, TeamsChannel):
        from processors.alert_fanout.teams import TeamsWorkflow

        return TeamsWorkflow(settings, secrets)
    assert isinstance(settings, WebhookChannel)
    from processors.alert_fanout.webhook import Webhook

    return Webhook(settings, secrets)


def call(session: requests.Session, method: str, url: str, who: str, **request: Any) -> requests.Response:
    """One request; raises DeliveryError for whatever is no success. `who` names the service without giving its address away."""
    try:
        response = session.request(method, url, timeout=ANSWER_SECONDS, allow_redirects=False, **request)
    except requests.RequestException as fault:
        # Its text may hold the whole address.
        raise DeliveryError(f"{who} was not reached ({type(fault).__name__})") from None
    if 200 <= response.status_code < 300:
        return response
    refused = response.status_code < 500 and response.status_code not in _TRY_AGAIN
    told = retry_after(response.headers.get("Retry-After"), response.headers.get("Date"))
    pause = None if told is None else min(max(told, 1.0), LONGEST_RETRY_AFTER)
    raise DeliveryError(f"{who} answered with status {response.status_code}", refused=refused, pause=pause)
