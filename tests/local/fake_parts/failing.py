"""A part that can't start and says why."""

from __future__ import annotations

from local.part import Part, PartError, run_part


async def serve(part: Part) -> None:
    raise PartError("port 1 is in use: choose another")


if __name__ == "__main__":
    run_part("failing", serve)
