"""A thin client of the Webex REST API for an unattended poller: tolerant, bounded in time, and kind to the rate limits.

Why our own: the published SDKs lack half of the endpoints, abort a listing on one odd record or 5xx, and wait without bound.
What happens on which answer:

| answer | what we do |
|---|---|
| 429, 423 | this endpoint pauses as Retry-After says (1 to 300 s, 15 s when it is absent or rubbish; up to a fifth longer, |
| | so that clients reported the same don't return together), then goes on at half the rate, which comes back by a tenth a minute
| | 5xx, time-out, reset, no JSON, | three tries in all, 1 s and 2 s apart (jittered); 504 also halves the page size, for good |
| 206, 408, 421, 425 | |
| 401 | the token is renewed, once |
| other 4xx | no retry |
| the deadline of the poll | DeadlinePassed: the poll ships what it has |

A listing is worth several tries. A question of a slow tier gets one, and ten seconds: it has its turn again, and others wait.

Every request waits for its turn in the token bucket of its endpoint, then in one that the whole client shares (`endpoint.py`).
"""

from __future__ import annotations

import logging
import random
import re
import threading
import time
import uuid
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

import requests
from urllib3.exceptions import HTTPError

from processors.connection_faults import answered_by_another, next_step
from processors.contracts.http_session import LARGEST_ANSWER_BYTES, Session, Span
from processors.contracts.json_body import is_page, json_object
from processors.contracts.retry_after import retry_after
from processors.ingest.endpoint import ROOM_STATUS, UNRESOLVED_INCIDENTS, Endpoint, Endpoints
from processors.ingest.gunzip import PACKED_BY, Unpacked
from processors.ingest.paging import PagingFault, Way
from processors.ingest.token_bucket import CAUTIOUS, RequestRates

TRIES = 3
BACKOFF_SECONDS = 1.0
"""Wait before the second try; each further wait is twice as long."""
DEFAULT_PAUSE_SECONDS = 15.0
SHORTEST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 300.0
CONNECT_SECONDS = 5.0
READ_SECONDS = 20.0
"""How long a server may stay silent within an answer."""
ANSWER_SECONDS = 10.0
"""How long the whole answer to a question of a slow tier may take: a room that hangs must not use up the time of the others."""
SMALLEST_PAGE = 25
_PAUSING = (423, 429)
_WORTH_ANOTHER_TRY = (206, 408, 421, 425)
"""Statuses below 500 that pass by themselves: a part of an answer nobody asked for, a connection that idled or was another's."""
NOTHING_THERE = (400, 404, 410, 416, 422)
"""What servers say of a page behind the end, or of one whose link has gone stale."""
_NOT_PACKED = ("", "identity")
_TYPE_OF_MEMBER: dict[str, type] = {"items": list, "result": dict, "exp": object, "incidents": list}
_CHUNK_BYTES = 1 << 18
_TOKEN = re.compile("[!-~]+")
_BROKEN_ANSWERS = (OSError, HTTPError, EOFError, zlib.error)
"""What a connection or a body that breaks off raises (an OSError is also every exception of requests, and a bad gzip header)."""

log = logging.getLogger("roompulse.ingest.webex")


class WebexError(Exception):
    """Webex did not give what was asked for. The text names the endpoint, the reason, the tracking id and the next step."""

    def __init__(self, text: str, status: int | None = None) -> None:
        """`status`: the HTTP status that Webex answered, None when there was no proper answer."""
        super().__init__(text)
        self.status = status


class NotPermitted(WebexError):
    """401, 403, 404 or another 4xx: asking again changes nothing."""


class Unavailable(WebexError):
    """5xx, time-out, reset or rubbish, after every try."""


class TokenError(WebexError):
    """There is no usable access token. The text says why and what to do; never the token."""


class Throttled(Unavailable):
    """429 or 423 to a question that has one try: the endpoint pauses, and the question's turn comes again."""


class DeadlinePassed(WebexError):
    """The time of this poll is over."""


class Paused(DeadlinePassed):
    """A pause that Webex has asked for outlasts this poll."""


