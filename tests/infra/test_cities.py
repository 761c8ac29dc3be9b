"""A city costs its own resources and nothing else: none of what is shared changes when it comes or goes."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from activator.rules import Override
from infra.offline import Recording
from infra.settings.contacts import Audience, Contact, When
from infra.settings.processor_settings import MAILED
from infra.settings.stack import City
from processors.alert_fanout.channel_kind import Terms
from processors.contracts.facts import SEVERITIES
from tests.infra.checks import findings
from tests.infra.deployments import city, record, recording, stack, with_cities


def settings_of(slug: str) -> set[str]:
    """The two blobs that tell the processors about a city."""
    return {f"ingest-settings-city-{slug}", f"fanout-settings-city-{slug}"}


def in_fabric(slug: str) -> set[str]:
    """What a city has where the stack has Fabric (prod has not): its report, its rules. Its view is in the script of all."""
    return {f"{kind}-{slug}" for kind in ("report", "reflex")}


VIEWS = {"views"}
"""The one script of all cities' views: a cluster takes 50 scripts, and no two at once."""


def city_told(slug: str, when: When, severities: tuple[int, ...] = SEVERITIES) -> City:
    """A city whose people want some severities at some hours, and somebody hears of everything always."""
    asked = Contact("email", "night@example.com", severities=severities, when=when)
    return replace(city(slug, email=()), contacts=(asked, Contact("webhook", "https://example.com/hook", template="roompulse")))


def by_urn(recorded: Recording) -> dict[str, dict[str, Any]]:
    return {resource.urn: resource.inputs for resource in recorded.resources}


def changed(before: Recording, after: Recording) -> set[str]:
    old, new = by_urn(before), by_urn(after)
    return {urn.rsplit("::", 1)[-1] for urn in old.keys() & new.keys() if old[urn] != new[urn]}


def added(before: Recording, after: Recording) -> set[str]:
    return {urn.rsplit("::", 1)[-1] for urn in by_urn(after).keys() - by_urn(before).keys()}


@pytest.mark.parametrize("name", ["dev", "prod"])
def test_a_new_city_adds_its_people_and_its_route(name: str) -> None:
    before, settings = recording(name), stack(name)
    after = record(with_cities(settings, [*settings.cities, city("reykjavik")]))
    shown = in_fabric("reykjavik") if name == "dev" else set()
    assert added(before, after) == {"ag-email-reykjavik", "apr-email-reykjavik"} | settings_of("reykjavik") | shown
    assert added(after, before) == set()
    assert changed(before, after) == (VIEWS if name == "dev" else set())
    assert findings(after) == []


def test_a_city_with_telephones_adds_a_second_pair() -> None:
    before, settings = recording("dev"), stack("dev")
    after = record(with_cities(settings, [*settings.cities, city("reykjavik", sms=("+3545550100",))]))
    assert added(before, after) == {
        "ag-email-reykjavik",
        "apr-email-reykjavik",
        "ag-sms-reykjavik",
        "apr-sms-reykjavik",
    } | settings_of("reykjavik") | in_fabric("reykjavik")
    assert changed(before, after) == VIEWS


def test_a_city_that_goes_takes_its_own_resources_only() -> None:
    before, settings = recording("prod"), stack("prod")
    after = record(with_cities(settings, [kept for kept in settings.cities if kept.slug != "paris"]))
    own = {"ag-email-paris", "apr-email-paris", "ag-sms-12-paris", "apr-sms-12-paris"}
    assert added(after, before) == own | settings_of("paris")
    assert added(before, after) == set()
    assert changed(before, after) == set()
    assert findings(after) == []


def edited(name: str, slug: str, /, **values: Any) -> Recording:
    """A stack with one city that says something else."""
    settings = stack(name)
    cities = (replace(city, **values) if city.slug == slug else city for city in settings.cities)
    return record(with_cities(settings, cities))


def test_a_city_that_gets_another_name_changes_itself_only() -> None:
    after = edited("prod", "paris", name="Paris La Défense")
    assert changed(recording("prod"), after) <= settings_of("paris") | {"ag-email-paris", "ag-sms-12-paris"}
    assert changed(recording("prod"), after) >= settings_of("paris")
    assert added(recording("prod"), after) == added(after, recording("prod")) == set()


def test_a_city_that_gets_another_slug_is_another_city() -> None:
    after = edited("dev", "lyon", slug="lyon-part-dieu")
    slug, before = "lyon-part-dieu", recording("dev")
    assert added(after, before) == {"ag-email-lyon", "apr-email-lyon"} | settings_of("lyon") | in_fabric("lyon")
    assert added(before, after) == {f"ag-email-{slug}", f"apr-email-{slug}"} | settings_of(slug) | in_fabric(slug)
    assert changed(recording("dev"), after) == VIEWS


