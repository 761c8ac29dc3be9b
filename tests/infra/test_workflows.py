"""The workflows name what exists, and may do no more than they need."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.shared_data import REPOSITORY
from tests.support.tools import JUDGES, missing

FOLDER = REPOSITORY / ".github" / "workflows"


def workflow(name: str) -> dict[str | bool, Any]:
    """YAML 1.1 reads the key `on` as true."""
    document: dict[str | bool, Any] = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
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
    triggers = workflow("deploy.yml")[True]
    assert set(triggers["workflow_dispatch"]["inputs"]["stack"]["options"]) == stacks


@pytest.mark.parametrize(
    ("name", "permissions"),
    [
        ("ci.yml", {"contents": "read"}),
        ("plan.yml", {"contents": "read", "pull-requests": "write"}),
        ("deploy.yml", {"contents": "read", "id-token": "write"}),
        ("nightly.yml", {"contents": "read"}),
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


def test_the_real_engine_deploys_every_night() -> None:
    triggers, job = workflow("nightly.yml")[True], workflow("nightly.yml")["jobs"]["engine"]
    assert "schedule" in triggers
    assert [step["run"] for step in job["steps"] if "run" in step] == ["make test-engine"]


@pytest.mark.parametrize("name", ["ci.yml", "deploy.yml", "nightly.yml", "plan.yml"])
def test_workflows_install_what_is_locked(name: str) -> None:
    assert not re.search(r"pip3? install|npm (ci|install)", text(name)), "make installs from the locks"


def test_azure_s_credentials_are_never_kept() -> None:
    assert set(re.findall(r"secrets\.(\w+)", text("deploy.yml"))) == {"PULUMI_CONFIG_PASSPHRASE"}
    assert workflow("deploy.yml")["env"]["ARM_USE_OIDC"] == "true"


def test_only_pulumi_gets_the_passphrase() -> None:
    """What is installed before it, and what others wrote, can't read what a job's own environment does not have."""
    for name, job in workflow("deploy.yml")["jobs"].items():
        given = [step.get("name") for step in job["steps"] if "PULUMI_CONFIG_PASSPHRASE" in step.get("env", {})]
        assert given == [{"preview": "Preview", "up": "Up"}[name]] and "PULUMI_CONFIG_PASSPHRASE" not in job["env"]


def test_a_stack_that_can_t_be_previewed_hides_none_of_the_others() -> None:
    assert workflow("deploy.yml")["jobs"]["preview"]["strategy"]["fail-fast"] is False


def runs(job: str) -> list[str]:
    return [step.get("run", "") for step in workflow("deploy.yml")["jobs"][job]["steps"]]


def test_nothing_is_deployed_past_the_policies() -> None:
    deploying = [run for job in ("preview", "up") for run in runs(job) if run.startswith("pulumi ")]
    assert len(deploying) == 2 and all("--policy-pack infra/policies" in run for run in deploying)


def test_only_a_person_starts_an_up() -> None:
    assert workflow("deploy.yml")["jobs"]["up"]["if"] == "github.event_name == 'workflow_dispatch'"


def test_a_preview_is_made_by_an_identity_that_may_only_read() -> None:
    """The environment names the identity: a preview's is not that of the `up`, and needs no approval."""
    jobs = workflow("deploy.yml")["jobs"]
    assert jobs["preview"]["environment"] == "${{ matrix.stack }}-preview"
    assert jobs["up"]["environment"] == "${{ inputs.stack }}"
    assert not any("pulumi up" in run for run in runs("preview"))


def test_what_was_previewed_is_approved_and_nothing_else_is_run() -> None:
    """The environment of `up` asks for approval after the preview is done; then the saved plan constrains what is run."""
    jobs = workflow("deploy.yml")["jobs"]
    assert jobs["up"]["needs"] == "preview"
    (preview,) = [run for run in runs("preview") if run.startswith("pulumi preview")]
    (up,) = [run for run in runs("up") if run.startswith("pulumi up")]
    assert "--save-plan plan.json" in preview and "--plan plan.json" in up and "--yes" in up
    (kept,) = [step["with"] for step in jobs["preview"]["steps"] if "upload-artifact" in step.get("uses", "")]
    (taken,) = [step["with"] for step in jobs["up"]["steps"] if "download-artifact" in step.get("uses", "")]
    assert (kept["path"], kept["name"].replace("matrix", "inputs")) == ("plan.json", taken["name"])
    assert workflow("deploy.yml")["env"]["PULUMI_EXPERIMENTAL"] == "true", "saved plans are behind it"


