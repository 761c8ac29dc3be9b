"""What the Makefile decides by itself: with which Python everything is installed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.shared_data import REPOSITORY

DISTRIBUTION = Path("/usr/bin/python3")
KINDS = {
    "compiled-without-optimizations": ("/opt/own", "--enable-shared", False),
    "compiled-with-optimizations": ("/opt/own", "--enable-shared --enable-optimizations", True),
    "a-distribution's": ("/usr", "--enable-shared", True),
}
"""Where it was installed, the options it was configured with, and whether it is taken."""


def taken(path: Path, *options: str) -> str:
    """The Python that make takes where `path` comes first."""
    environment = {**os.environ, "PATH": f"{path}{os.pathsep}{os.environ['PATH']}"}
    environment = {name: value for name, value in environment.items() if name not in ("PYTHON", "MAKEFLAGS", "MAKEOVERRIDES")}
    show = path / "show.mk"
    show.write_text("show: ; @echo '$(PYTHON)'\n", encoding="utf-8")
    asked = ["make", "--no-print-directory", "-f", "Makefile", "-f", str(show), *options, "show"]
    return subprocess.run(asked, cwd=REPOSITORY, env=environment, capture_output=True, text=True, check=True).stdout.strip()


def first_on_the_path(folder: Path, prefix: str, options: str) -> None:
    """A `python3` that answers with this machine's Python, but says another prefix and other options of itself."""
    says = f"import sys, sysconfig\nsys.base_prefix = {prefix!r}\nsysconfig.get_config_vars()['CONFIG_ARGS'] = {options!r}\n"
    (folder / "sitecustomize.py").write_text(says, encoding="utf-8")
    python = folder / "python3"
    python.write_text(f'#!/bin/sh\nPYTHONPATH="{folder}" exec "{sys.executable}" "$@"\n', encoding="utf-8")
    python.chmod(0o755)


def distributions_python_will_do() -> bool:
    probe = [str(DISTRIBUTION), "-c", "import ensurepip, sys; sys.exit(sys.version_info < (3, 11))"]
    return DISTRIBUTION.exists() and subprocess.run(probe, capture_output=True, check=False).returncode == 0


@pytest.mark.parametrize(("prefix", "options", "is_taken"), KINDS.values(), ids=KINDS)
def test_a_slow_python_gives_way_to_the_distributions(tmp_path: Path, prefix: str, options: str, is_taken: bool) -> None:
    first_on_the_path(tmp_path, prefix, options)
    assert taken(tmp_path) == ("python3" if is_taken or not distributions_python_will_do() else str(DISTRIBUTION))


def test_the_python_that_is_asked_for_is_taken(tmp_path: Path) -> None:
    first_on_the_path(tmp_path, *KINDS["compiled-without-optimizations"][:2])
    assert taken(tmp_path, "PYTHON=python3.99") == "python3.99"
