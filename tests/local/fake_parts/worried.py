"""A part that meets a fault that heals."""

from __future__ import annotations

import asyncio

from local.part import Part, run_part


async def serve(part: Part) -> None:
    part.ready("http://127.0.0.1:1")
    part.warning("no answer from Webex")
    await asyncio.sleep(0.2)
    part.recovered("Webex answers again")
    await part.stopping.wait()


if __name__ == "__main__":
    run_part("worried", serve)
