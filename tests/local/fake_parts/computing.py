"""A part that reports once, and then computes for so long that nobody hears of it."""

from __future__ import annotations

import time

from local.part import Part, run_part


async def serve(part: Part) -> None:
    part.ready("http://127.0.0.1:1")
    part.status(number=1)
    until = time.monotonic() + 6
    while time.monotonic() < until:
        pass
    await part.stopping.wait()


if __name__ == "__main__":
    run_part("computing", serve)
