"""What the deployed processors are told: a stack and the alert rules, turned into the settings files of ingest and fan-out.

Their shapes are the JSON Schemas in `processors/contracts`. City overrides are resolved here, so a processor knows no override.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from activator.rules import Rule, rules_of_city
from infra.settings.stack import City, StackSettings


def ingest_settings(stack: StackSettings, rules: Sequence[Rule], today: str) -> dict[str, Any]:
    """Settings of the ingest: cadence, metrics, and per city its Webex locations and the rules that hold today (ISO date)."""
    return {
        "pollSeconds": stack.poll.seconds,
        "snapshotMinutes": stack.poll.snapshot_minutes,
        "metricRequestsPerPoll": stack.poll.metric_requests_per_poll,
        "metrics": list(stack.poll.metrics),
        "cities": {city.slug: _ingest_city(city, rules, today) for city in stack.cities},
    }


def fanout_settings(stack: StackSettings, rules: Sequence[Rule], inbox: str) -> dict[str, Any]:
    """Settings of the alert fan-out: what each rule means, and the channels of each city besides the `inbox` (a file path)."""
    return _fanout(stack, rules, {"type": "inbox", "path": inbox})


def deployed_fanout_settings(stack: StackSettings, rules: Sequence[Rule]) -> dict[str, Any]:
    """The same for Azure, where every alert goes to Azure Monitor besides (which sends e-mail and text messages)."""
    return _fanout(stack, rules, {"type": "azureMonitor"})


def _fanout(stack: StackSettings, rules: Sequence[Rule], everywhere: dict[str, str]) -> dict[str, Any]:
    cities = {
        city.slug: {
            "name": city.name,
            "timeZone": city.time_zone,
            "channels": [everywhere, *({"type": "webhook", "url": url} for url in city.contacts.webhook)],
        }
        for city in stack.cities
    }
    # Alerts of entities whose location belongs to no city still reach somebody.
    cities["*"] = {"name": "Unassigned", "timeZone": "UTC", "channels": [everywhere]}
    return {"rules": {rule.id: {"meaning": rule.meaning, "runbook": rule.runbook} for rule in rules}, "cities": cities}


def _ingest_city(city: City, rules: Sequence[Rule], today: str) -> dict[str, Any]:
    return {
        "name": city.name,
        "timeZone": city.time_zone,
        "webexLocations": list(city.webex_locations),
        "rules": [
            {
                "id": rule.id,
                "entity": rule.entity,
                "signal": rule.signal,
                "op": rule.op,
                "threshold": rule.threshold,
                "forSeconds": rule.for_seconds,
                "severity": rule.severity,
            }
            for rule in rules_of_city(rules, city.overrides, today)
        ],
    }
