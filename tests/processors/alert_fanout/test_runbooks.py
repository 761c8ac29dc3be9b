"""The runbooks on an incident's page: all that they say, and nothing but text."""

from __future__ import annotations

import re
from html import unescape
from pathlib import Path

import pytest

from processors.alert_fanout.runbooks import FOLDER, runbook_html

OURS = sorted(path.name for path in FOLDER.glob("*.md"))


def shown(html: str | None) -> str:
    """The text of it, as somebody reads it."""
    return " ".join(unescape(re.sub(r"<[^>]+>", " ", html or "")).split())


@pytest.mark.parametrize("name", OURS)
def test_every_word_of_a_runbook_is_shown_and_no_mark_of_its_markdown(name: str) -> None:
    text = (FOLDER / name).read_text(encoding="utf-8").split("\n", 1)[1]
    numbered = re.sub(r"(?m)^\d+\. ", "", text)  # the browser writes the numbers
    words = re.findall(r"\w+", re.sub(r"\]\([^)]*\)", "]", re.sub(r"```\w+", "```", numbered)))
    html = runbook_html(f"docs/runbooks/{name}")
    assert re.findall(r"\w+", shown(html)) == words
    assert "**" not in shown(html) and "|---" not in shown(html)


def test_its_parts_are_elements(tmp_path: Path) -> None:
    (tmp_path / "a-rule.md").write_text(
        "# a-rule: title\n\n**What it means.** One\nand the same.\n**Escalate** to `x`.\n\n"
        "1. first\n   goes on\n2. second\n\n| a | b |\n|---|---|\n| c | see [d](../d.md) |\n\n- e\n\n```\n<f>\n```\n",
        encoding="utf-8",
    )
    assert runbook_html("https://wiki.example.com/r/a-rule.md", tmp_path) == (
        "<p><strong>What it means.</strong> One and the same.</p><p><strong>Escalate</strong> to <code>x</code>.</p>"
        "<ol><li>first goes on</li><li>second</li></ol>"
        '<table class="list"><tr><th>a</th><th>b</th></tr><tr><td>c</td><td>see d</td></tr></table>'
        "<ul><li>e</li></ul><pre>&lt;f&gt;\n</pre>"
    )


@pytest.mark.parametrize(
    "text", ["<script>x</script>", "**<img onerror=x>**", "`<b>`", "| <td> |", "[<i>](javascript:x)", "1. <u>"]
)
def test_markup_is_text(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.md").write_text(text, encoding="utf-8")
    html = runbook_html("x.md", tmp_path)
    tags = set(re.findall(r"<(\w+)", html or ""))
    assert tags <= {"p", "strong", "code", "table", "tr", "th", "ol", "li"} and "javascript" not in (html or "")


@pytest.mark.parametrize("runbook", ["", "../secrets", "docs/runbooks/..", "docs/runbooks/missing.md", "x.md/../../../y", "A.md"])
def test_what_is_not_one_of_ours_is_not_shown(runbook: str) -> None:
    assert runbook_html(runbook) is None
