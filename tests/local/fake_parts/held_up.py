"""A part that is held up by something that never ends, whatever it is told."""

from __future__ import annotations

import asyncio

from local.part import Part, run_part


async def serve(part: Part) -> None:
    part.ready("http://127.0.0.1:1")
    await asyncio.Event().wait()


if __name__ == "__main__":
    run_part("held_up", serve)
