"""A thin client of the Webex REST API for an unattended poller: tolerant, bounded in time, and kind to the rate limits.

Why our own: the published SDKs lack half of the endpoints, abort a listing on one odd record or 5xx, and wait without bound.
What happens on which answer:

| answer | what we do |
|---|---|
| 429, 423 | the whole client pauses as Retry-After says (at least 1 s, at most 300 s, 15 s when it is absent or rubbish) |
| 5xx, time-out, reset, no JSON | three tries in all, 1 s and 2 s apart (jittered); 504 also halves the page size of the listing |
| 401 | the token is read again, once |
| other 4xx | no retry |
| the deadline of the poll | DeadlinePassed: the poll ships what it has |
"""

from __future__ import annotations

import email.utils
import gzip
import json
import logging
import random
import time
import uuid
import zlib
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, urlencode, urljoin, urlsplit, urlunsplit

import requests
from urllib3.exceptions import HTTPError

TRIES = 3
BACKOFF_SECONDS = 1.0
"""Wait before the second try; each further wait is twice as long."""
DEFAULT_PAUSE_SECONDS = 15.0
LONGEST_PAUSE_SECONDS = 300.0
CONNECT_SECONDS = 5.0
READ_SECONDS = 20.0
"""How long a server may stay silent within an answer."""
SMALLEST_PAGE = 25
_PAUSING = (423, 429)
_CHUNK_BYTES = 1 << 18
_BROKEN_ANSWERS = (OSError, HTTPError, EOFError, zlib.error)
"""What a connection or a body that breaks off raises (an OSError is also every exception of requests, and a bad gzip header)."""

log = logging.getLogger("roompulse.ingest.webex")


class WebexError(Exception):
    """Webex did not give what was asked for. The text names the endpoint, the reason, the tracking id and the next step."""


class NotPermitted(WebexError):
    """401, 403, 404 or another 4xx: asking again changes nothing."""


class Unavailable(WebexError):
    """5xx, time-out, reset or rubbish, after every try."""


class DeadlinePassed(WebexError):
    """The time of this poll is over, or a pause Webex demands would outlast it."""


class Deadline:
    """A moment by which a poll has to be over, in real (not simulated) time."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds until the deadline; negative when it has passed."""
        return self._end - time.monotonic()


class Page(NamedTuple):
    """A page of a listing: its items as JSON, the endpoint it came from, and Webex's tracking id (None when there was none)."""

    items: list[Any]
    endpoint: str
    tracking_id: str | None


