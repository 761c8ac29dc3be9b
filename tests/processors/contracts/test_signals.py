"""A signal is declared once: whoever sends it, compares it or shows it knows no other, and none is declared that nobody sends."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from activator.rule_tests import RuleTest
from activator.rules import Rule
from local.alert_tests.estate import MADE_BY, NUMBERS, observations
from local.alert_tests.worlds import World
from processors.contracts.signals import SIGNALS, Signal
from tests.support.rules import RULES
from tests.support.shared_data import REPOSITORY

SENT = [signal for signal in SIGNALS if signal.entity != "pipeline"]
HOW = {
    "device": "read it in processors/ingest/room_status.py with an example in ANSWERS, and keep it as a field of Condition, in "
    "SAID and in measured() (changes.py); or count codes in OF_SIGNAL (error_codes.py); or say in local/alert_tests/estate.py "
    "which word makes it",
    "workspace": "give it a `capability`, or read it in processors/ingest/room_status.py, with an example in ANSWERS, and give "
    "it in RoomStatus.of_room",
    "location": "count it in processors/ingest/fleet.py, and say in _AT_LOCATION of local/alert_tests/estate.py how many make it",
    "city": "count it in processors/ingest/fleet.py, and say in _COUNTS of local/alert_tests/estate.py how many make it; or have "
    "it as a field of CityFacts (processors/ingest/city_facts.py), which poll.py fills in",
}
"""What makes a signal of an entity."""


@pytest.mark.parametrize("signal", SENT, ids=lambda signal: f"{signal.entity} {signal.name}")
def test_the_ingest_sends_every_signal_that_is_declared(signal: Signal) -> None:
    """One that it does not send belongs out of processors/contracts/signals.py, or its reading into processors/ingest."""
    value: float | str = 2.0 if signal.high > 1 else 1.0
    if signal.name not in NUMBERS[signal.entity]:
        assert signal.name in MADE_BY, (
            f"nobody knows how {signal.name} is made: {HOW[signal.entity]} (CONTRIBUTING.md, Add a signal)"
        )
        value = MADE_BY[signal.name]
    series = ("up", value, value, value) if isinstance(value, str) else (value, value)
    values = [found["value"] for found in _sent(signal, series) if found["name"] == signal.name]
    assert values, f"the ingest does not send {signal.name}: {HOW[signal.entity]}"
    assert values[-1] == (value if isinstance(value, float) and signal.name != "inUse" else 1.0)


def test_signals_of_one_name_are_one_signal_to_people() -> None:
    words = {signal.name: (signal.unit, signal.label, signal.phrase, signal.span) for signal in SIGNALS}
    assert [signal for signal in SIGNALS if words[signal.name] != (signal.unit, signal.label, signal.phrase, signal.span)] == []
    assert len({(signal.entity, signal.name) for signal in SIGNALS}) == len(SIGNALS)


@pytest.mark.parametrize("signal", SIGNALS, ids=lambda signal: f"{signal.entity} {signal.name}")
def test_a_declaration_has_words_for_people(signal: Signal) -> None:
    assert signal.label and signal.source and signal.low < signal.high
    forms = signal.phrase.split("|")
    assert not signal.phrase or (len(forms) <= 2 and all(form.count("{}") == 1 for form in forms))
    assert (len(forms) == 2) == (bool(signal.phrase) and signal.unit in ("count", "times", "days"))


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("temperature", 29.44, "29.44 °C"),
        ("humidity", 83.0, "83 %"),
        ("occupancy", 1.125, "112.5 %"),
        ("firmwareBehind", 3.0, "3 days"),
        ("unseenMinutes", 12.5, "12.5 min"),
        ("criticalIssues", 2.0, "2"),
        ("tvoc", 0.0, "0"),
    ],
)
def test_a_value_is_said_in_its_unit(name: str, value: float, words: str) -> None:
    (signal,) = {signal.name: signal for signal in SIGNALS if signal.name == name}.values()
    assert signal.said(value) == words


def test_queries_tiles_and_models_name_no_signal_that_is_not_declared() -> None:
    unknown = {(path, name) for path, name in _named() if name not in {signal.name for signal in SIGNALS}}
    assert sorted(unknown) == [], "declare it in processors/contracts/signals.py, or correct the name"


def test_the_scan_sees_the_names_it_is_there_for() -> None:
    found = {path for path, _ in _named()}
    assert {"powerbi/kusto/functions.kql", "powerbi/dashboard/tiles/environment.kql"} <= found


def _named() -> Iterator[tuple[str, str]]:
    """Signals as queries, scripts and rules name them: file and name."""
    quoted = re.compile(r"\bsignal(?:Name)?\b\s*(?:==|===|!=|=~|in)\s*\(?((?:\s*['\"]\w+['\"],?)+)")
    for pattern in ("powerbi/**/*.kql", "asa-queries/**/*.asaql", "local/dashboard/static/js/*.js", "activator/rules/*.yaml"):
        for path in sorted(REPOSITORY.glob(pattern)):
            text = path.read_text(encoding="utf-8")
            for names in quoted.findall(text):
                for name in re.findall(r"\w+", names):
                    yield str(path.relative_to(REPOSITORY)), name


def _sent(signal: Signal, series: tuple[float | str, ...]) -> Iterator[dict[str, Any]]:
    """The signals that the ingest's own code sends of an entity, poll after poll, when a series is what Webex shows."""
    template = next(rule for rule in RULES if rule.entity == signal.entity)
    case = RuleTest("it is sent", {"lyon" if signal.entity == "city" else "lyon/a": series}, (), step=120)
    rule: Rule = replace(template, signal=signal.name, threshold=1.0)
    for sent in observations(World(0, rule, case, (rule,))):
        data = json.loads(sent.event.body)["data"]
        if data["entity"] == signal.entity:
            yield from data["signals"]
