"""Alert rules are data that a person can get wrong: the loader says where and how to fix it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from activator.declarations import DeclarationError
from activator.rule_tests import series_of
from activator.rules import CHANNELS, Override, Rule, load_rules, rules_of_city
from tests.support.shared_data import REPOSITORY

GOOD: dict[str, Any] = {
    "id": "device-offline",
    "meaning": "A room device has lost its connection to Webex.",
    "evidence": "Most drops under five minutes heal by themselves.",
    "entity": "device",
    "signal": "offline",
    "when": {"at_least": 1, "for": "5m"},
    "severity": {"default": 2},
    "no_data": "keep",
    "runbook": "docs/runbooks/device-offline.md",
    "tests": [
        {"name": "it fires", "series": {"lyon/a": "up, down x6"}, "expect": [{"at": "6m", "fired": "lyon/a"}]},
        {"name": "it stays quiet", "series": {"lyon/a": "up x9"}, "expect": []},
        {"name": "silence says nothing", "series": {"lyon/a": "up, _ x9"}, "expect": []},
    ],
}


def write(folder: Path, name: str = "device-offline", **changes: Any) -> None:
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
        ({"when": {"for": "5m"}}, "has neither at_least nor at_most: write one of them."),
        ({"when": {"at_least": 1, "at_most": 2, "for": "5m"}}, "has at_least and at_most: keep one of them."),
        ({"tests": GOOD["tests"][:1]}, "has 1 of at least 3: add 2. At least a case that fires"),
        ({"tests": GOOD["tests"][:2]}, "has 2 of at least 3: add 1."),
        ({"tests": []}, "is empty: 3 or more are wanted."),
        ({"runbook": 7}, "(device-offline.yaml:"),
        ({"entity": "building"}, "none of device, workspace, location, city"),
        ({"signal": "ofline"}, '"ofline" is not a signal of a device. Did you mean offline?'),
        ({"entity": "workspace"}, '"offline" is not a signal of a workspace'),
        ({"when": {"at_least": 1.5, "for": "5m"}}, "1.5 is never reached: offline is 0 to 1"),
        ({"when": {"at_most": 1, "for": "5m"}}, "1 always holds"),
        ({"no_data": "fire"}, "fire needs entity pipeline"),
        ({"suppress_when": ["site-outage"]}, "neither a rule nor a condition"),
        ({"suppress_when": ["device-offline"]}, "this rule itself"),
        ({"signal": "issues", "suppress_when": ["planned-maintenance"]}, "only these signals know planned maintenance"),
        ({"channels": {"pigeon": [1]}}, "channels/pigeon"),
        ({"channels": {"sms": [0]}}, "0 is below 1"),
        ({"fewest_devices": 3}, "is for a share of devices (offlineRatio)"),
        ({"severity": {"default": 2, "outside_office_hours": 2}}, "2 is not less urgent than 2"),
        ({"severity": {"default": 2, "outside_office_hours": 1}}, "1 is not less urgent than 2"),
    ],
)
def test_a_rule_that_could_not_work_is_refused(tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
    write(tmp_path, **changes)
    assert expected in faults_of(tmp_path)


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    assert "holds no rule" in faults_of(tmp_path)


def test_broken_yaml_names_file_and_line(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_text("id: a\nid: b\n", encoding="utf-8")
    assert "x.yaml/line 2, column 1" in (text := faults_of(tmp_path))
    assert '"id" is given twice (first on line 1)' in text


def test_a_rule_says_at_which_severities_a_kind_of_contact_is_notified(tmp_path: Path) -> None:
    write(tmp_path, channels={"webhook": [2, 1], "sms": []})
    (rule,) = load_rules(tmp_path)
    assert rule.channels == CHANNELS | {"webhook": (1, 2), "sms": ()}


def test_a_rule_is_said_in_words(tmp_path: Path) -> None:
    write(tmp_path)
    (rule,) = load_rules(tmp_path)
    assert (rule.title, rule.condition) == ("Device offline", "offline >= 1 for 5 min")


def test_the_query_is_not_asked_about_the_pipeline_itself() -> None:
    rules = load_rules()
    assert {rule.id for rule in rules} - {rule.id for rule in rules_of_city(rules, (), "2026-11-25")} == {
        "pipeline-stale",
        "control-hub-unmatched",
    }


class TestCases:
    """The cases of a rule file are data too: what can't be meant is refused with its place."""

    def refused(self, tmp_path: Path, **changes: object) -> str:
        cases = list(GOOD["tests"])
        write(tmp_path, tests=[{**cases[0], **changes}, *cases[1:]])
        return faults_of(tmp_path)

    @pytest.mark.parametrize(
        ("series", "expected"),
        [
            ("up x0", 'can\'t be read at "x0"'),
            ("x3", "repeats nothing: x3"),
            ("(up, down", "a bracket that isn't closed"),
            ("up) x2", "closes a bracket"),
            ("up; down", 'can\'t be read at "; down"'),
            ("up x9999", "more than 2000 polls"),
        ],
    )
    def test_a_series_that_cant_be_read_is_quoted(self, tmp_path: Path, series: str, expected: str) -> None:
        text = self.refused(tmp_path, series={"lyon/a": series})
        assert "device-offline.yaml/tests/0/series/lyon/a" in text and expected in text

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"with": ["site-outtage"]}, '"site-outtage" is not an alert rule'),
            ({"cities": {"oslo": {}}}, "has no series: this case is about lyon"),
            ({"expect": [{"at": "6m", "fired": "oslo/a"}]}, "in none of the cities of this case (lyon)"),
            ({"expect": [{"at": "6m", "fired": "lyon/a", "rule": "no-such"}]}, '"no-such" is not an alert rule'),
            ({"expect": [{"at": "6m"}]}, "has none of fired, escalated, again, resolved: write one of them."),
            ({"expect": [{"at": "6m", "fired": "lyon/a", "resolved": "lyon/a"}]}, "has fired and resolved: keep one of them."),
            ({"name": "it stays quiet"}, '"it stays quiet" is taken already'),
        ],
    )
    def test_what_cant_be_meant_is_refused(self, tmp_path: Path, changes: dict[str, Any], expected: str) -> None:
        assert expected in self.refused(tmp_path, **changes)

    @pytest.mark.parametrize(("number", "expected"), [(0, "must fire"), (1, "must not fire"), (2, "shows what silence means")])
    def test_a_rule_without_one_kind_of_case_is_refused(self, tmp_path: Path, number: int, expected: str) -> None:
        cases: list[dict[str, object]] = list(GOOD["tests"])
        cases[number] = {**cases[(number + 1) % 3], "name": "another of a kind there is"}
        write(tmp_path, tests=cases)
        assert f"lacks a case that {expected}" in faults_of(tmp_path)

    def test_repeats_and_groups_are_written_out(self) -> None:
        assert series_of("up x2, (down, 1.5 x2) x2, _") == ("up", "up", "down", 1.5, 1.5, "down", 1.5, 1.5, None)


class TestOverrides:
    rules = load_rules()

    def resolved(self, today: str = "2026-11-24", **changes: Any) -> dict[str, Rule]:
        override = Override("device-offline", because="switch replacement", until="2026-12-19", **changes)
        return {rule.id: rule for rule in rules_of_city(self.rules, [override], today)}

    def test_a_city_changes_what_it_names_and_nothing_else(self) -> None:
        rule = self.resolved(for_seconds=900)["device-offline"]
        default = next(rule for rule in self.rules if rule.id == "device-offline")
        assert (rule.for_seconds, rule.threshold, rule.severity) == (900, default.threshold, default.severity)

    def test_it_holds_through_its_last_day_and_no_longer(self) -> None:
        assert "device-offline" not in self.resolved("2026-12-19", mute=True)
        assert "device-offline" in self.resolved("2026-12-20", mute=True)

    def test_a_threshold_of_zero_is_a_threshold(self) -> None:
        assert self.resolved(threshold=0.0)["device-offline"].threshold == 0.0
