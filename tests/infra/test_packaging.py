"""The package of a function app: named by its content, the same bytes every time, and fit to run as it is deployed."""

from __future__ import annotations

import base64
import hashlib
import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from packaging.requirements import Requirement

from infra.packaging import SITE_PACKAGES, PackageContent, PackagingError, build_package, package_path
from tests.support.shared_data import REPOSITORY

PINNED = REPOSITORY / "processors" / "requirements.txt"
PINS = dict(re.findall(r"^([a-z0-9-]+)==(\S+) --hash=sha256:[0-9a-f]{64}$", PINNED.read_text(), re.MULTILINE))
ON_AZURE = {"python_version": "3.12", "python_full_version": "3.12.0", "sys_platform": "linux", "platform_system": "Linux"}


def make_wheel(folder: Path, code: str = "ANSWER = 42\n") -> Path:
    """A wheel of a package `tiny` with a console script, as pip takes it."""
    path = folder / "tiny-1.0-py3-none-any.whl"
    files = {
        "tiny/__init__.py": code,
        "tiny-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n",
        "tiny-1.0.dist-info/WHEEL": "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
        "tiny-1.0.dist-info/entry_points.txt": "[console_scripts]\ntiny = tiny:main\n",
    }
    record = (
        "".join(f"{name},sha256={digest(text)},{len(text)}\n" for name, text in files.items()) + "tiny-1.0.dist-info/RECORD,,\n"
    )
    with zipfile.ZipFile(path, "w") as wheel:
        for name, text in {**files, "tiny-1.0.dist-info/RECORD": record}.items():
            wheel.writestr(name, text)
    return path


def digest(text: str) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(text.encode()).digest()).rstrip(b"=").decode()


def require(sources: Path, wheel: Path) -> None:
    sha256 = hashlib.sha256(wheel.read_bytes()).hexdigest()
    (sources / "processors" / "requirements.txt").write_text(f"tiny==1.0 --hash=sha256:{sha256}\n")