class TurnsUsedUp(DeadlinePassed):
    """The token bucket gives no further request before the time of this poll is over."""


class Deadline:
    """A moment by which a poll has to be over, in real (not simulated) time."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds until the deadline; negative when it has passed."""
        return self._end - time.monotonic()

    def at_most(self, seconds: float) -> Deadline:
        """This deadline, or the one in so many seconds from now if that is sooner."""
        return Deadline(min(seconds, self.left()))


class Page(NamedTuple):
    """A page of a listing: its items as JSON, the endpoint it came from, Webex's tracking id (None when there was none), the URL
    that answered, and its Link header.
    """

    items: list[Any]
    endpoint: str
    tracking_id: str | None
    url: str
    link: str | None = None


class TokenSource(Protocol):
    """Where access tokens come from. Thread-safe: several requests may find the same token refused at once."""

    def token(self) -> str:
        """The access token to use; empty for what is asked without one. Called for every request. Raises TokenError."""

    def renew(self, rejected: str) -> str:
        """Webex refused `rejected`: a newer token, or the present one where that is another already. Raises TokenError."""


class _Retry(Exception):
    """An answer worth another try; `status` is its HTTP status, None when there was no proper answer."""

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status


class _Answer(NamedTuple):
    """What was understood of an answer; `url` is the one it came from, `link` its Link header."""

    content: Any
    url: str
    link: str | None
    tracking_id: str | None


