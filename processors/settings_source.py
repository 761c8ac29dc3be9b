"""The settings of a processor, in pieces: `common.json`, and a file `cities/SLUG.json` for every city.

So a city comes, changes and goes without any other file changing. The pieces lie in a blob container (SETTINGS_BLOB_URL, as
deployed) or in a folder; one file with everything in it will do for a shell. They are looked at again while the processor runs,
so that a change needs no restart. A city whose piece is broken keeps what it had, or is left out: the others go on.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

from processors.azure_blobs import BlobContainer, BlobError
from processors.contracts.validation import Fault, SettingsError, faults_of_settings, listed

COMMON = "common.json"
CITIES = "cities/"
CHECK_SECONDS = 60.0
"""How often the pieces are looked at: a listing of the container each time."""

log = logging.getLogger("roompulse.settings")


class SourceError(Exception):
    """The pieces can't be reached. The text says why and the next step."""


class Source(Protocol):
    """Where pieces are: a folder, a container, a file."""

    def shown(self, piece: str) -> str:
        """A piece as errors call it."""

    def versions(self) -> dict[str, str]:
        """The pieces that are there, by name, with what changes when their content does. Raises SourceError."""

    def read(self, piece: str) -> bytes:
        """A piece's content; empty when it went meanwhile. Raises SourceError."""


class FolderSource:
    """Pieces in a folder."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def shown(self, piece: str) -> str:
        """See Source."""
        return str(self._folder / piece)

    def versions(self) -> dict[str, str]:
        """See Source."""
        try:
            paths = [path for path in (self._folder / COMMON, *self._folder.glob(f"{CITIES}*.json")) if path.is_file()]
            return {path.relative_to(self._folder).as_posix(): _version(path) for path in paths}
        except OSError as fault:
            raise _unreadable(self._folder, fault) from fault

    def read(self, piece: str) -> bytes:
        """See Source."""
        return _content(self._folder / piece)


class FileSource:
    """Everything in one file."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def shown(self, piece: str) -> str:
        """See Source."""
        return str(self._path)

    def versions(self) -> dict[str, str]:
        """See Source."""
        try:
            return {COMMON: _version(self._path)}
        except OSError as fault:
            raise _unreadable(self._path, fault) from fault

    def read(self, piece: str) -> bytes:
        """See Source."""
        return _content(self._path)


class BlobSource:
    """Pieces in a blob container."""

    def __init__(self, container: BlobContainer) -> None:
        self._container = container

    def shown(self, piece: str) -> str:
        """See Source."""
        return f"{self._container.url}/{piece}"

    def versions(self) -> dict[str, str]:
        """See Source."""
        try:
            return {blob.name: blob.etag for blob in self._container.list()}
        except BlobError as fault:
            raise SourceError(str(fault)) from fault

    def read(self, piece: str) -> bytes:
        """See Source."""
        try:
            blob = self._container.read(piece)
        except BlobError as fault:
            raise SourceError(str(fault)) from fault
        return blob.content if blob else b""


