"""What a history shows: rules that are armed without data, that never fire, that fire all the time, that are open for ever."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta

from activator.history import WATCHED_DAYS, History
from infra.review.coverage import Cell
from infra.review.findings import Finding, listed

FRESH = timedelta(hours=24)
"""A signal without a value for longer has no data. Shorter would call a quiet night a fault: some report only in use."""
OPEN_TOO_LONG = timedelta(days=7)
NOISY_PER_DAY = 3.0
"""A rule that fires more often in one city is looked at: in published post-mortems few rules make most of the pages."""
NOISY_AT_LEAST = 20
"""A bad morning is not noise."""
NOISY_SHARE = 0.5

Signals = Mapping[tuple[str, str], str]
"""When a signal of a city had a value last."""


def past_findings(cells: Sequence[Cell], history: History, now: datetime) -> Iterator[Finding]:
    """Doubts that the past raises about rules that are armed."""
    armed = [cell for cell in cells if cell.rule is not None]
    if history.signals is not None:
        yield from _silent_cities(armed, history.signals, now)
        young = now - _time(history.since) < FRESH
        yield from _without_data(armed, history.signals, now, young)
    yield from _never_fired(armed, history, now)
    yield from _noisy(armed, history, now)
    yield from _open_too_long(armed, history, now)
    yield from _unknown(cells, history)


def has_data(signals: Signals, city: str, signal: str, now: datetime) -> bool:
    """Whether a signal of a city had a value lately."""
    latest = signals.get((city, signal))
    return latest is not None and now - _time(latest) <= FRESH


def _silent_cities(cells: Sequence[Cell], signals: Signals, now: datetime) -> Iterator[Finding]:
    for city in dict.fromkeys(cell.city for cell in cells):
        latest = max((time for (slug, _), time in signals.items() if slug == city), default=None)
        if latest is not None and now - _time(latest) <= FRESH:
            continue
        text = "nothing has been seen of this city" + (f" since {latest}" if latest else ", ever")
        fix = "roompulse ingest doctor names cities without a location and locations without a city."
        yield Finding(
            "error", "city-without-data", city, text, fix, tuple((city, c.declared.id) for c in cells if c.city == city)
        )


def _without_data(cells: Sequence[Cell], signals: Signals, now: datetime, young: bool) -> Iterator[Finding]:
    """Rules that can't fire because their signal brings nothing, in cities that are seen otherwise.

    What a `young` history has not seen may still come: that is only worth knowing.
    """
    silent = {cell.city for cell in cells} - {slug for (slug, _), time in signals.items() if now - _time(time) <= FRESH}
    for rule in dict.fromkeys(cell.declared.id for cell in cells):
        own = [cell for cell in cells if cell.declared.id == rule and cell.city not in silent]
        blind = [cell.city for cell in own if not has_data(signals, cell.city, cell.declared.signal, now)]
        if blind:
            signal, so_far = own[0].declared.signal, " so far" if young else ""
            yield Finding(
                "note" if young else "warning",
                "no-data",
                f"{listed(blind)} · {rule}",
                f"its signal {signal} has no data in {len(blind)} of {len(own)} cities{so_far}: the rule is armed and blind",
                f"See where {signal} comes from (docs/contracts.md): sensors, licences, permissions; or mute it with a reason.",
                tuple((city, rule) for city in blind),
            )


def _never_fired(cells: Sequence[Cell], history: History, now: datetime) -> Iterator[Finding]:
    if now - _time(history.since) < timedelta(days=WATCHED_DAYS):
        return  # too young to say so
    for rule in dict.fromkeys(cell.declared.id for cell in cells):
        own = [cell for cell in cells if cell.declared.id == rule]
        if not any(history.firings.get((cell.city, rule)) for cell in own):
            yield Finding(
                "note",
                "never-fired",
                rule,
                f"has not fired in any of {len(own)} cities within {WATCHED_DAYS} days",
                f"Prove that it still can: roompulse alerts fire --rule {rule} --city {own[0].city}.",
            )


def _noisy(cells: Sequence[Cell], history: History, now: datetime) -> Iterator[Finding]:
    days = max(1.0, min(WATCHED_DAYS, (now - _time(history.since)) / timedelta(days=1)))
    known = {(cell.city, cell.declared.id): cell for cell in cells}
    total = sum(firings.count for firings in history.firings.values())
    for (city, rule), firings in sorted(history.firings.items(), key=lambda entry: -entry[1].count):
        if (city, rule) not in known or firings.count < max(NOISY_AT_LEAST, NOISY_PER_DAY * days):
            continue
        share = firings.count / total
        text = f"fired {firings.count} times in {days:.0f} days" + (
            f", {share:.0%} of all alerts" if share >= NOISY_SHARE else ""
        )
        fix = "What fires this often is ignored: fix the cause, or raise threshold or duration with a reason."
        yield Finding("warning", "noisy", f"{city} · {rule}", text, fix, ((city, rule),))


def _open_too_long(cells: Sequence[Cell], history: History, now: datetime) -> Iterator[Finding]:
    for cell in cells:
        firings = history.firings.get((cell.city, cell.declared.id))
        if firings and firings.open_since and now - _time(firings.open_since) > OPEN_TOO_LONG:
            days = (now - _time(firings.open_since)).days
            text = f"is open since {firings.open_since[:10]}, {days} days: nobody acts on it, or it can't resolve"
            fix = f"Follow {cell.declared.runbook}; mute it with a reason while the repair takes its time."
            yield Finding(
                "warning", "open-too-long", f"{cell.city} · {cell.declared.id}", text, fix, ((cell.city, cell.declared.id),)
            )


def _unknown(cells: Sequence[Cell], history: History) -> Iterator[Finding]:
    """What fired and isn't declared any more: its alerts have nobody who resolves them."""
    rules, cities = {cell.declared.id for cell in cells}, {cell.city for cell in cells}
    for (city, rule), firings in history.firings.items():
        if firings.open_since and (rule not in rules or city not in cities):
            gone = rule if rule not in rules else f"city {city}"
            text = f"an alert of {rule} in {city} is open, and {gone} is not declared any more: it never resolves"
            fix = "Resolve it by hand in the tools it reached, or declare it again until it has resolved."
            yield Finding("warning", "orphan", f"{city} · {rule}", text, fix)


def _time(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
