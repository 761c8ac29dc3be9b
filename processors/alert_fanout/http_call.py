"""HTTP requests to a service that notifies people: how long they may take, how much is read, and what every answer means."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

import requests
from urllib3.exceptions import HTTPError

from processors.alert_fanout.delivery import DeliveryError
from processors.connection_faults import answered_by_another
from processors.contracts.http_session import Session, Span
from processors.contracts.retry_after import retry_after

ANSWER_SECONDS = 10.0
"""How long a request may take, from connecting to the last byte of its answer."""
CONNECT_SECONDS = 3.0
"""How long each address of a host has to take the connection: one that is dead leaves time for the next."""
ANSWER_BYTES = 64 * 1024
"""How much of an answer is read."""
LONGEST_RETRY_AFTER = 900.0
"""The longest pause a service may ask for."""
_TRY_AGAIN = (401, 403, 407, 408, 409, 425, 429)
"""Statuses from 400 that time may fix: a token is renewed, a limit passes, a proxy lets us through. The others below 500 are a
refusal. A redirect is none: the service has not seen the notice.
"""
_OF_FAILURE = re.compile(r"invalid|fail|error", re.IGNORECASE)
"""How a status begins by which a service says in JSON that it did not take something."""


def no_complaint(answer: bytes) -> str:
    """What a service of somebody's own says beside a status of success: nobody knows what its words mean."""
    return ""


def complaint(answer: bytes) -> str:
    """Why an answer with a status of success is none; "" where it is one.

    Services and what stands before them say so in words: Slack's `no_service`, a connector's "delivery failed", PagerDuty's and
    ServiceNow's JSON, a page that asks people to sign in. Of these words only such are shown as can't hold a secret.
    """
    text = answer.decode(errors="replace").strip("\ufeff \t\r\n")
    if text.startswith("<"):
        return "a web page: something else answered in its place"
    if re.fullmatch(r"[a-z]+(_[a-z]+)+", text):
        return text
    if "delivery failed" in text.casefold():
        return "that the delivery failed"
    try:
        said = json.loads(text)
    except ValueError:
        return ""
    if not isinstance(said, Mapping):
        return ""
    status = said.get("status")
    if isinstance(status, str) and _OF_FAILURE.match(status):
        return f"the status {status}" if re.fullmatch(r"[A-Za-z ]{1,40}", status) else "a status of failure"
    if said.get("error") or said.get("errors") or said.get("ok") is False or said.get("success") is False:
        return "an error"
    return ""


class Service:
    """A service that is sent something by HTTP; `who` names it without giving its address away, `complains` says of an answer of
    success why it is none. For one thread at a time.
    """

    def __init__(self, who: str, complains: Callable[[bytes], str] = complaint) -> None:
        self._who, self._complains = who, complains
        self._session = Session()
        self._session.headers["Accept-Encoding"] = "identity"  # a few bytes can be packed that unpack to gigabytes

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def call(self, method: str, url: str, **request: Any) -> bytes:
        """One request and the body of its answer; raises DeliveryError for whatever is not a complete answer of success.

        A redirect is not followed: it would carry the secret to wherever it points.
        """
        with self._session.within(ANSWER_SECONDS) as span:
            try:
                patience = (min(CONNECT_SECONDS, ANSWER_SECONDS), ANSWER_SECONDS)
                response = self._session.request(method, url, timeout=patience, allow_redirects=False, stream=True, **request)
                with response:
                    self._check(response)
                    return self._believed(response.status_code, self._body(response, span))
            except (requests.RequestException, HTTPError, UnicodeError, OSError) as fault:
                # Its text may hold the whole address.
                raise DeliveryError(f"{self._who} was not reached ({_reason(fault, span)})") from None

    def _check(self, response: requests.Response) -> None:
        status = response.status_code
        if 200 <= status < 300:
            return
        asked = retry_after(response.headers.get("Retry-After"), response.headers.get("Date"))
        pause = None if asked is None else min(max(asked, 1.0), LONGEST_RETRY_AFTER)
        refused = 400 <= status < 500 and status not in _TRY_AGAIN
        step = answered_by_another(response)
        raise DeliveryError(f"{self._who} answered with status {status}" + (step and f". {step}"), refused=refused, pause=pause)

    def _believed(self, status: int, answer: bytes) -> bytes:
        if complaint := self._complains(answer):
            raise DeliveryError(f"{self._who} answered with status {status} and {complaint}")
        return answer

    def _body(self, response: requests.Response, span: Span) -> bytes:
        body = b""
        try:
            while len(body) <= ANSWER_BYTES and (part := response.raw.read1(ANSWER_BYTES, decode_content=False)):
                body += part
            if span.is_over:  # what was cut while its headers came looks as if they had been all
                raise TimeoutError
        except (HTTPError, OSError) as fault:
            why = f"its answer did not end ({_reason(fault, span)})"
            raise DeliveryError(f"{self._who} took it, but {why}", taken=True) from None
        if len(body) > ANSWER_BYTES:
            raise DeliveryError(f"{self._who} took it, but its answer is longer than {ANSWER_BYTES} bytes", taken=True)
        return body


class Caller:
    """What every channel has that notifies a service by HTTP; `who` and `complains` as in Service."""

    def __init__(self, who: str, complains: Callable[[bytes], str] = complaint) -> None:
        self._service = Service(who, complains)

    def close(self) -> None:
        """See Channel.close."""
        self._service.close()


def _reason(fault: Exception, span: Span) -> str:
    if span.is_over or isinstance(fault, requests.Timeout):
        return f"no complete answer within {ANSWER_SECONDS:g} s"
    if isinstance(fault, requests.exceptions.SSLError):
        return "its TLS certificate or protocol is not accepted"
    return type(fault).__name__
