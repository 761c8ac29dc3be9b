"""Forty things that can be wrong with the alerts of a stack: each is found, and nothing is found where nothing is wrong."""
# ruff: noqa: E501 (a seed a line reads best)

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from activator.history import Firings
from infra.settings.contacts import Contact
from tests.infra.review.worlds import World, sound_world

Seed = Callable[[World], None]
MAIL = Contact("email", "av-paris@example.com")
PROGRAM = Contact("webhook", "https://tools.example.com/hook", template="roompulse")
TEXT = Contact("sms", "+33155550101", severities=(1, 2))

SEVERE = "device-offline"
"""A rule of severity 2."""
WORST = "site-outage"
"""A rule of severity 1."""


def contacts(*given: Contact) -> Seed:
    return lambda world: world.change_city("paris", contacts=given)


def text_messages_for_everything(world: World) -> None:
    world.change_city("paris", contacts=(MAIL, replace(TEXT, severities=(1, 2, 3, 4))))
    world.rules = tuple(replace(rule, channels={**rule.channels, "sms": (1, 2, 3, 4)}) for rule in world.rules)


def overridden(rule: str, **changes: object) -> Seed:
    return lambda world: world.override("madrid", rule, **changes)


def muted_everywhere(world: World) -> None:
    for city in world.stack.cities:
        world.override(city.slug, SEVERE, mute=True)


def changed(kind: str, words: str, **properties: object) -> Seed:
    return lambda world: world.item(kind, words).update(properties)


def criterion(kind: str, words: str, **values: object) -> Seed:
    return lambda world: world.item(kind, words)["criteria"]["allOf"][0].update(values)


def removed(kind: str, words: str) -> Seed:
    return lambda world: world.remove(kind, words)


def receiver(words: str, **values: object) -> Seed:
    return lambda world: world.item("actionGroups", words)["emailReceivers"][0].update(values)


def another_group(world: World) -> None:
    route = world.item("actionRules", "apr-email lyon")
    ids = route["actions"][0]["actionGroupIds"]
    route["actions"][0]["actionGroupIds"] = [ids[0].replace("-lyon", "-paris")]


def group_gone(world: World) -> None:
    world.item("actionRules", "apr-email lyon")["actions"][0]["actionGroupIds"] = ["/subscriptions/s/actionGroups/gone"]


def undeclared_rule(world: World) -> None:
    world.add("scheduledQueryRules", "sqr-prod-test-jm", {"enabled": True, "severity": 3, "criteria": {"allOf": []}})


def silence(world: World) -> None:
    world.add("actionRules", "quiet-please", {"enabled": True, "actions": [{"actionType": "RemoveAllActionGroups"}]})


def city_unseen(world: World) -> None:
    world.past(lambda firings, signals: [signals.pop(key) for key in list(signals) if key[0] == "lyon"])


def city_stopped(world: World) -> None:
    world.past(lambda firings, signals: signals.update({key: "2026-11-20T00:00:00Z" for key in signals if key[0] == "lyon"}))


def signal_unseen(world: World) -> None:
    world.past(lambda firings, signals: signals.pop(("lyon", "offline")))


def signal_stopped(world: World) -> None:
    world.past(lambda firings, signals: signals.update({("lyon", "offline"): "2026-11-22T00:00:00Z"}))


def never(world: World) -> None:
    world.past(lambda firings, signals: [firings.pop(key) for key in list(firings) if key[1] == WORST])


def fired(count: int, open_since: str | None = None) -> Seed:
    def seed(world: World) -> None:
        world.past(
            lambda firings, signals: firings.update({("lyon", SEVERE): Firings(count, "2026-11-23T10:00:00Z", open_since)})
        )

    return seed


def open_without(city: str, rule: str) -> Seed:
    def seed(world: World) -> None:
        world.past(
            lambda firings, signals: firings.update({(city, rule): Firings(1, "2026-11-23T10:00:00Z", "2026-11-23T10:00:00Z")})
        )

    return seed


