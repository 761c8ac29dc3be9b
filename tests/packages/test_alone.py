"""Each package installs alone, works alone, and brings one name; what RoomPulse itself brings is one name too."""

from __future__ import annotations

import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path
from typing import Any

import pytest

from tests.packages.alone import MODULES, PACKAGES, REPOSITORY, Alone, installed_alone
from tests.support.tools import missing

NEEDS_AN_EXTRA = {"event_hubs_local.checkpoints": "event-hubs-local[checkpoints]"}
IMPORT_ALL = """
import importlib, pkgutil, sys
package = importlib.import_module(sys.argv[1])
names = [found.name for found in pkgutil.walk_packages(package.__path__, f"{package.__name__}.")]
for name in names:
    if not name.endswith("__main__") and name not in sys.argv[2:]:
        importlib.import_module(name)
print(len(names))
"""


def alone(project: Path, folder: Path) -> Alone:
    """The project in an empty environment, from what uv has on this machine already: nothing is fetched."""
    try:
        return installed_alone(project, folder, options=("--offline",))
    except subprocess.CalledProcessError as fault:
        if "not found in the cache" not in fault.stderr:
            raise AssertionError(fault.stderr) from fault
        missing(f"uv's cache lacks what {project.name} needs: empty .venv and `make test` fills it. {fault.stderr}")


def project_of(folder: Path) -> dict[str, Any]:
    return dict(tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))["project"])


def names_brought_by(wheel: Path) -> set[str]:
    """The names a wheel puts into site-packages, but for its metadata."""
    with zipfile.ZipFile(wheel) as archive:
        return {name for path in archive.namelist() if not (name := path.split("/")[0]).endswith(".dist-info")}


def test_the_three_packages_are_found() -> None:
    assert MODULES == {"stream-engine": "asa_engine", "event-hubs": "event_hubs_local", "webex-simulator": "webex_simulator"}
    assert set(PACKAGES) == set(MODULES)


@pytest.mark.parametrize("name", PACKAGES)
def test_a_package_installs_and_works_alone(name: str, tmp_path: Path) -> None:
    installed, module = alone(PACKAGES[name], tmp_path), MODULES[name]
    assert names_brought_by(installed.wheel) == {module}
    imported = installed.run("python", "-c", IMPORT_ALL, module, *NEEDS_AN_EXTRA, folder=tmp_path)
    assert (imported.stderr, int(imported.stdout) > 10) == ("", True)
    for needing, extra in NEEDS_AN_EXTRA.items():
        if needing.startswith(f"{module}."):
            assert f"pip install '{extra}'" in installed.run("python", "-c", f"import {needing}", folder=tmp_path).stderr
    project = project_of(PACKAGES[name])
    (command,) = project["scripts"]
    assert installed.run(command, "--version", folder=tmp_path).stdout == f"{command} {project['version']}\n"


def test_what_roompulse_brings_is_its_own_name(tmp_path: Path) -> None:
    installed = alone(REPOSITORY, tmp_path)
    assert names_brought_by(installed.wheel) == {"roompulse"}
    started = installed.run("roompulse", "--version", folder=tmp_path)
    assert (started.returncode, "Clone the repository of RoomPulse" in started.stderr) == (1, True)


def test_in_its_own_environment_roompulse_brings_only_its_name_and_starts_from_any_folder(tmp_path: Path) -> None:
    code = "import importlib.util, sys; print([name for name in sys.argv[1:] if importlib.util.find_spec(name)])"
    folders = {path.relative_to(REPOSITORY).parts[0] for depth in ("*", "*/*") for path in REPOSITORY.glob(f"{depth}/*.py")}
    ours = sorted(filter(str.isidentifier, folders))
    assert {"cli", "infra", "local", "processors"} <= set(ours)
    found = subprocess.run([sys.executable, "-I", "-c", code, "roompulse", *ours], cwd=tmp_path, capture_output=True, text=True)
    assert (found.stderr, found.stdout) == ("", "['roompulse']\n")
    command = Path(sys.executable).with_name("roompulse")
    started = subprocess.run([command, "--version"], cwd=tmp_path, capture_output=True, text=True)
    assert (started.stderr, started.stdout) == ("", f"roompulse {project_of(REPOSITORY)['version']}\n")
