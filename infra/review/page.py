"""A review as a page to share and to print: one file, no script, light and dark."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from html import escape

from infra.review.coverage import change
from infra.review.review import Review
from infra.review.text import EVERYTHING, LEGEND, MARKS, NOBODY, conclusion

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #59636e; --line: #d1d9e0; --ground: #ffffff;
  --error: #b3261e; --warning: #8a5a00; --note: #3b5b8c; --good: #1a7f37; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e8eb; --soft: #9aa4af; --line: #353c45; --ground: #15181c;
  --error: #ff8a80; --warning: #f2c14e; --note: #9cc2ff; --good: #6fd58a; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 78rem; padding: 2rem 1.25rem 4rem; background: var(--ground); color: var(--ink);
  font: 15px/1.5 system-ui, "Segoe UI", Roboto, sans-serif; font-variant-numeric: tabular-nums; }
h1 { font-size: 1.6rem; margin: 0 0 .25rem; } h2 { font-size: 1.1rem; margin: 2.5rem 0 .75rem; }
p { margin: .25rem 0; } .soft { color: var(--soft); }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; } th, td { text-align: left; vertical-align: top; padding: .45rem .6rem;
  border-bottom: 1px solid var(--line); } thead th { border-bottom: 2px solid var(--line); font-weight: 600; }
.matrix td, .matrix thead th { text-align: center; white-space: nowrap; }
.matrix thead th { vertical-align: bottom; font-size: .85rem; white-space: normal; }
.matrix th[scope=row] { white-space: nowrap; }
.matrix .mark { font-size: 1.15rem; } .hole, .error { color: var(--error); } .blind, .warning { color: var(--warning); }
.note { color: var(--note); } .covered { color: var(--good); } .changed, .muted { color: var(--note); }
.day { white-space: nowrap; }
.level { font-weight: 600; text-transform: capitalize; white-space: nowrap; } .where { font-weight: 600; }
a { color: inherit; } .number { color: var(--soft); }
@media (max-width: 40rem) { body { padding: 1.25rem .9rem 3rem; } th, td { padding: .4rem; }
  .findings thead { display: none; } .findings tr { display: block; border-bottom: 1px solid var(--line); padding: .5rem 0; }
  .findings td { display: block; border: 0; padding: .1rem 0; }
  .findings td:nth-child(-n+2) { display: inline-block; margin-right: .5rem; } }
@media print { body { max-width: none; font-size: 11px; padding: 0; } h2 { break-after: avoid; } tr { break-inside: avoid; }
  .wide { overflow: visible; } }
"""


def page(review: Review) -> str:
    """The page as HTML."""
    return "\n".join(
        [
            '<!doctype html><html lang="en"><head><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>Alert review · {escape(review.stack)} · {review.today}</title><style>{_STYLE}</style></head><body>",
            f"<h1>Alert review of stack {escape(review.stack)}</h1>",
            f"<p>{len(review.rules)} rules in {len(review.cities)} cities on {review.today}.",
            f"<strong>{conclusion(review)}</strong></p>",
            f'<p class="soft">Read from {escape("; ".join(review.sources))}</p>',
            *_findings(review),
            *_matrix(review),
            *_overrides(review),
            *_people(review),
            *_rules(review),
            "</body></html>",
        ]
    )


def _findings(review: Review) -> Iterator[str]:
    if not review.findings:
        return
    yield "<h2>Findings</h2>"
    rows = (
        (
            f'<span class="number" id="f{number}">{number}</span>',
            f'<span class="level {finding.level}">{finding.level}</span>',
            f'<span class="where">{escape(finding.where)}</span>',
            f'{escape(finding.text)}<br><span class="soft">{escape(finding.fix)}</span>',
        )
        for number, finding in enumerate(review.findings, 1)
    )
    yield from _table(("", "Weight", "Where", "What, and what to do"), rows, "findings")


