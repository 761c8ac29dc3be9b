"""A city costs its own resources and nothing else: none of what is shared changes when it comes or goes."""

from __future__ import annotations

from typing import Any

import pytest

from infra.offline import Recording
from tests.infra.checks import findings
from tests.infra.deployments import city, record, recording, stack, with_cities

CARRIERS = frozenset({"ingest-package", "fanout-package"})
"""The packages carry the cities' settings: their content changes. Functions start anew in seconds, the job does not."""


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
    assert added(before, after) == {"ag-email-reykjavik", "apr-email-reykjavik"}
    assert added(after, before) == set()
    assert changed(before, after) == CARRIERS
    assert findings(after) == []


def test_a_city_with_telephones_adds_a_second_pair() -> None:
    before, settings = recording("dev"), stack("dev")
    after = record(with_cities(settings, [*settings.cities, city("reykjavik", sms=("+3545550100",))]))
    assert added(before, after) == {
        "ag-email-reykjavik",
        "apr-email-reykjavik",
        "ag-sms-reykjavik",
        "apr-sms-reykjavik",
    }
    assert changed(before, after) == CARRIERS


def test_a_city_that_goes_takes_its_own_resources_only() -> None:
    before, settings = recording("prod"), stack("prod")
    after = record(with_cities(settings, [kept for kept in settings.cities if kept.slug != "paris"]))
    assert added(after, before) == {"ag-email-paris", "apr-email-paris", "ag-sms-12-paris", "apr-sms-12-paris"}
    assert added(before, after) == set()
    assert changed(before, after) == CARRIERS
    assert findings(after) == []


def test_the_order_of_the_cities_means_nothing() -> None:
    settings = stack("prod")
    turned = record(with_cities(settings, reversed(settings.cities)))
    assert added(recording("prod"), turned) == changed(recording("prod"), turned) == set()


def test_cities_whose_slugs_sound_like_ours_get_in_nobody_s_way() -> None:
    slugs = ["ops", "sms", "sms-lyon", "lyon-sms", "ingest", "observations", "operations", "query", "group", "york", "new-york"]
    cities = [city(slug, sms=("+33155550101",)) for slug in ["lyon", *slugs]]
    assert findings(record(with_cities(stack("dev"), cities))) == []


def test_the_longest_slug_still_makes_legal_names() -> None:
    settings = stack("dev")
    longest = city("a-city-with-24-character", sms=("+33155550101",))
    assert len(longest.slug) == 24
    assert findings(record(with_cities(settings, [*settings.cities, longest]))) == []
