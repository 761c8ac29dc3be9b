"""`roompulse alerts review --replay RULE=THRESHOLD`: how many more or fewer alerts another threshold would have given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from activator.declarations import did_you_mean
from activator.history import WATCHED_DAYS
from activator.rules import Rule
from activator.signals import useless
from processors.alert_fanout.routing import in_office_hours
from processors.contracts.signals import OF_ENTITY

if TYPE_CHECKING:
    from infra.settings.stack import City
    from local.lake.threshold_replay import Fired


class ReplayError(Exception):
    """It can't be replayed. The text says why, and what to write."""


def replayed(changes: Sequence[str], rules: Sequence[Rule], cities: Sequence[City], data: Path) -> Iterator[str]:
    """Lines that say what each change (`RULE=THRESHOLD`) would have done in each city. Raises ReplayError."""
    from local.lake.threshold_replay import fired
    from local.run_settings import RunSettings

    wanted = [_change(text, rules) for text in changes]
    try:
        run = RunSettings.read(data / "run.json")
    except FileNotFoundError:
        raise ReplayError(f"No pipeline has run in {data}: start one with `make run`, or name its folder with --data.") from None
    since = run.clock.now() - timedelta(days=WATCHED_DAYS)
    for rule, threshold in wanted:
        signal = OF_ENTITY[rule.entity][rule.signal]
        yield f"{rule.id}: {rule.signal} {rule.op} {signal.said(rule.threshold)} → {signal.said(threshold)}, {WATCHED_DAYS} days"
        now, then = (fired(run.lake_dir, rule, each, since) for each in (rule.threshold, threshold))
        yield from _cities(now, then, cities)


def _change(text: str, rules: Sequence[Rule]) -> tuple[Rule, float]:
    id_, _, number = text.partition("=")
    rule = next((rule for rule in rules if rule.id == id_ and not rule.by_platform), None)
    if rule is None:
        raise ReplayError(f"{id_} is not a rule that the query evaluates.{did_you_mean(id_, [rule.id for rule in rules])}")
    try:
        threshold = float(number)
    except ValueError:
        raise ReplayError(f"{text} has no threshold: write RULE=NUMBER, such as {id_}={rule.threshold:g}.") from None
    if why := useless(rule.signal, rule.op, threshold):
        raise ReplayError(why)
    return rule, threshold


def _cities(now: Iterable[Fired], then: Iterable[Fired], cities: Sequence[City]) -> Iterator[str]:
    before, after = list(now), list(then)
    by_slug = {city.slug: city for city in cities}
    counts = [Counter(one.city for one in alerts) for alerts in (before, after)]
    nights = [Counter(one.city for one in alerts if _at_night(one, by_slug)) for alerts in (before, after)]
    for slug in sorted(counts[0].keys() | counts[1].keys()):
        name = by_slug[slug].name if slug in by_slug else slug
        more, at_night = counts[1][slug] - counts[0][slug], nights[1][slug] - nights[0][slug]
        yield f"  {name}: {counts[0][slug]} → {counts[1][slug]} alerts ({more:+d}, {at_night:+d} of them outside office hours)"
    if not before and not after:
        yield "  no alerts with either: nothing breached it, or nothing was read"


def _at_night(alert: Fired, cities: dict[str, City]) -> bool:
    city = cities.get(alert.city)
    return city is not None and not in_office_hours(city.office_hours, city.time_zone, alert.at)
