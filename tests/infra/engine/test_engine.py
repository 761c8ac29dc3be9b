"""Pulumi's real engine drives the program: its command, its language host, its state file; Azure is a file, and fake services.

`make engine` builds the engine (docs/decisions/0111-the-real-engine.md). What is Azure's own (whether it takes a body) is held by
other tests; here it is about what Pulumi does: previews, dependencies, state, secrets, failures and interruptions.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.infra.providers.fake_function_app import FakeFunctionApps
from tests.infra.providers.fake_service import TOKEN
from tests.infra.providers.fake_stream_analytics import FakeStreamAnalytics
from tests.support.fake_blobs import FakeBlobs, fake_blobs
from tests.support.shared_data import REPOSITORY

ENGINE = REPOSITORY / ".pulumi-engine"
HOW = "Pulumi's engine is not built: make engine (needs Go; some minutes, once)"
SECRET = "the-webex-secret-of-this-test"
SECRETS = {"webexTokenSet": json.dumps({"client_id": "C1", "refresh_token": SECRET}), "webexClientSecret": SECRET}
REYKJAVIK = {
    "name": "Reykjavik",
    "timeZone": "Atlantic/Reykjavik",
    "webexLocations": ["Reykjavik office"],
    "contacts": {"email": ["av-reykjavik@example.com"]},
}
SETTINGS = {"ingest-settings-city-reykjavik", "fanout-settings-city-reykjavik"}
OWN = {"ag-email-reykjavik", "apr-email-reykjavik", "reykjavik"} | SETTINGS
"""What a city consists of: resources, and the component that groups them."""

pytestmark = [
    pytest.mark.skipif(not (ENGINE / "bin" / "pulumi").exists(), reason=HOW),
    pytest.mark.timeout(900),
]


class Machine:
    """A copy of the repository, a Pulumi of its own, and a cloud."""

    def __init__(self, folder: Path, blobs: dict[str, FakeBlobs], jobs: FakeStreamAnalytics, apps: FakeFunctionApps) -> None:
        self.folder, self.blobs, self.jobs, self.apps = folder, blobs, jobs, apps
        self.project = folder / "project"
        self.cloud_file = folder / "cloud.json"
        self._copy_project()
        self._put_plugin()
        homes = {start: service.url("") for start, service in blobs.items()}
        self.environment = {name: value for name, value in os.environ.items() if name not in {"PYTHONPATH", "VIRTUAL_ENV"}} | {
            # The old language host does not hear of `virtualenv`: the environment's Python comes first instead.
            "PATH": f"{REPOSITORY / '.venv' / 'bin'}:{ENGINE / 'bin'}:{os.environ['PATH']}",
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{folder}",
            "PULUMI_CONFIG_PASSPHRASE": "correct horse",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
            "STANDIN_CLOUD": str(self.cloud_file),
            "STANDIN_BLOBS": json.dumps(homes),
            "ROOMPULSE_ACCESS_TOKEN": TOKEN,
            "ROOMPULSE_WAIT_SCALE": "0.0005",
            "NO_PROXY": "127.0.0.1",
            "NO_COLOR": "1",
            "ROOMPULSE_ARM_ENDPOINT": jobs.url,
            **apps.environment(),
        }

    def _copy_project(self) -> None:
        self.project.mkdir()
        for name in ("infra", "activator", "asa-queries", "powerbi", "processors", "docs", "__main__.py", "Pulumi.yaml"):
            source = REPOSITORY / name
            if source.is_dir():
                shutil.copytree(source, self.project / name, ignore=shutil.ignore_patterns("__pycache__"))
            elif source.exists():
                shutil.copy(source, self.project / name)
        (self.project / ".venv").symlink_to(REPOSITORY / ".venv")
        (self.project / "processors" / "requirements.txt").write_text("")  # packages without wheels: nothing to fetch
        document = yaml.safe_load((REPOSITORY / "Pulumi.dev.yaml").read_text(encoding="utf-8"))
        for part in ("fabric", "fabricCapacity"):  # Fabric has a service, and tests, of its own
            document["config"]["roompulse:azure"].pop(part, None)
        self.write_stack(document)

    def _put_plugin(self) -> None:
        version = re.search(r"pulumi-azure-native==([\d.]+)", (REPOSITORY / "requirements.txt").read_text(encoding="utf-8"))
        assert version
        plugin = self.folder / "home" / "plugins" / f"resource-azure-native-v{version[1]}" / "pulumi-resource-azure-native"
        plugin.parent.mkdir(parents=True)
        script = Path(__file__).with_name("standin_azure_native.py")
        plugin.write_text(f'#!/bin/sh\nPYTHONPATH="{REPOSITORY}" exec "{sys.executable}" "{script}" "$@"\n')
        plugin.chmod(plugin.stat().st_mode | stat.S_IXUSR)

    @property
    def stack_file(self) -> Path:
        return self.project / "Pulumi.dev.yaml"

    def stack(self) -> dict[str, Any]:
        document: dict[str, Any] = yaml.safe_load(self.stack_file.read_text(encoding="utf-8"))
        return document

    def write_stack(self, document: dict[str, Any]) -> None:
        self.stack_file.write_text(yaml.safe_dump(document, allow_unicode=True, sort_keys=False), encoding="utf-8")

    def with_city(self, slug: str, city: dict[str, Any] | None) -> None:
        document = self.stack()
        cities = document["config"]["roompulse:cities"]
        if city is None:
            del cities[slug]
        else:
            cities[slug] = city
        self.write_stack(document)

    def pulumi(self, *arguments: str, text: str = "", fails: bool = False, **more: str) -> str:
        """Run a command that succeeds, or fails; its output."""
        done = subprocess.run(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.project, env=self.environment | more, input=text, capture_output=True, text=True, timeout=180,
        )  # fmt: skip
        output = done.stdout + done.stderr
        assert (done.returncode != 0) is fails, output[-6000:]
        return output

    def start(self, *arguments: str, **more: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["pulumi", *arguments, "--non-interactive"],
            cwd=self.project, env=self.environment | more, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            start_new_session=True,
        )  # fmt: skip

    def cloud(self) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.cloud_file.read_text()) if self.cloud_file.exists() else {}
        return document

    def purge(self) -> None:
        """Let Azure forget the names that a deletion keeps, as it does after some days."""
        self.cloud_file.with_suffix(".deleted").unlink()

    def secret(self, name: str) -> str:
        """What the vault holds under a name."""
        return str(self._secret(self.cloud(), name)["value"])

    def write_secret(self, name: str, value: str) -> None:
        """Write a secret as an app does, without Pulumi."""
        cloud = self.cloud()
        self._secret(cloud, name)["value"] = value
        self.cloud_file.write_text(json.dumps(cloud), encoding="utf-8")

    def _secret(self, cloud: dict[str, Any], name: str) -> dict[str, Any]:
        properties: dict[str, Any]
        (properties,) = (inputs["properties"] for inputs in cloud.values() if inputs.get("secretName") == name)
        return properties

    def everything_outside(self) -> int:
        """How many things the fakes hold: Azure's resources, jobs, settings."""
        settings = sum(len(service.containers["settings"]) for service in self.blobs.values())
        return len(self.cloud()) + len(self.jobs.jobs) + settings

    def steps(self, *arguments: str) -> dict[str, set[str]]:
        """What a preview would do: names of resources by operation, those that stay the same left out."""
        output = self.pulumi("preview", "--json", *arguments)
        return _by_operation(json.JSONDecoder().raw_decode(output[output.index("{") :])[0]["steps"])

    def state(self) -> str:
        return (self.folder / ".pulumi" / "stacks" / "roompulse" / "dev.json").read_text(encoding="utf-8")


