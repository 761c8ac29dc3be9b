"""The simulated Webex organisation as a part of the local pipeline: `python -m local.webex --run run.json`."""

from __future__ import annotations

import asyncio
import contextlib

from local.part import Part, run_part
from local.webex.server import WebexSimulator

STATUS_SECONDS = 1.0


async def serve(part: Part) -> None:
    """Serve the estate of a run until the part is to stop."""
    simulator = WebexSimulator(part.settings)
    simulator.start()
    try:
        cities = len(part.settings.cities)
        part.ready(simulator.url, f"{len(simulator.estate.devices):,} devices, {cities} cities, seed {part.settings.seed}")
        while not part.stopping.is_set():
            by_status = {str(status): number for status, number in sorted(simulator.answers.items())}
            part.status(requests=simulator.answers.total(), requestsByStatus=by_status)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(part.stopping.wait(), STATUS_SECONDS)
    finally:
        simulator.stop()


if __name__ == "__main__":
    run_part("webex", serve)
