"""What Azure Monitor gets says what the alert rules say: read back from the resources, not from the code that made them."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from typing import Any

import pytest

from activator.declarations import DeclarationError
from activator.rules import Rule
from infra.azure.compiled_rules import TABLE, window
from infra.azure.pipeline_alerts import POLLS, ROWS
from infra.offline import Recording
from infra.policies.rules import at
from infra.settings.contacts import Contact, receivers
from infra.settings.processor_settings import MAILED, deployed_fanout_settings
from processors.alert_fanout.channels.azure_monitor import AzureMonitorChannel
from processors.alert_fanout.routing import hears
from processors.alert_fanout.settings import fanout_settings_of
from processors.ingest import tokens
from tests.infra.deployments import city, record, recording, stack, with_cities
from tests.infra.recorded import of_type
from tests.support.rules import RULES

BY_ID = {rule.id: rule for rule in RULES}
EVALUATED = [rule for rule in RULES if not rule.by_platform]
SECONDS = {"PT1M": 60, "PT5M": 300, "PT15M": 900, "PT30M": 1800, "PT1H": 3600}


def log_alert(rule: Rule) -> dict[str, Any]:
    return dict(recording("dev")[f"rooms-{rule.id}"].inputs)


@pytest.mark.parametrize("rule", EVALUATED, ids=lambda rule: rule.id)
class TestALogAlert:
    def test_it_looks_for_the_open_alerts_of_its_rule_and_of_no_other(self, rule: Rule) -> None:
        (criterion,) = at(log_alert(rule), "criteria.allOf")
        assert re.findall(r"RuleId == '([^']+)'", criterion["query"]) == [rule.id]
        assert criterion["query"].startswith(TABLE) and "State == 'fired'" in criterion["query"]
        assert (criterion["operator"], criterion["threshold"], criterion["timeAggregation"]) == ("GreaterThan", 0, "Count")

    def test_each_alert_is_open_by_its_own_newest_row_for_each_audience(self, rule: Rule) -> None:
        (criterion,) = at(log_alert(rule), "criteria.allOf")
        newest, state = criterion["query"].split(" | ")[2:4]
        assert (newest, state) == ("summarize arg_max(ObservedAt, *) by AlertId, Audience", "where State == 'fired'")

    def test_it_has_the_rule_s_severity_and_says_its_numbers_and_its_runbook(self, rule: Rule) -> None:
        found = log_alert(rule)
        assert found["severity"] == rule.severity
        assert rule.meaning in found["description"] and rule.runbook in found["description"]
        (numbers,) = re.findall(r"Fires at (\w+) (>=|<=) ([0-9.]+)(?: for (\d+) (min|h|s))?,", found["description"])
        signal, op, threshold, length, unit = numbers
        assert (signal, op, float(threshold)) == (rule.signal, rule.op, rule.threshold)
        assert int(length or 0) * {"min": 60, "h": 3600, "s": 1, "": 0}[unit] == rule.for_seconds
        assert at(found, "actions.customProperties")["ruleId"] == rule.id

    def test_a_severity_of_its_own_at_night_is_said_where_azures_can_not_follow(self, rule: Rule) -> None:
        said = re.findall(
            r"Outside the city's office hours it is severity (\d), as its dimension Severity says", log_alert(rule)["description"]
        )
        assert said == ([str(rule.severity_outside)] if rule.severity_outside else [])
        (criterion,) = at(log_alert(rule), "criteria.allOf")
        assert "Severity" in [dimension["name"] for dimension in criterion["dimensions"]]

    def test_every_city_and_entity_is_an_alert_of_its_own(self, rule: Rule) -> None:
        (criterion,) = at(log_alert(rule), "criteria.allOf")
        split = [dimension["name"] for dimension in criterion["dimensions"]]
        assert {"CityId", "Name", "AlertId", "Route"} <= set(split) and len(split) <= 6
        assert all(dimension["values"] == ["*"] for dimension in criterion["dimensions"])
        projected = criterion["query"].split("| project ")[1]
        assert all(re.search(rf"\b{name}\b", projected) for name in split)


def test_every_rule_has_its_log_alert_and_every_log_alert_of_rooms_its_rule() -> None:
    found = {resource.name for resource in of_type(recording("dev"), "monitor:ScheduledQueryRule")}
    of_the_pipeline = {"city-silent", "webex-token", "no-poll", "no-row"}
    assert found == {f"rooms-{rule.id}" for rule in EVALUATED} | of_the_pipeline


def test_the_alert_for_the_token_looks_for_what_the_ingest_logs(caplog: pytest.LogCaptureFixture) -> None:
    query = at(recording("dev")["webex-token"].inputs, "criteria.allOf")[0]["query"]
    sought = re.fullmatch(r"AppTraces \| where Message startswith '(.+)'", query)
    tokens._alarm("the vault can't be read")
    assert sought and caplog.messages[0].startswith(sought[1])


@pytest.mark.parametrize("secret", ["", "control-hub"])
def test_what_control_hub_alone_has_seen_is_a_log_alert_where_a_city_has_it(secret: str) -> None:
    settings = stack("dev")
    first, *others = settings.cities
    found = record(with_cities(settings, [replace(first, control_hub_secret=secret), *others])).resources
    alerts = [one for one in found if one.name == "rooms-control-hub-unmatched"]
    assert len(alerts) == bool(secret)
    for alert in alerts:
        (criterion,) = at(dict(alert.inputs), "criteria.allOf")
        assert "RuleId == 'control-hub-unmatched'" in criterion["query"] and alert.inputs["severity"] == 2


TWO_CITIES = with_cities(
    stack("dev"),
    [
        replace(
            city("york"),
            contacts=(
                Contact("email", "york@example.com"),
                Contact("sms", "+441904000001", severities=(1,)),
                Contact("sms", "+441904000002"),
            ),
        ),
        city("new-york", email=("new-york@example.com",), sms=("+12125550103",)),
    ],
)
"""One's name ends as the other's does, and one tells two numbers of different severities."""


class TestWhoIsMailed:
    """The way of an alert through Azure: fan-out's row, its route, the processing rule that recognises it, an action group."""

    @pytest.mark.parametrize("severity", [1, 2, 3, 4])
    @pytest.mark.parametrize("rule", EVALUATED, ids=lambda rule: rule.id)
    def test_those_whom_rule_city_and_severity_mean_and_nobody_else(self, rule: Rule, severity: int) -> None:
        for one in TWO_CITIES.cities:
            meant = {contact.to for contact in receivers(one.contacts, rule, severity) if contact.kind in MAILED}
            assert _mailed(one.slug, rule, severity) == meant


