"""What the providers share: patient HTTP, long-running operations followed to their real end, and errors a person can act on."""

from __future__ import annotations

import logging
import math
import os
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests
from pulumi.runtime import rpc

from processors.contracts.http_session import Session
from processors.contracts.retry_after import retry_after as seconds_to_wait

REQUEST_PATIENCE_SECONDS = 180.0
"""How long one request is repeated while the service is away. Where it says how long to wait, that is waited
(OPERATION_PATIENCE_SECONDS in all): asking earlier prolongs a throttling."""
OPERATION_PATIENCE_SECONDS = 900.0
"""How long a long-running operation may take; a Stream Analytics start or stop has been seen to need five minutes."""
POLL_SECONDS = 5.0
"""Between two looks at an operation, where the service does not say (Retry-After)."""
REPEATED_STATUS = frozenset({429, 500, 502, 503, 504})
"""Every request the providers make has the same effect when made twice, so these are repeated whatever the method."""
DEPLOYER_LACKS_ROLE = frozenset({"AuthorizationFailed", "LinkedAuthorizationFailed"})
"""Azure's codes for a deploying principal that may not do what it asks, or may not assign the identity it names."""
TIMEOUT_SECONDS = (10.0, 230.0)
"""To connect and to read: Azure's front ends cut a request after 230 s."""

log = logging.getLogger("roompulse.providers")


class ProviderError(Exception):
    """A resource can't be brought to where it should be. The text names the resource, Azure's reason and the next step."""


class AzureError(ProviderError):
    """Azure refused or failed a request. `status` is the HTTP status, `code` Azure's error code."""

    def __init__(self, text: str, status: int, code: str, message: str) -> None:
        super().__init__(text)
        self.status = status
        self.code = code
        self.message = message


class Patience:
    """How much longer to wait for something, counted in the seconds waited so far and not by the clock on the wall.

    ROOMPULSE_WAIT_SCALE shortens real waits against local stand-ins without making anything give up earlier.
    """

    def __init__(self, seconds: float) -> None:
        self.left = seconds

    def wait(self, seconds: float) -> bool:
        """Wait that long (at most what is left) and return True; at once False when the patience is used up."""
        if self.left <= 0:
            return False
        pause = min(seconds, self.left)
        self.left -= max(pause, 1.0)
        time.sleep(pause * float(os.environ.get("ROOMPULSE_WAIT_SCALE", "1")))
        return True

    def wait_whole(self, seconds: float) -> bool:
        """Wait that long and no shorter, as a service asks for; at once False when that is more than what is left."""
        return seconds <= self.left and self.wait(seconds)


