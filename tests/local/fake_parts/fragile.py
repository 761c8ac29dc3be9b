"""A part that is killed soon after it was ready, every time."""

from __future__ import annotations

import asyncio
import os

from local.part import Part, run_part


async def serve(part: Part) -> None:
    part.ready("http://127.0.0.1:1")
    await asyncio.sleep(0.05)
    os.kill(os.getpid(), 9)


if __name__ == "__main__":
    run_part("fragile", serve)