SEEDS: dict[str, tuple[Seed, str, str]] = {
    # the stack file and the rules
    "nobody for severity 1": (contacts(replace(MAIL, severities=(3, 4)), replace(TEXT, severities=(2,))), "nobody-notified", "severity 1 at any hour"),
    "nobody for severity 2 at night": (contacts(replace(MAIL, when="office-hours"), replace(TEXT, severities=(1,))), "nobody-notified", "severity 2 outside office hours"),
    "nobody for severity 1 in office hours": (contacts(replace(MAIL, when="off-hours"), replace(TEXT, severities=(2,))), "nobody-notified", "severity 1 in office hours"),
    "nobody for severity 3": (contacts(replace(MAIL, severities=(1, 2)), TEXT), "nobody-notified", "severity 3 at any hour"),
    "only a program is told": (contacts(PROGRAM), "nobody-notified", "severity 1"),
    "the same address twice": (contacts(MAIL, MAIL, TEXT), "notified-twice", "av-paris@example.com"),
    "twice, in other hours": (contacts(MAIL, replace(MAIL, when="off-hours"), TEXT), "notified-twice", "av-paris@example.com"),
    "text messages for everything": (text_messages_for_everything, "text-messages-for-little", "+33155550101"),
    "nobody is woken": (contacts(MAIL), "mail-only", "1 of 3 cities"),
    "an override that ended": (overridden(SEVERE, threshold=2, until="2026-09-30"), "override-ended", "ended 2026-09-30"),
    "an override that ended yesterday": (overridden(SEVERE, threshold=2, until="2026-11-23"), "override-ended", "ended 2026-11-23"),
    "an override that ends today": (overridden(SEVERE, threshold=2, until="2026-11-24"), "override-ends-soon", "ends today"),
    "an override that ends soon": (overridden(SEVERE, for_seconds=900, until="2026-12-05"), "override-ends-soon", "ends in 11 days"),
    "a mute for half a year": (overridden(SEVERE, mute=True, until="2027-05-31"), "long-mute", "a hole of 188 days"),
    "a mute of severity 1": (overridden(WORST, mute=True, until="2027-01-15"), "urgent-muted", "severity 1 is muted"),
    "severity lowered": (overridden(SEVERE, severity=4), "severity-lowered", "from severity 2 to 4"),
    "muted everywhere": (muted_everywhere, "muted-everywhere", "every city"),
    # what is deployed
    "a rule is missing": (removed("scheduledQueryRules", "rooms-site-outage"), "missing", "log alert"),
    "a metric rule is missing": (removed("metricAlerts", "nothing-observed"), "missing", "metric alert"),
    "an action group is missing": (removed("actionGroups", "ag-email lyon"), "missing", "action group"),
    "a route is missing": (removed("actionRules", "apr-email lyon"), "missing", "alert route"),
    "a rule nobody declared": (undeclared_rule, "undeclared", "last changed 2026-10-02"),
    "a silence nobody declared": (silence, "undeclared-silence", "nobody is notified"),
    "a rule is switched off": (changed("scheduledQueryRules", "rooms-site-outage", enabled=False), "disabled", "switched off"),
    "a metric rule is switched off": (changed("metricAlerts", "nothing-observed", enabled=False), "disabled", "switched off"),
    "a route is switched off": (changed("actionRules", "apr-email lyon", enabled=False), "disabled", "switched off"),
    "an action group is switched off": (changed("actionGroups", "ag-sms-12 lyon", enabled=False), "disabled", "switched off"),
    "another severity": (changed("scheduledQueryRules", "rooms-site-outage", severity=3), "changed", "severity 3 (declared 1)"),
    "another threshold": (criterion("metricAlerts", "query-behind", threshold=3600), "changed", "3600 (declared GreaterThan 120)"),
    "another operator": (criterion("metricAlerts", "query-behind", operator="LessThan"), "changed", "LessThan 120"),
    "another query": (criterion("scheduledQueryRules", "rooms-site-outage", query="RoomAlerts_CL | take 0"), "changed", "take 0"),
    "a dimension is gone": (criterion("scheduledQueryRules", "rooms-site-outage", dimensions=[]), "changed", "split by nothing"),
    "looked at less often": (changed("scheduledQueryRules", "rooms-site-outage", evaluationFrequency="PT1H"), "changed", "every PT1H"),
    "another receiver": (receiver("ag-email lyon", emailAddress="jm@example.com"), "changed", "receivers jm@example.com"),
    "a group without receivers": (changed("actionGroups", "ag-email lyon", emailReceivers=[]), "dead-group", "notifies nobody"),
    "an unverified address": (receiver("ag-email lyon", status="NotSpecified"), "unverified", "one-time passcode"),
    "an unsubscribed address": (receiver("ag-email lyon", status="Disabled"), "unsubscribed", "unsubscribed"),
    "a route to another city": (another_group, "changed", "notifies "),
    "a route to nowhere": (group_gone, "dangling-route", "does not exist"),
    # the past
    "a city never seen": (city_unseen, "city-without-data", "ever"),
    "a city that fell silent": (city_stopped, "city-without-data", "since 2026-11-20"),
    "a signal never seen": (signal_unseen, "no-data", "1 of 3 cities"),
    "a signal that stopped": (signal_stopped, "no-data", "armed and blind"),
    "a rule that never fires": (never, "never-fired", "within 30 days"),
    "a rule that fires all the time": (fired(400), "noisy", "400 times in 30 days"),
    "an alert open for weeks": (fired(3, "2026-11-01T00:00:00Z"), "open-too-long", "23 days"),
    "an open alert of a rule that is gone": (open_without("lyon", "old-rule"), "orphan", "old-rule is not declared"),
    "an open alert of a city that is gone": (open_without("oslo", SEVERE), "orphan", "city oslo is not declared"),
}  # fmt: skip


