"""The query, compiled by the compiler that will run it: no job is needed for that.

compileQuery, 2021-10-01-preview: inputs are given by name and kind alone, so it proves grammar, words, functions and names, and
neither types nor what Delta takes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from infra.offline import Registration
from infra.preflight.findings import Finding, Verdict, fault, ok
from infra.preflight.subscription import Stack, Subscription
from infra.providers.stream_analytics_service import API_VERSION

CHECK = "query"
FIX = "change asa-queries (roompulse query check says what it can without Azure)."


def compiled(azure: Subscription, stack: Stack) -> Iterator[Finding]:
    """What Azure's compiler says of the query; nothing where no job is deployed. Raises Unanswered."""
    for job in stack.jobs:
        path = f"providers/Microsoft.StreamAnalytics/locations/{stack.location}/compileQuery"
        yield from _reported(job, azure.post(path, API_VERSION, _question(job.inputs)))


def _question(job: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "query": job["query"],
        "jobType": job["policies"]["jobType"],
        "compatibilityLevel": job["policies"]["compatibilityLevel"],
        "inputs": [{"name": name, "type": properties["type"]} for name, properties in sorted(job["inputs"].items())],
        "functions": [],
    }


def _reported(job: Registration, answer: Mapping[str, Any]) -> Iterator[Finding]:
    errors = answer.get("errors") or ()
    for error in errors:
        yield fault(CHECK, job.inputs["jobName"], f"{_place(error)}{error.get('message')}", FIX)
    for warning in answer.get("warnings") or ():
        yield Finding(CHECK, job.inputs["jobName"], Verdict.warning, str(warning), FIX)
    unlike = [text for kind in ("inputs", "outputs") if (text := _unlike(kind, job.inputs[kind], answer.get(kind)))]
    if errors:
        return
    if unlike:
        yield fault(CHECK, job.inputs["jobName"], " ".join(unlike), "declare in asa-queries what the query names.")
    else:
        yield ok(CHECK, job.inputs["jobName"], "Azure's compiler takes it")


def _place(error: Mapping[str, Any]) -> str:
    line = error.get("startLine")
    return f"line {line}, column {error.get('startColumn')}: " if line is not None and not error.get("isGlobal") else ""


def _unlike(kind: str, declared: Mapping[str, Any], found: Any) -> str:
    """How the names that the compiler found differ from the declared ones; names of this language ignore case."""
    ours, theirs = ({str(name).lower() for name in names or ()} for names in (declared, found))
    if ours == theirs:
        return ""
    return f"The compiler finds {kind} {', '.join(sorted(theirs)) or 'none'}; declared are {', '.join(sorted(ours))}."
