"""Renews the locks: from what was chosen (requirements/*.in) to every file that is installed, by its hash. `make lock` runs it.

A version that still satisfies its requirement stays; with `--upgrade` (make lock ARGS=--upgrade) what the chosen packages need
moves to its newest version.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

from infra.packaging import PLATFORMS, PYTHON_VERSION

REPOSITORY = Path(__file__).resolve().parents[1]
UV = Path(sys.executable).with_name("uv")

LOCKS = {
    "uv": "requirements/uv.txt",
    "dev": "requirements/dev.txt",
    "deploy": "requirements.txt",
    "local": "requirements/local.txt",
    "toolchains": "requirements/toolchains.txt",
    "checkov": "requirements/checkov.txt",
    "engines": "requirements/engines.txt",
    "policies": "infra/policies/requirements.txt",
}
"""Where the lock of requirements/NAME.in is. Pulumi looks for two of them outside this folder."""
PARTS_OF_DEV = ("deploy", "local")
"""Installed into the same environment as dev, so of the same versions."""
FROM_SOURCE = ("engines",)
"""pyspark has no wheel. Everything else is installed without running any code of a package."""
FUNCTIONS = "processors/requirements.txt"
"""The lock of requirements/functions.in: one wheel a line, for the one platform of the apps (docs/decisions/0102)."""
FUNCTIONS_HEADER = """\
# What is vendored into the deployed functions: each package as the one wheel that runs on Azure (Linux x86-64, Python 3.12).
# `infra/packaging.py` installs exactly these files, so this text is all it takes to name a package's content.
# Made by `make lock` from requirements/functions.in, with the versions of requirements.txt.
"""


def lock(name: str, options: list[str]) -> None:
    """Resolve requirements/NAME.in for every platform and every Python we support."""
    how = ["--universal", "--python-version", "3.11", "--generate-hashes", "--custom-compile-command", "make lock", *options]
    if name in PARTS_OF_DEV:
        how += ["--constraints", LOCKS["dev"]]
    if name not in FROM_SOURCE:
        how += ["--only-binary", ":all:"]
    compile_with_uv(name, Path(LOCKS[name]), how)


def lock_functions() -> None:
    """The versions of requirements.txt, each as the one wheel that pip takes for the platform of the apps."""
    with tempfile.TemporaryDirectory() as folder:
        versions, report = Path(folder) / "versions.txt", Path(folder) / "report.json"
        platform = ["--python-version", PYTHON_VERSION, "--python-platform", "x86_64-manylinux_2_28", "--only-binary", ":all:"]
        compile_with_uv("functions", versions, ["--constraints", LOCKS["deploy"], *platform])
        pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check", "install", "--dry-run"]
        pip += ["--ignore-installed", "--no-deps", "--only-binary=:all:", "--python-version", PYTHON_VERSION, "--target", folder]
        pip += [word for each in PLATFORMS for word in ("--platform", each)]
        run([*pip, "--requirement", str(versions), "--report", str(report)])
        wheels = json.loads(report.read_text(encoding="utf-8"))["install"]
    lines = sorted(
        f"{wheel['metadata']['name'].lower().replace('_', '-')}=={wheel['metadata']['version']} "
        f"--hash=sha256:{wheel['download_info']['archive_info']['hashes']['sha256']}\n"
        for wheel in wheels
    )
    (REPOSITORY / FUNCTIONS).write_text(FUNCTIONS_HEADER + "".join(lines), encoding="utf-8")


def compile_with_uv(name: str, target: Path, how: list[str]) -> None:
    nobody_elses = ["--no-emit-index-url", "--no-emit-find-links"]
    run([str(UV), "pip", "compile", f"requirements/{name}.in", "--output-file", str(target), "--quiet", *nobody_elses, *how])


def run(command: list[str]) -> None:
    subprocess.run(command, cwd=REPOSITORY, check=True)


if __name__ == "__main__":
    for each in LOCKS:
        lock(each, sys.argv[1:])
    lock_functions()
