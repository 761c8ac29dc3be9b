"""The runbooks beside the code (docs/runbooks), as HTML for the page of an incident: whoever is called at night need not look.

They are written in a small part of Markdown, and only that is known here: paragraphs, lists, tables, code, bold. Everything else
is text, markup included.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from itertools import groupby
from pathlib import Path

from processors.alert_fanout.html_text import Html, element, together

FOLDER = Path(__file__).parents[2] / "docs" / "runbooks"
_NAME = re.compile(r"[a-z0-9-]+\.md")
_INLINE = re.compile(r"\*\*(?P<strong>.+?)\*\*|`(?P<code>[^`]+)`|\[(?P<link>[^\]]+)\]\([^)]*\)")
_LIST = {"ol": re.compile(r"\d+\. "), "ul": re.compile(r"[-*] ")}
_FENCE = "```"


def runbook_html(runbook: str, folder: Path = FOLDER) -> Html | None:
    """A runbook by its path or address, without its title; None where it is not one of ours."""
    name = runbook.rsplit("/", 1)[-1]
    path = folder / name
    if not _NAME.fullmatch(name) or not path.is_file():
        return None
    return together(_blocks(path.read_text(encoding="utf-8")))


def _blocks(text: str) -> Iterator[Html]:
    for number, part in enumerate(text.split(_FENCE)):
        if number % 2:
            yield element("pre", part.partition("\n")[2])
            continue
        for kind, lines in groupby(_joined(part.splitlines()), _kind):
            yield from _OF_KIND[kind](list(lines))


def _joined(lines: list[str]) -> Iterator[str]:
    """Lines, each with those that go on with it: a list's item may be longer than a line, and so may a paragraph."""
    whole: list[str] = []
    for line in lines:
        if whole and line.strip() and _kind(line) == "p" and _kind(whole[0]) in ("p", "ol", "ul") and not line.startswith("**"):
            whole.append(line.strip())
            continue
        if whole:
            yield " ".join(whole)
        whole = [line] if line.strip() else []
    if whole:
        yield " ".join(whole)


def _kind(line: str) -> str:
    if line.startswith("# "):
        return "title"
    if line.startswith("|"):
        return "table"
    return next((name for name, mark in _LIST.items() if mark.match(line)), "p")


def _list(tag: str) -> Callable[[list[str]], Iterator[Html]]:
    def made(lines: list[str]) -> Iterator[Html]:
        yield element(tag, *(element("li", _text(_LIST[tag].sub("", line, count=1))) for line in lines))

    return made


def _table(lines: list[str]) -> Iterator[Html]:
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in lines]
    written = [row for row in rows if any(cell.strip("-: ") for cell in row)]
    cells = [[element("td" if number else "th", _text(cell)) for cell in row] for number, row in enumerate(written)]
    yield element("table", *(element("tr", *row) for row in cells), class_="list")


def _paragraphs(lines: list[str]) -> Iterator[Html]:
    return (element("p", _text(line)) for line in lines)


_OF_KIND: dict[str, Callable[[list[str]], Iterator[Html]]] = {
    "title": lambda lines: iter(()),
    "table": _table,
    "ol": _list("ol"),
    "ul": _list("ul"),
    "p": _paragraphs,
}


def _text(text: str) -> Html:
    return together(_pieces(text))


def _pieces(text: str) -> Iterator[str]:
    at = 0
    for found in _INLINE.finditer(text):
        yield text[at : found.start()]
        at = found.end()
        if found["strong"]:
            yield element("strong", _text(found["strong"]))
        elif found["code"]:
            yield element("code", found["code"])
        else:
            yield _text(found["link"])  # where it leads is in the repository, which this page is not
    yield text[at:]
