"""Data Activator says what a rule says, tells whom the stack names, and is not asked for what it can't say."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from activator.reflex import ReflexError, alert_query, reflex_entities, why_not
from activator.rules import Override, Rule, rules_of_city
from tests.support import rules
from tests.support.definition_checks import reflex_faults
from tests.support.kusto_checker import check_kql

RULES = {rule.id: rule for rule in rules.RULES}
TOLD = ("av-lyon@example.com",)
ID = "22222222-2222-2222-2222-222222222222"
EXPRESSIBLE = [rule for rule in RULES.values() if why_not(rule, TOLD) is None]


def rendered(*rules: Rule) -> list[dict[str, Any]]:
    return reflex_entities("lyon", [(rule, TOLD) for rule in rules], workspace_id=ID, database_id=ID)


def of_type(entities: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [entity["payload"] for entity in entities if entity["type"] == name]


def test_what_can_be_said_and_what_is_refused() -> None:
    refused = {rule.id: reason for rule in RULES.values() if (reason := why_not(rule, TOLD))}
    assert set(refused) == {"pipeline-stale", "room-air-quality", "room-too-warm"}
    assert len(EXPRESSIBLE) == len(RULES) - 3
    assert "no recipient" in str(why_not(RULES["site-outage"], ()))
    with pytest.raises(ReflexError, match=r"lyon, pipeline-stale: is evaluated by the platform"):
        rendered(RULES["pipeline-stale"])


@pytest.mark.parametrize("rule", EXPRESSIBLE, ids=lambda rule: rule.id)
def test_a_rule_says_all_that_it_says(rule: Rule) -> None:
    entities = rendered(rule)
    assert list(reflex_faults(json.dumps(entities))) == []
    (source,) = of_type(entities, "kqlSource-v1")
    query = source["query"]["queryString"]
    assert f"ruleId == '{rule.id}' and entity == '{rule.entity}' and signal == '{rule.signal}'" in query
    assert f"value {rule.op} {rule.threshold!r} and observedAt - startedAt >= {rule.for_seconds}s" in query
    assert "cityId == 'lyon' and state == 'fired'" in query
    trigger = json.loads(of_type(entities, "timeSeriesView-v1")[1]["definition"]["instance"])
    (mail,) = trigger["steps"][2]["rows"]
    words = {argument["name"]: argument for argument in mail["arguments"]}
    assert [one["value"] for one in words["sentTo"]["values"]] == list(TOLD)
    assert rule.condition in words["headline"]["values"][0]["value"]
    assert rule.runbook in words["optionalMessage"]["values"][0]["value"]


def test_a_name_is_one_line_before_it_gets_into_a_mail() -> None:
    for name in ("name", "workspaceName", "locationName"):
        query = alert_query("lyon", RULES["room-humidity"])
        cleaned = query.index(f"{name} = replace_regex({name}, @'[\\p{{Cc}}\\p{{Zl}}\\p{{Zp}}]+', ' ')")
        assert cleaned < query.index("| project ")


def test_windows_go_by_when_a_row_was_taken_in_and_end_later_than_a_shortcut_lags() -> None:
    (source,) = of_type(rendered(RULES["device-offline"]), "kqlSource-v1")
    assert source["eventTimeSettings"] == {"timeFieldName": "ingestedAt", "ingestionDelayInSeconds": 300, "timeZone": "UTC"}
    lines = source["query"]["queryString"].splitlines()
    assert lines[2] == "| extend ingestedAt = ingestion_time()"
    assert lines[3].startswith("| where ingestedAt > startTime and ingestedAt <= endTime and ")


def test_kusto_accepts_the_queries() -> None:
    queries = {rule.id: alert_query("lyon", rule).partition(";\n")[2] for rule in EXPRESSIBLE}
    spans = "let startTime = ago(5m); let endTime = now();\n"
    findings = check_kql({name: spans + query for name, query in queries.items()})
    assert findings.faults == ()
    assert {"ingestedAt", "observedAt", "name", "fired", "severity"} <= set(findings.columns["device-offline"])


def test_a_citys_own_threshold_is_in_its_query() -> None:
    override = Override("room-humidity", "works", "2099-12-31", threshold=80.0, for_seconds=60)
    (rule,) = [rule for rule in rules_of_city(tuple(RULES.values()), [override], "2026-01-01") if rule.id == "room-humidity"]
    assert "value >= 80.0 and observedAt - startedAt >= 60s" in alert_query("lyon", rule)


def test_an_open_alert_of_the_cause_silences() -> None:
    assert "ruleId in ('site-outage')" in alert_query("lyon", RULES["device-offline"])
    assert "leftanti" not in alert_query("lyon", RULES["city-silent"])


def test_ids_are_stable_and_belong_to_the_city() -> None:
    def ids(city: str) -> set[str]:
        entities = reflex_entities(city, [(rule, TOLD) for rule in EXPRESSIBLE], workspace_id=ID, database_id=ID)
        return {entity["uniqueIdentifier"] for entity in entities}

    assert ids("lyon") == ids("lyon")
    assert not ids("lyon") & ids("oslo")


def test_faults_are_found() -> None:
    entities = rendered(RULES["city-silent"])
    container, source, event, _trigger = entities
    assert "is there twice" in " ".join(reflex_faults(json.dumps([*entities, container])))
    assert "its parentContainer is not there" in " ".join(reflex_faults(json.dumps(entities[1:])))
    assert f"{source['uniqueIdentifier']} is not there" in " ".join(reflex_faults(json.dumps([container, event])))
    named = json.dumps(entities).replace("kqlSource-v1", "kustoSource-v1")
    assert "kustoSource-v1" in " ".join(reflex_faults(named))


def test_a_rule_that_maintenance_silences_needs_a_signal_that_knows_it() -> None:
    deaf = replace(RULES["device-offline"], signal="issues")
    assert "planned maintenance" in str(why_not(deaf, TOLD))
