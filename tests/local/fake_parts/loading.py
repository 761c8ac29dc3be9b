"""A part that hears nothing for long before it is ready: it loads something large."""

from __future__ import annotations

import time

from local.part import Part, run_part


async def serve(part: Part) -> None:
    part.warning("loading")
    time.sleep(30)  # noqa: ASYNC251 - that is what holds the loop up
    part.ready("http://127.0.0.1:1")


if __name__ == "__main__":
    run_part("loading", serve)
