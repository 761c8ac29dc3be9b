"""The pollers of a process: one for each organisation that its settings name, each in a thread of its own.

A partner's organisation has its own tokens, its own state and its own rate of requests; what one of them can't do, or takes long
for, is nothing to the others. They share the hubs, the rules, and the settings.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from processors.ingest.environment import listener_from, of_organisation, poller_from
from processors.ingest.poll import Poller
from processors.ingest.push.listener import Listener
from processors.ingest.settings import organisations_in
from processors.settings_source import Settings

log = logging.getLogger("roompulse.ingest")


class Organisations:
    """The pollers by the slug of their organisation; empty for the stack's own."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.pollers: dict[str, Poller] = {}
        self._environment = environment
        self._listeners: dict[str, Listener | None] = {}
        self._threads: dict[str, ThreadPoolExecutor] = {}
        """One thread each, which keeps its connections from poll to poll."""

    def poll(self, settings: Settings) -> None:
        """Make one poll of each. What one raises is raised once all are through: of several an ExceptionGroup."""
        polls = [self._thread(name).submit(self._poll, name, settings) for name in organisations_in(settings.document())]
        faults = [fault for poll in polls if (fault := poll.exception())]
        if len(faults) > 1:
            raise BaseExceptionGroup("several organisations could not be polled", faults)
        if faults:
            raise faults[0]

    def close(self) -> None:
        """Close connections and states; what is pushed is listened to by whoever polls next."""
        for name in [*self.pollers]:
            self.pollers.pop(name).close()

    def _poll(self, name: str, settings: Settings) -> None:
        """When it raises, only what was acknowledged is remembered, and the next poll sends the rest."""
        environment = of_organisation(self._environment, name)
        if name not in self._listeners:
            self._listeners[name] = listener_from(environment)
        if name not in self.pollers:
            self.pollers[name] = poller_from(environment, settings, self._listeners[name])
        try:
            self.pollers[name].poll(followed=True)
        except Exception as fault:
            log.error("an organisation could not be polled", extra={"ids": {"organisation": name, "fault": str(fault)}})
            # Connections may be dead and memory ahead of the file: the next poll starts from what is durable.
            self.pollers.pop(name).close()
            raise

    def _thread(self, name: str) -> ThreadPoolExecutor:
        if name not in self._threads:
            self._threads[name] = ThreadPoolExecutor(1, f"organisation {name}")
        return self._threads[name]