def test_other_people_change_their_action_group_and_who_the_activator_tells() -> None:
    after = edited("dev", "lyon", contacts=(Contact("email", "other@example.com"),))
    assert changed(recording("dev"), after) == {"ag-email-lyon", "reflex-lyon"}


def test_another_channel_changes_what_the_fan_out_is_told_only() -> None:
    people = stack("dev").cities[0].contacts
    after = edited("dev", "lyon", contacts=(*people, Contact("webhook", "https://example.com/hook", template="roompulse")))
    assert changed(recording("dev"), after) == {"fanout-settings-city-lyon"}


def test_another_threshold_changes_what_the_ingest_is_told_only() -> None:
    override = Override("room-too-warm", "a hot summer", "2027-03-01", threshold=31)
    after = edited("dev", "lyon", overrides=(override,))
    assert changed(recording("dev"), after) == {"ingest-settings-city-lyon"}


def test_the_order_of_the_cities_means_nothing() -> None:
    settings = stack("prod")
    turned = record(with_cities(settings, reversed(settings.cities)))
    assert added(recording("prod"), turned) == changed(recording("prod"), turned) == set()


def test_cities_whose_slugs_sound_like_ours_get_in_nobody_s_way() -> None:
    slugs = [
        "common",
        "city-lyon",
        "ops",
        "sms",
        "sms-lyon",
        "lyon-sms",
        "ingest",
        "observations",
        "operations",
        "query",
        "group",
        "york",
        "new-york",
    ]
    settings = stack("dev")
    cities = [replace(city(slug, sms=("+33155550101",)), devices=1) for slug in slugs]
    assert findings(record(with_cities(settings, [*settings.cities, *cities]))) == []


def test_the_longest_slug_still_makes_legal_names() -> None:
    settings = stack("dev")
    longest = city("a-city-with-24-character", sms=("+33155550101",))
    assert len(longest.slug) == 24
    assert findings(record(with_cities(settings, [*settings.cities, longest]))) == []


def test_sixty_cities_have_their_views_in_one_script() -> None:
    settings = stack("dev")
    slugs = [f"city-{number}" for number in range(60)]
    recorded = record(with_cities(settings, [replace(city(slug), devices=10) for slug in slugs]))
    assert findings(recorded) == [], "no more scripts than a cluster takes"
    schema, views = recorded["schema"], recorded["views"]
    assert schema.urn in views.depends_on, "one after the other: Azure refuses two at once"
    text = views.inputs["scriptContent"]
    named = re.findall(r"^City_(\w+)\(\)$", text, re.MULTILINE)
    assert named == [slug.replace("-", "_") for slug in sorted(slugs)]
    commands = [command.splitlines()[0] for command in text.strip().split("\n\n")]
    assert len(commands) == 60 and all(command.startswith(".create-or-alter function") for command in commands)


def test_a_script_of_views_that_exists_is_the_same_whatever_the_order_of_the_cities() -> None:
    settings = stack("dev")
    turned = record(with_cities(settings, reversed(settings.cities)))
    assert turned["views"].inputs == recording("dev")["views"].inputs


@pytest.mark.parametrize(
    "cities",
    [
        [city_told("paris", "off-hours"), city("off-hours-paris")],
        [city_told("paris", "office-hours"), city("office-hours-paris")],
        [city("ab"), city("ab-")],
        [city("ab-"), city("ab--")],
        [city_told("paris", "off-hours", (1,)), city_told("off-hours-paris", "always", (1,))],
    ],
)
def test_cities_whose_names_run_together_are_two(cities: list[City]) -> None:
    """The names of resources are made of a city's slug and of what it wants to hear: no two pairs give one name."""
    settings = stack("prod")
    assert findings(record(with_cities(settings, [*settings.cities[:1], *cities]))) == []


AUDIENCES = st.builds(
    lambda kind, *terms: Audience(kind, Terms(*terms), ()),
    st.sampled_from(MAILED),
    st.sets(st.sampled_from(SEVERITIES), min_size=1).map(lambda chosen: tuple(sorted(chosen))),
    st.sampled_from(get_args(When)),
    st.sampled_from([(), ("device-offline",), ("device-offline", "site-outage")]),
    st.sampled_from([0, 60, 900, 3600]),
)
PREFIXES = ["off-hours-", "office-hours-", "email-", "sms-1-", "a-"]
SLUGS = st.one_of(
    st.from_regex(r"[a-z][a-z0-9-]{1,23}", fullmatch=True),
    st.builds("{}{}".format, st.sampled_from(PREFIXES), st.sampled_from(["a", "a-", "off-hours"])),
)


@given(st.lists(st.tuples(AUDIENCES, SLUGS), min_size=2, max_size=2, unique=True))
def test_no_two_audiences_share_a_key(pairs: list[tuple[Audience, str]]) -> None:
    one, other = (f"{audience.name}-{slug}" for audience, slug in pairs)
    assert one != other
