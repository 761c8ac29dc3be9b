"""A part that ends before it was ready without a word."""

from __future__ import annotations

from local.part import Part, run_part


async def serve(part: Part) -> None:
    raise SystemExit(3)


if __name__ == "__main__":
    run_part("silent_death", serve)
