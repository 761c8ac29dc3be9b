"""A machine with Pulumi's real engine, its command, its language host, its state file; Azure is a file, and fake services.

`make engine` builds the engine (docs/decisions/0111-the-real-engine.md).
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
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.infra.providers.fabric.fake_fabric import FakeFabric
from tests.infra.providers.fake_function_app import FakeFunctionApps
from tests.infra.providers.fake_service import TOKEN, Answer, Request
from tests.infra.providers.fake_stream_analytics import FakeStreamAnalytics
from tests.infra.providers.fake_vault import SECRET as VAULT_SECRET
from tests.infra.providers.fake_vault import FakeVault
from tests.support.fake_blobs import FakeBlobs, fake_blobs
from tests.support.shared_data import REPOSITORY

ENGINE = REPOSITORY / ".pulumi-engine"
HOW = "Pulumi's engine is not built: make engine (needs Go; some minutes, once)"
NEEDS_ENGINE = [
    pytest.mark.skipif(not (ENGINE / "bin" / "pulumi").exists(), reason=HOW),
    pytest.mark.timeout(900),
]
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
Outside = tuple[dict[str, FakeBlobs], "FakeResourceManager", FakeFunctionApps]
"""The services that are asked directly: blobs by how the name of their account starts, jobs, function apps."""


class Machine:
    """A copy of the repository, a Pulumi of its own, and a cloud; Fabric's tenant where there is one."""

    def __init__(self, folder: Path, name: str, outside: Outside, fabric: FakeFabric | None = None) -> None:
        self.folder, self.name, self.fabric = folder, name, fabric
        self.blobs, self.jobs, self.apps = outside
        self.project = folder / "project"
        self.cloud_file = folder / "cloud.json"
        self._copy_project()
        self._put_plugin()
        homes = {start: service.url("") for start, service in self.blobs.items()}
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
            "ROOMPULSE_ARM_ENDPOINT": self.jobs.url,
            **self.apps.environment(),
            **(fabric.environment() if fabric else {}),
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
        document = yaml.safe_load((REPOSITORY / self.stack_file.name).read_text(encoding="utf-8"))
        if self.fabric is None:
            for part in ("fabric", "fabricCapacity"):
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
        return self.project / f"Pulumi.{self.name}.yaml"

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

    @staticmethod
    def kill(running: subprocess.Popen[str]) -> None:
        """Let the whole machine die: the command, and the providers it started in groups of their own."""
        for folder in Path("/proc").iterdir():
            if folder.name.isdigit():
                with suppress(ProcessLookupError):
                    if os.getsid(int(folder.name)) == running.pid:
                        os.kill(int(folder.name), signal.SIGKILL)

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
        """How many things the fakes hold: Azure's resources, jobs, settings, workspaces, connections."""
        settings = sum(len(service.containers.get("settings", ())) for service in self.blobs.values())
        tenant = len(self.fabric.workspaces) + len(self.fabric.connections) if self.fabric else 0
        return len(self.cloud()) + len(self.jobs.jobs) + settings + tenant

    def steps(self, *arguments: str) -> dict[str, set[str]]:
        """What a preview would do: names of resources by operation, those that stay the same left out."""
        output = self.pulumi("preview", "--json", *arguments)
        return _by_operation(json.JSONDecoder().raw_decode(output[output.index("{") :])[0]["steps"])

    def resources(self) -> list[dict[str, Any]]:
        """What the state has of every resource."""
        found: list[dict[str, Any]] = json.loads(self.state())["checkpoint"]["latest"]["resources"]
        return found

    def state(self) -> str:
        return (self.folder / ".pulumi" / "stacks" / "roompulse" / f"{self.name}.json").read_text(encoding="utf-8")


def _by_operation(steps: list[dict[str, Any]]) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for step in steps:
        if step["op"] != "same":
            found.setdefault(step["op"], set()).add(step["urn"].rsplit("::", 1)[-1])
    return found


class FakeResourceManager(FakeStreamAnalytics):
    """Jobs, and the secrets of vaults."""

    def __init__(self) -> None:
        super().__init__()
        self.vault = FakeVault()

    def handle(self, request: Request) -> Answer:
        return self.vault.handle(request) if VAULT_SECRET.match(request.path) else super().handle(request)


@contextmanager
def services_outside() -> Iterator[Outside]:
    """The services of a deployment, with nothing in them."""
    jobs, apps = FakeResourceManager(), FakeFunctionApps()
    with fake_blobs() as ingest, fake_blobs() as fanout, fake_blobs() as lake:
        for service in (ingest, fanout):
            service.containers = {"settings": {}}
        lake.containers = {"lake": {}}
        yield {"stingest": ingest, "stfanout": fanout, "stlake": lake}, jobs, apps
    jobs.close()
    apps.close()
