"""The page for a second person: every file it names is there, every command it gives exists, every new thing has its section."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import typer.main
import yaml
from typer.core import TyperGroup

from activator.rules import load_rules
from cli.main import app
from powerbi.tiles import read_tiles
from processors.alert_fanout.channel_kinds import CONTACT_KINDS
from processors.contracts.signals import SIGNALS
from tests.support.shared_data import REPOSITORY

MAKEFILE = (REPOSITORY / "Makefile").read_text(encoding="utf-8")
PAGE = (REPOSITORY / "CONTRIBUTING.md").read_text(encoding="utf-8")
SECTIONS = dict(re.findall(r"^## Add an? ([^\n]+)\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
EXAMPLES = {"<id>": "room-too-warm", "<name>": "cities", "<kind>": "slack"}


def subcommands(name: str) -> set[str]:
    group = typer.main.get_command(app)
    assert isinstance(group, TyperGroup)
    found = group.get_command(typer.Context(group), name)
    assert isinstance(found, TyperGroup)
    return set(found.commands)


def test_whatever_new_writes_has_a_section_that_begins_with_its_command() -> None:
    written = {name: re.findall(r"^roompulse new (\S+)", text, re.MULTILINE) for name, text in SECTIONS.items()}
    assert {command for commands in written.values() for command in commands} == subcommands("new")
    assert all(commands[0] in name for name, commands in written.items() if commands)


def test_no_example_of_a_new_thing_is_there_already() -> None:
    there = {
        "rule": {rule.id for rule in load_rules()},
        "signal": {signal.name for signal in SIGNALS},
        "channel": CONTACT_KINDS.keys(),
        "tile": read_tiles().keys(),
    }
    examples = re.findall(r"^roompulse new (\S+) (\S+)", PAGE, re.MULTILINE)
    assert {kind for kind, _ in examples} == there.keys()
    assert [name for kind, name in examples if name in there[kind]] == [], "CONTRIBUTING.md: give another example"


@pytest.mark.parametrize("name", SECTIONS)
def test_every_file_a_section_names_is_there(name: str) -> None:
    for named in re.findall(r"^\| `([^`]+)`", SECTIONS[name], re.MULTILINE):
        for placeholder, example in EXAMPLES.items():
            named = named.replace(placeholder, example)
        assert (REPOSITORY / named).is_file(), named


def test_every_test_it_names_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)
    gone = [name for file, name in named if f"def {name}(" not in (REPOSITORY / file).read_text(encoding="utf-8")]
    assert len(named) > 10 and gone == []


def test_every_make_target_it_names_exists() -> None:
    targets = set(re.findall(r"^([a-z-]+):", (REPOSITORY / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    assert set(re.findall(r"\bmake ([a-z-]+)", PAGE)) <= targets


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"])
def test_every_link_leads_somewhere(name: str) -> None:
    targets = re.findall(r"\]\(([^)#]+)[^)]*\)", (REPOSITORY / name).read_text(encoding="utf-8"))
    assert [target for target in targets if "://" not in target and not (REPOSITORY / target).exists()] == []


def test_the_newest_released_version_is_that_of_the_package() -> None:
    released = re.findall(r"^## (\d+\.\d+\.\d+)$", (REPOSITORY / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert f'version = "{released[0]}"' in (REPOSITORY / "pyproject.toml").read_text(encoding="utf-8")


def test_dependabot_reads_its_file_and_every_folder_in_it_is_there() -> None:
    judge = Path(sys.executable).with_name("check-jsonschema")
    file = REPOSITORY / ".github/dependabot.yml"
    judged = subprocess.run([judge, "--builtin-schema", "vendor.dependabot", file], capture_output=True, text=True)
    assert judged.returncode == 0, judged.stdout
    manifests = {"npm": "package.json", "gomod": "go.mod", "github-actions": ".github/workflows"}
    for update in yaml.safe_load(file.read_text(encoding="utf-8"))["updates"]:
        assert (REPOSITORY / update["directory"].strip("/") / manifests[update["package-ecosystem"]]).exists(), update


def test_the_hooks_run_the_linters_of_make_lint() -> None:
    hooks = yaml.safe_load((REPOSITORY / ".pre-commit-config.yaml").read_text(encoding="utf-8"))["repos"]
    entries = [hook["entry"].removeprefix(".venv/bin/") for repository in hooks for hook in repository["hooks"]]
    ((targets, recipe),) = re.findall(r"^lint: ([^#\n]+)##.*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)
    assert {f"make {target}" for target in targets.split()} <= set(entries)
    assert set(re.findall(r"\$\(BIN\)/(\S+)", recipe)) <= {entry.split()[0] for entry in entries}


def test_the_type_checker_reads_every_python_file() -> None:
    declared = tomllib.loads((REPOSITORY / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["mypy"]
    one_by_one = re.findall(r"for tests in (\S+); do \$\(BIN\)/mypy \$\$tests", MAKEFILE)
    listed = subprocess.run(["git", "ls-files", "*.py"], cwd=REPOSITORY, check=True, capture_output=True, text=True).stdout
    read = [f"{pattern}{'' if pattern.endswith('.py') else '/*'}" for pattern in (*declared["files"], *one_by_one)]
    assert [file for file in listed.splitlines() if not any(fnmatchcase(file, pattern) for pattern in read)] == []
    assert declared["strict"] is True
