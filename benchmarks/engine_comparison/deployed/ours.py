"""The deployed query on our engine: `python -m benchmarks.engine_comparison.deployed.ours INPUT_FOLDER OUTPUT_FOLDER`."""

from __future__ import annotations

import json
import sys
import time
from itertools import count
from pathlib import Path

from asa_engine.engine import OutputRows, StreamEngine
from asa_engine.job_folder import read_job_folder
from benchmarks.read_ahead import database, taken_in_turn

JOB = Path(__file__).resolve().parents[3] / "asa-queries" / "roompulse"


def main(source: Path, target: Path) -> None:
    """Run the job of the repository; write hub outputs as JSON lines and history as Parquet; print the elapsed seconds."""
    job = read_job_folder(JOB)
    for name in job.outputs:
        (target / name).mkdir(parents=True)
    started = time.perf_counter()
    engine = StreamEngine(job.query, job.schemas, policy=job.policy, connection=database())
    numbers = count()

    def write(output: OutputRows) -> None:
        path = target / output.name / f"{next(numbers):03d}"
        if job.outputs[output.name].delta_table:
            output.connection.execute(f"COPY ({output.sql()}) TO '{path}.parquet' (FORMAT parquet)")
        elif lines := output.json_lines():
            path.with_suffix(".json").write_text("\n".join(lines) + "\n", encoding="utf-8")

    for _ in taken_in_turn(engine, "observations", sorted(source.glob("*.json")), ahead=1):
        engine.advance_beside(write)
    for output in engine.finish():
        write(output)
    print(json.dumps({"seconds": time.perf_counter() - started}))


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
