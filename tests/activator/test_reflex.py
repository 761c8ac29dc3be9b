"""Data Activator says what a rule says, notifies whom the stack names, and is not asked for what it can't say."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from activator.reflex import Action, ReflexError, State, alert_query, reflex_entities, why_not
from activator.reflex_objects import KEY, SHOWN, device_query
from activator.reflex_parts import CLOCK
from activator.rules import Override, Rule, rules_of_city
from tests.support import rules
from tests.support.definition_checks import reflex_faults
from tests.support.kusto_checker import check_kql

RULES = {rule.id: rule for rule in rules.RULES}
NOTIFIED = ("av-lyon@example.com",)
ID = "22222222-2222-2222-2222-222222222222"
EXPRESSIBLE = [rule for rule in RULES.values() if why_not(rule, NOTIFIED) is None]


def rendered(*rules: Rule, actions: tuple[Action, ...] = ("email",)) -> list[dict[str, Any]]:
    return reflex_entities("lyon", [(rule, NOTIFIED) for rule in rules], actions, workspace_id=ID, database_id=ID)


def sources(*rules: Rule) -> list[dict[str, Any]]:
    """The queries of rules: that of the devices comes first."""
    return of_type(rendered(*rules), "kqlSource-v1")[1:]


def of_type(entities: list[dict[str, Any]], name: str) -> list[dict[str, Any]]:
    return [entity["payload"] for entity in entities if entity["type"] == name]


def test_what_can_be_said_and_what_is_refused() -> None:
    refused = {rule.id: reason for rule in RULES.values() if (reason := why_not(rule, NOTIFIED))}
    by_others = {"control-hub-unmatched", "pipeline-stale"}
    assert set(refused) == by_others | {"room-air-quality", "room-too-loud", "room-too-warm", "webex-incident"}
    assert len(EXPRESSIBLE) == len(RULES) - 6
    assert "no recipient" in str(why_not(RULES["site-outage"], ()))
    with pytest.raises(ReflexError, match=r"lyon, pipeline-stale: is evaluated beside the query"):
        rendered(RULES["pipeline-stale"])


def messages(rule: Rule, action: Action = "email") -> dict[str, dict[str, str]]:
    """The words of the messages of a rule, by what they tell: fields in braces."""
    triggers = of_type(rendered(rule, actions=(action,)), "timeSeriesView-v1")
    acts = [json.loads(view["definition"]["instance"])["steps"][2] for view in triggers if view["definition"]["type"] == "Rule"]
    found = {}
    for state, act in zip(("fired", "resolved"), acts, strict=True):
        (message,) = act["rows"]
        assert (act["name"], message["name"], message["kind"]) == ("ActStep", *BINDINGS[action])
        parts = {one["name"]: one["values"] for one in message["arguments"] if one["type"] == "array"}
        found[state] = {name: "".join(map(said, values)) for name, values in parts.items()}
    return found


BINDINGS = {"email": ("EmailBinding", "EmailMessage"), "teams": ("TeamsBinding", "TeamsMessage")}


def said(part: dict[str, Any]) -> str:
    if part.get("kind") == "NameReferencePair":
        label, reference = part["arguments"]
        return f"{label['value']} {{{reference['arguments'][0]['value']}}}; "
    return f"{{{part['arguments'][0]['value']}}}" if part["type"] == "complex" else str(part["value"])


@pytest.mark.parametrize("rule", EXPRESSIBLE, ids=lambda rule: rule.id)
def test_a_rule_says_all_that_it_says(rule: Rule) -> None:
    entities = rendered(rule)
    assert list(reflex_faults(json.dumps(entities))) == []
    fired, resolved = (source["query"]["queryString"] for source in sources(rule))
    for state, query in (("fired", fired), ("resolved", resolved)):
        assert f"ruleId == '{rule.id}' and entity == '{rule.entity}' and signal == '{rule.signal}'" in query
        assert f"| where cityId == 'lyon' and state == '{state}'" in query
    assert f"value {rule.op} {rule.threshold!r} and observedAt - startedAt >= {rule.for_seconds}s" in fired
    assert "value >=" not in resolved and "not(entityId startswith 'drill-')" in resolved
    sent = messages(rule)
    assert {mail["sentTo"] for mail in sent.values()} == {NOTIFIED[0]}
    assert sent["fired"]["subject"] == f"{rule.title}: {{name}}, {{locationName}}"
    assert sent["fired"]["headline"] == f"{rule.meaning} {{reading}}"
    assert rule.runbook in sent["fired"]["optionalMessage"]
    assert sent["resolved"]["subject"] == f"Over: {rule.title.lower()}: {{name}}, {{locationName}}"
    assert sent["resolved"]["headline"] == "It is over after {lasted}."


@pytest.mark.parametrize("rule", EXPRESSIBLE, ids=lambda rule: rule.id)
def test_a_mail_is_in_words_and_leads_somewhere(rule: Rule) -> None:
    for mail in messages(rule).values():
        text = " ".join(mail.values())
        assert f"https://app.fabric.microsoft.com/groups/{ID}/list" in text
        assert not [sign for sign in (">=", "<=", "ruleId") if sign in text]
        assert mail["additionalInformation"] == (
            "Room {workspaceName}; Location {locationName}; Severity {importance}; "
            "Began (UTC) {startedAt}; Seen (UTC) {observedAt}; Lasted {lasted}; "
        )


@pytest.mark.parametrize("rule", EXPRESSIBLE, ids=lambda rule: rule.id)
def test_in_teams_a_message_says_the_same_with_names_as_fields_alone(rule: Rule) -> None:
    assert list(reflex_faults(json.dumps(rendered(rule, actions=("email", "teams"))))) == []
    mailed, posted = messages(rule), messages(rule, "teams")
    for state, message in posted.items():
        assert message.keys() == {"recipients", "headline", "optionalMessage", "additionalInformation"}
        assert message["recipients"] == NOTIFIED[0]
        assert message["optionalMessage"] == mailed[state]["optionalMessage"]
        assert message["additionalInformation"] == "About {name}; " + mailed[state]["additionalInformation"]
        assert not [name for name in ("name", "workspaceName", "locationName") if f"{{{name}}}" in message["headline"]]
    assert posted["fired"]["headline"] == f"{rule.title}. {rule.meaning} {{reading}}"
    assert posted["resolved"]["headline"] == f"Over: {rule.title.lower()}. It is over after {{lasted}}."


def test_every_action_has_a_rule_of_its_own_with_one_binding() -> None:
    views = of_type(rendered(RULES["device-offline"], actions=("email", "teams")), "timeSeriesView-v1")
    names = [view["name"] for view in views if view["definition"]["type"] == "Rule"]
    title = RULES["device-offline"].title
    assert names == [title, f"{title} (Teams)", f"{title}: over", f"{title}: over (Teams)"]


def test_every_device_is_an_object_with_its_last_alert() -> None:
    views = {view["name"]: view for view in of_type(rendered(), "timeSeriesView-v1") if view["definition"]["type"] != "Event"}
    assert views["Device"]["definition"] == {"type": "Object"}
    (of,) = {view["parentObject"]["targetUniqueIdentifier"] for name, view in views.items() if name != "Device"}
    entities = {entity["uniqueIdentifier"]: entity["payload"] for entity in rendered()}
    assert entities[of]["name"] == "Device"
    assert set(views) == {"Device", KEY, *SHOWN.values()}
    templates = {json.loads(view["definition"]["instance"])["templateId"] for name, view in views.items() if name != "Device"}
    assert templates == {"BasicEventAttribute", "IdentityTupleAttribute"}
    assert list(reflex_faults(json.dumps(rendered()))) == []


def test_a_device_is_told_apart_by_its_id_and_a_drill_is_none() -> None:
    (split,) = [
        view for view in of_type(rendered(), "timeSeriesView-v1") if "SplitEvent" in view["definition"].get("instance", "")
    ]
    (step,) = json.loads(split["definition"]["instance"])["steps"]
    mapping = {argument["name"]: argument for argument in step["rows"][1]["arguments"]}
    assert mapping["fieldName"]["value"] == KEY
    part = {entity["uniqueIdentifier"]: entity["payload"] for entity in rendered()}[mapping["idPart"]["arguments"][0]["value"]]
    assert json.loads(part["definition"]["instance"])["templateId"] == "IdentityPartAttribute"
    assert "cityId == 'lyon' and entity == 'device' and not(entityId startswith 'drill-')" in device_query("lyon")


def test_a_runbook_that_has_an_address_is_linked() -> None:
    linked = replace(RULES["device-offline"], runbook="https://wiki.example.com/device-offline.md")
    sent = messages(linked)["fired"]["optionalMessage"]
    assert "What to do: https://wiki.example.com/device-offline.md. Reports" in sent
    assert (
        "docs/runbooks/device-offline.md in RoomPulse's repository."
        in messages(RULES["device-offline"])["fired"]["optionalMessage"]
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
    assert threshold in messages(RULES[rule])["fired"]["optionalMessage"]
    assert reading in alert_query("lyon", RULES[rule], "fired")


def test_a_name_is_one_line_before_it_gets_into_a_mail() -> None:
    for name in ("name", "workspaceName", "locationName"):
        query = alert_query("lyon", RULES["room-humidity"], "fired")
        cleaned = query.index(f"{name} = replace_regex({name}, @'[\\p{{Cc}}\\p{{Zl}}\\p{{Zp}}]+', ' ')")
        assert cleaned < query.index("| project ")


def test_windows_go_by_when_a_row_was_taken_in_and_end_later_than_a_shortcut_lags() -> None:
    source, _ = sources(RULES["device-offline"])
    assert source["eventTimeSettings"] == {"timeFieldName": "ingestedAt", "ingestionDelayInSeconds": 300, "timeZone": "UTC"}
    lines = source["query"]["queryString"].splitlines()
    assert lines[2] == "| extend ingestedAt = ingestion_time()"
    assert lines[3] == "| where ingestedAt > startTime and ingestedAt <= endTime"


@pytest.mark.kusto
def test_kusto_accepts_the_queries() -> None:
    states: tuple[State, ...] = ("fired", "resolved")
    queries = {
        f"{rule.id} {state}": alert_query("lyon", rule, state).partition(";\n")[2] for rule in EXPRESSIBLE for state in states
    }
    queries["devices"] = device_query("lyon").partition(";\n")[2]
    spans = "let startTime = ago(5m); let endTime = now();\n"
    findings = check_kql({name: spans + query for name, query in queries.items()})
    assert findings.faults == ()
    assert {KEY, CLOCK, *SHOWN} <= set(findings.columns["devices"])
    for columns in (columns for name, columns in findings.columns.items() if name != "devices"):
        assert {"ingestedAt", "observedAt", "startedAt", "name", "reading", "importance", "lasted", "notified"} <= set(columns)


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
        sent = [(rule, NOTIFIED) for rule in EXPRESSIBLE]
        entities = reflex_entities(city, sent, ("email", "teams"), workspace_id=ID, database_id=ID)
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
