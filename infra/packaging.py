"""The deterministic package of a function app: its sources, vendored wheels, and an entry that reports
its content hash.

`PackageContent.sha256` names the content without building anything: cheap and offline, fit for previews and plans. That works
because the wheels are pinned to single files by hash. `build_package` makes the zip; the same content gives the same bytes.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
PYTHON_VERSION = "3.12"
"""The version the apps run on (`functionAppConfig.runtime.version`)."""
PLATFORMS = ("manylinux2014_x86_64", "manylinux_2_28_x86_64")
SITE_PACKAGES = ".python_packages/lib/site-packages"
"""Where the Functions worker looks for vendored packages."""
CONTENT_FILE = "content.json"
"""What `processors/deployed_content.py` answers with."""
EARLIEST_TIME = (1980, 1, 1, 0, 0, 0)
"""The zip format's zero: files carry no time, so that the same content has the same bytes."""
MADE_BY_INSTALLING = frozenset({"RECORD", "INSTALLER", "REQUESTED", "direct_url.json"})
"""Files of a *.dist-info that depend on the machine that installed."""

HOST = {
    "version": "2.0",
    # The worker exports its own log, with the fields of its lines (processors/telemetry.py); the host does likewise.
    "telemetryMode": "OpenTelemetry",
    "extensionBundle": {"id": "Microsoft.Azure.Functions.ExtensionBundle", "version": "[4.*, 5.0.0)"},
    # A page has the address that people are given, not one below /api.
    "extensions": {"http": {"routePrefix": ""}},
    "logging": {"logLevel": {"default": "Information"}},
}

ENTRY = '''"""Entry of the deployed app, where the Functions worker looks for it."""

from processors.{processor}.function_app import app

__all__ = ["app"]
'''


class PackagingError(Exception):
    """A package can't be built. The text says what is missing and the next step."""


@dataclass(frozen=True)
class PackageContent:
    """What goes into the package of one app.

    `processor` names a folder of `processors/` with a function_app.py; `sources` is the folder that holds `processors/`.
    """

    processor: str
    sources: Path = REPOSITORY

    @property
    def requirements(self) -> Path:
        """The pinned and hashed wheels to vendor."""
        return self.sources / "processors" / "requirements.txt"

    @cached_property
    def sha256(self) -> str:
        """SHA-256 (hex) over everything that decides the package, read when it is first asked for.

        Raises PackagingError when a source is missing.
        """
        digest = hashlib.sha256()
        wheels = json.dumps([PYTHON_VERSION, PLATFORMS]).encode() + self.requirements.read_bytes()
        for name, data in sorted([*_own_files(self), (SITE_PACKAGES, wheels)]):
            digest.update(f"{name}\0{hashlib.sha256(data).hexdigest()}\n".encode())
        return digest.hexdigest()


def package_path(content: PackageContent, folder: Path) -> Path:
    """Where `build_package` puts the package of this content."""
    return folder / f"{content.processor}-{content.sha256[:16]}.zip"


def build_package(content: PackageContent, folder: Path) -> Path:
    """Make the package in `folder` unless it is there, and return its path.

    The wheels are fetched once per requirements file and kept beside the packages. Raises PackagingError.
    """
    path = package_path(content, folder)
    if path.exists():
        return path
    folder.mkdir(parents=True, exist_ok=True)
    vendored = vendored_wheels(content.requirements, folder)
    stamp = json.dumps({"sha256": content.sha256}).encode()
    entries = [*_own_files(content), (CONTENT_FILE, stamp), *_wheel_files(vendored)]
    unfinished = path.with_suffix(f".{os.getpid()}.tmp")
    try:
        with zipfile.ZipFile(unfinished, "w") as package:
            for name, data in sorted(entries):
                entry = zipfile.ZipInfo(name, EARLIEST_TIME)
                entry.compress_type = zipfile.ZIP_DEFLATED
                entry.external_attr = 0o100644 << 16
                package.writestr(entry, data)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)
    return path


def vendored_wheels(requirements: Path, folder: Path) -> Path:
    """The installed wheels of a requirements file, for the platform of the apps; kept in `folder` by the file's hash."""
    kept = folder / f"wheels-{hashlib.sha256(requirements.read_bytes()).hexdigest()[:16]}"
    if kept.exists():
        return kept
    with tempfile.TemporaryDirectory(dir=folder) as temporary:
        target = Path(temporary) / "wheels"
        _install(requirements, target)
        shutil.rmtree(target / "bin", ignore_errors=True)  # console scripts: they name this machine's interpreter
        try:
            target.rename(kept)
        except OSError:
            if not kept.exists():  # otherwise another run was faster, with the same wheels
                raise
    return kept


def _install(requirements: Path, target: Path) -> None:
    platforms = [word for platform in PLATFORMS for word in ("--platform", platform)]
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--no-deps"]
    command += ["--only-binary=:all:", "--require-hashes", "--python-version", PYTHON_VERSION, *platforms]
    command += ["--target", str(target), "--requirement", str(requirements)]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    if result.returncode != 0:
        last_words = (result.stderr.strip() or result.stdout.strip()).splitlines()[-1:]
        raise PackagingError(
            f"the wheels of {requirements.name} can't be fetched: {' '.join(last_words)} "
            "Next: check the network (pip reads PIP_INDEX_URL and PIP_FIND_LINKS) and run it again."
        )


def _own_files(content: PackageContent) -> Iterator[tuple[str, bytes]]:
    """Everything but the wheels and the stamp: the app's processor, what the processors share, host.json, the entry."""
    processors = content.sources / "processors"
    if not (processors / content.processor / "function_app.py").is_file():
        raise PackagingError(f"processors/{content.processor}/function_app.py is missing: name a processor that has one.")
    shared = [path for path in processors.iterdir() if path.suffix == ".py"]
    for path in [*shared, *_tree(processors / "contracts"), *_tree(processors / content.processor)]:
        yield path.relative_to(content.sources).as_posix(), path.read_bytes()
    if content.processor == "alert_fanout":  # its pages show them
        for path in sorted((content.sources / "docs" / "runbooks").glob("*.md")):
            yield path.relative_to(content.sources).as_posix(), path.read_bytes()
    yield "host.json", json.dumps(HOST, indent=2).encode()
    yield "function_app.py", ENTRY.format(processor=content.processor).encode()


def _wheel_files(vendored: Path) -> Iterator[tuple[str, bytes]]:
    for path in _tree(vendored):
        if not (path.parent.name.endswith(".dist-info") and path.name in MADE_BY_INSTALLING):
            yield f"{SITE_PACKAGES}/{path.relative_to(vendored).as_posix()}", path.read_bytes()


def _tree(folder: Path) -> Iterator[Path]:
    """The files under a folder that belong to a package: no caches, nothing hidden."""
    for path in folder.rglob("*"):
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith("."):
            yield path