def _matrix(review: Review) -> Iterator[str]:
    yield "<h2>Coverage</h2>"
    yield '<div class="wide">'
    rows = (
        (f'<th scope="row">{escape(city)}</th>', *(_cell(review, city, rule.id) for rule in review.rules))
        for city in review.cities
    )
    heads = [rule.id.replace("-", "-<wbr>") for rule in review.rules]
    yield f'<table class="matrix"><thead><tr><th></th>{"".join(f"<th>{head}</th>" for head in heads)}</tr></thead><tbody>'
    yield from (f"<tr>{''.join(row)}</tr>" for row in rows)
    yield "</tbody></table></div>"
    legend = (f'<span class="{state}">{mark}</span> {LEGEND[state]}' for state, mark in MARKS.items())
    yield f'<p class="soft">{" &nbsp; ".join(legend)}</p>'


def _cell(review: Review, city: str, rule: str) -> str:
    state = review.mark(city, rule)
    links = ", ".join(f'<a href="#f{number}">{number}</a>' for number in review.numbers(city, rule))
    label = f"{LEGEND[state]}" + (f", findings {', '.join(map(str, review.numbers(city, rule)))}" if links else "")
    return f'<td title="{label}"><span class="mark {state}" role="img" aria-label="{label}">{MARKS[state]}</span> {links}</td>'


def _overrides(review: Review) -> Iterator[str]:
    changed = [cell for cell in review.cells if cell.override is not None]
    if not changed:
        return
    yield "<h2>Changed by cities</h2>"
    rows = []
    for cell in changed:
        override = cell.override
        assert override is not None
        ended = override.until < review.today
        until = f'<span class="day{" error" if ended else ""}">{"ended " if ended else ""}{override.until}</span>'
        rows.append(
            (
                escape(cell.city),
                escape(cell.declared.id),
                escape(change(override, cell.declared)),
                escape(override.because),
                until,
            )
        )
    yield from _table(("City", "Rule", "Instead of the default", "Because", "Until"), rows)


def _people(review: Review) -> Iterator[str]:
    yield "<h2>Who is notified</h2>"
    rows = []
    for city in review.cities:
        for recipient in review.people(city):
            rows.append(tuple(map(escape, (city, recipient.kind, recipient.label, recipient.terms or EVERYTHING))))
    yield from _table(("City", "By", "To", "For"), rows)
    about = ", ".join(f"{rule.id}, severity {rule.severity}" for rule in review.platform)
    yield f"<h2>Who is notified of RoomPulse itself</h2><p>{escape(about)}: {escape(', '.join(review.operations) or NOBODY)}</p>"


def _rules(review: Review) -> Iterator[str]:
    yield "<h2>The rules</h2>"
    rows = []
    for rule in (*review.rules, *review.platform):
        fired = _fired(review, rule.id)
        rows.append(
            (
                f'<span class="where">{escape(rule.id)}</span><br>'
                f'<span class="soft">{escape(rule.condition)}, severity {rule.severity}</span>',
                f'{escape(rule.meaning)}<br><span class="soft">{escape(rule.evidence)}</span>',
                _runbook(rule.id, review.runbooks[rule.id]),
                *([fired] if review.history else []),
            )
        )
    yield from _table(
        ("Rule", "Meaning, and where the number comes from", "Runbook", *(["Fired"] if review.history else [])), rows
    )


def _runbook(rule: str, where: str) -> str:
    """A link to a runbook: its address, or its file beside a page that lies in the repository."""
    return f'<a href="{escape(where)}" rel="noreferrer">{escape(rule)}.md</a>'


def _fired(review: Review, rule: str) -> str:
    if review.history is None:
        return ""
    fired = [firings for (_, id_), firings in review.history.firings.items() if id_ == rule and firings.count]
    if not fired:
        return '<span class="soft">never</span>'
    return f"{sum(firings.count for firings in fired)}<br><span class='soft day'>last {max(f.last for f in fired)[:10]}</span>"


def _table(heads: Iterable[str], rows: Iterable[Iterable[str]], kind: str = "") -> Iterator[str]:
    """A table of cells that are HTML already."""
    yield f'<table class="{kind}"><thead><tr>{"".join(f"<th>{head}</th>" for head in heads)}</tr></thead><tbody>'
    yield from (f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    yield "</tbody></table>"
