"""A review on a terminal: a line for each rule, what was changed, who is notified, what was found."""

from __future__ import annotations

from collections.abc import Iterator

from infra.review.coverage import Cell, change
from infra.review.findings import Finding
from infra.review.review import Review

MARKS = {"covered": "●", "changed": "◐", "muted": "◌", "hole": "○", "blind": "–"}
LEGEND = {
    "covered": "armed, as the rule says",
    "changed": "armed, with other numbers",
    "muted": "muted",
    "hole": "hole",
    "blind": "armed, but its signal has no data",
}
EVERYTHING = "every severity, always"
NOBODY = "nobody: this stack has no azure.operations, and its local run says it on the terminal and on the page only"
_WIDTH = 100
_NAMED = 6
"""So many cities of a state are named in a line."""
_INDENT = 4


def render(review: Review) -> str:
    """The whole review as text."""
    reported = [*_people(review), *_operators(review)]
    lines = [*_head(review), "", *_table(review), "", *_overrides(review), *reported, *_past(review), *_findings(review)]
    return "\n".join(line.rstrip() for line in lines)


def conclusion(review: Review) -> str:
    """The last line: how many findings, and of which weight."""
    counts = {level: sum(finding.level == level for finding in review.findings) for level in ("error", "warning", "note")}
    reported = ", ".join(f"{count} {level}{'s' if count != 1 else ''}" for level, count in counts.items() if count)
    total = len(review.findings)
    return f"{total} finding{'s' if total != 1 else ''} ({reported})" if reported else "No findings."


def _head(review: Review) -> Iterator[str]:
    cities, rules = len(review.cities), len(review.rules)
    yield f"Alerts of stack {review.stack} on {review.today}: {rules} rules in {cities} cities"
    yield f"read from {'; '.join(review.sources)}"


def _table(review: Review) -> Iterator[str]:
    """A line for each rule: in how many cities it is as it should be, and by name where it is not."""
    first = max(len(rule.id) for rule in review.rules) + 2
    for rule in review.rules:
        yield f"  {rule.id.ljust(first)}{'   '.join(_states(review, rule.id))}"
    used = [state for state in MARKS if any(review.mark(c.city, c.declared.id) == state for c in review.cells)]
    yield ""
    yield from (f"  {MARKS[state]} {LEGEND[state]}" for state in used)
    if any(finding.cells for finding in review.findings):
        yield "  a number: the finding below"


def _states(review: Review, rule: str) -> Iterator[str]:
    for state, mark in MARKS.items():
        cities = [city for city in review.cities if review.mark(city, rule) == state]
        named = [city for city in cities if state != "covered" or review.numbers(city, rule)]
        if len(cities) > len(named):
            yield f"{mark} {_count(len(cities) - len(named), len(review.cities))}"
        if named:
            more = [f"and {len(named) - _NAMED} more"] if len(named) > _NAMED else []
            yield f"{mark} {', '.join([*(_city(review, city, rule) for city in named[:_NAMED]), *more])}"


def _count(cities: int, of: int) -> str:
    if cities < of:
        return f"{cities} of {of} cities"
    return "the city" if of == 1 else f"all {of} cities"


def _city(review: Review, city: str, rule: str) -> str:
    numbers = review.numbers(city, rule)
    return f"{city} {','.join(map(str, numbers))}" if numbers else city


def _overrides(review: Review) -> Iterator[str]:
    changed = [cell for cell in review.cells if cell.override is not None]
    if changed:
        yield "changed by cities"
        yield from (_override(cell, review.today) for cell in changed)
        yield ""


def _override(cell: Cell, today: str) -> str:
    override = cell.override
    assert override is not None
    ended = "ended" if override.until < today else "until"
    return f'  {cell.city} · {cell.declared.id}: {change(override, cell.declared)} {ended} {override.until}, "{override.because}"'


def _people(review: Review) -> Iterator[str]:
    yield "who is notified"
    first = max(len(city) for city in review.cities) + 2
    for city in review.cities:
        lines = list(_reported(review, city)) or ["nobody"]
        for number, line in enumerate(lines):
            yield f"  {(city if number == 0 else '').ljust(first)}{line}"
    yield ""


def _operators(review: Review) -> Iterator[str]:
    """Who is notified when RoomPulse itself stands still or fails."""
    yield f"who is notified of RoomPulse itself ({', '.join(f'{rule.id}, severity {rule.severity}' for rule in review.platform)})"
    yield from (f"  email {address}: {EVERYTHING}" for address in review.operations)
    if not review.operations:
        yield f"  {NOBODY}"
    yield ""


def _reported(review: Review, city: str) -> Iterator[str]:
    for recipient in review.people(city):
        yield f"{recipient.kind} {recipient.label}: {recipient.terms or EVERYTHING}"


def _past(review: Review) -> Iterator[str]:
    if review.history is None:
        return
    yield f"fired in 30 days (known since {review.history.since[:10]})"
    for rule in review.rules:
        fired = {city: past for (city, id_), past in review.history.firings.items() if id_ == rule.id and past.count}
        total = sum(firings.count for firings in fired.values())
        last = max((firings.last for firings in fired.values()), default="")
        most = max(fired, key=lambda city: fired[city].count, default="")
        reported = (
            f"{total:>6}   last {last[:16].replace('T', ' ')}Z   most in {most} ({fired[most].count})" if total else "     –"
        )
        yield f"  {rule.id.ljust(22)}{reported}"
    yield ""


def _findings(review: Review) -> Iterator[str]:
    for number, finding in enumerate(review.findings, 1):
        yield from _finding(number, finding)
    yield conclusion(review)


def _finding(number: int, finding: Finding) -> Iterator[str]:
    head = f"{str(number).ljust(_INDENT - 1)} {finding.where}: {finding.text}"
    yield f"{head.ljust(_WIDTH)}  {finding.level}"
    yield f"{' ' * _INDENT}→ {finding.fix}"