def _by_operation(steps: list[dict[str, Any]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for step in steps:
        if step["op"] != "same":
            found.setdefault(step["op"], set()).add(step["urn"].rsplit("::", 1)[-1])
    return found


@pytest.fixture(scope="module")
def machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machine]:
    jobs, apps = FakeStreamAnalytics(), FakeFunctionApps()
    with fake_blobs() as ingest, fake_blobs() as fanout:
        for service in (ingest, fanout):
            service.containers = {"settings": {}}
        yield Machine(tmp_path_factory.mktemp("engine"), {"stingest": ingest, "stfanout": fanout}, jobs, apps)
    jobs.close()
    apps.close()


def test_from_nothing_to_everything_and_back(machine: Machine) -> None:
    """One stack's life, in order: each step begins where the one before ended."""
    machine.pulumi("stack", "init", "dev")
    refused = machine.pulumi("preview", fails=True)
    assert any(key in refused for key in SECRETS), "Pulumi itself names what is missing"
    for key, value in SECRETS.items():
        machine.pulumi("config", "set", "--secret", key, text=f"{value}\n")
    assert SECRET not in machine.stack_file.read_text(encoding="utf-8")

    first = machine.steps()
    assert set(first) == {"create"} and {"query", "ingest-package", "ingest-settings-city-lyon"} <= first["create"]
    assert machine.everything_outside() == 0, "a preview makes nothing"

    machine.cloud_file.with_suffix(".fail").write_text("alerts-fanout")  # a consumer group that Azure refuses
    failed = machine.pulumi("up", "--yes", "--skip-preview", fails=True)
    assert "Conflict" in failed and len(machine.cloud()) > 0
    machine.cloud_file.with_suffix(".fail").unlink()
    machine.pulumi("up", "--yes", "--skip-preview")
    assert [job.state for job in machine.jobs.jobs.values()] == ["Running"]
    assert {app.content for app in machine.apps.apps.values()} != {""}
    assert set(machine.blobs["stingest"].containers["settings"]) == {
        "common.json", "cities/lyon.json", "cities/toronto.json", "cities/singapore.json"
    }  # fmt: skip

    assert machine.steps() == {}, "a second look finds nothing to do"
    held = json.loads(machine.state())
    assert SECRET not in machine.state()
    assert held["checkpoint"]["latest"]["secrets_providers"]["type"] == "passphrase"
    outputs = json.loads(machine.pulumi("stack", "output", "--json"))
    assert outputs["ingestApp"] == "func-roompulse-ingest-contoso-dev"
    assert "unchanged" in machine.pulumi("refresh", "--yes")

    renewed = json.dumps({"client_id": "C1", "refresh_token": "renewed by the ingest"})
    machine.write_secret("webex-token-set", renewed)
    machine.pulumi("refresh", "--yes")
    machine.pulumi("config", "set", "--secret", "webexTokenSet", text=SECRETS["webexTokenSet"].replace("C1", "C2"))
    machine.pulumi("config", "set", "--secret", "webexClientSecret", text="another")
    assert machine.steps() == {"update": {"webex-client-secret"}}
    machine.pulumi("up", "--yes", "--skip-preview")
    assert (machine.secret("webex-token-set"), machine.secret("webex-client-secret")) == (renewed, "another")

    machine.with_city("reykjavik", REYKJAVIK)
    assert machine.steps() == {"create": OWN}
    uploads, puts = machine.apps.uploads(), len(machine.jobs.puts)
    machine.pulumi("up", "--yes", "--skip-preview")
    assert (machine.apps.uploads(), len(machine.jobs.puts)) == (uploads, puts), "neither code nor query was touched"
    assert machine.steps() == {}

    machine.with_city("reykjavik", {**REYKJAVIK, "name": "Reykjavík"})
    assert machine.steps() == {"update": SETTINGS}
    machine.blobs["stingest"].put("cities/lyon.json", b"{}", "settings")  # by hand
    machine.pulumi("refresh", "--yes")
    assert machine.steps() == {"update": {*SETTINGS, "ingest-settings-city-lyon"}}
    machine.pulumi("up", "--yes", "--skip-preview")
    assert b"Lyon" in machine.blobs["stingest"].blob("cities/lyon.json", "settings").content

    machine.with_city("reykjavik", None)
    assert machine.steps() == {"delete": OWN}
    machine.pulumi("up", "--yes", "--skip-preview")

    machine.pulumi("destroy", "--yes", "--skip-preview")
    assert machine.everything_outside() == 0


def test_an_up_that_is_interrupted_is_finished_by_the_next(machine: Machine) -> None:
    """Ctrl-C in the middle: what was made is in the state, and is not made twice."""
    machine.purge()
    running = machine.start("up", "--yes", "--skip-preview", STANDIN_SECONDS="0.3")
    deadline = time.monotonic() + 90
    while len(machine.cloud()) < 12 and time.monotonic() < deadline:
        time.sleep(0.1)
    assert running.poll() is None, "it was over before it could be interrupted"
    running.send_signal(signal.SIGINT)
    output, _ = running.communicate(timeout=120)
    assert running.returncode != 0, output[-3000:]
    made = len(machine.cloud())
    assert 12 <= made < 80
    machine.pulumi("up", "--yes", "--skip-preview")
    assert machine.steps() == {}
    machine.pulumi("destroy", "--yes", "--skip-preview")
    assert machine.everything_outside() == 0