class Settings:
    """The settings of one processor as they are now. `kind` is the schema they must fit: ingest-settings or fanout-settings."""

    def __init__(
        self, source: Source, kind: str, check_seconds: float = CHECK_SECONDS, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self.broken: dict[str, str] = {}
        """What is wrong with which piece, the last time it was looked at."""
        self._source, self._kind = source, kind
        self._check_seconds, self._clock = check_seconds, clock
        self._versions: dict[str, str] = {}
        self._common: dict[str, Any] | None = None
        self._cities: dict[str, Any] = {}
        self._looked = clock()

    def document(self) -> dict[str, Any]:
        """Everything in one document, checked. Raises SettingsError when there is no valid common.json, or no way to it."""
        if self._common is None:
            try:
                self._look()
            except SourceError as fault:
                raise SettingsError(str(fault)) from fault
        if self._common is None:
            missing = f"{self._source.shown(COMMON)} is missing: write it with `pulumi up` or `roompulse run`."
            raise SettingsError(self.broken.get(COMMON, missing))
        return {**self._common, "cities": self._common["cities"] | self._cities}

    def changed(self) -> bool:
        """Whether the document has become another one since it was looked at; looks again when it is time to."""
        if self._common is None or self._clock() - self._looked < self._check_seconds:
            return False
        before = self.document()
        try:
            self._look()
        except SourceError as fault:
            log.warning("settings not looked at; going on with those at hand", extra={"ids": {"fault": str(fault)}})
            return False
        return self.document() != before

    def _look(self) -> None:
        """Read what is new, drop what is gone, keep what is broken as it was."""
        self._looked = self._clock()
        versions = self._source.versions()
        new = [piece for piece, version in sorted(versions.items()) if self._versions.get(piece) != version]
        contents = {piece: self._source.read(piece) for piece in new}
        self.broken = {piece: fault for piece, fault in self.broken.items() if piece in versions and piece not in new}
        for slug in [slug for slug in self._cities if _piece(slug) not in versions]:
            del self._cities[slug]
        if COMMON in contents:
            self._take(COMMON, contents.pop(COMMON), self._take_common)
        for piece, content in contents.items():
            if piece.startswith(CITIES):
                self._take(piece, content, self._take_city)
        self._versions = versions if self._common is not None else {}  # without common settings nothing could be checked

    def _take(self, piece: str, content: bytes, take: Callable[[str, Any], list[Fault]]) -> None:
        """Take a piece over, or say what is wrong with it."""
        try:
            found = take(piece, json.loads(content))
            reported = f"can't be used ({len(found)} faults). Fix the stack it is made from:\n{listed(found)}" if found else ""
        except ValueError as fault:
            reported = f"is not JSON ({fault}): write it again with `pulumi up` or `roompulse run`."
        if reported:
            self.broken[piece] = f"{self._source.shown(piece)} {reported}"
            log.error("settings are broken", extra={"ids": {"piece": piece, "fault": self.broken[piece]}})

    def _take_common(self, _piece: str, document: Any) -> list[Fault]:
        found = faults_of_settings(self._kind, document)
        if not found:
            self._common = document
        return found

    def _take_city(self, piece: str, city: Any) -> list[Fault]:
        """A city is checked within the common settings, alone, so that what is found is its own."""
        slug = piece.removeprefix(CITIES).removesuffix(".json")
        if self._common is None:
            return []
        found = faults_of_settings(self._kind, {**self._common, "cities": self._common["cities"] | {slug: city}})
        if not found:
            self._cities[slug] = city
        return found


def settings_from(environment: Mapping[str, str], variable: str, kind: str) -> Settings:
    """The settings that SETTINGS_BLOB_URL names (a container), or else `variable` (a folder, or one file).

    Raises SettingsError when the URL is none.
    """
    if url := environment.get("SETTINGS_BLOB_URL"):
        try:
            return Settings(BlobSource(BlobContainer(url, environment)), kind)
        except BlobError as fault:
            raise SettingsError(f"SETTINGS_BLOB_URL: {fault}") from fault
    return settings_at(Path(environment[variable]), kind)


def settings_at(path: Path, kind: str) -> Settings:
    """The settings in a folder of pieces, or in one file."""
    return Settings(FolderSource(path) if path.is_dir() else FileSource(path), kind)


def _piece(slug: str) -> str:
    return f"{CITIES}{slug}.json"


def _version(path: Path) -> str:
    status = path.stat()
    return f"{status.st_mtime_ns}-{status.st_size}"


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError:
        return b""
    except OSError as fault:
        raise _unreadable(path, fault) from fault


def _unreadable(path: Path, fault: OSError) -> SourceError:
    return SourceError(f"{path} can't be read ({fault.strerror}): give the path of the settings.")
