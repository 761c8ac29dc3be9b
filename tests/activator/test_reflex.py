"""Data Activator says what a rule says, notifies whom the stack names, and is not asked for what it can't say."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from activator.reflex import ReflexError, State, alert_query, reflex_entities, why_not
from activator.rules import Override, Rule, rules_of_city
from tests.support import rules
from tests.support.definition_checks import reflex_faults
from tests.support.kusto_checker import check_kql

RULES = {rule.id: rule for rule in rules.RULES}
NOTIFIED = ("av-lyon@example.com",)
ID = "22222222-2222-2222-2222-222222222222"
EXPRESSIBLE = [rule for rule in RULES.values() if why_not(rule, NOTIFIED) is None]


def rendered(*rules: Rule) -> list[dict[str, Any]]:
    return reflex_entities("lyon", [(rule, NOTIFIED) for rule in rules], workspace_id=ID, database_id=ID)


def of_type(entities: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [entity["payload"] for entity in entities if entity["type"] == name]


def test_what_can_be_said_and_what_is_refused() -> None:
    refused = {rule.id: reason for rule in RULES.values() if (reason := why_not(rule, NOTIFIED))}
    assert set(refused) == {"pipeline-stale", "room-air-quality", "room-too-loud", "room-too-warm", "webex-incident"}
    assert len(EXPRESSIBLE) == len(RULES) - 5
    assert "no recipient" in str(why_not(RULES["site-outage"], ()))
    with pytest.raises(ReflexError, match=r"lyon, pipeline-stale: is evaluated by the platform"):
        rendered(RULES["pipeline-stale"])


def mails(rule: Rule) -> dict[str, dict[str, str]]:
    """The words of the mails of a rule, by what they tell: fields in braces."""
    triggers = [view for view in of_type(rendered(rule), "timeSeriesView-v1") if view["definition"]["type"] == "Rule"]
    found = {}
    for state, view in zip(("fired", "resolved"), triggers, strict=True):
        (mail,) = json.loads(view["definition"]["instance"])["steps"][2]["rows"]
        parts = {one["name"]: one["values"] for one in mail["arguments"] if one["type"] == "array"}
        found[state] = {name: "".join(map(said, values)) for name, values in parts.items()}
    return found


def said(part: dict[str, Any]) -> str:
    if part.get("kind") == "NameReferencePair":
        label, reference = part["arguments"]
        return f"{label['value']} {{{reference['arguments'][0]['value']}}}; "
    return f"{{{part['arguments'][0]['value']}}}" if part["type"] == "complex" else str(part["value"])


@pytest.mark.parametrize("rule", EXPRESSIBLE, ids=lambda rule: rule.id)
def test_a_rule_says_all_that_it_says(rule: Rule) -> None:
    entities = rendered(rule)
    assert list(reflex_faults(json.dumps(entities))) == []
    fired, resolved = (source["query"]["queryString"] for source in of_type(entities, "kqlSource-v1"))
    for state, query in (("fired", fired), ("resolved", resolved)):
        assert f"ruleId == '{rule.id}' and entity == '{rule.entity}' and signal == '{rule.signal}'" in query
        assert f"cityId == 'lyon' and state == '{state}'" in query
    assert f"value {rule.op} {rule.threshold!r} and observedAt - startedAt >= {rule.for_seconds}s" in fired
    assert "value >=" not in resolved and "not(entityId startswith 'drill-')" in resolved
    told = mails(rule)
    assert {mail["sentTo"] for mail in told.values()} == {NOTIFIED[0]}
    assert told["fired"]["subject"] == f"{rule.title}: {{name}}, {{locationName}}"
    assert told["fired"]["headline"] == f"{rule.meaning} {{reading}}"
    assert rule.runbook in told["fired"]["optionalMessage"]
    assert told["resolved"]["subject"] == f"Over: {rule.title.lower()}: {{name}}, {{locationName}}"
    assert told["resolved"]["headline"] == "It is over after {lasted}."


@pytest.mark.parametrize("rule", EXPRESSIBLE, ids=lambda rule: rule.id)
def test_a_mail_is_in_words_and_leads_somewhere(rule: Rule) -> None:
    for mail in mails(rule).values():
        text = " ".join(mail.values())
        assert f"https://app.fabric.microsoft.com/groups/{ID}/list" in text
        assert not [sign for sign in (">=", "<=", "ruleId") if sign in text]
        assert mail["additionalInformation"] == (
            "Room {workspaceName}; Location {locationName}; Severity {importance}; "
            "Began (UTC) {startedAt}; Seen (UTC) {observedAt}; Lasted {lasted}; "
        )


def test_a_runbook_that_has_an_address_is_linked() -> None:
    linked = replace(RULES["device-offline"], runbook="https://wiki.example.com/device-offline.md")
    told = mails(linked)["fired"]["optionalMessage"]
    assert "What to do: https://wiki.example.com/device-offline.md. Reports" in told
    assert (
        "docs/runbooks/device-offline.md in RoomPulse's repository." in mails(RULES["device-offline"])["fired"]["optionalMessage"]
    )


@pytest.mark.parametrize(
    ("rule", "threshold", "reading"),
    [
        ("call-quality", "Fires from at least 5 % for 5 min on.", "strcat('Packet loss: ', round(value * 1, 1), ' %')"),
        ("device-offline", "Fires from 5 min on.", "''"),
        ("site-outage", "Fires from at least 50 % on.", "round(value * 100, 1), ' %')"),
    ],
)
def test_thresholds_and_readings_have_their_units(rule: str, threshold: str, reading: str) -> None:
    assert threshold in mails(RULES[rule])["fired"]["optionalMessage"]
    assert reading in alert_query("lyon", RULES[rule], "fired")


def test_a_name_is_one_line_before_it_gets_into_a_mail() -> None:
    for name in ("name", "workspaceName", "locationName"):
        query = alert_query("lyon", RULES["room-humidity"], "fired")
        cleaned = query.index(f"{name} = replace_regex({name}, @'[\\p{{Cc}}\\p{{Zl}}\\p{{Zp}}]+', ' ')")
        assert cleaned < query.index("| project ")


def test_windows_go_by_when_a_row_was_taken_in_and_end_later_than_a_shortcut_lags() -> None:
    source, _ = of_type(rendered(RULES["device-offline"]), "kqlSource-v1")
    assert source["eventTimeSettings"] == {"timeFieldName": "ingestedAt", "ingestionDelayInSeconds": 300, "timeZone": "UTC"}
    lines = source["query"]["queryString"].splitlines()
    assert lines[2] == "| extend ingestedAt = ingestion_time()"
    assert lines[3].startswith("| where ingestedAt > startTime and ingestedAt <= endTime and ")


@pytest.mark.kusto
def test_kusto_accepts_the_queries() -> None:
    states: tuple[State, ...] = ("fired", "resolved")
    queries = {
        f"{rule.id} {state}": alert_query("lyon", rule, state).partition(";\n")[2] for rule in EXPRESSIBLE for state in states
    }
    spans = "let startTime = ago(5m); let endTime = now();\n"
    findings = check_kql({name: spans + query for name, query in queries.items()})
    assert findings.faults == ()
    for columns in findings.columns.values():
        assert {"ingestedAt", "observedAt", "startedAt", "name", "reading", "importance", "lasted", "told"} <= set(columns)


def test_a_citys_own_threshold_is_in_its_query() -> None:
    override = Override("room-humidity", "works", "2099-12-31", threshold=80.0, for_seconds=60)
    (rule,) = [rule for rule in rules_of_city(tuple(RULES.values()), [override], "2026-01-01") if rule.id == "room-humidity"]
    assert "value >= 80.0 and observedAt - startedAt >= 60s" in alert_query("lyon", rule, "fired")


def test_an_open_alert_of_the_cause_silences() -> None:
    assert "LatestAlert | where state == 'fired' and cityId == 'lyon' and ruleId in ('site-outage')" in alert_query(
        "lyon", RULES["device-offline"], "fired"
    )
    assert "leftanti" not in alert_query("lyon", RULES["city-silent"], "fired")


def test_an_end_stays_unsent_where_the_beginning_was_explained() -> None:
    assert "Alerts | where observedAt > ago(2d) and cityId == 'lyon' and ruleId in ('site-outage')" in alert_query(
        "lyon", RULES["device-offline"], "resolved"
    )


def test_ids_are_stable_and_belong_to_the_city() -> None:
    def ids(city: str) -> set[str]:
        entities = reflex_entities(city, [(rule, NOTIFIED) for rule in EXPRESSIBLE], workspace_id=ID, database_id=ID)
        return {entity["uniqueIdentifier"] for entity in entities}

    assert ids("lyon") == ids("lyon")
    assert not ids("lyon") & ids("oslo")


def test_faults_are_found() -> None:
    entities = rendered(RULES["city-silent"])
    container, source, event, *_rest = entities
    assert "is there twice" in " ".join(reflex_faults(json.dumps([*entities, container])))
    assert "its parentContainer is not there" in " ".join(reflex_faults(json.dumps(entities[1:])))
    assert f"{source['uniqueIdentifier']} is not there" in " ".join(reflex_faults(json.dumps([container, event])))
    named = json.dumps(entities).replace("kqlSource-v1", "kustoSource-v1")
    assert "kustoSource-v1" in " ".join(reflex_faults(named))


def test_a_rule_that_maintenance_silences_needs_a_signal_that_knows_it() -> None:
    deaf = replace(RULES["device-offline"], signal="issues")
    assert "planned maintenance" in str(why_not(deaf, NOTIFIED))
