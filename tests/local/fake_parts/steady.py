"""A part that says that it is ready, reports a figure and stops when told."""

from __future__ import annotations

from local.part import Part, run_part


async def serve(part: Part) -> None:
    part.ready("http://127.0.0.1:1", "steady")
    part.status(answer=42)
    await part.stopping.wait()


if __name__ == "__main__":
    run_part("steady", serve)
