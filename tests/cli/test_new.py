"""`roompulse new` from the outside: what it writes, what is red until it is filled in, and what it refuses."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import yaml
from typer.testing import CliRunner

from activator.declarations import DeclarationError
from activator.rules import load_rules
from cli.main import app
from powerbi.tiles import read_tiles
from processors.contracts.signals import SIGNALS
from scripts.generate import GENERATED
from tests.support.shared_data import REPOSITORY

WRITTEN = ("activator", "docs", "powerbi/dashboard", "processors", "scripts")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of what a new thing is written into."""
    for folder in WRITTEN:
        shutil.copytree(REPOSITORY / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for generated in GENERATED:
        (tmp_path / generated).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(REPOSITORY / generated, tmp_path / generated)
    return tmp_path


def write(checkout: Path, *arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app, ["new", *arguments, "--repository", str(checkout)], env={"COLUMNS": "200"})
    return result.exit_code, result.output


def unfinished(checkout: Path) -> list[str]:
    """The files in which something waits to be written."""
    files = [*checkout.glob("activator/rules/*.yaml"), *checkout.glob("docs/**/*.md"), *checkout.glob("powerbi/dashboard/**/*.*")]
    files += [checkout / "processors/contracts/signals.py", *checkout.glob("processors/alert_fanout/channels/*.py")]
    return sorted(str(path.relative_to(checkout)) for path in files if "TODO" in path.read_text(encoding="utf-8"))


def test_nothing_that_was_begun_is_left_unfinished() -> None:
    assert unfinished(REPOSITORY) == [], "fill in what `roompulse new` left open"


def test_a_new_rule_about_any_signal_is_red_for_what_is_left_to_say_and_nothing_else(checkout: Path) -> None:
    about = {f"about-{signal.entity}-{signal.name.lower()}": signal for signal in SIGNALS if signal.entity != "pipeline"}
    for name, signal in about.items():
        code, text = write(checkout, "rule", name, "--signal", signal.name, "--entity", signal.entity)
        assert code == 0, text
    expected = {"docs/stages/alert-rules.md"}
    expected |= {f"activator/rules/{name}.yaml" for name in about} | {f"docs/runbooks/{name}.md" for name in about}
    assert set(unfinished(checkout)) == expected
    with pytest.raises(DeclarationError) as refused:
        load_rules(checkout / "activator/rules")
    told = [fault for fault in refused.value.faults if "does not exist: write it" not in fault.message]
    assert sorted(fault.path.split(".yaml")[0] for fault in told) == sorted(about)
    assert {fault.message.split(" (")[0] for fault in told} == {"lacks a case that must fire"}


def test_a_new_signal_is_declared_and_what_follows_is_written(checkout: Path) -> None:
    code, text = write(checkout, "signal", "pigeonsSeen", "--entity", "device", "--unit", "0 or 1")
    assert code == 0, text
    assert "| device | `pigeonsSeen` | 0 or 1 | TODO |" in (checkout / "docs/contracts.md").read_text(encoding="utf-8")
    assert "  pigeonsSeen: " in (checkout / "local/dashboard/static/js/signals.js").read_text(encoding="utf-8")
    assert unfinished(checkout) == ["docs/contracts.md", "processors/contracts/signals.py"]


def test_a_new_channel_is_known_to_stacks_rules_and_documents_at_once(checkout: Path) -> None:
    code, text = write(checkout, "channel", "pigeon", "--title", "Carrier Pigeon")
    assert code == 0, text
    assert unfinished(checkout) == ["docs/stages/alert-fanout.md", "processors/alert_fanout/channels/pigeon.py"]
    for schema in (
        "infra/settings/stack.schema.json", "processors/contracts/fanout-settings.schema.json", "activator/rule.schema.json"
    ):  # fmt: skip
        assert '"pigeon"' in (checkout / schema).read_text(encoding="utf-8"), schema
    assert "| `cities.<slug>.contacts.pigeon` |" in (checkout / "docs/configuration.md").read_text(encoding="utf-8")
    assert "\n## Carrier Pigeon\n" in (checkout / "docs/stages/alert-fanout.md").read_text(encoding="utf-8")


@pytest.mark.parametrize(("page", "below"), [("Now", 26), ("Trends", 19), ("Rooms", 27)])
def test_a_new_tile_is_placed_below_its_page(checkout: Path, page: str, below: int) -> None:
    code, text = write(checkout, "tile", "tallest_pigeons", "--page", page)
    assert code == 0, text
    pages = yaml.safe_load((checkout / "powerbi/dashboard/layout.yaml").read_text(encoding="utf-8"))["pages"]
    shows = {"City": "cityId", "Devices": "devices"}
    assert pages[page][-1] == {"tile": "tallest_pigeons", "visual": "table", "at": [0, below, 24, 7], "shows": shows}
    placed = [entry for entries in pages.values() for entry in entries if "tile" in entry]
    assert len(placed) == len(read_tiles(checkout / "powerbi/dashboard/tiles"))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("rule", "loud", "--signal", "ambientNoise"), "two or more words in lower case"),
        (("rule", "../evil-rule", "--signal", "ambientNoise"), "can't be its name"),
        (("rule", "pigeons-too-loud", "--signal", "ambientNose"), "Did you mean ambientNoise?"),
        (("rule", "pigeons-too-loud", "--signal", "devices"), "say --entity location or city"),
        (("rule", "room-too-warm", "--signal", "temperature"), "activator/rules/room-too-warm.yaml is there already"),
        (("signal", "temperature", "--entity", "workspace"), "A workspace has a signal temperature already"),
        (("signal", "mic_muted", "--entity", "device"), "camelCase"),
        (("signal", "pigeonsSeen", "--entity", "devise"), "Did you mean device?"),
        (("signal", "pigeonsSeen", "--entity", "device", "--unit", "bars"), '"bars" is not a unit.'),
        (("channel", "slack"), "processors/alert_fanout/channels/slack.py is there already"),
        (("channel", "../evil"), "one word in lower case"),
        (("tile", "cities"), "powerbi/dashboard/tiles/cities.kql is there already"),
        (("tile", "tallest_pigeons", "--page", "Nowhere"), '"Nowhere" is not a page.'),
    ],
)
def test_what_can_not_be_is_refused_and_nothing_is_written(checkout: Path, arguments: tuple[str, ...], words: str) -> None:
    code, text = write(checkout, *arguments)
    assert (code, words in text) == (1, True), text
    assert unfinished(checkout) == []
