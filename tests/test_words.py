"""Prose and names use the field's words (docs/glossary.md), so that nobody stops at one: notify, report, say, fix, is not a."""

from __future__ import annotations

import re
import subprocess

import pytest

from tests.support.shared_data import REPOSITORY

OURS = ("infra", "processors", "packages", "local", "cli", "docs", "activator", "powerbi", "scripts", "*.md")
NOT_PROSE = (":!*/tests/*", ":!tests", ":!*.min.js", ":!*.png", ":!benchmarks", ":!CHANGELOG.md")
WORDS = re.compile(r"(?<![a-z])(told|tells?|telling|teller|untold|mend(?:s|ed|ing)?|manners?)(?![a-z])", re.IGNORECASE)
IS_NO = re.compile(
    r"(?<!here )(?<!what )\b(?:is|are|was|were) no (?!longer|more|less|better|worse|different|fewer|larger|smaller|newer|older|"
    r"later|sooner|earlier|wider|other|two|one\b|good\b|use\b|need\b|way\b)[a-z]+",
    re.IGNORECASE,
)
STORED = {
    "cli/alerts_test.py",  # a key of its JSON
    "docs/contracts.md",  # steps of incidents, as they are stored
    "docs/glossary.md",
    "docs/stages/laptop.md",  # names of tests
    "processors/alert_fanout/book_text.py",  # the table of stored names and ours
    "processors/alert_fanout/state.py",  # the folder of the journal
    "processors/ingest/sinks.py",  # a method of Python's files
}
"""Files in which one of the words stands for what is stored or somebody else's: renaming it would lose state."""


def prose() -> dict[str, str]:
    """Every file of ours but for tests, by its name."""
    listed = subprocess.run(
        ["git", "ls-files", *OURS, *NOT_PROSE], cwd=REPOSITORY, check=True, capture_output=True, text=True
    ).stdout
    files = {name: REPOSITORY / name for name in listed.splitlines()}
    texts = {name: path.read_bytes() for name, path in files.items() if path.is_file()}
    return {name: text.decode("utf-8") for name, text in texts.items() if b"\0" not in text}


@pytest.mark.parametrize(
    ("unwanted", "instead"),
    [
        (WORDS, "notify somebody of an alert, report or say a fact, distinguish two things, fix a fault"),
        (IS_NO, "is not a"),
    ],
)
def test_the_field_s_words_are_used(unwanted: re.Pattern[str], instead: str) -> None:
    found = {
        f"{name}:{text.count(chr(10), 0, word.start()) + 1}: {word[0]}"
        for name, text in prose().items()
        for word in unwanted.finditer(text)
        if not (unwanted is WORDS and name in STORED)
    }
    assert sorted(found) == [], f"write: {instead}"


def test_the_files_that_may_have_them_still_do() -> None:
    texts = prose()
    assert sorted(name for name in STORED if not WORDS.search(texts[name])) == []
