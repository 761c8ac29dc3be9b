"""Listens to what Webex pushes: a thread that polls the integration's queue, and hands what comes to the poller with the turn.

What an answer has handed out is not handed out again. So there is no next poll before everything of the last one is with Event
Hubs and remembered; while that can't be done it is tried again, and the messages wait at Webex. A listener outlives the pollers
it works for (new settings make a new one): an answer that comes in between waits for the next.
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from processors.ingest.push.activation import Integration, action_from
from processors.ingest.push.app import AnswerLost, App, Deactivated, Paused, QueueGone
from processors.ingest.push.coverage import Coverage
from processors.ingest.push.home import Home
from processors.ingest.push.manifest import unapproved
from processors.ingest.push.messages import OtherMessage
from processors.ingest.push.trust import NotTrusted, Trust
from processors.ingest.sinks import SendError
from processors.ingest.state import StateError
from processors.ingest.tokens import INTEGRATION, ServiceAppToken, TokenSet, TokenStoreError
from processors.ingest.webex_client import WebexError

SHORTEST_ROUND_SECONDS = 0.5
"""Between the beginnings of two polls: what comes meanwhile comes together, and Webex is asked at most 120 times a minute."""
ERROR_SECONDS = 5.0
"""What Cisco's own SDK waits after a poll that failed."""
LOOK_AGAIN_SECONDS = 60.0
"""How often somebody looks whether an integration has been activated."""
REGISTER_AGAIN_SECONDS = 120.0
"""How often a silent integration says anew that it is there."""

log = logging.getLogger("roompulse.ingest.push")


class Desk(Protocol):
    """Who takes what is pushed: the poller that has the turn."""

    def take(self, messages: Sequence[Any]) -> list[OtherMessage]:
        """Send and remember what devices report; gives the other messages. Returns when all of it is acknowledged.

        Raises SendError or StateError; then the same messages are handed in again.
        """


