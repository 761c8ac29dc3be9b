"""A part that takes so long to be ready that another one fails first."""

from __future__ import annotations

from local.part import Part, run_part


async def serve(part: Part) -> None:
    await part.stopping.wait()


if __name__ == "__main__":
    run_part("held_back", serve)
