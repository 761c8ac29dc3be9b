"""Compares this engine with a recording of the real one: the folder that a local run of Microsoft's tools leaves.

It has the rows of every step and output (`intermediate/<step>_<n>_<step>/Partition-0.json`) and of the outputs again
(`<output>.json`). The query and its inputs lie in the project around it, or are named.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from asa_engine.cases import CaseResult, compared_rows, produced_in_order
from asa_engine.commands import open_job
from asa_engine.errors import StreamEngineError
from asa_engine.feed import check_names, rows_of
from asa_engine.job_folder import JobFolder, mocks_of, start_of
from asa_engine.parser import parse
from asa_engine.syntax import Script

_STEP = re.compile(r"(.+)_\d+_\1", re.IGNORECASE)
"""The folder of a step: its name, the number of its query and its name again."""
_DIGITS = 12
"""Floats count as equal when so many digits are: the order in which rows are added up isn't recorded."""
_COPY = "recorded {}"
"""The output that gets the rows of a step."""


def replay(recording: Path, query: Path | None = None, inputs: Mapping[str, Path] | None = None) -> list[CaseResult]:
    """Run a recorded query and compare each recorded step and output. Raises StreamEngineError when something is missing.

    Without `query` it is the startFile of the project around the recording; `inputs` go before the project's local inputs.
    """
    recorded = recordings_in(recording)
    project = next((folder for folder in recording.resolve().parents if (folder / "asaproj.json").is_file()), None)
    job = open_job(query or _query_of(project, recording))
    script = parse(job.query, job.query_file.name)
    files = {name.lower(): (name, file) for name, file in (mocks_of(project) if project else {}).items()}
    files |= {name.lower(): (name, file) for name, file in (inputs or {}).items()}
    given = dict(files.values())
    check_names(script, given)
    names = _outputs_of(script)
    produced, left_out = produced_in_order(_with_steps(job, script), given)
    results = []
    for key, rows in sorted(recorded.items()):
        if key not in names:
            results.append(CaseResult(key, error="It is recorded, but the query has no such step or output."))
            continue
        missing, unexpected = compared_rows(rows, produced.get(names[key].lower(), []), digits=_DIGITS)
        results.append(CaseResult(key, {key: missing}, {key: unexpected}, left_out=left_out))
    return results


def recordings_in(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The recorded rows of steps and outputs, by their names in lower case. Raises StreamEngineError when there are none."""
    found: dict[str, list[dict[str, Any]]] = {}
    for file in sorted(folder.glob("*.json")):
        found[file.stem.lower()] = rows_of(file)
    for step in sorted((folder / "intermediate").glob("*")):
        if (match := _STEP.fullmatch(step.name)) is not None:
            found[match[1].lower()] = [row for part in sorted(step.glob("*.json")) for row in rows_of(part)]
    if not found:
        advice = "Name the folder of one run, such as LocalRunOutputs/20260301120000."
        raise StreamEngineError(f"{folder} has no recorded rows: neither *.json nor intermediate/*. {advice}")
    return found


def _query_of(project: Path | None, recording: Path) -> Path:
    start = start_of(project) if project else None
    if start is None:
        raise StreamEngineError(f"No asaproj.json around {recording} names the query. Add --query FILE.")
    return start


def _outputs_of(script: Script) -> dict[str, str]:
    """Under which output the rows of each step and output (lower case) are written."""
    steps = {step.name.lower(): _COPY.format(step.name) for step in script.steps}
    return steps | {statement.output.lower(): statement.output for statement in script.outputs}


def _with_steps(job: JobFolder, script: Script) -> JobFolder:
    """The job with an output for each step."""
    names = [step.name.replace("]", "]]") for step in script.steps]
    copies = [f"SELECT * INTO [{_COPY.format(name)}] FROM [{name}]" for name in names]
    return replace(job, query="\n".join([job.query, *copies]), outputs={})