class WebexClient:
    """GETs JSON from the Webex API. Thread-safe; its connections are kept alive between polls."""

    def __init__(self, base: str, tokens: TokenSource, rates: RequestRates = CAUTIOUS) -> None:
        """`base` ends in /v1."""
        self.rates = rates
        self.requests_made = 0
        self.throttled = 0
        """How often Webex has asked us to pause so far."""
        self.endpoints = Endpoints(rates)
        self._base = base.rstrip("/")
        self._tokens = tokens
        self._page_sizes: dict[str, int] = {}
        self._page_caps: dict[str, int] = {}
        self._lock = threading.Lock()
        self._session = Session(connections=rates.in_flight)

    def close(self) -> None:
        """Close the connections."""
        self._session.close()

    def get(self, path: str, params: Mapping[str, str], deadline: Deadline) -> Page:
        """The items of an endpoint that does not page, in one try: the next poll asks again. Raises WebexError."""
        answer = self._fetch(f"{self._base}{path}?{urlencode(params)}", deadline, tries=1)
        return Page(answer.content, path, answer.tracking_id, answer.url)

    def device_status(self, device_id: str, expressions: tuple[str, ...], deadline: Deadline) -> dict[str, Any]:
        """What a device says of itself (xAPI), as a tree of statuses; in one try. Raises WebexError.

        What the device does not know, or does not grant, is missing from the tree.
        """
        query = urlencode([("deviceId", device_id), *(("name", expression) for expression in expressions)])
        answer = self._fetch(f"{self._base}{ROOM_STATUS}?{query}", deadline, tries=1, member="result")
        content: dict[str, Any] = answer.content
        return content

    def incidents(self, deadline: Deadline) -> list[Any]:
        """What Webex's status page lists as not resolved; in one try. Raises WebexError."""
        content: list[Any] = self._fetch(f"{self._base}{UNRESOLVED_INCIDENTS}", deadline, tries=1, member="incidents").content
        return content

    def token_expiry(self, deadline: Deadline) -> datetime | None:
        """When the access token ends; None when Webex does not say so. Raises WebexError."""
        ends = self._fetch(f"{self._base}/authorizations/tokenExpiry", deadline, tries=1, member="exp").content
        try:
            return datetime.fromtimestamp(ends / 1000, UTC)
        except (TypeError, ValueError, OverflowError, OSError):
            return None

    def way(self, path: str, params: Mapping[str, str], page_size: int, start: str | None = None) -> Way:
        """The way through a listing from its first page, or from `start`, where another process stopped (see `paging`)."""
        own = {**params, "max": str(min(page_size, self._page_sizes.get(path, page_size)))}
        return Way(path, f"{self._base}{path}?{urlencode(own)}", own, self._page_caps, start)

    def page(self, way: Way, deadline: Deadline) -> Page:
        """The page that a way has come to, which is not at its end; `go_on` leads to the next one. Raises WebexError."""
        assert way.url is not None
        try:
            answer = self._fetch(way.url, deadline)
        except NotPermitted as fault:
            if not way.looks_behind or fault.status not in NOTHING_THERE:
                raise
            return Page([], way.path, None, way.url)
        return Page(answer.content, way.path, answer.tracking_id, answer.url, answer.link)

    def pages(self, path: str, params: Mapping[str, str], page_size: int, deadline: Deadline) -> Iterator[Page]:
        """The pages of a listing to its end. Raises WebexError; Unavailable also after a listing that was cut."""
        way = self.way(path, params, page_size)
        while way.url is not None:
            page = self.page(way, deadline)
            yield page
            go_on(way, page)

    def _fetch(self, url: str, deadline: Deadline, tries: int = TRIES, member: str = "items") -> _Answer:
        """One answer, after as many tries as the table above allows; `member` is what the answer has to have."""
        tried = 0
        renewed = None
        endpoint = self.endpoints.of(self._endpoint_path(url))
        while True:
            self._await_turn(endpoint, url, deadline)
            token = renewed or self._tokens.token()
            try:
                response, body = self._request(url, token, deadline, ANSWER_SECONDS if tries == 1 else None)
                if response.status_code in _PAUSING:
                    self._pause(endpoint, response)
                    if tries > 1:
                        continue
                    raise Throttled(
                        f"GET {_path(url)}: {response.status_code}, tracking id {_tracking_id(response)}.", response.status_code
                    )
                if response.status_code == 401 and renewed is None:
                    ids = {"url": _path(url), "status": 401, "trackingId": _tracking_id(response)}
                    log.warning("the access token was refused, and is renewed", extra={"ids": ids})
                    renewed = self._tokens.renew(token)
                    continue
                return _understood(response, body, member)
            except _Retry as fault:
                tried += 1
                if fault.status == 504:
                    url = self._with_half_the_page(url)
                if tried == tries:
                    raise Unavailable(
                        f"{fault}; gave up after {_number_of(tried, 'try', 'tries')}. The next poll asks again.", fault.status
                    ) from fault
                wait = BACKOFF_SECONDS * 2 ** (tried - 1) * random.uniform(0.8, 1.2)
                self._sleep(wait, deadline, DeadlinePassed(f"{fault}; its time in this poll is over before the next try."))

    def _request(self, url: str, token: str, deadline: Deadline, seconds: float | None) -> tuple[requests.Response, bytes]:
        """One request; `seconds` is how long the whole answer may take, None for as long as the poll lasts."""
        if deadline.left() <= 0:
            raise DeadlinePassed(f"GET {_path(url)}: its time in this poll is over.")
        tracking_id = f"ROOMPULSE_{uuid.uuid4()}"
        headers = {"Accept-Encoding": "gzip", "TrackingID": tracking_id} | ({"Authorization": f"Bearer {token}"} if token else {})
        left = max(0.001, deadline.left() if seconds is None else deadline.at_most(seconds).left())
        timeout = (min(CONNECT_SECONDS, left), min(READ_SECONDS, left))
        with self._lock:
            self.requests_made += 1
        with self._session.within(left) as span:
            try:
                # Redirects are not followed: the API has none, and the token must not travel to another host.
                with self._session.streamed(url, headers, timeout) as response:
                    return response, _body(response, span)
            except _BROKEN_ANSWERS as fault:
                if span.is_over:
                    raise _too_late(url, tracking_id, seconds) from fault
                raise _broken(url, tracking_id, fault) from fault

    def _pause(self, endpoint: Endpoint, response: requests.Response) -> None:
        """Let the endpoint rest, and go on slower."""
        reported = pause_seconds(response.headers.get("Retry-After"), response.headers.get("Date"))
        seconds = min(reported * random.uniform(1.0, 1.2), LONGEST_PAUSE_SECONDS)
        with self._lock:
            self.throttled += 1
        endpoint.pause(seconds)
        ids = {"url": _path(response.url), "status": response.status_code, "trackingId": _tracking_id(response)}
        log.warning(
            "Webex asks us to pause",
            extra={"ids": {**ids, "seconds": round(seconds, 1), "perSecond": round(endpoint.rate, 2)}},
        )

    def _await_turn(self, endpoint: Endpoint, url: str, deadline: Deadline) -> None:
        """Wait while the endpoint pauses, then for a turn in its buckets, and for a pause that has begun meanwhile."""
        self._await_pause(endpoint, url, deadline)
        used_up = TurnsUsedUp(f"GET {_path(url)}: the requests of this poll are used up; what is left waits for the next one.")
        for bucket in endpoint.buckets:
            wait = bucket.reserve(deadline.left())
            if wait is None:
                raise used_up
            self._sleep(wait, deadline, used_up)
        self._await_pause(endpoint, url, deadline)

    def _await_pause(self, endpoint: Endpoint, url: str, deadline: Deadline) -> None:
        while (pause := endpoint.pause_left()) > 0:
            over = f"Webex has asked (429 or 423) to be left alone for another {pause:.0f} s, longer than this poll has left."
            self._sleep(pause, deadline, Paused(f"GET {_path(url)}: {over}"))

    def _sleep(self, seconds: float, deadline: Deadline, otherwise: DeadlinePassed) -> None:
        """Sleep; raises `otherwise` when the time of the poll is over before that."""
        if seconds <= 0:
            return
        if seconds >= deadline.left():
            raise otherwise
        time.sleep(seconds)

    def _endpoint_path(self, url: str) -> str:
        """The path of a URL below the base of the API."""
        return urlsplit(url).path.removeprefix(urlsplit(self._base).path)

    def _with_half_the_page(self, url: str) -> str:
        """The URL with its `max` halved, down to the smallest page; unchanged when it has none."""
        parts = urlsplit(url)
        query = dict(parse_qsl(parts.query, keep_blank_values=True))
        if not query.get("max", "").isdigit():
            return url
        size = min(int(query["max"]), max(SMALLEST_PAGE, int(query["max"]) // 2))
        self._page_sizes[self._endpoint_path(url)] = size
        return urlunsplit(parts._replace(query=urlencode({**query, "max": str(size)})))


def can_be_sent(token: str) -> bool:
    """Whether a header can hold a token. One that was copied with a line feed or a smart quote would be shown by the error."""
    return _TOKEN.fullmatch(token) is not None


def go_on(way: Way, page: Page) -> None:
    """Go on to the next page, once this one has been dealt with. Raises Unavailable when the way ends where it must not."""
    try:
        way.go_on(page.items, page.link, page.url)
    except PagingFault as fault:
        raise Unavailable(f"GET {way.path}: {fault}") from fault


def pause_seconds(header: str | None, date: str | None) -> float:
    """How long Retry-After asks us to pause: seconds or an HTTP date (measured from the answer's own Date), clamped to 1..300 s.

    Absent or rubbish gives 15 s: Webex once sent the literal text `rand(30),add(30)`.
    """
    reported = retry_after(header, date)
    seconds = DEFAULT_PAUSE_SECONDS if reported is None else reported
    return min(max(seconds, SHORTEST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)


def _understood(response: requests.Response, body: bytes, member: str) -> _Answer:
    """The answer as JSON; raises _Retry for what may pass by itself and NotPermitted for what will not."""
    status, path, tracking_id = response.status_code, _path(response.url), _tracking_id(response)
    ids = {"url": path, "status": status, "trackingId": tracking_id}
    if 200 <= status < 300 and status not in _WORTH_ANOTHER_TRY:
        content = (json_object(body) or {}).get(member)
        if isinstance(content, _TYPE_OF_MEMBER[member]):
            return _Answer(content, response.url, response.headers.get("Link"), tracking_id)
        log.warning("the answer has no proper content", extra={"ids": {**ids, "bytes": len(body), "member": member}})
        step = answered_by_another(response, page=is_page(body))
        raise _Retry(f"GET {path}: the answer has no proper {member}, tracking id {tracking_id}" + (step and f". {step}"))
    log.warning("Webex answered with an error", extra={"ids": ids})
    step = answered_by_another(response)
    if step:
        raise NotPermitted(f"GET {path}: {status}. {step}", status)
    if status >= 500 or status in _WORTH_ANOTHER_TRY:
        raise _Retry(f"GET {path}: {status}, tracking id {tracking_id}", status)
    raise NotPermitted(f"GET {path}: {status} ({_message(body)}), tracking id {tracking_id}. {_next_step(status)}", status)


def _next_step(status: int) -> str:
    if status == 401:
        return "Even a renewed access token was refused: authorise the Webex service app again in Control Hub."
    if status == 403:
        scopes = "devices_read, workspaces_read, locations_read and workspace_metrics_read"
        return f"Give the Webex service app the scopes spark-admin:{scopes}."
    if status == 404:
        return "It is gone, or WEBEX_API_BASE is wrong (it ends in /v1)."
    return "Look the status up with the tracking id at Cisco support."


def _broken(url: str, tracking_id: str, fault: Exception) -> _Retry:
    """What to raise, and say, when the connection or the answer broke."""
    path, step = _path(url), next_step(fault)
    log.warning("no proper answer", extra={"ids": {"url": path, "trackingId": tracking_id, "fault": str(fault)}})
    return _Retry(f"GET {path}: {type(fault).__name__} ({fault}), our tracking id {tracking_id}" + (step and f". {step}"))


def _too_late(url: str, tracking_id: str, seconds: float | None) -> Exception:
    """What to raise when an answer was not whole in its time: `seconds`, or that of the poll."""
    if seconds is None:
        return DeadlinePassed(f"GET {_path(url)}: its time in this poll is over in the middle of an answer.")
    return _Retry(f"GET {_path(url)}: the answer took too long, our tracking id {tracking_id}")


def _body(response: requests.Response, span: Span) -> bytes:
    """The body, unpacked. Raises what a broken answer raises, also for one that the end of its time cut short."""
    unpack = _unpacker(response)
    body = bytearray()
    while chunk := response.raw.read1(_CHUNK_BYTES, decode_content=False):
        body += unpack.more(chunk) if unpack else chunk
        if len(body) > LARGEST_ANSWER_BYTES:
            path, size = _path(response.url), f"{LARGEST_ANSWER_BYTES >> 20} MB"
            raise _Retry(f"GET {path}: the answer is larger than {size}, tracking id {_tracking_id(response)}", 504)
    if span.is_over:
        raise TimeoutError
    if unpack:
        unpack.end()
    return bytes(body)


def _unpacker(response: requests.Response) -> Unpacked | None:
    """What unpacks the body of an answer; None where it is not packed. Names of codings have no case."""
    named = [name.strip().lower() for name in response.headers.get("Content-Encoding", "").split(",")]
    codings = [name for name in named if name not in _NOT_PACKED]
    if not codings:
        return None
    if codings[1:] or codings[0] not in PACKED_BY:
        packed = ", ".join(codings)[:100]
        raise _Retry(
            f"GET {_path(response.url)}: the answer is packed as {packed}, which was not asked for: see that no proxy packs "
            f"answers, tracking id {_tracking_id(response)}"
        )
    return Unpacked(LARGEST_ANSWER_BYTES)


def _message(body: bytes) -> str:
    document = json_object(body) or {}
    return str(document.get("message", "no message"))[:200]


def _tracking_id(response: requests.Response) -> str | None:
    return response.headers.get("TrackingID")


def _path(url: str) -> str:
    """A URL as logs and errors show it: without host."""
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}" if parts.query else parts.path


def _number_of(number: int, one: str, several: str) -> str:
    return f"{number} {one if number == 1 else several}"
