"""What is wrong with a declaration, and the one exception that refuses it. Apart from the reader: to know it costs nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class Fault:
    """One thing wrong in a declaration: where (a path like `cities/lyon/timeZone`) and what to do about it.

    `at` is the place in the file where there is one, such as `Pulumi.dev.yaml:14`.
    """

    path: str
    message: str
    at: str = field(default="", compare=False)


class DeclarationError(Exception):
    """A declaration can't be used, in a file or in a table of the code. The text lists every fault with its path."""

    def __init__(self, what: str, faults: Sequence[Fault]) -> None:
        self.what = what
        self.faults = tuple(faults)
        super().__init__(self._render())

    def _render(self) -> str:
        count = f"{len(self.faults)} fault{'s' if len(self.faults) > 1 else ''}"
        width = min(44, max((len(fault.path) for fault in self.faults), default=0))
        places = [f" ({fault.at})" if fault.at else "" for fault in self.faults]
        lines = [f"  {fault.path.ljust(width)}  {fault.message}{at}" for fault, at in zip(self.faults, places, strict=True)]
        return "\n".join([f"{self.what} ({count}):", *lines])

    def as_json(self) -> dict[str, Any]:
        """The refusal for programs, JSON-serialisable."""
        return {"error": self.what, "faults": [asdict(fault) for fault in self.faults]}
