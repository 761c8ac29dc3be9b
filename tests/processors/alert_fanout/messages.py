"""Every kind of message the fan-out can send, with names of one's choice in every place that holds one."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from activator.rules import Rule
from processors.alert_fanout.acts import Act, Acts
from processors.alert_fanout.alerts import Alert, alerts_in
from processors.alert_fanout.channels.azure_monitor import row_of
from processors.alert_fanout.channels.webex import text_of
from processors.alert_fanout.incidents import Book, Delivery, Incident
from processors.alert_fanout.notice import Notice
from processors.alert_fanout.render import notice
from processors.alert_fanout.settings import City, FanoutSettings, RuleMeaning
from processors.alert_fanout.steps import Step
from processors.alert_fanout.templates import payload
from tests.support import rules

RULES = {rule.id: rule for rule in rules.RULES if not rule.by_platform}
CHANNEL = "webhook:example"
STARTED, OBSERVED, ENDED = (f"2026-11-24T{time}:00.0000000Z" for time in ("09:30", "09:35", "10:45"))


@dataclass(frozen=True)
class Names:
    """What Webex and the stack call things: an entity, its room, its site, its city, another device that is folded in, and what
    the details name: a floor, a peripheral, a switch.
    """

    entity: str = "Room Bar 1"
    workspace: str = "Room 1"
    location: str = "Lyon Part-Dieu"
    city: str = "Lyon"
    folded: str = "Desk Pro 2"
    detail: str = "North"


FIELDS = tuple(Names.__dataclass_fields__)


def notices(
    names: Names, rule: Rule = RULES["device-offline"], severity: int = 2, folded: Sequence[str] = ("Board 1", "Board 2")
) -> dict[str, Notice]:
    """The notices of all kinds, by a name for each; `folded` are more names that are folded in."""
    lead = _alert(names, rule, severity)
    drill = replace(lead, entity_id="drill-1")
    end = replace(lead, state="resolved", value=0.0, observed_at=ENDED)
    others = {str(number): name for number, name in enumerate((names.folded, *folded))}
    member = {"1": replace(lead, alert_id="1", name=names.folded)}
    open_ = Incident("one", "alert", lead, OBSERVED, OBSERVED)
    over = replace(open_, open=False, end=end, ended_at=ENDED)
    outage = Incident("whole", "alert", lead, OBSERVED, OBSERVED, folded=others)
    storm = replace(outage, id="storm", kind="storm", only=CHANNEL)
    leftover = replace(outage, id="left", kind="leftover", members=member)
    cases = {
        "open": (open_, "open"),
        "open, already over": (over, "open"),
        "open, with others": (outage, "open"),
        "open, held back elsewhere": (replace(open_, deliveries={"teams": Delivery(stage="held back")}), "open"),
        "update": (outage, "update"),
        "close": (over, "close"),
        "close, with others": (replace(over, folded=others), "close"),
        "close, some not back": (replace(over, folded=others, members=member), "close"),
        "merge": (replace(open_, open=False, merged_into="whole", ended_at=ENDED), "merge"),
        "merge into what is over": (replace(open_, open=False, merged_into="gone", ended_at=ENDED), "merge"),
        "storm": (storm, "open"),
        "storm over": (replace(storm, open=False, ended_at=ENDED), "close"),
        "leftover": (leftover, "open"),
        "leftover over": (replace(leftover, open=False, end=end, ended_at=ENDED), "close"),
        "drill": (replace(open_, lead=drill), "open"),
        "drill over": (replace(over, lead=drill), "close"),
    }
    settings = FanoutSettings({one.id: RuleMeaning(one.meaning, one.runbook) for one in RULES.values()}, {})
    city = City(names.city, "Europe/Paris", ())
    opening = FanoutSettings(
        {one.id: RuleMeaning(one.meaning, f"https://docs.example.com/{one.runbook}") for one in RULES.values()},
        {},
        pages="https://fanout.example.com",
    )
    found = {}
    for kind, (incident, action) in cases.items():
        book = Book({"whole": outage, incident.id: incident})
        found[kind] = notice(book, Step(incident.id, CHANNEL, action), settings, city)
    book = Book({open_.id: open_})
    has_it = Act("act", "acknowledge", OBSERVED, "Ada", "page", open_.id, severity, until="2099-01-01T00:00:00.000Z")
    for action in ("escalate", "remind", "acknowledge"):
        found[action] = notice(book, Step(open_.id, CHANNEL, action, "act"), settings, city, Acts((has_it,)))
    return found | {"open, with links": notice(book, Step(open_.id, CHANNEL, "open"), opening, city)}


def _alert(names: Names, rule: Rule, severity: int) -> Alert:
    row = {
        "alertId": f"{rule.id}|entity-1|{STARTED}",
        "ruleId": rule.id,
        "severity": severity,
        "state": "fired",
        "entity": rule.entity,
        "entityId": "entity-1",
        "name": names.entity,
        "cityId": "lyon",
        "locationId": "location-1",
        "locationName": names.location,
        "workspaceId": "workspace-1",
        "workspaceName": names.workspace,
        "signal": rule.signal,
        "value": rule.threshold,
        "threshold": rule.threshold,
        "startedAt": STARTED,
        "observedAt": OBSERVED,
        "details": {
            "floor": names.detail,
            "peripherals": [{"type": "TouchPanel", "name": names.detail, "status": "LostConnection"}],
            "network": {"switch": names.detail, "port": "Gi1/0/12"},
        },
    }
    (read,) = alerts_in(json.dumps(row).encode())
    assert isinstance(read, Alert), read
    return read


def sent(notice: Notice) -> dict[str, Any]:
    """What each channel sends of a notice, as JSON, but for the moment of sending; a card is judged by what it shows."""
    row = row_of(notice, "lyon/email")
    return {
        "webex": text_of(notice),
        "azure monitor": {name: value for name, value in row.items() if name != "TimeGenerated"},
        **{template: payload(template, notice, "secret") for template in ("roompulse", "pagerduty", "servicenow")},
        "inbox": [notice.title, notice.text, list(notice.devices)],
    }
