"""Speaking with Webex as an integration: who we are, our queue, and what is in it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import Any, NamedTuple

import requests

from processors.connection_faults import answered_by_another, next_step
from processors.contracts.http_session import Session
from processors.contracts.json_body import is_page, json_object
from processors.ingest.push.activation import Integration
from processors.ingest.push.trust import NotTrusted, Trust
from processors.ingest.webex_client import NotPermitted, Throttled, TokenSource, Unavailable, pause_seconds

CONNECT_SECONDS = 5.0
ANSWER_SECONDS = 20.0
HELD_SECONDS = 60.0
"""How long an empty poll may be held. The real time is not published; Cisco's clients give up after 30 s."""
_GONE = (404, 410)


class QueueGone(Unavailable):
    """The queue is not there any more: it has to be enabled anew."""


class AnswerLost(Unavailable):
    """An answer of the queue was not read whole: what it handed out is not handed out again."""


class Deactivated(NotPermitted):
    """Webex doesn't know the integration any more: an administrator has deactivated it."""


class Paused(Throttled):
    """Webex has asked for a pause of `seconds`."""

    def __init__(self, text: str, seconds: float) -> None:
        super().__init__(text, 429)
        self.seconds = seconds


class Polled(NamedTuple):
    """What a poll of the queue gave: messages as JSON, and where to poll next when that has changed."""

    messages: list[Any]
    poll_url: str | None


class App:
    """One activated integration. Thread-safe; the requests of each thread keep a connection of their own."""

    def __init__(self, integration: Integration, tokens: TokenSource, trust: Trust) -> None:
        self.integration = integration
        self.requests_made = 0
        self._tokens = tokens
        self._trust = trust
        self._threads = threading.local()

    def described(self) -> Mapping[str, Any]:
        """What Webex says of the integration: the manifest that is approved, its queue. Raises WebexError."""
        return self._ask("GET", self.integration.app_url, None, ANSWER_SECONDS, Deactivated)

    def completed(self) -> Mapping[str, Any]:
        """Say that it is set up; gives what `described` does. Raises WebexError."""
        return self._ask("PATCH", self.integration.app_url, {"provisioningState": "completed"}, ANSWER_SECONDS, Deactivated)

    def listening(self) -> str:
        """Say that we are ready, and have a queue; gives where to poll it. Raises WebexError."""
        ready = {"provisioningState": "completed", "operationalState": "operational", "queue": {"state": "enabled"}}
        answer = self._ask("PATCH", self.integration.app_url, ready, ANSWER_SECONDS, Deactivated)
        queue = answer.get("queue")
        url = queue.get("pollUrl") if isinstance(queue, Mapping) else None
        if url is None:
            raise Unavailable("Webex enabled no queue for the integration: it is tried again.")
        return self._checked(url)

    def poll(self, url: str) -> Polled:
        """Wait for messages. What is handed out here is not handed out again. Raises WebexError: AnswerLost where messages may
        have been in what could not be read.
        """
        answer = self._ask("GET", url, None, HELD_SECONDS, QueueGone)
        messages, moved = answer.get("messages"), answer.get("pollUrl")
        if not isinstance(messages, list):
            raise AnswerLost("GET the integration's queue: an answer without messages. What it held is polled.")
        return Polled(messages, self._checked(moved) if moved else None)

    def _checked(self, url: object) -> str:
        try:
            return self._trust.checked("pollUrl", url)
        except NotTrusted as fault:
            raise Unavailable(str(fault)) from fault

    def _ask(
        self, method: str, url: str, body: object, seconds: float, gone: type[QueueGone] | type[Deactivated]
    ) -> Mapping[str, Any]:
        """The answer as a JSON object; a token that is refused is renewed once."""
        token = self._tokens.token()
        response = self._answer(method, url, body, token, seconds)
        if response.status_code == 401:
            response = self._answer(method, url, body, self._tokens.renew(token), seconds)
        what = f"{method} the integration" + ("'s queue" if gone is QueueGone else "")
        if response.status_code in _GONE:
            raise gone(f"{what}: {response.status_code}, {_tracking(response)}. {_IF_GONE[gone]}", response.status_code)
        _check(response, what)
        document = json_object(response.content)
        if step := answered_by_another(response, page=is_page(response.content)):
            raise Unavailable(f"{what}: a page of HTML. {step}")
        if document is None:
            raise AnswerLost(f"{what}: an answer that is not a JSON object, {_tracking(response)}. What it held is polled.")
        return document

    def _answer(self, method: str, url: str, body: object, token: str, seconds: float) -> requests.Response:
        self.requests_made += 1
        headers = {"Authorization": f"Bearer {token}"}
        try:
            return self._session.whole(method, url, CONNECT_SECONDS, seconds, json=body, headers=headers)
        except requests.RequestException as fault:
            step = next_step(fault)
            lost = Unavailable if step else AnswerLost  # there is a step where nobody was reached
            raise lost(f"{method} the integration: no answer ({type(fault).__name__}). {step or 'It is tried again.'}") from None

    @property
    def _session(self) -> Session:
        if not hasattr(self._threads, "session"):
            self._threads.session = Session()
        session: Session = self._threads.session
        return session


_IF_GONE: dict[type, str] = {
    QueueGone: "Webex has dropped the queue: it is enabled anew.",
    Deactivated: "An administrator has deactivated it: activate it again in Control Hub, and give its code to "
    "roompulse webex integration activate.",
}


def _check(response: requests.Response, what: str) -> None:
    status = response.status_code
    if status == 200:
        return
    if step := answered_by_another(response):
        raise Unavailable(f"{what}: {status}. {step}", status)
    text = f"{what}: {status}, {_tracking(response)}"
    if status in (423, 429):
        pause = pause_seconds(response.headers.get("Retry-After"), response.headers.get("Date"))
        raise Paused(f"{text}. It is left alone for {pause:g} s.", pause)
    if status == 403:
        raise NotPermitted(
            f"{text}: the administrator has approved less than it asks for (roompulse webex integration status).", 403
        )
    if 400 <= status < 500:
        raise NotPermitted(f"{text}. Run roompulse webex integration status.", status)
    raise Unavailable(f"{text}. It is tried again.", status)


def _tracking(response: requests.Response) -> str:
    return f"tracking id {response.headers.get('TrackingID')}"