@cache
def _recorded() -> Recording:
    return record(TWO_CITIES)


def _mailed(slug: str, rule: Rule, severity: int) -> set[str]:
    fanout = fanout_settings_of(deployed_fanout_settings(TWO_CITIES, RULES))
    people: set[str] = set()
    for channel in fanout.cities[slug].channels:
        if isinstance(channel, AzureMonitorChannel) and hears(channel, fanout.rules[rule.id], rule.id, severity):
            people |= _reached(_recorded(), f"Route: to={channel.audience};")
    return people


def _reached(recorded: Recording, context: str) -> set[str]:
    """Everybody in the action groups of the processing rules that recognise an alert's context."""
    people: set[str] = set()
    groups = {group.inputs["actionGroupName"]: group.inputs for group in of_type(recorded, "monitor:ActionGroup")}
    for route in of_type(recorded, "alertsmanagement:AlertProcessingRuleByName"):
        (condition,) = at(route.inputs, "properties.conditions")
        if any(value in context for value in condition["values"]):
            for group in at(route.inputs, "properties.actions")[0]["actionGroupIds"]:
                receivers = groups[group.rsplit("/", 1)[-1]]
                people |= {receiver["emailAddress"] for receiver in receivers.get("emailReceivers", [])}
                people |= {
                    f"+{receiver['countryCode']}{receiver['phoneNumber']}" for receiver in receivers.get("smsReceivers", [])
                }
    return people


class TestWhatThePlatformJudges:
    @pytest.mark.parametrize(("name", "hub"), [("nothing-observed", "observations"), ("nothing-processed", "processed")])
    def test_a_standstill_has_the_rule_s_numbers(self, name: str, hub: str) -> None:
        rule, found = BY_ID["pipeline-stale"], recording("dev")[name].inputs
        (criterion,) = at(found, "criteria.allOf")
        assert {"GreaterThanOrEqual": ">=", "LessThanOrEqual": "<="}[criterion["operator"]] == rule.op
        assert (criterion["threshold"], SECONDS[found["windowSize"]]) == (rule.threshold, rule.for_seconds)
        assert found["severity"] == rule.severity
        assert criterion["dimensions"] == [{"name": "EntityName", "operator": "Include", "values": [hub]}]
        assert rule.meaning in found["description"] and rule.runbook in found["description"]

    @pytest.mark.parametrize(("name", "counted"), [("no-poll", POLLS), ("no-row", ROWS)])
    def test_silence_is_found_where_nothing_is_logged_at_all(self, name: str, counted: str) -> None:
        """A metric without traffic may have no points, which a metric alert skips: a count of nothing is a row with zero."""
        rule, found = BY_ID["pipeline-stale"], recording("dev")[name].inputs
        (criterion,) = at(found, "criteria.allOf")
        assert criterion["query"] == f"union (print n = 0), ({counted}) | summarize n = sum(n) | where n == 0"
        assert (criterion["operator"], criterion["threshold"]) == ("GreaterThan", 0), "it fires when a row is found"
        assert (SECONDS[found["windowSize"]], found["severity"]) == (rule.for_seconds, rule.severity)
        assert rule.runbook in found["description"]

    def test_a_city_without_any_row_is_silent_after_the_rule_s_time(self) -> None:
        rule, found = BY_ID["city-silent"], recording("dev")["city-silent"].inputs
        (criterion,) = at(found, "criteria.allOf")
        assert f"ago({rule.threshold:g}m)" in criterion["query"]
        assert found["severity"] == rule.severity and rule.runbook in found["description"]
        assert [dimension["name"] for dimension in criterion["dimensions"]] == ["cityId"]

    def test_a_time_that_azure_has_no_window_for_is_refused_with_those_it_has(self) -> None:
        with pytest.raises(DeclarationError, match=r"pipeline-stale.yaml/when/for .*take one of 1m, 5m, 15m"):
            window(replace(BY_ID["pipeline-stale"], for_seconds=600))
