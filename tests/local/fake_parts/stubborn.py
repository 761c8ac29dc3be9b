"""A part that does not listen when it is told to stop."""

from __future__ import annotations

import asyncio
import signal

from local.part import Part, run_part


async def serve(part: Part) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    asyncio.get_running_loop().remove_signal_handler(signal.SIGTERM)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    part.ready("http://127.0.0.1:1")
    while True:
        await asyncio.sleep(1)


if __name__ == "__main__":
    run_part("stubborn", serve)
