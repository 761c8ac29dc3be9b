"""Faults of a query and of a run: each names the place, what is wrong there, and what to write instead."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, order=True)
class Position:
    """A place in the query text; both numbers start at 1."""

    line: int
    column: int


@dataclass(frozen=True)
class Fault:
    """One fault of a query: where, what, and what to do about it (`advice` may be empty)."""

    position: Position
    text: str
    advice: str = ""

    def render(self, file_name: str, source: str) -> str:
        """The fault as a person wants to read it: place, text, the line with a caret under the place, advice."""
        lines = source.splitlines()
        line, column = self.position.line, self.position.column
        shown = [f"{file_name}:{line}:{column}  {self.text}"]
        if 1 <= line <= len(lines):
            text = lines[line - 1].replace("\t", " ")
            start = max(0, column - 61)
            cut = text[start : start + 120]
            dots = "... " if start else ""
            shown.append(f"{line:5d} | {dots}{cut}")
            shown.append(" " * (8 + len(dots) + column - 1 - start) + "^")
        if self.advice:
            shown.append(f"   {self.advice}")
        return "\n".join(shown)


class StreamEngineError(Exception):
    """Base of everything the engine raises on purpose."""


class QueryError(StreamEngineError):
    """The query can't run here. `faults` lists every fault found, in the order of the text."""

    def __init__(self, faults: list[Fault], file_name: str = "query", source: str = "") -> None:
        self.faults = sorted(faults, key=lambda fault: fault.position)
        self.file_name = file_name
        self.source = source
        super().__init__("\n".join(fault.render(file_name, source) for fault in self.faults))


class FaultFound(StreamEngineError):
    """Raised inside the parser and the analyser for a single fault; `QueryError` is what callers see."""

    def __init__(self, position: Position, text: str, advice: str = "") -> None:
        super().__init__(text)
        self.fault = Fault(position, text, advice)


class ConversionError(StreamEngineError):
    """A CAST met a value it can't convert. On Azure this stops the job, and so it does here."""


class CalculationError(StreamEngineError):
    """A calculation has no result: an overflow, the root of a negative number, a text of negative length. It stops the run."""


class StateMismatch(StreamEngineError):
    """A saved state belongs to another query, schema or policy and can't be continued."""


class CorruptState(StreamEngineError):
    """A saved state can't be read. The text names the file."""
