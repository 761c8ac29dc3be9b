"""The arrows of docs/architecture.md, held to the code: who may import whom."""

from __future__ import annotations

import ast
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement

from tests.packages.alone import MODULES
from tests.support.shared_data import REPOSITORY

PACKAGES = {module: folder for folder, module in MODULES.items()}
"""What stands alone: the name by which it is imported, and its folder below packages/."""
OURS = {"activator", "cli", "infra", "local", "powerbi", "processors", "roompulse", *PACKAGES}
REGISTRIES = ("processors.alert_fanout.channel_kind", "processors.alert_fanout.channel_kinds")
"""What the deployed code says of itself, from which settings, schemas and rules take it."""
ALLOWED = {
    "processors": {"processors"},
    "activator": {"activator", "processors.contracts", *REGISTRIES},
    "powerbi": {"powerbi", "activator.declarations"},
    "infra": {"infra", "processors.contracts", "activator", "powerbi", *REGISTRIES},
    "local": {"local", "infra.settings", "processors", "activator", "powerbi", *PACKAGES},
    "src/roompulse": {"cli"},
    "cli": {"cli", "local", "infra", "processors", "activator", "powerbi", *PACKAGES},
}
PACKAGES_OF_PROCESSORS = {"azure", "jsonschema", "jwt", "opentelemetry", "orjson", "referencing", "requests", "urllib3"}
"""What is vendored into the deployed functions."""


def sources(package: str) -> Iterator[Path]:
    """Our files of a package; `make policies` puts an environment into infra/policies."""
    return (path for path in (REPOSITORY / package).rglob("*.py") if ".venv" not in path.parts)


def modules_imported_by(path: Path) -> set[str]:
    """Absolute names a file imports, wherever in the file."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module or "")
    return names


def within(module: str, package: str) -> bool:
    return module == package or module.startswith(f"{package}.")


@pytest.mark.parametrize("package", sorted(ALLOWED))
def test_packages_import_only_along_the_arrows(package: str) -> None:
    wrong = [
        f"{path.relative_to(REPOSITORY)} imports {module}"
        for path in sources(package)
        for module in modules_imported_by(path)
        if module.split(".")[0] in OURS and not any(within(module, allowed) for allowed in ALLOWED[package])
    ]
    assert not wrong


def project_of(package: str) -> dict[str, Any]:
    """The [project] of a package below packages/."""
    return dict(
        tomllib.loads((REPOSITORY / "packages" / PACKAGES[package] / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    )


def modules_of(requirements: list[str]) -> set[str]:
    """What may be imported of some distributions."""
    names = {Requirement(each).name for each in requirements}
    return {{"azure-eventhub": "azure.eventhub", "pyjwt": "jwt"}.get(name, name.replace("-", "_")) for name in names}


def foreign(package: str, folder: str, allowed: set[str]) -> list[str]:
    """What files of a package import that is neither Python's, nor the package's own, nor allowed."""
    return [
        f"{path.relative_to(REPOSITORY)} imports {module}"
        for path in sources(f"packages/{PACKAGES[package]}/{folder}")
        for module in modules_imported_by(path)
        if module.split(".")[0] not in {package, *sys.stdlib_module_names} and not any(within(module, each) for each in allowed)
    ]


@pytest.mark.parametrize("package", PACKAGES)
def test_a_package_imports_nothing_but_itself_and_what_it_declares(package: str) -> None:
    project = project_of(package)
    extras = [each for name, needs in project.get("optional-dependencies", {}).items() if name != "test" for each in needs]
    assert not foreign(package, "src", modules_of([*project["dependencies"], *extras]))


@pytest.mark.parametrize("package", PACKAGES)
def test_the_tests_of_a_package_need_nothing_but_the_package_and_what_it_declares_for_them(package: str) -> None:
    project = project_of(package)
    helpers = {path.stem for path in sources(f"packages/{PACKAGES[package]}/tests")}
    declared = [*project["dependencies"], *(each for needs in project["optional-dependencies"].values() for each in needs)]
    assert not foreign(package, "tests", modules_of(declared) | helpers)


def test_processors_need_only_what_is_deployed_with_them() -> None:
    wrong = [
        f"{path.relative_to(REPOSITORY)} imports {module}"
        for path in sources("processors")
        for module in modules_imported_by(path)
        if module.split(".")[0] not in {"processors", *PACKAGES_OF_PROCESSORS, *sys.stdlib_module_names}
    ]
    assert not wrong


def test_contracts_import_nothing_else_of_ours() -> None:
    """Everybody may read them, so whatever they imported everybody would."""
    wrong = [
        f"{path.relative_to(REPOSITORY)} imports {module}"
        for path in sources("processors/contracts")
        for module in modules_imported_by(path)
        if module.split(".")[0] in OURS and not within(module, "processors.contracts")
    ]
    assert not wrong


def test_settings_need_no_pulumi() -> None:
    wrong = [
        path.name
        for path in (REPOSITORY / "infra" / "settings").rglob("*.py")
        for module in modules_imported_by(path)
        if module.split(".")[0].startswith("pulumi")
    ]
    assert not wrong


def test_what_the_local_run_imports_is_in_its_requirements() -> None:
    """`make run` installs requirements/local.txt and packages/ only, so nothing it imports may come from anywhere else."""
    required = {
        line.split("==")[0].lower()
        for line in (REPOSITORY / "requirements" / "local.in").read_text().splitlines()
        if line and not line.startswith("#")
    }
    distribution_of = {"yaml": "pyyaml", "jwt": "pyjwt", "duckdb_kql": "duckdb-kql", "zoneinfo": "tzdata"}
    azure = {f"azure.{name}": f"azure-{name.replace('.', '-')}" for name in ("eventhub", "functions", "identity", "storage.blob")}
    # Loaded only where telemetry is configured, which no local run does; poll_telemetry.py says what is missing.
    optional = ("opentelemetry", "azure.monitor")
    # Direct needs of a required package that we may use with it: azure-core comes with azure-eventhub, and so on.
    along = {"azure.core": "azure-eventhub", "referencing": "jsonschema", "urllib3": "requests", "arro3": "deltalake"}
    wrong = []
    for package in ("cli", "local", "processors", "activator", "powerbi", "infra/settings", "packages"):
        for path in (path for path in sources(package) if "tests" not in path.parts):
            for module in modules_imported_by(path):
                root = module.split(".")[0]
                if root in OURS or root in sys.stdlib_module_names or any(within(module, each) for each in optional):
                    continue
                name = next(
                    (d for prefix, d in (azure | along).items() if within(module, prefix)), distribution_of.get(root, root)
                )
                if name.lower() not in required:
                    wrong.append(f"{path.relative_to(REPOSITORY)} imports {module}")
    assert not wrong
