"""Every command of docs/stages/deploy.md, run in the order of the page, with stand-ins for Azure's and Pulumi's command lines.

The shell is real: quotes, pipes, loops and files are as a person would type them. The stand-ins write down what they are told and
answer from the offline plan. Pulumi's real engine runs the deployment itself in tests/infra/engine.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import subprocess

import pytest
import typer
import typer.main

from cli.plan import plan
from infra.entry import token_set_fault
from infra.providers.credentials import OIDC_AUDIENCE
from tests.infra.arm_bodies import arm_name
from tests.infra.deployments import recording
from tests.infra.published_checks import published
from tests.support.shared_data import REPOSITORY

PAGE = (REPOSITORY / "docs" / "stages" / "deploy.md").read_text(encoding="utf-8")
BLOCKS: list[str] = re.findall(r"^ *```\n(.*?)^ *```", PAGE, re.DOTALL | re.MULTILINE)
STANDIN = r"""#!/bin/sh
printf '%s\0' "${0##*/}" "$@" >> "$TOLD"
case "$1 $2 $3" in
  "config set --secret") printf '%s\0' "$(cat)" >> "$TOLD" ;;
  "stack output "*) cat "$OUTPUTS/$3" ;;
esac
case "$*" in *" --file "*) test -s token-set.json || exit 1 ;; esac
printf '\036' >> "$TOLD"
"""
"""Writes down what it is told: `pulumi stack output` answers, `pulumi config set --secret` reads what is typed."""
BY_HAND = "az keyvault secret set"
"""Before this the page has a person write the file of the token set once more."""


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[list[str]]:
    """What the commands of the page told whom, in order; each block is one script that stops at the first command that fails."""
    folder = tmp_path_factory.mktemp("deploy")
    commands = folder / "bin"
    commands.mkdir()
    for name in ("az", "curl", "make", "pulumi"):
        (commands / name).write_text(STANDIN, encoding="utf-8")
        (commands / name).chmod(0o755)
    work, outputs = folder / "work", folder / "outputs"
    work.mkdir()
    outputs.mkdir()
    for name, value in recording("dev").outputs.items():
        (outputs / name).write_text(str(value), encoding="utf-8")
    environment = {
        "PATH": f"{commands}{os.pathsep}{os.environ['PATH']}",
        "TOLD": str(folder / "told"),
        "OUTPUTS": str(outputs),
    }
    (shown,) = re.findall(r"`(\{\"client_id\".*?\})`", PAGE)
    written = f"printf '%s' {shlex.quote(shown)} > token-set.json\n"
    script = written + "\n".join(f"{written if BY_HAND in block else ''}{block}" for block in BLOCKS)
    subprocess.run(
        ["bash", "-euo", "pipefail", "-c", script], cwd=work, env=environment, check=True, timeout=60, input="", text=True
    )
    assert list(work.iterdir()) == [], "a secret that the page has a person write, it takes away again"
    records = (folder / "told").read_text(encoding="utf-8").split("\x1e")[:-1]
    return [record.split("\0")[:-1] for record in records]


def of(told: list[list[str]], *start: str) -> list[list[str]]:
    return [words[len(start) :] for words in told if words[: len(start)] == list(start)]


def option(words: list[str], *names: str) -> str:
    return next(words[index + 1] for index, word in enumerate(words) if word in names)


def test_the_page_goes_from_a_plan_to_a_workflow_in_this_order(told: list[list[str]]) -> None:
    group = ["pulumi stack output"]
    assert [" ".join(words[:3]) for words in told] == [
        "make plan ARGS=--stack dev",
        "make plan ARGS=--stack dev --check --subscription SUBSCRIPTION",
        *["az provider register"] * 11,
        "pulumi login",
        "pulumi install",
        "pulumi stack init",
        "pulumi config set",
        "pulumi config set",
        "pulumi preview",
        "pulumi up",
        *group,
        f"curl https://{recording('dev').outputs['ingestApp']}.azurewebsites.net/api/health",
        *group,
        "az monitor app-insights",
        *group * 2,
        "az monitor metrics",
        *group,
        "az monitor app-insights",
        *group,
        "az keyvault secret",
        *group * 2,
        "az functionapp restart",
        "az storage account",
        "az storage container",
        "az ad app",
        "az ad sp",
        "az ad app",
    ]


def test_the_secrets_are_read_from_where_the_page_put_them(told: list[list[str]]) -> None:
    typed = {words[0]: words[1] for words in of(told, "pulumi", "config", "set", "--secret")}
    assert typed.keys() == {"webexTokenSet", "webexClientSecret"}
    assert token_set_fault(typed["webexTokenSet"]) == ""


def test_every_name_is_one_of_the_program(told: list[list[str]]) -> None:
    names = {arm_name(resource) for resource in recording("dev").resources if resource.type.startswith("azure-native:")}
    asked = [words for words in told if words[0] == "az" and words[1] in ("monitor", "keyvault", "functionapp")]
    for words in asked:
        named = {option(words, "-g", "--app", "--resource", "--vault-name", "-n")}
        named |= {words[index + 1] for index, word in enumerate(words) if word in ("-g", "--resource", "--vault-name", "-n")}
        assert {name.replace("ORGANISATION-STACK", "contoso-dev") for name in named} <= names, words


def test_the_metric_it_asks_for_is_one(told: list[list[str]]) -> None:
    (words,) = of(told, "az", "monitor", "metrics", "list")
    assert option(words, "--metric") in published("metrics")["metrics"][option(words, "--resource-type")]


def test_the_state_takes_no_keys_and_is_reached_by_a_login(told: list[list[str]]) -> None:
    (account,) = of(told, "az", "storage", "account", "create")
    (container,) = of(told, "az", "storage", "container", "create")
    assert option(account, "--allow-shared-key-access") == "false" and option(account, "--min-tls-version") == "TLS1_2"
    assert option(container, "--auth-mode") == "login" and option(container, "--account-name") == option(account, "-n")
    assert f"azblob://{option(container, '-n')}?storage_account={option(account, '-n')}" in PAGE


def test_the_federation_is_what_entra_takes_and_the_workflow_asks_for(told: list[list[str]]) -> None:
    (words,) = of(told, "az", "ad", "app", "federated-credential", "create")
    credential = json.loads(option(words, "--parameters"))
    assert credential == {
        "name": "dev",
        "issuer": "https://token.actions.githubusercontent.com",
        "audiences": [OIDC_AUDIENCE],
        "subject": "repo:OWNER/REPOSITORY:environment:dev",
    }
    workflow = (REPOSITORY / ".github" / "workflows" / "deploy.yml").read_text(encoding="utf-8")
    assert "environment:" in workflow and "id-token: write" in workflow


def test_every_plan_the_page_asks_for_is_one_the_command_knows() -> None:
    one = typer.Typer()
    one.command()(plan)
    command = typer.main.get_command(one)
    asked = re.findall(r'make plan ARGS="(.*?)"', PAGE)
    assert len(asked) >= 4
    for arguments in asked:
        command.make_context("plan", shlex.split(arguments))


def test_every_target_of_make_it_names_exists() -> None:
    makefile = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
    for target in set(re.findall(r"(?:^|`)make ([\w-]+)", PAGE, re.MULTILINE)):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target
