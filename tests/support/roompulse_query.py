"""Runs the deployed stream query on observations."""

from __future__ import annotations

import json
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np

from asa_engine.engine import StreamEngine
from asa_engine.job_folder import read_job_folder
from tests.support.observations import Observation
from tests.support.shared_data import REPOSITORY

JOB = read_job_folder(REPOSITORY / "asa-queries" / "roompulse")


def results(
    observations: Sequence[Observation], cuts: Sequence[int] = (), partitions: Sequence[int] = (0,)
) -> dict[str, list[dict[str, Any]]]:
    """Every output of the query, fed in the given order, in parts, dealt out to partitions in turn."""
    dealt = np.resize(np.array(partitions), len(observations))
    engine = StreamEngine(JOB.query, JOB.schemas, policy=JOB.policy)
    found: dict[str, list[dict[str, Any]]] = {output.name: [] for output in engine.plan.outputs}
    ends = [0, *sorted(cuts), len(observations)]
    for first, last in pairwise(ends):
        bodies = [json.dumps(event) for event in observations[first:last]]
        assert engine.feed("observations", bodies, partitions=dealt[first:last]) == []
        for rows in engine.advance():
            found[rows.name] += rows.rows()
    for rows in engine.finish():
        found[rows.name] += rows.rows()
    engine.close()
    return found
