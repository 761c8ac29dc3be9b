"""Each package of packages/ where there is nothing else. `make test-packages` runs all its tests there:

python -m tests.packages.alone                 # of every package
python -m tests.packages.alone stream-engine   # of some
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]
UV = Path(sys.executable).with_name("uv")
PACKAGES = {path.parent.name: path.parent for path in sorted(REPOSITORY.glob("packages/*/pyproject.toml"))}
MODULES = {path.parents[2].name: path.parent.name for path in REPOSITORY.glob("packages/*/src/*/__init__.py")}
"""The name by which each package is imported, by its folder."""


@dataclass(frozen=True)
class Alone:
    """A wheel, and the environment into which it was installed with what it declares and nothing else."""

    wheel: Path
    environment: Path

    @property
    def commands(self) -> Path:
        """The folder of its commands."""
        return self.environment / "bin"

    def run(self, command: str, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
        """Run a command of the environment in a folder; `python` finds nothing of the folder."""
        options = ("-I",) if command == "python" else ()
        line = [self.commands / command, *options, *words]
        return subprocess.run(line, cwd=folder, capture_output=True, text=True, check=False)


def installed_alone(project: Path, folder: Path, extra: str = "", options: Sequence[str] = ()) -> Alone:
    """Build a project's wheel and install it into an empty environment below `folder`, in the versions of the lock.

    `options` are uv's. Raises CalledProcessError with what uv says.
    """
    _uv("build", "--wheel", "--out-dir", str(folder / "wheel"), *options, str(project))
    (wheel,) = (folder / "wheel").glob("*.whl")
    environment = folder / "environment"
    _uv("venv", "--python", sys.executable, str(environment))
    lock = REPOSITORY / "requirements" / "dev.txt"
    _uv("pip", "install", "--python", str(environment), "--constraints", str(lock), *options, f"{wheel}{extra}")
    return Alone(wheel, environment)


def _uv(*words: str) -> None:
    subprocess.run([UV, *words], check=True, capture_output=True, text=True)


def _tests_pass(name: str) -> bool:
    print(f"packages/{name}, alone:", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        alone = installed_alone(PACKAGES[name], Path(folder), "[test]")
        return subprocess.run([alone.commands / "python", "-m", "pytest"], cwd=PACKAGES[name], check=False).returncode == 0


if __name__ == "__main__":
    failed = [name for name in sys.argv[1:] or PACKAGES if not _tests_pass(name)]
    sys.exit(f"failed: {', '.join(failed)}" if failed else 0)
