"""The locks (what is installed) fit what was chosen, name every file by its hash, and tell nothing of who made them."""

from __future__ import annotations

import json
import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from requirements.lock import FUNCTIONS, LOCKS, PARTS_OF_DEV
from tests.support.shared_data import REPOSITORY

FOLDER = REPOSITORY / "requirements"
PROJECTS = sorted(REPOSITORY.glob("packages/*/pyproject.toml"))
ALL = {**LOCKS, "functions": FUNCTIONS}
OUR_OWN = {tomllib.loads(path.read_text(encoding="utf-8"))["project"]["name"] for path in PROJECTS}
ENTRY = re.compile(r"^([a-z0-9-]+)==(\S+)(?: ; ([^\\\n]+?))?((?: \\\n    | )--hash=sha256:[0-9a-f]{64})+$", re.MULTILINE)
"""A package with its version, perhaps a condition, and at least one hash."""


def chosen(name: str) -> list[Requirement]:
    """The requirements of requirements/NAME.in, with those of the files it includes."""
    found: list[Requirement] = []
    for line in (FOLDER / f"{name}.in").read_text(encoding="utf-8").splitlines():
        line = line.split("#")[0].strip()
        if line.startswith("-r "):
            found += chosen(line.removeprefix("-r ").removesuffix(".in"))
        elif line:
            found.append(Requirement(line))
    return found


def declared_by_packages() -> dict[str, list[Requirement]]:
    """By package, what its own pyproject.toml asks for, with every extra."""
    projects = {path.parent.name: tomllib.loads(path.read_text(encoding="utf-8"))["project"] for path in PROJECTS}
    extras = {name: project["optional-dependencies"].values() for name, project in projects.items()}
    return {
        name: [Requirement(each) for needs in (project["dependencies"], *extras[name]) for each in needs]
        for name, project in projects.items()
    }


def text(name: str) -> str:
    return (REPOSITORY / ALL[name]).read_text(encoding="utf-8")


def locked(name: str) -> dict[str, set[str]]:
    """The versions a lock has of every package: one, or several under conditions that exclude each other."""
    versions: dict[str, set[str]] = {}
    for package, version, *_ in ENTRY.findall(text(name)):
        versions.setdefault(package, set()).add(version)
    return versions


def test_everything_chosen_has_a_lock() -> None:
    assert {path.stem for path in FOLDER.glob("*.in")} == set(ALL)


@pytest.mark.parametrize("name", ALL)
def test_every_line_of_a_lock_is_a_version_and_its_hashes(name: str) -> None:
    rest = ENTRY.sub("", text(name))
    assert [line for line in rest.splitlines() if line.strip() and not line.strip().startswith("#")] == []


@pytest.mark.parametrize("name", ALL)
def test_a_lock_has_what_was_chosen(name: str) -> None:
    versions = locked(name)
    for requirement in chosen(name):
        found = versions.get(canonicalize_name(requirement.name))
        assert found, f"{requirement.name} is not locked: run `make lock`"
        assert all(requirement.specifier.contains(version) for version in found), f"{requirement}: run `make lock`"


@pytest.mark.parametrize(("package", "requirements"), declared_by_packages().items())
def test_what_a_package_declares_is_locked_within_its_bounds(package: str, requirements: list[Requirement]) -> None:
    versions = locked("dev")
    for requirement in requirements:
        if requirement.name in OUR_OWN:
            continue
        found = versions.get(canonicalize_name(requirement.name))
        assert found, f"{package} needs {requirement.name}: add it to requirements/local.in or dev.in, and run `make lock`"
        assert all(requirement.specifier.contains(version) for version in found), f"{package}: {requirement}, locked {found}"


def test_what_runs_of_a_package_is_chosen_for_a_local_run() -> None:
    """`make run` installs the packages without dependencies, and what requirements/local.in names."""
    names = {canonicalize_name(requirement.name) for requirement in chosen("local")}
    projects = (tomllib.loads(path.read_text(encoding="utf-8"))["project"] for path in PROJECTS)
    needed = {canonicalize_name(Requirement(each).name) for project in projects for each in project["dependencies"]}
    assert needed <= names


@pytest.mark.parametrize("name", LOCKS)
def test_what_was_chosen_is_chosen_exactly(name: str) -> None:
    assert all(re.fullmatch(r"==[^*]+", str(requirement.specifier)) for requirement in chosen(name))


@pytest.mark.parametrize("name", [*PARTS_OF_DEV, "functions"])
def test_what_is_deployed_and_run_is_what_is_tested(name: str) -> None:
    tested = locked("dev")
    assert {package: tested.get(package) for package in locked(name)} == locked(name)


@pytest.mark.parametrize("path", [*ALL.values(), "tests/package-lock.json"])
def test_a_lock_names_no_registry_and_no_path_of_who_made_it(path: str) -> None:
    content = (REPOSITORY / path).read_text(encoding="utf-8")
    assert not re.search(r"--(index|extra-index|find-links)|://[^/]*(regist|pypi|npm|mirror|proxy)|file:/|@ /", content)
    assert str(Path.home()) not in content and str(REPOSITORY) not in content


def test_node_s_judges_are_locked_as_chosen() -> None:
    manifest = json.loads((REPOSITORY / "tests/package.json").read_text(encoding="utf-8"))
    packages = json.loads((REPOSITORY / "tests/package-lock.json").read_text(encoding="utf-8"))["packages"]
    assert packages[""]["dependencies"] == manifest["dependencies"]
    for name, version in manifest["dependencies"].items():
        installed = packages[f"node_modules/{name}"]
        assert installed.get("version") == version or f"file:{installed.get('resolved')}" == version
    ours = {"", *(path for path in packages if not path.startswith("node_modules/"))}
    assert all("integrity" in package or package.get("link") for path, package in packages.items() if path not in ours)


def test_the_makefile_installs_only_what_is_locked() -> None:
    installing = [line for line in (REPOSITORY / "Makefile").read_text(encoding="utf-8").splitlines() if " install " in line]
    from_locks = [line for line in installing if "npm" not in line and "--editable" not in line]
    assert len(from_locks) == 3 and all("--require-hashes" in line for line in from_locks)
    assert all(" ci " in line for line in installing if "npm" in line and "--package-lock-only" not in line)
