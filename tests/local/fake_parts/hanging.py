"""A part that reports once, and then waits for what never comes."""

from __future__ import annotations

import threading

from local.part import Part, run_part


async def serve(part: Part) -> None:
    part.ready("http://127.0.0.1:1")
    part.status(number=1)
    threading.Event().wait()


if __name__ == "__main__":
    run_part("hanging", serve)
