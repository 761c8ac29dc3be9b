"""`roompulse alerts review --replay RULE=THRESHOLD`: how many more or fewer alerts another threshold would have given."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

from activator.declarations import did_you_mean
from activator.history import WATCHED_DAYS
from activator.rules import OUTSIDE_OFFICE_HOURS, Rule, rules_of_city
from activator.signals import useless
from processors.alert_fanout.routing import in_office_hours
from processors.contracts.signals import OF_ENTITY

if TYPE_CHECKING:
    from infra.settings.stack import City
    from local.lake.threshold_replay import Fired


_NOT_WEIGHED = (
    "Not weighed: contacts' severities, hours and limits, silences, and that what comes and goes within 15 minutes is one "
    "incident."
)


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
    today = run.clock.now().date().isoformat()
    for rule, threshold in wanted:
        signal = OF_ENTITY[rule.entity][rule.signal]
        yield f"{rule.id}: {rule.signal} {rule.op} {signal.said(rule.threshold)} → {signal.said(threshold)}, {WATCHED_DAYS} days"
        changed = replace(rule, threshold=threshold)
        now, then = (_sent(fired, run.lake_dir, each, cities, since, today) for each in (rule, changed))
        yield from _cities(now, then, cities, rule)
        yield from _untouched(rule, cities, today)
        yield f"  {_NOT_WEIGHED}"


def _sent(
    fired: Callable[[Path, Rule, float, datetime], list[Fired]],
    lake_dir: Path,
    rule: Rule,
    cities: Sequence[City],
    since: datetime,
    today: str,
) -> list[Fired]:
    """What a rule would have fired in each city by the numbers that the city has; nothing where it is muted."""
    in_cities = {city.slug: rules_of_city([rule], city.overrides, today) for city in cities}
    found: list[Fired] = []
    for as_there in {rule, *(one for resolved in in_cities.values() for one in resolved)}:
        alerts = fired(lake_dir, as_there, as_there.threshold, since)
        found += [one for one in alerts if as_there in in_cities.get(one.city, (rule,))]
    return found


def _untouched(rule: Rule, cities: Sequence[City], today: str) -> Iterator[str]:
    """Cities in which the rule's own threshold means nothing."""
    for city in cities:
        for override in city.overrides:
            if override.rule_id == rule.id and override.until >= today and (override.mute or override.threshold is not None):
                what = "is muted" if override.mute else f"has a threshold of its own, {override.threshold:g}"
                yield f"  {city.name} {what} until {override.until}: the rule's changes nothing there"


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


def _cities(now: Sequence[Fired], then: Sequence[Fired], cities: Sequence[City], rule: Rule) -> Iterator[str]:
    by_slug = {city.slug: city for city in cities}
    for slug in sorted({one.city for one in (*now, *then)}):
        name = by_slug[slug].name if slug in by_slug else slug
        before, after = (_Counts.of(alerts, slug, by_slug.get(slug)) for alerts in (now, then))
        more, at_night = after.all - before.all, after.at_night - before.at_night
        waiting = ", which wait for the morning" if at_night and OUTSIDE_OFFICE_HOURS in rule.suppress_when else ""
        folded = f"; {before.folded} → {after.folded} of them are part of an outage" if before.folded or after.folded else ""
        change = f"{more:+d}, {at_night:+d} of them outside office hours{waiting}"
        yield f"  {name}: {before.all} → {after.all} alerts ({change}){folded}"
    if not now and not then:
        yield "  no alerts with either: nothing breached it, or nothing was read"


class _Counts(NamedTuple):
    """How many alerts a city has, how many of them at night, and how many that nobody is notified of by themselves."""

    all: int
    at_night: int
    folded: int

    @classmethod
    def of(cls, alerts: Iterable[Fired], slug: str, city: City | None) -> Self:
        """Those of a city."""
        here = [one for one in alerts if one.city == slug]
        at_night = city and sum(not in_office_hours(city.office_hours, city.time_zone, one.at) for one in here)
        return cls(len(here), at_night or 0, sum(one.is_folded for one in here))
