"""Where books are kept on Azure: a blob per city, written on condition of the etag it was read with."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping

from processors.alert_fanout.state import Conflict, StateError
from processors.azure_blobs import BlobChanged, BlobContainer, BlobError
from processors.contracts.facts import ANY_OTHER_CITY

PREFIX = "alert-fanout/"
BOOK_OF_ANY_OTHER_CITY = "any-other-city"
"""How the city `*` is called here: a blob's name has no asterisk. No city may have that slug (RESERVED_SLUGS)."""


class BlobTexts:
    """Texts in the blobs of a container; see TextStore."""

    def __init__(self, url: str, environment: Mapping[str, str]) -> None:
        """The container at `url`; the environment names the identity (AZURE_CLIENT_ID). Raises StateError."""
        self.where = url
        with _explained():
            self._container = BlobContainer(url, environment)

    def close(self) -> None:
        """Close the connections."""
        self._container.close()

    def names(self) -> list[str]:
        """See TextStore.names."""
        with _explained():
            blobs = self._container.list(PREFIX)
        names = [blob.name.removeprefix(PREFIX).removesuffix(".json") for blob in blobs]
        return [ANY_OTHER_CITY if name == BOOK_OF_ANY_OTHER_CITY else name for name in names]

    def load(self, name: str) -> tuple[str | None, str | None]:
        """See TextStore.load."""
        with _explained():
            blob = self._container.read(_blob(name))
        # Whoever reads the text says what is wrong with one that was damaged, and what to do.
        return (blob.content.decode(errors="replace"), blob.etag) if blob else (None, None)

    def version(self, name: str) -> str | None:
        """See TextStore.version."""
        with _explained():
            return self._container.etag_of(_blob(name))

    def save(self, name: str, text: str, version: str | None) -> str:
        """See TextStore.save."""
        with _explained():
            return self._container.write(_blob(name), text.encode(), version)


def _blob(name: str) -> str:
    return f"{PREFIX}{BOOK_OF_ANY_OTHER_CITY if name == ANY_OTHER_CITY else name}.json"


@contextlib.contextmanager
def _explained() -> Iterator[None]:
    try:
        yield
    except BlobChanged as fault:
        raise Conflict(str(fault)) from fault
    except BlobError as fault:
        raise StateError(f"{fault} No alert is lost: the events are given again.") from fault
