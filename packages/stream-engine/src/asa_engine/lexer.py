"""Splits a query text into tokens that know their place."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass

from asa_engine.errors import FaultFound, Position

_TOKEN = re.compile(
    r"""
    (?P<space>\s+ | --[^\n]* | /\*.*?\*/)
  | (?P<number>(?:\d+\.\d*|\.\d+|\d+)(?:[eE][+-]?\d+)?)
  | (?P<text>N?'(?:[^']|'')*')
  | (?P<bracketed>\[(?:[^\]]|\]\])*\])
  | (?P<quoted>"(?:[^"]|"")*")
  | (?P<word>[^\W\d][\w$\#@]*)
  | (?P<operator><>|!=|<=|>=|!<|!>|/(?!\*)|[-+*%=<>(),.;&|^~])
    """,
    re.VERBOSE | re.DOTALL,
)

_TYPOGRAPHIC = {"\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2013": "-", "\u2014": "-"}


@dataclass(frozen=True)
class Token:
    """A piece of the text. `kind` is number, text, name (quoted identifier), word, operator or end.

    `value` is the text without quotes; words keep their spelling, `upper` is what keywords are compared with.
    """

    kind: str
    value: str
    position: Position

    @functools.cached_property
    def upper(self) -> str:
        """The token as a keyword or operator; empty for texts and quoted names, which are never keywords."""
        return self.value.upper() if self.kind in ("word", "operator") else ""


def tokens_of(source: str) -> list[Token]:
    """The tokens of a query text, closed by an `end` token. Raises FaultFound for what is not a token."""
    found: list[Token] = []
    offset, line, line_start = 0, 1, 0
    while offset < len(source):
        match = _TOKEN.match(source, offset)
        position = Position(line, offset - line_start + 1)
        if match is None or match.lastgroup is None:
            raise _unreadable(source, offset, position)
        text = match.group()
        if match.lastgroup != "space":
            found.append(_token(match.lastgroup, text, position))
        if newlines := text.count("\n"):
            line += newlines
            line_start = offset + text.rindex("\n") + 1
        offset = match.end()
    found.append(Token("end", "", Position(line, offset - line_start + 1)))
    return found


def _token(group: str, text: str, position: Position) -> Token:
    if group == "text":
        return Token("text", text[text.index("'") + 1 : -1].replace("''", "'"), position)
    if group == "bracketed":
        return Token("name", text[1:-1].replace("]]", "]"), position)
    if group == "quoted":
        return Token("name", text[1:-1].replace('""', '"'), position)
    return Token(group, text, position)


def _unreadable(source: str, offset: int, position: Position) -> FaultFound:
    character = source[offset]
    if character == "'":
        return FaultFound(position, "This text has no closing quote.", "Write two quotes ('') for a quote inside a text.")
    if source.startswith("/*", offset):
        return FaultFound(position, "This comment has no end.", "Close it with */.")
    plain = _TYPOGRAPHIC.get(character)
    advice = f"Write {plain} instead: this is what a word processor makes of it." if plain else ""
    return FaultFound(position, f"Unexpected character {character!r}.", advice)
