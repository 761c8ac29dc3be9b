"""What is pushed, as one poller sees it: for which cities, whether it comes, and what to say where it doesn't."""

from __future__ import annotations

from collections.abc import Iterator

from processors.ingest.places import Places
from processors.ingest.push.coverage import Coverage
from processors.ingest.push.desk import PushDesk
from processors.ingest.push.listener import Listener
from processors.ingest.push.rooms import AboutOf
from processors.ingest.room_use import RoomUses
from processors.ingest.settings import IngestSettings
from processors.ingest.signals import RuleBook
from processors.ingest.sinks import Sink
from processors.ingest.state import IngestState

NOWHERE = (
    "A city has push: true, and nothing says where the integration is kept: set WEBEX_INTEGRATION_FOLDER or "
    "WEBEX_TOKEN_VAULT_URI (docs/stages/push.md). Its rooms are polled."
)


class PushedCities:
    """The cities whose rooms report by themselves."""

    def __init__(
        self, settings: IngestSettings, sink: Sink, state: IngestState, book: RuleBook, listener: Listener | None
    ) -> None:
        self.coverage = listener.coverage if listener else Coverage()
        self._cities = frozenset(city.slug for city in settings.cities if city.push)
        self._parts = settings, sink, state, book
        self._listener = listener if self._cities else None
        self._listens = False

    def listen(self, places: Places, about: AboutOf, uses: RoomUses) -> None:
        """Listen from now on, once it is known where everything is; `about` and `uses` as PushDesk takes them.

        What a room says that nobody has listed yet is left out, and a full sync does not come again.
        """
        if self._listener is None or self._listens or places.directory is None or not places.workspaces.records:
            return
        settings, sink, state, book = self._parts
        self._listener.attach(PushDesk(settings, sink, state, book, places, self.coverage, about, uses))
        self._listens = True

    def stop(self) -> None:
        """Listen no more: another instance has the turn, or another poller takes over."""
        if self._listener is not None and self._listens:
            self._listener.detach()
        self._listens = False

    def silent_in(self, slug: str) -> bool | None:
        """Whether a city's rooms should report by themselves and don't; None where they need not, or nobody has listened yet."""
        if slug not in self._cities:
            return None
        if self._listener is None:
            return True
        return self.coverage.look() in ("silent", "off") if self._listens else None

    def faults(self) -> Iterator[str]:
        """Why rooms that should report by themselves don't."""
        if self._cities and self._listener is None:
            yield NOWHERE
        elif self._listens and self.coverage.look() in ("silent", "off"):
            yield f"Webex pushes nothing, so rooms are polled: {self.coverage.cause or 'no message comes'}."
