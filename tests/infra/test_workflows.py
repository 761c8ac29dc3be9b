"""The workflows name what exists, and may do no more than they need."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import Any

import pytest
import yaml
from shared_data import REPOSITORY

FOLDER = REPOSITORY / ".github" / "workflows"


def workflow(name: str) -> dict[str, Any]:
    document: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    return document


def text(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")


def test_they_deploy_with_the_version_of_pulumi_the_program_is_tested_with() -> None:
    requirements = (REPOSITORY / "requirements" / "deploy.in").read_text(encoding="utf-8")
    assert f"pulumi=={workflow('deploy.yml')['env']['PULUMI_VERSION']}\n" in requirements


def test_they_know_every_stack() -> None:
    stacks = {path.name.split(".")[1] for path in REPOSITORY.glob("Pulumi.*.yaml")}
    (loop,) = re.findall(r"for stack in ([\w ]+);", text("plan.yml"))
    assert set(loop.split()) == stacks
    triggers = workflow("deploy.yml")[True]  # YAML 1.1 reads `on` as true
    assert set(triggers["workflow_dispatch"]["inputs"]["stack"]["options"]) == stacks


@pytest.mark.parametrize(
    ("name", "permissions"),
    [
        ("ci.yml", {"contents": "read"}),
        ("plan.yml", {"contents": "read", "pull-requests": "write"}),
        ("deploy.yml", {"contents": "read", "id-token": "write"}),
    ],
)
def test_they_may_do_no_more_than_they_need(name: str, permissions: dict[str, str]) -> None:
    assert workflow(name)["permissions"] == permissions
    assert all("permissions" not in job for job in workflow(name)["jobs"].values())


@pytest.mark.parametrize("name", ["ci.yml", "plan.yml"])
def test_a_pull_request_never_sees_a_secret(name: str) -> None:
    assert "secrets." not in text(name) and "id-token" not in text(name)


def test_a_pull_request_never_deploys() -> None:
    assert "pull_request" not in text("deploy.yml")


def test_a_pull_request_is_tested_as_on_any_machine_with_every_tool() -> None:
    triggers, job = workflow("ci.yml")[True], workflow("ci.yml")["jobs"]["ci"]
    assert "pull_request" in triggers
    assert [step["run"] for step in job["steps"] if "run" in step] == [".ci/run"]
    assert set(job["env"]) == {"ROOMPULSE_CHROMIUM", "ROOMPULSE_SHARED_DATA"}, "CI=false would hide what is missing"


@pytest.mark.parametrize("name", ["ci.yml", "deploy.yml", "plan.yml"])
def test_workflows_install_what_is_locked(name: str) -> None:
    assert not re.search(r"pip3? install|npm (ci|install)", text(name)), "make installs from the locks"


def test_azure_s_credentials_are_never_kept() -> None:
    assert set(re.findall(r"secrets\.(\w+)", text("deploy.yml"))) == {"PULUMI_CONFIG_PASSPHRASE"}
    assert workflow("deploy.yml")["env"]["ARM_USE_OIDC"] == "true"


def test_nothing_is_deployed_past_the_policies() -> None:
    runs = [step.get("run", "") for step in workflow("deploy.yml")["jobs"]["pulumi"]["steps"]]
    deploying = [run for run in runs if run.startswith("pulumi ")]
    assert len(deploying) == 2 and all("--policy-pack infra/policies" in run for run in deploying)


def test_only_a_person_starts_an_up() -> None:
    steps = workflow("deploy.yml")["jobs"]["pulumi"]["steps"]
    (up,) = [step for step in steps if "pulumi up" in step.get("run", "")]
    assert up["if"] == "github.event_name == 'workflow_dispatch'"


def test_github_s_own_schema_of_workflows_takes_them() -> None:
    """The schema that editors use for GitHub's workflows, as check-jsonschema ships it."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    result = subprocess.run([*command, *sorted(FOLDER.glob("*.yml"))], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
