"""The deterministic package of a function app: sources, vendored wheels, settings, and an entry that answers with the content hash.

`content_hash` names the content without building anything (cheap, offline: good for previews and plans); `build_package` makes the zip.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class PackageContent:
    """What goes into the package of one app: `processor` is a folder of `processors/` with a function_app.py; `files` are added at the
    root by name (the app's settings)."""

    processor: str
    files: Mapping[str, bytes]


def content_hash(content: PackageContent) -> str:
    """SHA-256 (hex) over everything that decides the package: sources, added files, the pinned and hashed wheels, the entry."""
    raise NotImplementedError


def build_package(content: PackageContent, folder: Path) -> Path:
    """Write `<folder>/<processor>-<hash>.zip` unless it is there, and return its path. Needs the network once per requirements file."""
    raise NotImplementedError
