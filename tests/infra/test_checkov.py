"""The scanner checkov on the template of both stacks. What we leave as it is has a waiver with a reason and a last day."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from datetime import UTC, date, datetime
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import yaml

from tests.infra.arm_template import arm_template
from tests.infra.deployments import closed, recording
from tests.support.shared_data import REPOSITORY, shared_data
from tests.support.tools import missing

WAIVERS = REPOSITORY / "infra" / "policies" / "checkov-waivers.yaml"
CHECKOV = REPOSITORY / ".venv-checkov" / "bin" / "checkov"
OFFLINE = ("--skip-download", "--skip-results-upload")


@dataclass(frozen=True)
class Finding:
    """A check that failed, and the resource as checkov names it."""

    check: str
    resource: str


@dataclass(frozen=True)
class Waiver:
    """A finding we leave: `resource` may hold *; it holds through the day `until`."""

    check: str
    resource: str
    because: str
    until: str

    def covers(self, finding: Finding) -> bool:
        return finding.check == self.check and fnmatchcase(finding.resource, self.resource)


@pytest.fixture(scope="module")
def waivers() -> list[Waiver]:
    return [Waiver(**waiver) for waiver in yaml.safe_load(WAIVERS.read_text(encoding="utf-8"))]


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> dict[str, set[Finding]]:
    """What checkov finds in dev, in prod, in prod with a private network, and in a dev of one account that is open to all."""
    if not CHECKOV.exists():
        missing("checkov is not installed: `make test` installs it into .venv-checkov")
    folder = tmp_path_factory.mktemp("templates")
    types = shared_data("arm-types")
    recordings = {"dev": recording("dev"), "prod": recording("prod"), "private": closed("prod")}
    templates = {name: arm_template(recorded, types) for name, recorded in recordings.items()}
    lake = next(resource for resource in templates["dev"]["resources"] if resource["name"].startswith("stlake"))
    open_ = {"allowBlobPublicAccess": True, "minimumTlsVersion": "TLS1_0", "supportsHttpsTrafficOnly": False}
    templates["open"] = templates["dev"] | {"resources": [lake | {"properties": lake["properties"] | open_}]}
    for name, template in templates.items():
        (folder / f"{name}.json").write_text(json.dumps(template, indent=1), encoding="utf-8")
    return _findings(folder, list(templates))


def _findings(folder: Path, names: list[str]) -> dict[str, set[Finding]]:
    files = [str(folder / f"{name}.json") for name in names]
    # An empty home: no person's settings may change the answer.
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder), "LOG_LEVEL": "ERROR"}
    result = subprocess.run(
        [CHECKOV, "--file", *files, "--framework", "arm", *OFFLINE, "--compact", "--quiet", "--output", "json"],
        capture_output=True, text=True, check=False, cwd=folder, env=environment,
    )  # fmt: skip
    assert result.returncode in (0, 1), result.stderr
    report = json.loads(result.stdout)
    assert report["summary"]["parsing_errors"] == 0 and report["summary"]["resource_count"] > 150
    found: dict[str, set[Finding]] = {name: set() for name in names}
    for failed in report["results"]["failed_checks"]:
        found[Path(failed["file_path"]).stem].add(Finding(failed["check_id"], failed["resource"]))
    return found


@pytest.mark.parametrize("name", ["dev", "prod", "private"])
def test_every_finding_is_mended_or_waived(name: str, scanned: dict[str, set[Finding]], waivers: list[Waiver]) -> None:
    left = sorted(f"{f.check} {f.resource}" for f in scanned[name] if not any(waiver.covers(f) for waiver in waivers))
    assert not left, "fix it, or waive it with a reason in infra/policies/checkov-waivers.yaml"


def test_a_private_network_needs_no_waiver_for_open_doors(scanned: dict[str, set[Finding]]) -> None:
    doors = {"CKV_AZURE_35", "CKV_AZURE_189", "CKV_AZURE_59"}
    assert not [finding for finding in scanned["private"] if finding.check in doors]


def test_every_waiver_still_waives_something(scanned: dict[str, set[Finding]], waivers: list[Waiver]) -> None:
    found = scanned["dev"] | scanned["prod"] | scanned["private"]
    assert not [f"{w.check} {w.resource}" for w in waivers if not any(w.covers(finding) for finding in found)]


def test_no_waiver_is_older_than_its_last_day(waivers: list[Waiver]) -> None:
    today = datetime.now(UTC).date()
    over = [f"{w.check} {w.resource} (until {w.until})" for w in waivers if date.fromisoformat(w.until) < today]
    assert not over, "decide again: fix it, or give it another last day"


def test_every_waiver_says_why_and_holds_for_a_year_at_most(waivers: list[Waiver]) -> None:
    today = datetime.now(UTC).date()
    assert all(len(waiver.because) > 40 for waiver in waivers)
    assert all((date.fromisoformat(waiver.until) - today).days <= 366 for waiver in waivers)


def test_the_scanner_sees_an_open_account(scanned: dict[str, set[Finding]]) -> None:
    new = {finding.check for finding in scanned["open"] - scanned["dev"]}
    assert {"CKV_AZURE_3", "CKV_AZURE_44"} <= new