def test_nothing_is_found_where_nothing_is_wrong() -> None:
    review = sound_world().review()
    assert review.findings == ()
    assert review.passes
    assert {review.mark(cell.city, cell.declared.id) for cell in review.cells} == {"covered"}


def test_forty_faults_are_seeded() -> None:
    assert len(SEEDS) >= 40


@pytest.mark.parametrize("name", SEEDS)
def test_a_seeded_fault_is_found(name: str) -> None:
    seed, kind, words = SEEDS[name]
    world = sound_world()
    seed(world)
    found = world.review().findings
    assert any(finding.kind == kind and words in finding.text for finding in found), [(f.kind, f.text) for f in found]


NOTES = {"mail-only", "override-ends-soon", "never-fired"}


@pytest.mark.parametrize("name", SEEDS)
def test_a_fault_fails_the_review_unless_it_is_only_worth_knowing(name: str) -> None:
    seed, kind, _ = SEEDS[name]
    world = sound_world()
    seed(world)
    review = world.review()
    assert review.passes == (kind in NOTES)
    assert all(finding.fix for finding in review.findings), "every finding says what to do"


def test_a_young_history_does_not_say_that_a_rule_never_fires() -> None:
    world = sound_world()
    never(world)
    world.history = replace(world.history, since="2026-11-20T00:00:00+00:00")
    assert world.review().findings == ()


def test_what_a_young_history_has_not_seen_may_still_come() -> None:
    world = sound_world()
    signal_unseen(world)
    world.history = replace(world.history, since="2026-11-24T08:00:00+00:00")
    review = world.review()
    assert [(finding.kind, finding.level) for finding in review.findings] == [("no-data", "note")]
    assert "so far" in review.findings[0].text
    assert review.passes


def test_the_table_marks_what_a_finding_is_about() -> None:
    world = sound_world()
    world.override("madrid", SEVERE, threshold=2)
    assert world.review().mark("madrid", SEVERE) == "changed"
    world.override("madrid", SEVERE, mute=True)
    assert world.review().mark("madrid", SEVERE) == "muted"
    world.override("madrid", SEVERE, threshold=2, until="2026-09-30")
    review = world.review()
    assert review.mark("madrid", SEVERE) == "hole"
    assert review.numbers("madrid", SEVERE) == (1,)
    world = sound_world()
    signal_unseen(world)
    assert world.review().mark("lyon", SEVERE) == "blind"
