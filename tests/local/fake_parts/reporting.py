"""A part that reports its figures again and again, as real ones do, and writes a line into its log each time."""

from __future__ import annotations

import asyncio

from local.part import Part, run_part


async def serve(part: Part) -> None:
    part.ready("http://127.0.0.1:1")
    number = 0
    while not part.stopping.is_set():
        number += 1
        part.status(number=number)
        part.log.info("line %s", number)
        await asyncio.sleep(0.02)


if __name__ == "__main__":
    run_part("reporting", serve)
