"""Writes what follows from a declaration into the files that can import nothing: documents, schemas, the page.

`make generate` runs it; `tests/scripts/test_generate.py` is red while a file differs from what its declaration says.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

from processors.contracts.issues import ISSUES
from processors.contracts.signals import METRICS, SIGNALS, Signal
from processors.ingest.push.manifest import manifest_text
from scripts import channel_files

REPOSITORY = Path(__file__).resolve().parents[1]
_PAGE_HEADER = "// What signals are called. Made by `make generate` from processors/contracts/signals.py.\n\n"
_ISSUES_HEADER = "// What issue codes mean. Made by `make generate` from processors/contracts/issues.py.\n\n"
_KUSTO_ISSUES_HEADER = """// What issue codes mean. Made by `make generate` from processors/contracts/issues.py.

.create-or-alter function with (docstring = "Issue codes of Webex and what they are called.", folder = "reports")
ReportedIssues()
{
"""
_BEGIN, _END = "<!-- {}: made by `make generate` -->", "<!-- end of what is made -->"


def contracts(text: str) -> str:
    """docs/contracts.md with the table of signals."""
    rows = "".join(f"| {signal.entity} | `{signal.name}` | {signal.unit} | {signal.source} |\n" for signal in SIGNALS)
    return _between(text, "signals", f"| entity | signal | unit | source |\n|---|---|---|---|\n{rows}")


def page_words(_: str) -> str:
    """The page's module of signals."""
    words = {signal.name: _on_the_page(signal) for signal in SIGNALS}
    entries = "".join(f"  {name}: {json.dumps(word, ensure_ascii=False)},\n" for name, word in words.items())
    return f"{_PAGE_HEADER}export const SIGNALS = {{\n{entries}}};\n"


def page_issues(_: str) -> str:
    """The page's module of issue codes."""
    entries = "".join(f"  {issue.code}: {json.dumps(issue.name)},\n" for issue in ISSUES)
    return f"{_ISSUES_HEADER}export const ISSUES = {{\n{entries}}};\n"


def kusto_issues(_: str) -> str:
    """The live store's list of issue codes, which the reports ask."""
    rows = ",\n".join(f"        '{issue.code}', {_kusto_text(issue.name)}" for issue in ISSUES)
    return f"{_KUSTO_ISSUES_HEADER}    datatable(code: string, issue: string) [\n{rows}\n    ]\n}}\n"


def _kusto_text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def metrics(text: str) -> str:
    """A JSON Schema with the metrics that a stack may name."""
    return re.sub(r'"enum": \["temperature"[^\]]*\]', f'"enum": {json.dumps(list(METRICS))}', text)


GENERATED: dict[str, Callable[[str], str]] = {
    "docs/contracts.md": contracts,
    "local/dashboard/static/js/signals.js": page_words,
    "local/dashboard/static/js/issues.js": page_issues,
    "powerbi/kusto/issues.kql": kusto_issues,
    "infra/settings/stack.schema.json": lambda text: channel_files.stack_schema(metrics(text)),
    "processors/contracts/ingest-settings.schema.json": metrics,
    "processors/contracts/fanout-settings.schema.json": channel_files.fanout_schema,
    "activator/rule.schema.json": channel_files.rule_schema,
    "docs/stages/alert-fanout.md": channel_files.channels_page,
    "processors/ingest/push/manifest.json": manifest_text,
    "docs/configuration.md": channel_files.configuration_page,
}
"""Each file, and what makes its text from the text it has."""


def outdated() -> dict[Path, str]:
    """The files that are not as they would be made now, and what they would be."""
    found = {}
    for name, made in GENERATED.items():
        path = REPOSITORY / name
        text = path.read_text(encoding="utf-8") if path.exists() else ""
        if (wanted := made(text)) != text:
            found[path] = wanted
    return found


def main() -> None:
    """Write what is outdated, and say which files those were."""
    for path, text in outdated().items():
        path.write_text(text, encoding="utf-8")
        print(f"written: {path.relative_to(REPOSITORY)}")  # noqa: T201 - the command's answer


def _between(text: str, name: str, made: str) -> str:
    begin = _BEGIN.format(name)
    before, found, rest = text.partition(begin)
    _, closed, after = rest.partition(_END)
    if not found or not closed:
        raise ValueError(f'a document has lost its marks: put "{begin}" and "{_END}" around where {name} are to stand')
    return f"{before}{begin}\n{made}{_END}{after}"


def _on_the_page(signal: Signal) -> dict[str, object]:
    return {
        "label": signal.label,
        "suffix": "%" if signal.unit == "share" else signal.suffix,
        "digits": signal.digits,
        "share": signal.unit == "share",
        "phrases": signal.phrase.split("|") if signal.phrase else [],
        "isReading": signal.capability is not None,
    }


if __name__ == "__main__":
    main()
