"""A person's word that devices which went missing in bulk are really gone, for `disappearance.Gate` of the ingest that polls.

The ingest has its state to itself, and goes on polling meanwhile. So the word is left beside it: in a row of the SQLite file,
which several processes may write, or in a blob of its own.
"""

from __future__ import annotations

import contextlib
import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Protocol

from processors.azure_blobs import BlobContainer, BlobError
from processors.ingest.disappearance import Held, held_in
from processors.ingest.environment import state_container, state_file
from processors.ingest.sqlite_state import CONSENT
from processors.ingest.state import StateError


class AcceptanceError(Exception):
    """Nothing can be accepted. The text says why, and the next step."""


class _Desk(Protocol):
    """Where the notes of a state are read, and a person's word is left."""

    def marks(self) -> dict[str, str]:
        """The notes of the state."""

    def leave(self, words: Mapping[str, str]) -> None:
        """Leave a word by the subject it is about, in place of an earlier one."""


def held(environment: Mapping[str, str]) -> dict[str, Held]:
    """The removals that are held back, by subject. Raises AcceptanceError."""
    with _desk(environment) as desk:
        return held_in(desk.marks())


def accept(environment: Mapping[str, str], subjects: Sequence[str]) -> dict[str, Held]:
    """Accept removals as they are now; gives them. Raises AcceptanceError when one is not held back, and accepts none then."""
    with _desk(environment) as desk:
        found = held_in(desk.marks())
        unknown = [subject for subject in subjects if subject not in found]
        if unknown:
            known = ", ".join(found) or "nothing is"
            raise AcceptanceError(f"{', '.join(unknown)}: no such removal is held back. Held back: {known}.")
        accepted = {subject: found[subject] for subject in subjects}
        desk.leave({subject: removal.text() for subject, removal in accepted.items()})
        return accepted


class _File:
    def __init__(self, path: Path) -> None:
        self._path = path

    def marks(self) -> dict[str, str]:
        with self._open() as database:
            return dict(database.execute("SELECT name, time FROM mark").fetchall())

    def leave(self, words: Mapping[str, str]) -> None:
        rows = [(f"{CONSENT}{subject}", text) for subject, text in words.items()]
        with self._open() as database:
            database.executemany("INSERT OR REPLACE INTO mark (name, time) VALUES (?, ?)", rows)

    @contextlib.contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        try:
            with contextlib.closing(sqlite3.connect(f"{self._path.resolve().as_uri()}?mode=rw", uri=True)) as database, database:
                yield database
        except sqlite3.Error as fault:
            raise AcceptanceError(
                f"{self._path} can't be used ({fault}): has the ingest polled with this STATE_FOLDER?"
            ) from fault


class _Container:
    def __init__(self, container: BlobContainer) -> None:
        self._container = container

    def marks(self) -> dict[str, str]:
        from processors.ingest.blob_state import marks_in

        return marks_in(self._container)

    def leave(self, words: Mapping[str, str]) -> None:
        from processors.ingest.blob_state import CONSENT_BLOB, consents_in

        content = json.dumps({**consents_in(self._container), **words}).encode()
        self._container.write(CONSENT_BLOB, content, self._container.etag_of(CONSENT_BLOB))


@contextlib.contextmanager
def _desk(environment: Mapping[str, str]) -> Iterator[_Desk]:
    try:
        if environment.get("STATE_BLOB_URL"):
            with contextlib.closing(state_container(environment)) as container:
                yield _Container(container)
        elif environment.get("STATE_FOLDER"):
            yield _File(state_file(environment))
        else:
            raise AcceptanceError("Neither STATE_FOLDER nor STATE_BLOB_URL is set: name where the ingest keeps its state.")
    except (BlobError, StateError) as fault:
        raise AcceptanceError(str(fault)) from fault