@pytest.fixture
def wheelhouse(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder pip takes wheels from, and the only place it may look."""
    folder = tmp_path / "wheelhouse"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def sources(tmp_path: Path, wheelhouse: Path) -> Path:
    """Sources with two processors, something shared, and one wheel to vendor."""
    folder = tmp_path / "sources"
    write_sources(folder)
    require(folder, make_wheel(wheelhouse))
    return folder


def write_sources(folder: Path) -> None:
    for name, text in {
        "__init__.py": "",
        "clock.py": "NOW = 1\n",
        "contracts/observation.schema.json": "{}",
        "ingest/__init__.py": "",
        "ingest/function_app.py": "app = None\n",
        "fanout/function_app.py": "app = None\n",
    }.items():
        path = folder / "processors" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def names_in(package: Path) -> set[str]:
    with zipfile.ZipFile(package) as archive:
        return set(archive.namelist())


def test_a_package_holds_the_app_what_it_shares_and_its_wheels(sources: Path, tmp_path: Path) -> None:
    content = PackageContent("ingest", sources)
    package = build_package(content, tmp_path / "out")
    assert names_in(package) == {
        "host.json",
        "function_app.py",
        "content.json",
        "processors/__init__.py",
        "processors/clock.py",
        "processors/contracts/observation.schema.json",
        "processors/ingest/__init__.py",
        "processors/ingest/function_app.py",
        f"{SITE_PACKAGES}/tiny/__init__.py",
        f"{SITE_PACKAGES}/tiny-1.0.dist-info/METADATA",
        f"{SITE_PACKAGES}/tiny-1.0.dist-info/WHEEL",
        f"{SITE_PACKAGES}/tiny-1.0.dist-info/entry_points.txt",
    }
    with zipfile.ZipFile(package) as archive:
        assert json.loads(archive.read("content.json")) == {"sha256": PackageContent("ingest", sources).sha256}


def test_the_same_content_has_the_same_bytes_wherever_and_whenever_it_is_built(
    sources: Path, wheelhouse: Path, tmp_path: Path
) -> None:
    elsewhere = tmp_path / "somewhere" / "else"
    write_sources(elsewhere)
    shutil.copy(sources / "processors" / "requirements.txt", elsewhere / "processors")
    for path in elsewhere.rglob("*.py"):
        os.utime(path, (1, 1))
    (elsewhere / "processors" / "ingest" / "__pycache__").mkdir()
    (elsewhere / "processors" / "ingest" / "__pycache__" / "x.pyc").write_bytes(b"x")
    one = build_package(PackageContent("ingest", sources), tmp_path / "out-1")
    other = build_package(PackageContent("ingest", elsewhere), tmp_path / "out-2")
    assert one.name == other.name and one.read_bytes() == other.read_bytes()


def test_no_path_of_this_machine_is_in_a_package(sources: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(build_package(PackageContent("ingest", sources), tmp_path / "out")) as archive:
        everything = b"".join(archive.read(name) for name in archive.namelist())
    assert str(tmp_path).encode() not in everything and sys.executable.encode() not in everything


@given(st.dictionaries(st.from_regex(r"[a-z]{1,6}\.py", fullmatch=True), st.binary(max_size=20), max_size=4), st.data())
def test_the_hash_names_the_content(
    tmp_path_factory: pytest.TempPathFactory, files: dict[str, bytes], data: st.DataObject
) -> None:
    def hash_of(contents: dict[str, bytes]) -> str:
        folder = tmp_path_factory.mktemp("sources")
        write_sources(folder)
        (folder / "processors" / "requirements.txt").write_text("")
        for name, content in contents.items():
            (folder / "processors" / "ingest" / name).write_bytes(content)
        return PackageContent("ingest", folder).sha256

    assert hash_of(files) == hash_of(dict(reversed(files.items())))
    name = data.draw(st.from_regex(r"[a-z]{1,6}\.py", fullmatch=True))
    assert hash_of(files) != hash_of({**files, name: files.get(name, b"") + b"!"})


@pytest.mark.parametrize("file", ["clock.py", "contracts/observation.schema.json", "ingest/function_app.py", "requirements.txt"])
def test_a_change_of_any_source_changes_the_hash(sources: Path, file: str) -> None:
    before = PackageContent("ingest", sources).sha256
    path = sources / "processors" / file
    path.write_text(path.read_text() + "\n")
    assert PackageContent("ingest", sources).sha256 != before


def test_another_apps_code_changes_nothing(sources: Path) -> None:
    before = PackageContent("ingest", sources).sha256
    (sources / "processors" / "fanout" / "function_app.py").write_text("app = 2\n")
    assert PackageContent("ingest", sources).sha256 == before


def test_the_hash_and_the_path_need_neither_network_nor_build(sources: Path, wheelhouse: Path, tmp_path: Path) -> None:
    shutil.rmtree(wheelhouse)
    content = PackageContent("ingest", sources)
    assert PackageContent("ingest", sources).sha256[:16] in package_path(content, tmp_path / "out").name
    assert not (tmp_path / "out").exists()


def test_wheels_are_fetched_once_for_all_packages(sources: Path, wheelhouse: Path, tmp_path: Path) -> None:
    build_package(PackageContent("ingest", sources), tmp_path / "out")
    shutil.rmtree(wheelhouse)
    build_package(PackageContent("fanout", sources), tmp_path / "out")


def test_a_wheel_that_is_not_the_pinned_file_is_refused(sources: Path, wheelhouse: Path, tmp_path: Path) -> None:
    make_wheel(wheelhouse, code="ANSWER = 'malice'\n")
    with pytest.raises(PackagingError, match=r"the wheels of requirements\.txt can't be fetched.*Next: check the network"):
        build_package(PackageContent("ingest", sources), tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == []


def test_a_wheel_without_a_hash_is_refused(sources: Path, tmp_path: Path) -> None:
    (sources / "processors" / "requirements.txt").write_text("tiny==1.0\n")
    with pytest.raises(PackagingError, match="requirements"):
        build_package(PackageContent("ingest", sources), tmp_path / "out")


def test_a_processor_without_functions_is_refused(sources: Path, tmp_path: Path) -> None:
    with pytest.raises(PackagingError, match=r"processors/contracts/function_app\.py is missing"):
        build_package(PackageContent("contracts", sources), tmp_path / "out")


def test_a_full_disk_leaves_no_half_package_and_the_next_run_builds_it(
    sources: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = PackageContent("ingest", sources)

    def no_space(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(zipfile.ZipFile, "writestr", no_space)
        with pytest.raises(OSError, match="No space left"):
            build_package(content, tmp_path / "out")
    assert not [path for path in (tmp_path / "out").iterdir() if path.is_file()]
    assert names_in(build_package(content, tmp_path / "out"))


AS_DEPLOYED = """
import json, function_app
functions = function_app.app.get_functions()
route = next(function for function in functions if function.get_function_name() == "health")
answer = json.loads(route.get_user_function()(None).get_body())
names = [function.get_function_name() for function in functions]
trigger = route.get_trigger()
print(json.dumps({"names": names, "answer": answer, "route": trigger.route, "level": trigger.auth_level.name}))
"""


@pytest.mark.parametrize(
    ("processor", "functions"), [("ingest", {"poll"}), ("alert_fanout", {"deliver", "tend", "incidents", "hooks"})]
)
def test_the_deployed_app_has_its_functions_and_tells_its_content(
    processor: str, functions: set[str], wheelhouse: Path, tmp_path: Path
) -> None:
    sources = tmp_path / "real"
    shutil.copytree(REPOSITORY / "processors", sources / "processors", ignore=shutil.ignore_patterns("__pycache__"))
    require(sources, make_wheel(wheelhouse))
    content = PackageContent(processor, sources)
    with zipfile.ZipFile(build_package(content, tmp_path / "out")) as archive:
        archive.extractall(tmp_path / "wwwroot")
    result = subprocess.run(
        [sys.executable, "-c", AS_DEPLOYED],
        cwd=tmp_path / "wwwroot",
        env={"PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
    )
    assert result.returncode == 0, result.stderr
    told = json.loads(result.stdout)
    assert set(told["names"]) == functions | {"health"}
    assert told["answer"] == {"sha256": PackageContent(processor, sources).sha256}
    assert (told["route"], told["level"]) == ("api/health", "ANONYMOUS")


def test_the_app_that_shows_incidents_has_their_runbooks(wheelhouse: Path, tmp_path: Path) -> None:
    sources = tmp_path / "real"
    shutil.copytree(REPOSITORY / "processors", sources / "processors", ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copytree(REPOSITORY / "docs" / "runbooks", sources / "docs" / "runbooks")
    require(sources, make_wheel(wheelhouse))
    shown, other = (
        names_in(build_package(PackageContent(name, sources), tmp_path / "out")) for name in ("alert_fanout", "ingest")
    )
    assert {f"docs/runbooks/{path.name}" for path in (sources / "docs" / "runbooks").iterdir()} <= set(shown)
    assert not any(name.startswith("docs/") for name in other)


class TestPinnedWheels:
    """processors/requirements.txt, which is all that decides what is vendored."""

    def test_every_line_pins_one_file(self) -> None:
        lines = [line for line in PINNED.read_text().splitlines() if line and not line.startswith("#")]
        assert len(lines) == len(PINS) > 10

    def test_versions_are_those_the_local_pipeline_runs_with(self) -> None:
        local = dict(re.findall(r"^([A-Za-z0-9-]+)==(\S+)$", (REPOSITORY / "requirements/local.in").read_text(), re.MULTILINE))
        shared = {name: version for name, version in PINS.items() if name in local}
        assert shared == {name: local[name] for name in shared} and {"azure-functions", "azure-eventhub", "requests"} <= set(
            shared
        )

    def test_nothing_a_pinned_package_needs_is_missing(self) -> None:
        missing = set()
        for name in PINS:
            for text in importlib.metadata.requires(name) or []:
                requirement = Requirement(text)
                if requirement.marker is None or requirement.marker.evaluate({**ON_AZURE, "extra": ""}):
                    missing |= {re.sub(r"[-_.]+", "-", requirement.name).lower()} - set(PINS)
        assert not missing
