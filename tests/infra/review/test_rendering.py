"""How a review reads, on a terminal, on a page and for programs."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from infra.review.page import page
from infra.review.review import review
from infra.review.text import conclusion, render
from infra.settings.processor_settings import deployed_fanout_settings
from tests.infra.review.worlds import NOW, SOUND, World, sound_world
from tests.support.rules import RULES


def troubled() -> World:
    world = sound_world()
    world.override("madrid", "device-offline", threshold=2, until="2026-09-30", because="<b>summer</b> exception")
    world.override("paris", "room-too-warm", threshold=31)
    world.remove("scheduledQueryRules", "rooms-site-outage")
    world.past(lambda firings, signals: signals.pop(("lyon", "offline")))
    return world


def test_the_table_says_of_every_rule_in_which_cities_it_is_not_as_it_should_be_and_the_numbers_of_findings() -> None:
    review = troubled().review()
    text = render(review)
    rows = {line.split()[0]: line.split(maxsplit=1)[1] for line in text.splitlines() if re.match(r"  [a-z-]+  +[●◐○–◌]", line)}
    assert rows.keys() == {rule.id for rule in review.rules}
    assert rows["device-offline"] == "● 1 of 3 cities   ○ madrid 1   – lyon 3"
    assert rows["room-too-warm"] == "● 2 of 3 cities   ◐ paris"
    assert rows["room-humidity"] == "● all 3 cities"
    assert "● armed, as the rule says" in text
    assert max(map(len, text.partition("\n\n")[2].partition("changed by cities")[0].splitlines())) <= 80


def test_findings_come_worst_first_with_what_to_do() -> None:
    text = render(troubled().review())
    found = re.findall(r"^(\d+) +.*?(error|warning|note)$", text, re.MULTILINE)
    assert found == [("1", "error"), ("2", "error"), ("3", "warning")]
    assert text.count("→ ") == 3
    assert text.endswith("3 findings (2 errors, 1 warning)")


def test_one_finding_is_one_finding() -> None:
    world = sound_world()
    assert conclusion(world.review()) == "No findings."
    world.remove("metricAlerts", "query-full")
    assert conclusion(world.review()) == "1 finding (1 error)"


def test_an_override_is_shown_with_its_default_reason_and_end() -> None:
    text = render(troubled().review())
    assert 'madrid · device-offline: threshold 2 (default 1) ended 2026-09-30, "<b>summer</b> exception"' in text
    assert 'paris · room-too-warm: threshold 31 (default 28) until 2027-01-31, "chillers are replaced, CHG0042"' in text


class Tags(HTMLParser):
    """Counts the elements and attributes of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: Counter[str] = Counter()
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.update([tag, *(f"{tag} {name}" for name, _ in attrs)])


def test_no_name_is_markup_on_the_page() -> None:
    """Names of resources come from whoever may write to the subscription, labels and reasons from whoever writes the stack."""

    def with_names(text: str) -> str:
        world = troubled()
        world.override("madrid", "room-humidity", threshold=80, because=text)
        (city,) = (one for one in world.stack.cities if one.slug == "lyon")
        world.change_city("lyon", contacts=tuple(replace(contact, to=text) for contact in city.contacts))
        for item in world.items["actionGroups"]:
            item["properties"]["groupShortName"] = text
        return page(world.review())

    hostile = with_names("\"'><img src=x onerror=alert(1)><script>alert(1)</script>&lt;")
    assert Tags(hostile).found == Tags(with_names("harmless")).found and "<img" not in hostile


def test_the_page_says_the_same_and_takes_no_markup_from_anybody() -> None:
    html = page(troubled().review())
    assert "<b>summer</b>" not in html
    assert "&lt;b&gt;summer&lt;/b&gt; exception" in html
    assert "<script" not in html
    assert html.count('class="level error"') == 2
    assert '<a href="#f1">1</a>' in html
    assert 'id="f1"' in html
    for rule in troubled().review().rules:
        assert rule.runbook.rsplit("/", 1)[-1] in html


def test_programs_get_coverage_and_findings_as_json() -> None:
    data = json.loads(json.dumps(troubled().review().as_json()))
    assert data["passes"] is False
    assert [finding["kind"] for finding in data["findings"]] == ["override-ended", "missing", "no-data"]
    (cell,) = (cell for cell in data["coverage"] if (cell["city"], cell["rule"]) == ("paris", "room-too-warm"))
    assert (cell["threshold"], cell["state"], cell["fired"]) == (31, "changed", 3)
    assert cell["recipients"] == [{"kind": "email", "to": "av-paris@example.com", "terms": ""}]


def test_it_says_who_is_told_when_roompulse_itself_stands_still() -> None:
    found = troubled().review()
    (address,) = found.operations
    text, html = render(found), page(found)
    head = "who is notified of RoomPulse itself (pipeline-stale, severity 1)\n"
    assert f"{head}  email {address}: every severity, always" in text
    assert f"pipeline-stale, severity 1: {address}" in html
    assert found.as_json()["platform"] == [
        {
            "rule": "pipeline-stale",
            "severity": 1,
            "runbook": "docs/runbooks/pipeline-stale.md",
            "recipients": [{"kind": "email", "to": address, "terms": ""}],
        }
    ]


def test_whoever_runs_it_is_notified_of_what_control_hub_alone_has_seen_where_a_city_has_it() -> None:
    hub = replace(SOUND.cities[0], control_hub_secret="hub")
    for cities, known in ((SOUND.cities, ["pipeline-stale"]), ((hub,), ["control-hub-unmatched", "pipeline-stale"])):
        found = review(replace(SOUND, cities=cities), RULES, NOW)
        assert [rule.id for rule in found.platform] == known


def test_a_stack_without_people_for_operations_says_that_nobody_is_told() -> None:
    found = replace(troubled().review(), operations=())
    assert "  nobody: this stack has no azure.operations" in render(found)
    assert "nobody: this stack has no azure.operations" in page(found)


def test_runbooks_are_links_to_where_the_stack_says_they_are() -> None:
    found = troubled().review()
    there = replace(found, runbooks={rule: f"https://wiki.example.com/{rule}.md" for rule in found.runbooks})
    assert 'href="docs/runbooks/site-outage.md"' in page(found)
    assert 'href="https://wiki.example.com/pipeline-stale.md"' in page(there)


@pytest.mark.parametrize(
    ("base", "where"),
    [
        (None, "docs/runbooks/site-outage.md"),
        ("https://wiki.example.com/runbooks", "https://wiki.example.com/runbooks/site-outage.md"),
        ("https://wiki.example.com/runbooks/", "https://wiki.example.com/runbooks/site-outage.md"),
    ],
)
def test_messages_name_the_runbook_where_the_stack_says_it_is(base: str | None, where: str) -> None:
    settings = deployed_fanout_settings(replace(SOUND, runbooks=base), RULES)
    assert settings["rules"]["site-outage"]["runbook"] == where