class Listener:
    """One integration's queue. `attach` and `detach` are called by pollers, in turn."""

    def __init__(self, home: Home, trust: Trust, coverage: Coverage, app_of: Callable[[Integration], App] | None = None) -> None:
        """`app_of`: how to speak with Webex for an integration; by default with the token that the home keeps."""
        self.coverage = coverage
        self.messages = 0
        """Messages that have come so far."""
        self._home = home
        self._trust = trust
        self._app_of = app_of or self._with_our_token
        self._desk: Desk | None = None
        self._changed = threading.Condition()
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None
        self._app: App | None = None
        self._poll_url: str | None = None
        self._registered_at = 0.0
        self._pending: list[Any] = []
        self._actions: list[str] = []

    @property
    def requests_made(self) -> int:
        """Requests to Webex so far, of the integration as it is activated now."""
        return self._app.requests_made if self._app else 0

    def attach(self, desk: Desk) -> None:
        """Hand what comes to this desk from now on."""
        with self._changed:
            if self._desk is None:
                self.coverage.begin()
            self._desk = desk
            self._changed.notify_all()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="push", daemon=True)
            self._thread.start()

    def detach(self) -> None:
        """Hand nothing over any more; what is being handed over now is finished first. Polling covers what is missing."""
        with self._changed:
            self._desk = None
        self.coverage.end("another instance has the turn, or this one ends")

    def close(self, seconds: float = 0.0) -> None:
        """Listen no more. A poll that is held is abandoned after so many `seconds`: what it would give is polled instead."""
        self._stopping.set()
        self.detach()
        with self._changed:
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(seconds)

    def _run(self) -> None:
        while not self._stopping.is_set():
            began = time.monotonic()
            try:
                wait = self._round()
            except Exception:
                # A fault of ours must end neither the thread nor go unsaid; what it was about is polled, as after every gap.
                log.exception("what was pushed could not be handled", extra={"ids": {"messages": len(self._pending)}})
                self._pending, wait = [], ERROR_SECONDS
                self.coverage.begin()
            self._stopping.wait(max(wait, SHORTEST_ROUND_SECONDS - (time.monotonic() - began)))

    def _round(self) -> float:
        """Listen once, and hand over what came; gives how long to wait before the next time."""
        with self._changed:
            while self._desk is None and not self._stopping.is_set():
                self._changed.wait()
        try:
            if not self._pending and not self._listen():
                return LOOK_AGAIN_SECONDS
            self._hand_over()
        except Paused as fault:
            return self._failed(fault, fault.seconds)
        except Deactivated as fault:
            self._let_go(str(fault))
            return LOOK_AGAIN_SECONDS
        except QueueGone as fault:
            self._poll_url = None
            return self._failed(fault, 0.0 if time.monotonic() - self._registered_at > ERROR_SECONDS else ERROR_SECONDS)
        except AnswerLost as fault:
            self.coverage.lost()
            return self._failed(fault, ERROR_SECONDS)
        except (WebexError, TokenStoreError, NotTrusted, SendError, StateError) as fault:
            return self._failed(fault, ERROR_SECONDS)
        return 0.0

    def _failed(self, fault: Exception, wait: float) -> float:
        log.warning("what Webex pushes can't be had", extra={"ids": {"cause": str(fault)}})
        self.coverage.failed(str(fault))
        return wait

    def _listen(self) -> bool:
        """Wait for messages; False when no integration is activated."""
        if self._app is None and not self._find():
            return False
        assert self._app is not None, "it was found"
        if self._poll_url is None or self._is_due_again():
            self._register(self._app)
        assert self._poll_url is not None, "it was registered"
        polled = self._app.poll(self._poll_url)
        self._poll_url = polled.poll_url or self._poll_url
        self._pending = polled.messages
        self.messages += len(polled.messages)
        self.coverage.answered()
        return True

    def _find(self) -> bool:
        integration = self._home.integration()
        if integration is None:
            self.coverage.end("no integration is activated: roompulse webex integration manifest says how to begin")
            return False
        self._app = self._app_of(integration)
        return True

    def _is_due_again(self) -> bool:
        """Whether a silence has lasted long enough to say again that we are there."""
        return self.coverage.look() == "silent" and time.monotonic() - self._registered_at > REGISTER_AGAIN_SECONDS

    def _register(self, app: App) -> None:
        """Get a queue, or the one that there is; nobody knows what was missed in between."""
        self._registered_at = time.monotonic()
        self._poll_url = app.listening()
        self.coverage.begin()
        missing = unapproved(app.described())
        if missing:
            log.warning("the integration's manifest is not approved as it is", extra={"ids": {"missing": ", ".join(missing)}})
        log.info("listening to what Webex pushes", extra={"ids": {"appId": app.integration.app_id}})

    def _hand_over(self) -> None:
        with self._changed:
            if self._desk is None:
                return
            others = self._desk.take(self._pending) if self._pending else []
            self._pending = []
        for message in others:
            if message.kind == "action" and message.jwt:
                self._act(message.jwt)

    def _act(self, token: str) -> None:
        """Do what the administrator's action asks for."""
        if self._app is None:
            return
        try:
            action, token_id = action_from(token, self._app.integration, self._trust, self._actions)
        except NotTrusted as fault:
            log.warning("an action is left", extra={"ids": {"cause": str(fault)}})
            return
        self._actions = [*self._actions[-99:], token_id]
        log.info("the administrator acts", extra={"ids": {"action": action.name, "manifestVersion": action.manifest_version}})
        if action.name == "deprovision":
            self._home.forget()
            self._let_go("the administrator has deactivated the integration")
        elif action.refresh_token:
            self._home.store.write(TokenSet(self._app.integration.client_id, action.refresh_token))
            self._app = None
        elif action.name == "updateApproved":
            self._poll_url = None

    def _let_go(self, cause: str) -> None:
        self._app, self._poll_url = None, None
        self.coverage.end(cause)
        log.warning("nothing is pushed any more", extra={"ids": {"cause": cause}})

    def _with_our_token(self, integration: Integration) -> App:
        return App(integration, ServiceAppToken(self._home.store, integration.oauth_url, INTEGRATION), self._trust)