def test_the_state_backend_is_logged_in_to() -> None:
    """azblob does not read ARM_*; it takes the login of Azure's command line."""
    for name, job in workflow("deploy.yml")["jobs"].items():
        uses = [step["uses"].split("@")[0] for step in job["steps"] if "uses" in step]
        assert "azure/login" in uses, name


NAMES = sorted(path.name for path in FOLDER.glob("*.yml"))


@pytest.mark.parametrize("name", NAMES)
def test_what_others_wrote_is_taken_by_its_commit(name: str) -> None:
    used = re.findall(r"uses: (\S+)", text(name))
    assert used and [action for action in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40}", action)] == []
    assert not re.search(r"curl[^\n]*\|\s*(ba)?sh|wget[^\n]*\|", text(name)), "no script is run that nobody has read"


@pytest.mark.parametrize("name", NAMES)
def test_no_step_loses_an_exit_code(name: str) -> None:
    """`shell: bash` is what gives a step pipefail: without it a pipe ends as well as its last command."""
    assert workflow(name)["defaults"]["run"]["shell"] == "bash"
    assert not any("shell" in step for job in workflow(name)["jobs"].values() for step in job["steps"])


@pytest.mark.parametrize("broken", [set(), {"dev"}, {"fabric"}, {"prod"}, {"dev", "prod"}])
def test_a_stack_that_can_t_be_planned_turns_the_pull_request_red(tmp_path: Path, broken: set[str]) -> None:
    """The step's own script, as GitHub runs it: all stacks are told of, and the first failure is not the last word."""
    (script,) = [step["run"] for step in workflow("plan.yml")["jobs"]["plan"]["steps"] if step.get("name") == "Plan every stack"]
    command = tmp_path / ".venv" / "bin" / "roompulse"
    command.parent.mkdir(parents=True)
    command.write_text(
        '#!/usr/bin/env bash\necho "plan of $3"\n'
        + "".join(f'[ "$3" != {stack} ] || {{ echo "fault of $3" >&2; exit 1; }}\n' for stack in sorted(broken))
    )
    command.chmod(0o755)
    step = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    environment = {**os.environ, "BASE": "origin/main"}
    result = subprocess.run(step, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert (result.returncode != 0) is bool(broken)
    told = (tmp_path / "plan.md").read_text(encoding="utf-8")
    assert told == result.stdout and told.count("```") == 6, "the comment is whole"
    assert {stack for stack in ("dev", "fabric", "prod") if f"plan of {stack}" in told} == {"dev", "fabric", "prod"}
    assert {stack for stack in ("dev", "fabric", "prod") if f"fault of {stack}" in told} == broken


STUB = """#!/usr/bin/env bash
echo "${0##*/}" >> "$CALLS"
[ "${0##*/}" != "$FAILING" ] || exit 3
"""
STUBS = ("bin/make", "bin/pulumi", "bin/gh", "bin/az", "bin/git", "bin/tar", ".ci/run", ".venv/bin/roompulse")
"""Whatever a step may call, by its place in a checkout."""


def scripts() -> Iterator[tuple[str, str]]:
    """Every step's script by where it stands, with what GitHub fills in filled in."""
    for name in NAMES:
        for job, told in workflow(name)["jobs"].items():
            for number, step in enumerate(told["steps"]):
                if "run" in step:
                    yield f"{name} {job} {number}", re.sub(r"\$\{\{.*?\}\}", "dev", step["run"])


def ran(folder: Path, script: str, failing: str = "") -> tuple[int, list[str]]:
    """How a step ends and what it called, run as GitHub runs it, while one command fails."""
    calls = folder / "calls"
    calls.write_text("")
    path = f"{folder / 'bin'}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "CALLS": str(calls), "FAILING": failing, "BASE": "origin/main"}
    step = ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", script]
    done = subprocess.run(step, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, calls.read_text().split()


def test_every_step_ends_as_what_it_calls_does(tmp_path: Path) -> None:
    """With commands that do nothing every script goes through; with one that fails the step fails, whatever comes after it."""
    for stub in STUBS:
        (tmp_path / stub).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / stub).write_text(STUB)
        (tmp_path / stub).chmod(0o755)
    steps = dict(scripts())
    assert {name.split()[0] for name in steps} == set(NAMES)
    for name, script in steps.items():
        code, called = ran(tmp_path, script)
        assert code == 0 and called, name
        assert [command for command in set(called) if ran(tmp_path, script, command)[0] == 0] == [], name


def test_the_comment_is_written_though_a_plan_failed() -> None:
    (comment,) = [step for step in workflow("plan.yml")["jobs"]["plan"]["steps"] if step.get("name") == "Comment"]
    assert "!cancelled()" in comment["if"]


@pytest.mark.parametrize(("lines", "cut"), [(500, False), (5_000, True)])
def test_a_plan_longer_than_a_comment_is_cut_with_a_word(tmp_path: Path, lines: int, cut: bool) -> None:
    (comment,) = [step for step in workflow("plan.yml")["jobs"]["plan"]["steps"] if step.get("name") == "Comment"]
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "gh").write_text(STUB)
    (tmp_path / "bin" / "gh").chmod(0o755)
    whole = "### dev\n\n```\n" + "".join(f"  + city são-{number:05}\n" for number in range(lines)) + "```\n"
    (tmp_path / "plan.md").write_text(whole, encoding="utf-8")
    assert ran(tmp_path, re.sub(r"\$\{\{.*?\}\}", "7", comment["run"])) == (0, ["gh"])
    posted = (tmp_path / "plan.md").read_bytes().decode()
    assert (posted == whole) is not cut and len(posted) < 65_536 and posted.count("```") == 2
    assert posted.endswith("\n```\n\nCut here: the log of this run has the rest.\n") is cut


