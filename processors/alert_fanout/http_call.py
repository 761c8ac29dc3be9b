"""One HTTP request to a service that tells people, and what becomes of every answer it can give."""

from __future__ import annotations

from typing import Any

import requests

from processors.alert_fanout.channel_kind import DeliveryError
from processors.contracts.retry_after import retry_after

ANSWER_SECONDS = 10.0
"""How long a service may take to connect, and to answer."""
LONGEST_RETRY_AFTER = 900.0
"""The longest pause a service may ask for."""
_TRY_AGAIN = (401, 403, 408, 409, 425, 429)
"""Statuses that time may mend: a token is renewed, a limit passes. Everything else below 500 is a refusal."""


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
