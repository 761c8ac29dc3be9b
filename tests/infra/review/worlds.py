"""A stack, a deployment and a past with which there is nothing wrong, for tests that make one thing wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from activator.history import Firings, History
from activator.rules import Override, Rule
from infra.offline import Recording
from infra.review.azure_reader import LISTS
from infra.review.deployed import DeployedAlerting, alert_resource, by_key, declared_alerting
from infra.review.review import Review, review
from infra.settings.contacts import Contact
from infra.settings.stack import City, StackSettings
from tests.infra.deployments import record, stack, with_cities
from tests.infra.review.fake_azure import Item, deployed_items
from tests.support.rules import RULES

NOW = datetime(2026, 11, 24, 9, tzinfo=UTC)
SOUND = with_cities(
    stack("dev"),
    [
        City(
            slug, slug.title(), zone, (f"{slug} office",), 100,
            (Contact("email", f"av-{slug}@example.com"), Contact("sms", f"+3315555010{number}", severities=(1, 2))), (),
        )
        for number, (slug, zone) in enumerate([("lyon", "Europe/Paris"), ("paris", "Europe/Paris"), ("madrid", "Europe/Madrid")])
    ],
)  # fmt: skip
"""Three cities with e-mail for everything and text messages for what is urgent."""


@cache
def _recorded() -> Recording:
    return record(SOUND)


@dataclass
class World:
    """Everything a review looks at; change what should be wrong, then look."""

    stack: StackSettings
    rules: tuple[Rule, ...]
    items: dict[str, list[Item]]
    history: History

    def review(self) -> Review:
        """The review of this world."""
        kinds = {path.rsplit("/", 1)[-1]: kind for kind, path, _ in LISTS}
        resources = [
            alert_resource(kinds[name], item["name"], item["properties"], changed_at=item["systemData"]["lastModifiedAt"])
            for name, items in self.items.items()
            for item in items
        ]
        deployed = DeployedAlerting("a fake", by_key(resources))
        declared = declared_alerting(_recorded())
        return review(self.stack, self.rules, NOW, declared=declared, deployed=deployed, history=self.history)

    def change_city(self, slug: str, **changes: Any) -> None:
        """Change a city's settings."""
        cities = [replace(city, **changes) if city.slug == slug else city for city in self.stack.cities]
        self.stack = with_cities(self.stack, cities)

    def override(self, slug: str, rule: str, **changes: Any) -> None:
        """Give a city an override, by default one that holds for a month."""
        given = {"because": "chillers are replaced, CHG0042", "until": "2027-01-31", **changes}
        self.change_city(slug, overrides=(Override(rule, **given),))

    def item(self, kind: str, words: str) -> dict[str, Any]:
        """The properties of a deployed resource by words of its name."""
        (found,) = (item for item in self.items[kind] if _is_called(item, words))
        properties: dict[str, Any] = found["properties"]
        return properties

    def remove(self, kind: str, words: str) -> None:
        """Delete a deployed resource."""
        self.items[kind] = [item for item in self.items[kind] if not _is_called(item, words)]

    def add(self, kind: str, name: str, properties: dict[str, Any]) -> None:
        """Deploy a resource that nobody declared."""
        changed = {"lastModifiedAt": "2026-10-02T09:00:00Z"}
        self.items[kind].append({"name": name, "properties": properties, "systemData": changed})

    def past(self, change: Callable[[dict[tuple[str, str], Firings], dict[tuple[str, str], str]], object]) -> None:
        """Change what fired, and which signals had values."""
        firings, signals = dict(self.history.firings), dict(self.history.signals or {})
        change(firings, signals)
        self.history = replace(self.history, firings=firings, signals=signals)


def _is_called(item: Item, words: str) -> bool:
    return all(word in item["name"] for word in words.split())


def sound_world() -> World:
    """A world in which a review finds nothing."""
    since = (NOW - timedelta(days=90)).isoformat()
    cities = [city.slug for city in SOUND.cities]
    firings = {(city, rule.id): Firings(3, "2026-11-20T10:00:00Z") for city in cities for rule in RULES}
    signals = {(city, rule.signal): "2026-11-24T08:59:00Z" for city in cities for rule in RULES}
    return World(SOUND, RULES, deployed_items(_recorded()), History("a fake", since, firings, signals))