def test_github_s_own_schema_of_workflows_takes_them() -> None:
    """The schema that editors use for GitHub's workflows, as check-jsonschema ships it."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    result = subprocess.run([*command, *sorted(FOLDER.glob("*.yml"))], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr


def linted(*paths: Path) -> str:
    """What actionlint says of workflows, with ShellCheck over every script in them; nothing where both find nothing."""
    program = JUDGES / "actionlint"
    if not program.exists() or not shutil.which("shellcheck"):
        missing("actionlint or ShellCheck is missing: `make test` puts them into .judges and .venv-toolchains")
    command = [str(program), "-oneline", "-no-color", *map(str, paths)]
    result = subprocess.run(command, cwd=FOLDER, capture_output=True, text=True, check=False)
    assert result.returncode in {0, 1}, result.stderr
    return result.stdout + result.stderr


def test_actionlint_and_shellcheck_find_nothing_in_them() -> None:
    assert linted(*sorted(FOLDER.glob("*.yml"))) == ""


SEEDED = """
on: {workflow_dispatch: {inputs: {stack: {type: choice, options: [dev, prod]}}}}
permissions: {contents: reed}
jobs:
  plan:
    runs-on: ubuntu-24.4
    steps:
      - {id: read, run: "for file in $(ls); do cat $file; done"}
      - {run: "echo ${{ inputs.stak }}"}
      - {run: "echo ${{ steps.write.outputs.text }}"}
      - {run: "echo ${{ github.event.pull_request.title }}"}
  up:
    needs: plann
    runs-on: ubuntu-24.04
    steps: [{uses: "actions/checkout@v4", with: {path_: x}}, {if: "${{ sucess() }}", run: 'true'}]
"""
FOUND = {
    "a permission that is not one": r"\[permissions\]",
    "a runner that nobody offers": r"\[runner-label\]",
    "a list of files by ls": r"SC2045.*\[shellcheck\]",
    "a name that may hold a space": r"SC2086.*\[shellcheck\]",
    "an input that nobody asks for": r'"stak" is not defined',
    "the output of a step that is not there": r'"write" is not defined',
    "text of a stranger in a script": r"github\.event\.pull_request\.title.* potentially untrusted",
    "a job that waits for one that is not there": r'needs job "plann"',
    "an argument that an action does not take": r'"path_" is not defined in action',
    "a condition that asks an unknown function": r'undefined function "sucess"',
}


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("seeded") / "seeded.yml"
    path.write_text(SEEDED, encoding="utf-8")
    return linted(path)


@pytest.mark.parametrize("mistake", FOUND)
def test_actionlint_and_shellcheck_do_find(verdict: str, mistake: str) -> None:
    """Seen red: the judges that find nothing above find each of these."""
    assert re.search(FOUND[mistake], verdict), verdict


def test_shellcheck_finds_nothing_in_our_own_scripts() -> None:
    """Continuous integration itself, and how Pulumi's engine is built."""
    if not shutil.which("shellcheck"):
        missing("ShellCheck is missing: `make test` installs it into .venv-toolchains")
    scripts = [REPOSITORY / ".ci" / "run", REPOSITORY / "tests/infra/engine/build.sh"]
    result = subprocess.run(["shellcheck", *map(str, scripts)], capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stdout + result.stderr