class _Retry(Exception):
    """An answer worth another try; `status` is its HTTP status, None when there was no proper answer."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status


class _Answer(NamedTuple):
    items: list[Any]
    next_url: str | None
    tracking_id: str | None


class WebexClient:
    """GETs JSON from the Webex API. One thread at a time; connections are kept alive between polls."""

    def __init__(self, base: str, read_token: Callable[[], str]) -> None:
        """`base` ends in /v1. `read_token` gives the access token; it is called again when Webex refuses the one we have."""
        self.requests_made = 0
        self._base = base.rstrip("/")
        self._read_token = read_token
        self._token: str | None = None
        self._paused_until = 0.0
        self._session = requests.Session()

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def get(self, path: str, params: Mapping[str, str], deadline: Deadline) -> Page:
        """The items of an endpoint that does not page. Raises WebexError."""
        answer = self._fetch(f"{self._base}{path}?{urlencode(params)}", deadline)
        return Page(answer.items, path, answer.tracking_id)

    def pages(self, path: str, params: Mapping[str, str], page_size: int, deadline: Deadline) -> Iterator[Page]:
        """The pages of a listing, following the server's own next links to the end. Raises WebexError.

        The API caps pages silently and may send an empty page in the middle: only a missing next link is the end.
        """
        url: str | None = f"{self._base}{path}?{urlencode({**params, 'max': str(page_size)})}"
        visited: set[str] = set()
        while url is not None:
            if url in visited:
                raise Unavailable(f"GET {path}: the next link goes round in a circle ({url}); see that no proxy caches the API.")
            visited.add(url)
            answer = self._fetch(url, deadline)
            yield Page(answer.items, path, answer.tracking_id)
            url = self._same_origin(answer.next_url, path) if answer.next_url else None

    def _fetch(self, url: str, deadline: Deadline) -> _Answer:
        """One answer, after as many tries as the table above allows."""
        tries = 0
        token_read_again = False
        while True:
            self._wait_while_paused(deadline)
            try:
                response, body = self._request(url, deadline)
                if response.status_code in _PAUSING:
                    self._pause(response)
                    continue
                if response.status_code == 401 and not token_read_again:
                    token_read_again, self._token = True, None
                    continue
                return _understood(response, body)
            except _Retry as fault:
                tries += 1
                if tries == TRIES:
                    raise Unavailable(f"{fault}; gave up after {tries} tries. The next poll asks again.") from fault
                if fault.status == 504:
                    url = _with_half_the_page(url)
                self._sleep(BACKOFF_SECONDS * 2 ** (tries - 1) * random.uniform(0.8, 1.2), deadline)

    def _request(self, url: str, deadline: Deadline) -> tuple[requests.Response, bytes]:
        if deadline.left() <= 0:
            raise DeadlinePassed(f"GET {_path(url)}: the time of this poll is over.")
        if self._token is None:
            self._token = self._read_token()
        tracking_id = f"ROOMPULSE_{uuid.uuid4()}"
        headers = {"Authorization": f"Bearer {self._token}", "Accept-Encoding": "gzip", "TrackingID": tracking_id}
        timeout = (CONNECT_SECONDS, min(READ_SECONDS, deadline.left()))
        self.requests_made += 1
        try:
            # Redirects are not followed: the API has none, and the token must not travel to another host.
            with self._session.get(url, headers=headers, timeout=timeout, stream=True, allow_redirects=False) as response:
                return response, _body(response, deadline)
        except _BROKEN_ANSWERS as fault:
            reason = f"GET {_path(url)}: {type(fault).__name__} ({fault}), our tracking id {tracking_id}"
            log.warning("no proper answer", extra={"ids": {"url": _path(url), "trackingId": tracking_id, "fault": str(fault)}})
            raise _Retry(reason) from fault

    def _pause(self, response: requests.Response) -> None:
        seconds = pause_seconds(response.headers.get("Retry-After"), response.headers.get("Date"))
        self._paused_until = time.monotonic() + seconds * random.uniform(1.0, 1.2)
        ids = {"url": _path(response.url), "status": response.status_code, "trackingId": _tracking_id(response)}
        log.warning("Webex asks us to pause", extra={"ids": {**ids, "seconds": seconds}})

    def _wait_while_paused(self, deadline: Deadline) -> None:
        self._sleep(self._paused_until - time.monotonic(), deadline)

    def _sleep(self, seconds: float, deadline: Deadline) -> None:
        if seconds <= 0:
            return
        if seconds >= deadline.left():
            raise DeadlinePassed(f"Webex has to be left alone for {seconds:.0f} s, longer than this poll has left.")
        time.sleep(seconds)

    def _same_origin(self, next_url: str, path: str) -> str:
        """A next link as an absolute URL; the token is not sent to any other place than the API."""
        absolute = urljoin(self._base, next_url)
        if urlsplit(absolute)[:2] != urlsplit(self._base)[:2]:
            raise Unavailable(f"GET {path}: the next link leads to another host ({absolute}); is WEBEX_API_BASE right?")
        return absolute


def pause_seconds(retry_after: str | None, date: str | None) -> float:
    """How long Retry-After tells us to pause: seconds or an HTTP date (measured from the answer's own Date), clamped to 1..300 s.

    Absent or rubbish gives 15 s: Webex once sent the literal text `rand(30),add(30)`.
    """
    seconds = DEFAULT_PAUSE_SECONDS
    text = (retry_after or "").strip()
    try:
        seconds = float(text) if text else seconds
    except ValueError:
        moment = _http_date(text)
        if moment is not None:
            seconds = (moment - (_http_date(date) or datetime.now(UTC))).total_seconds()
    if seconds != seconds:  # "nan" is a float
        seconds = DEFAULT_PAUSE_SECONDS
    return min(max(seconds, 1.0), LONGEST_PAUSE_SECONDS)


def _understood(response: requests.Response, body: bytes) -> _Answer:
    """The answer as JSON; raises _Retry for what may pass by itself and NotPermitted for what will not."""
    status, path, tracking_id = response.status_code, _path(response.url), _tracking_id(response)
    ids = {"url": path, "status": status, "trackingId": tracking_id}
    if status == 200:
        items = (_json_object(body) or {}).get("items")
        if isinstance(items, list):
            return _Answer(items, response.links.get("next", {}).get("url"), tracking_id)
        log.warning("the answer is no list of items", extra={"ids": {**ids, "bytes": len(body), "begin": repr(body[:80])}})
        raise _Retry(f"GET {path}: the answer is no list of items, tracking id {tracking_id}")
    log.warning("Webex answered with an error", extra={"ids": ids})
    if status >= 500:
        raise _Retry(f"GET {path}: {status}, tracking id {tracking_id}", status)
    raise NotPermitted(f"GET {path}: {status} ({_message(body)}), tracking id {tracking_id}. {_next_step(status)}")


def _next_step(status: int) -> str:
    if status == 401:
        return "The access token was refused: put a valid one into WEBEX_ACCESS_TOKEN."
    if status == 403:
        scopes = "devices_read, workspaces_read, locations_read and workspace_metrics_read"
        return f"Give the Webex service app the scopes spark-admin:{scopes}."
    if status == 404:
        return "It is gone, or WEBEX_API_BASE is wrong (it ends in /v1)."
    return "Look the status up with the tracking id at Cisco support."


def _body(response: requests.Response, deadline: Deadline) -> bytes:
    """The body, decompressed. Read as it arrives, not in full chunks: so a server that drips it is left at the deadline."""
    chunks = []
    while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=False):
        chunks.append(chunk)
        if deadline.left() <= 0:
            raise DeadlinePassed(f"GET {_path(response.url)}: the time of this poll is over in the middle of an answer.")
    body = b"".join(chunks)
    return gzip.decompress(body) if response.headers.get("Content-Encoding") == "gzip" else body


def _json_object(body: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _message(body: bytes) -> str:
    document = _json_object(body) or {}
    return str(document.get("message", "no message"))[:200]


def _tracking_id(response: requests.Response) -> str | None:
    return response.headers.get("TrackingID")


def _path(url: str) -> str:
    """A URL as logs and errors show it: without host."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _with_half_the_page(url: str) -> str:
    """The URL with its `max` halved, down to the smallest page; unchanged when it has none."""
    parts = urlsplit(url)
    query = dict(parse_qsl(parts.query, keep_blank_values=True))
    if query.get("max", "").isdigit() and int(query["max"]) > SMALLEST_PAGE:
        query["max"] = str(max(SMALLEST_PAGE, int(query["max"]) // 2))
    return urlunsplit(parts._replace(query=urlencode(query)))


def _http_date(text: str | None) -> datetime | None:
    try:
        moment = email.utils.parsedate_to_datetime(text or "")
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
