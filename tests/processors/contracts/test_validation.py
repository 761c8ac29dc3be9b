"""Contracts: the schemas are sound, what we make passes them, and a bad settings file lists every fault with the way out."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator
from tiers import TIERS

from activator.rules import load_rules
from infra.settings.processor_settings import fanout_settings, ingest_settings
from infra.settings.stack import load_stack
from processors.contracts.validation import (
    ALERT,
    FANOUT_SETTINGS,
    INGEST_SETTINGS,
    OBSERVATION,
    QUARANTINED,
    SettingsError,
    faults,
    read_settings,
    schema,
)

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.mark.parametrize("name", [OBSERVATION, QUARANTINED, ALERT, INGEST_SETTINGS, FANOUT_SETTINGS])
def test_a_schema_is_a_valid_schema(name) -> None:
    Draft202012Validator.check_schema(schema(name))


def test_the_settings_made_from_the_dev_stack_pass() -> None:
    rules = load_rules()
    stack = load_stack(REPOSITORY / "Pulumi.dev.yaml", rules)
    assert faults(INGEST_SETTINGS, ingest_settings(stack, rules, "2026-11-24")) == []
    assert faults(FANOUT_SETTINGS, fanout_settings(stack, rules, inbox="inbox.sqlite")) == []


def test_every_fault_is_listed_with_its_path(tmp_path) -> None:
    path = tmp_path / "ingest-settings.json"
    city = {"name": "", "timeZone": "Europe/Paris", "webexLocations": "Lyon", "rules": [{"id": "x"}]}
    path.write_text(json.dumps({"pollSeconds": 0, "metrics": ["occupancy"], "cities": {"lyon": city}}))
    with pytest.raises(SettingsError) as caught:
        read_settings(path, INGEST_SETTINGS)
    text = str(caught.value)
    assert str(path) in text
    for place in ("pollSeconds:", "metrics/0:", "cities/lyon/name:", "cities/lyon/webexLocations:", "cities/lyon/rules/0:"):
        assert place in text
    assert "snapshotMinutes" in text


@pytest.mark.parametrize("zone", ["Europe/Lyon", "Europe", "../etc/passwd"])
def test_a_time_zone_that_does_not_exist_is_a_fault(tmp_path, zone) -> None:
    path = tmp_path / "fanout-settings.json"
    hours = {"days": ["mon"], "from": "08:00", "to": "18:00"}
    city = {"name": "Any", "timeZone": zone, "officeHours": hours, "channels": []}
    path.write_text(json.dumps({"rules": {}, "cities": {"*": city}}))
    with pytest.raises(SettingsError, match=r"cities/\*/timeZone"):
        read_settings(path, FANOUT_SETTINGS)


def test_a_missing_or_broken_file_says_which(tmp_path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.json"):
        read_settings(tmp_path / "nowhere.json", INGEST_SETTINGS)
    (tmp_path / "half.json").write_text('{"pollSeconds"')
    with pytest.raises(SettingsError, match=r"half.json is no JSON"):
        read_settings(tmp_path / "half.json", INGEST_SETTINGS)


def test_a_city_may_not_take_the_name_of_the_unassigned(tmp_path) -> None:
    path = tmp_path / "s.json"
    city = {"name": "U", "timeZone": "UTC", "webexLocations": [], "rules": []}
    settings = {
        "pollSeconds": 5,
        "snapshotMinutes": 1,
        "metricRequestsPerPoll": 0,
        "metrics": [],
        **TIERS,
        "cities": {"unassigned": city},
    }
    path.write_text(json.dumps(settings))
    with pytest.raises(SettingsError, match="unassigned"):
        read_settings(path, INGEST_SETTINGS)
