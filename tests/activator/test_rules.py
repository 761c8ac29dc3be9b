"""Alert rules are data that a person can get wrong: the loader says where and how to mend it."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from shared_data import REPOSITORY

from activator.declarations import DeclarationError
from activator.rules import Override, load_rules, rules_of_city

GOOD = {
    "id": "device-offline",
    "meaning": "A room device has lost its connection to Webex.",
    "evidence": "Most drops under five minutes heal by themselves.",
    "entity": "device",
    "signal": "offline",
    "when": {"at_least": 1, "for": "5m"},
    "severity": {"default": 2},
    "no_data": "keep",
    "runbook": "docs/runbooks/device-offline.md",
}


def write(folder: Path, name: str = "device-offline", **changes: object) -> None:
    (folder / f"{name}.yaml").write_text(yaml.safe_dump({**GOOD, **changes}), encoding="utf-8")


def faults_of(folder: Path) -> str:
    with pytest.raises(DeclarationError) as caught:
        load_rules(folder)
    return str(caught.value)


def test_the_shipped_rules_load_and_every_one_has_its_runbook() -> None:
    rules = load_rules()
    assert {rule.id for rule in rules} == {path.stem for path in (REPOSITORY / "activator/rules").glob("*.yaml")}
    runbooks = {f"docs/runbooks/{path.name}" for path in (REPOSITORY / "docs/runbooks").glob("*.md")}
    assert {rule.runbook for rule in rules} == runbooks


def test_durations_become_seconds_and_comparisons_operators(tmp_path: Path) -> None:
    write(tmp_path, when={"at_most": 0.5, "for": "2h"})
    (rule,) = load_rules(tmp_path)
    assert (rule.op, rule.threshold, rule.for_seconds) == ("<=", 0.5, 7200)


def test_all_faults_of_all_files_are_listed_at_once(tmp_path: Path) -> None:
    write(tmp_path, severity={"default": 5}, colour="red")
    write(tmp_path, "another", meaning="short", when={"at_least": 1, "for": "5 minutes"})
    text = faults_of(tmp_path)
    for expected in (
        "device-offline.yaml/severity/default",
        "5 is above 4",
        "device-offline.yaml/colour",
        "another.yaml/id",
        "another.yaml/meaning",
        "another.yaml/when/for",
        "(5 faults)",
    ):
        assert expected in text


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"runbook": "docs/runbooks/none-such.md"}, "does not exist"),
        ({"when": {"for": "5m"}}, "when"),
        ({"when": {"at_least": 1, "at_most": 2, "for": "5m"}}, "when"),
        ({"entity": "building"}, "none of device, workspace, location, city"),
    ],
)
def test_a_rule_that_could_not_work_is_refused(tmp_path: Path, changes: dict[str, object], expected: str) -> None:
    write(tmp_path, **changes)
    assert expected in faults_of(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert "holds no rule" in faults_of(tmp_path)


def test_broken_yaml_names_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("id: a\nid: b\n", encoding="utf-8")
    assert "x.yaml/line 2, column 1" in (text := faults_of(tmp_path))
    assert '"id" is given twice (first on line 1)' in text


class TestOverrides:
    rules = load_rules()

    def resolved(self, today: str = "2026-11-24", **changes: object) -> dict[str, object]:
        override = Override("device-offline", because="switch replacement", until="2026-12-19", **changes)  # type: ignore[arg-type]
        return {rule.id: rule for rule in rules_of_city(self.rules, [override], today)}

    def test_a_city_changes_what_it_names_and_nothing_else(self) -> None:
        rule = self.resolved(for_seconds=900)["device-offline"]
        default = next(rule for rule in self.rules if rule.id == "device-offline")
        assert (rule.for_seconds, rule.threshold, rule.severity) == (900, default.threshold, default.severity)  # type: ignore[attr-defined]

    def test_it_holds_through_its_last_day_and_no_longer(self) -> None:
        assert "device-offline" not in self.resolved("2026-12-19", mute=True)
        assert "device-offline" in self.resolved("2026-12-20", mute=True)

    def test_a_threshold_of_zero_is_a_threshold(self) -> None:
        assert self.resolved(threshold=0.0)["device-offline"].threshold == 0.0  # type: ignore[attr-defined]