class AzureClient:
    """Requests to one origin on behalf of one resource (`subject` is how errors and the log call it)."""

    def __init__(self, subject: str, endpoint: str, token: Callable[[], str]) -> None:
        self.subject = subject
        self.endpoint = endpoint.rstrip("/")
        self._token = token
        self._session = Session()

    def send(
        self,
        method: str,
        address: str,
        *,
        json: Any = None,
        data: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send a request and return the answer, whatever its status; throttling and outages are waited out.

        `address` is a path, or a URL of the same origin (as in a Location header). Raises ProviderError when nothing answers.
        """
        url = self._own(address)
        patience, asked_for, pause = Patience(REQUEST_PATIENCE_SECONDS), Patience(OPERATION_PATIENCE_SECONDS), 1.0
        while True:
            try:
                response = self._session.request(
                    method,
                    url,
                    json=json,
                    data=data,
                    headers={**(headers or {}), "Authorization": f"Bearer {self._token()}"},
                    timeout=TIMEOUT_SECONDS,
                    allow_redirects=False,
                )
            except (requests.ConnectionError, requests.Timeout) as fault:
                if not patience.wait(pause):
                    raise self.error(
                        f"{urlsplit(url).netloc} does not answer ({type(fault).__name__})", "check the network"
                    ) from None
            else:
                asked = retry_after(response)
                if response.status_code not in REPEATED_STATUS or not (
                    asked_for.wait_whole(asked) if asked else patience.wait(pause)
                ):
                    return response
                log.info("%s: %s %s answered %s, trying again", self.subject, method, urlsplit(url).path, response.status_code)
            pause = min(pause * 2, 30.0)

    def finish(self, response: requests.Response, doing: str) -> None:
        """Follow a long-running operation to its real end; raises AzureError when it failed or was cancelled."""
        self.expect(response, doing, 200, 201, 202, 204)
        operation = response.headers.get("Azure-AsyncOperation")
        location = response.headers.get("Location")
        patience = Patience(OPERATION_PATIENCE_SECONDS)
        while operation or (location and response.status_code == requests.codes.accepted):
            if not patience.wait(retry_after(response) or POLL_SECONDS):
                raise self.error(
                    f"{doing} is still going on after {OPERATION_PATIENCE_SECONDS / 60:.0f} minutes", "run pulumi up again"
                )
            response = self.send("GET", operation or location or "")
            self.expect(response, doing, 200, 201, 202, 204)
            if operation:
                status = str(self.json(response, doing).get("status", "")).lower()
                if status in {"failed", "canceled", "cancelled"}:
                    raise self.failure(response, doing)
                if status == "succeeded":
                    return

    def json(self, response: requests.Response, doing: str) -> Any:
        """The body of an answer; raises ProviderError when it isn't JSON (a proxy's page, say)."""
        try:
            return response.json()
        except ValueError:
            start = " ".join(response.text[:80].split())
            raise self.error(f"{doing}: the answer is not JSON ({start!r})", "see what stands between here and Azure") from None

    def expect(self, response: requests.Response, doing: str, *statuses: int) -> requests.Response:
        """The response, if it has one of the statuses; otherwise raises AzureError."""
        if response.status_code not in statuses:
            raise self.failure(response, doing)
        return response

    def failure(self, response: requests.Response, doing: str) -> AzureError:
        """The error Azure answered with, reported with its code, its ids and what to do next."""
        code, message = error_of(response)
        correlation = response.headers.get("x-ms-correlation-request-id") or response.headers.get("x-ms-request-id")
        tracking = f" Correlation id {correlation}." if correlation else ""
        step = next_step(response.status_code, code, retry_after(response))
        text = f"{self.subject}: {doing} failed: HTTP {response.status_code} {code}: {message}{tracking} Next: {step}"
        return AzureError(text, response.status_code, code, message)

    def error(self, what: str, step: str) -> ProviderError:
        """An error about this resource that is not an answer of Azure."""
        return ProviderError(f"{self.subject}: {what}. Next: {step}.")

    def _own(self, address: str) -> str:
        if address.startswith("/"):
            return self.endpoint + address
        if urlsplit(address)[:2] != urlsplit(self.endpoint)[:2]:  # a bearer token goes to nobody else
            raise self.error(f"the service sent us to {urlsplit(address).netloc}, which is not {self.endpoint}", "report this")
        return address


def retry_after(response: requests.Response) -> float:
    """Seconds the service asks to wait (a number or an HTTP date); 0 when it does not say."""
    return max(seconds_to_wait(response.headers.get("Retry-After"), response.headers.get("Date")) or 0.0, 0.0)


def error_of(response: requests.Response) -> tuple[str, str]:
    """Azure's error code and message with its details, from any of the shapes it comes in; the bare text otherwise."""
    try:
        body = response.json()
    except ValueError:
        return response.reason or "error", response.text.strip()[:2000]
    error = body.get("error", body) if isinstance(body, dict) else body
    if not isinstance(error, dict):
        return response.reason or "error", str(error)[:2000]
    details = error.get("details") or []
    listed = details if isinstance(details, list) else [details]
    messages = [error.get("message") or "", *(part.get("message") or "" for part in listed if isinstance(part, dict))]
    reported = list(dict.fromkeys(text.strip() for text in messages if text.strip()))
    return str(error.get("code") or response.reason or "error"), " ".join(reported)[:2000]


def next_step(status: int, code: str, wait: float = 0.0) -> str:
    """What a person does about an error of this kind; `wait` are the seconds that the service asks to wait."""
    if status == requests.codes.unauthorized:
        return "az login (or renew the credentials of the workflow), then run pulumi up again."
    if code in DEPLOYER_LACKS_ROLE:
        return "give the deploying principal the missing role (docs/stages/deploy.md lists them), then run pulumi up again."
    if code in {"MissingSubscriptionRegistration", "SubscriptionNotRegistered"}:
        return "az provider register --namespace Microsoft.StreamAnalytics --wait, then run pulumi up again."
    if status in REPEATED_STATUS:
        when = f"in {math.ceil(wait / 60)} minutes, as it asks" if wait else "in a few minutes"
        return f"run pulumi up again {when}: it goes on from where this one stopped."
    return "fix what the message names and run pulumi up again: it goes on from where this one stopped."


def changed_properties(olds: Mapping[str, Any], news: Mapping[str, Any], names: tuple[str, ...]) -> list[str]:
    """The declared properties whose value differs, or may: an unknown counts as changed."""
    return [name for name in names if olds.get(name) != news.get(name)]


def replacing(changed: list[str], news: Mapping[str, Any], fixed: tuple[str, ...]) -> list[str]:
    """The changed properties that need another resource. An unknown value is not a reason to announce a replacement."""
    return [name for name in changed if name in fixed and not rpc.contains_unknowns(news.get(name))]


def log_to_standard_error() -> None:
    """Show progress: the engine passes on what its plugins write to standard error."""
    if not log.handlers:
        handler = logging.StreamHandler(sys.stderr)
        handler.setFormatter(logging.Formatter("%(message)s"))
        log.addHandler(handler)
        log.setLevel(logging.INFO)
