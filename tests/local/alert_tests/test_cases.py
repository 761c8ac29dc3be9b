"""The cases of the alert rules pass, every wrong version of a rule is noticed, and a case that fails says why."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import cache

import pytest

from activator.declarations import DeclarationError
from activator.rule_tests import RuleTest, series_of
from activator.rules import Rule
from local.alert_tests.drawing import drawn
from local.alert_tests.estate import observations
from local.alert_tests.mutants import Mutant, mutants, scores
from local.alert_tests.notifications import Row
from local.alert_tests.runner import CaseResult, check, result_of, run, worlds_of
from local.alert_tests.worlds import World
from processors.contracts.validation import OBSERVATION
from tests.support.contracts import faults_of_message
from tests.support.roompulse_query import JOB
from tests.support.rules import RULES

BY_ID = {rule.id: rule for rule in RULES}
CASES = [(rule.id, case.name) for rule in RULES for case in rule.tests]


@cache
def all_results() -> dict[tuple[str, str], tuple[CaseResult, World]]:
    worlds = worlds_of(RULES, RULES)
    return {(result.rule_id, result.case.name): (result, world) for result, world in zip(run(worlds, JOB), worlds, strict=True)}


@pytest.mark.parametrize(("rule", "case"), CASES, ids=[f"{rule}: {case}" for rule, case in CASES])
def test_the_case_passes(rule: str, case: str) -> None:
    result, world = all_results()[rule, case]
    assert result.passed, "\n".join(drawn(result, world))


def test_every_wrong_version_of_every_rule_is_noticed() -> None:
    found = scores(RULES, RULES, JOB)
    assert {score.rule_id: score.survivors for score in found} == dict.fromkeys(BY_ID, ())
    assert all(len(score.mutants) >= 8 for score in found)


def test_the_rule_as_it_is_survives_as_its_own_mutant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise mutants would die of the machinery."""
    monkeypatch.setattr("local.alert_tests.mutants.mutants", lambda rule: [Mutant("nothing is wrong", rule)])
    assert [score.survivors for score in scores(RULES, RULES, JOB)] == [("nothing is wrong",)] * len(RULES)


def test_a_wrong_version_that_a_case_has_noticed_is_not_run_on(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = BY_ID["device-offline"]
    ran: list[World] = []

    def noted(world: World, rows: Mapping[int, Sequence[Row]]) -> CaseResult:
        ran.append(world)
        return result_of(world, rows)

    monkeypatch.setattr("local.alert_tests.mutants.mutants", lambda rule: [Mutant("reversed", replace(rule, op="<="))])
    monkeypatch.setattr("local.alert_tests.mutants.result_of", noted)
    assert [score.survivors for score in scores(RULES, [rule], JOB)] == [()]
    assert len(ran) == 1 < len(rule.tests)


def test_mutants_are_wrong_in_every_way_the_rule_can_be() -> None:
    names = " | ".join(mutant.name for mutant in mutants(BY_ID["device-offline"]))
    for wrong in (
        "threshold up: 2", "threshold down: 0", "comparison strict: > 1", "comparison reversed: <= 1", "for longer: 360 s",
        "for shorter: 240 s", "severity 1", "severity 3", "sms is not notified", "site-outage does not suppress",
        "planned maintenance counts", "another city's people", "a city's override holds everywhere", "no city's override holds",
    ):  # fmt: skip
        assert wrong in names


def changed(rule_id: str, **changes: object) -> tuple[CaseResult, World]:
    """The first case of a rule that is wrong."""
    rule = replace(BY_ID[rule_id], **changes)  # type: ignore[arg-type]
    (world, *_) = worlds_of(RULES, [rule])
    (result,) = run([world], JOB)
    return result, world


class TestAFailure:
    def test_it_draws_the_series_and_says_what_is_different(self) -> None:
        text = "\n".join(drawn(*changed("device-offline", for_seconds=360)))
        assert "lyon/room-bar-1  ···██████·" in text
        assert "missing        8m  fired lyon/room-bar-1 (device-offline)" in text

    def test_another_severity_time_and_people_are_named(self) -> None:
        text = "\n".join(drawn(*changed("room-too-warm", severity=2, for_seconds=900)))
        assert "sent at 25m, expected at 20m; severity 2, expected 3; notified besides: sms +1" in text

    def test_what_nobody_expected_is_sent_with_its_title(self) -> None:
        case = BY_ID["device-offline"].tests[0]
        result, world = changed("device-offline", tests=(replace(case, expected=()),))
        assert 'fired lyon/room-bar-1 (device-offline, severity 2), "Device offline: room-bar-1, Lyon", to email' in "\n".join(
            drawn(result, world)
        )

    def test_numbers_are_drawn_from_lowest_to_highest(self) -> None:
        text = "\n".join(drawn(*changed("room-humidity", threshold=90.0)))
        assert "▁▁██████▁▁  45 to 75" in text and "nothing sent" in text


def with_case(rule: Rule, **changes: object) -> Rule:
    return replace(rule, tests=(replace(rule.tests[0], **changes),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rule", "changes", "message"),
    [
        ("device-offline", {"series": {"lyon/a": series_of("up, dwn")}}, '"dwn" is neither of up, down'),
        ("room-unusable", {"series": {"lyon/a": series_of("camerapairin")}}, "Did you mean camerapairing?"),
        ("room-humidity", {"series": {"lyon/a": series_of("wet")}}, '"wet" is not a number: a workspace reads numbers'),
        ("device-offline", {"cities": {"lyon": {"timeZone": "Europe/Lyon"}}}, "is not an IANA time zone"),
        ("device-offline", {"cities": {"lyon": {"alerts": {"device-ofline": {"mute": True}}}}}, "Did you mean device-offline?"),
    ],
)
def test_a_case_that_cant_be_run_is_refused(rule: str, changes: dict[str, object], message: str) -> None:
    with pytest.raises(DeclarationError) as caught:
        check([with_case(BY_ID[rule], **changes), *(other for other in RULES if other.id != rule)])
    assert message in str(caught.value) and f"{rule}.yaml/tests/0" in str(caught.value)


def test_the_observations_of_cases_keep_the_contract() -> None:
    for world in worlds_of(RULES, [BY_ID["device-offline"], BY_ID["room-over-capacity"], BY_ID["call-quality"]]):
        for sent in observations(world):
            assert faults_of_message(OBSERVATION, json.loads(sent.event.body)) == []


def test_a_case_begins_when_it_says_in_the_time_of_its_city() -> None:
    case = RuleTest("n", {"lyon/a": ("up",)}, (), start="sat 03:30", cities={"lyon": {"timeZone": "Asia/Singapore"}})
    world = World(0, BY_ID["device-offline"], case, (BY_ID["device-offline"],))
    assert world.start == datetime(2026, 3, 6, 19, 30, tzinfo=UTC)
