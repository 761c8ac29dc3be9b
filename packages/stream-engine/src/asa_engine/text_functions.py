"""The SQL of the text functions, each as its page of the Stream Analytics query language reference has it.

Positions count from 1. What the pages call an error stops the run. Every builder takes the SQL of its arguments and gives SQL.
"""

from __future__ import annotations

import re

from asa_engine.types import text_literal

_WHITE_SPACE = (
    "\t\n\v\f\r\x85 \u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u2028\u2029\u202f\u205f\u3000"
)
"""What TRIM, LTRIM and RTRIM take away, by their pages: not only spaces, as in T-SQL."""
_LONGEST = 2**31 - 1
"""No text is longer; DuckDB takes no larger number of characters."""
_PATTERN = re.compile(r"\[\^?[^\]]+\]|[^\[]", re.DOTALL)
"""A part of a pattern of LIKE: a set of characters, or a character."""
_RANGE = re.compile(".-.", re.DOTALL)
"""A range in a set of characters."""
_SINGLE_LINE, _REGARDLESS_OF_CASE = "s", "is"
"""Options of a regular expression: a dot is any character; capitals and small letters are the same."""


def trimmed(function: str, text: str) -> str:
    """`trim`, `ltrim` or `rtrim` of a text."""
    return f"{function}({text}, {text_literal(_WHITE_SPACE)})"


def length(text: str) -> str:
    """LEN: characters, blanks at the end not counted."""
    return f"length(rtrim({text}, ' '))"


def substring(text: str, start: str, count: str) -> str:
    """SUBSTRING: a start before the first character takes that many characters less."""
    from_first = _clipped(f"({_capped(start)} + {_clipped(count)} - 1)")
    return _of_length(
        "SUBSTRING",
        count,
        f"CASE WHEN {start} < 1 THEN substring({text}, 1, {from_first}) "
        f"ELSE substring({text}, {_capped(start)}, {_clipped(count)}) END",
    )


def left(text: str, count: str) -> str:
    """LEFT."""
    return _of_length("LEFT", count, f"left({text}, {_clipped(count)})")


def right(text: str, count: str) -> str:
    """RIGHT."""
    return _of_length("RIGHT", count, f"right({text}, {_clipped(count)})")


def stuff(text: str, start: str, count: str, inserted: str) -> str:
    """STUFF: nothing is left when it starts behind the last character; where a start before the first leads isn't said."""
    place = _capped(start)
    kept = f"substring({text}, 1, {place} - 1) || {inserted} || substring({text}, {place} + {_clipped(count)})"
    before = _error("STUFF from before the first character, which the documentation leaves open")
    return _of_length(
        "STUFF", count, f"CASE WHEN {start} < 1 THEN {before} WHEN {start} > length({text}) THEN '' ELSE {kept} END"
    )


def repeated(text: str, count: str) -> str:
    """REPLICATE and SPACE: NULL for a negative number."""
    return f"CASE WHEN {count} >= 0 THEN repeat({text}, {count}) END"


def translated(text: str, characters: str, translations: str) -> str:
    """TRANSLATE: every character once, by its place in `characters`."""
    differ = f"length({characters}) <> length({translations})"
    error = _error("TRANSLATE between lists of different lengths")
    return f"CASE WHEN {differ} THEN {error} ELSE translate({text}, {characters}, {translations}) END"


def character(code: str) -> str:
    """NCHAR: NULL outside of Unicode."""
    return f"CASE WHEN {code} BETWEEN 0 AND 1114111 THEN chr(CAST({code} AS INTEGER)) END"


def code(text: str) -> str:
    """UNICODE of the first character."""
    return f"CASE WHEN {text} <> '' THEN CAST(unicode({text}) AS BIGINT) END"


def position(sought: str, text: str, start: str = "1") -> str:
    """CHARINDEX from a start on; a start before the first character is the first."""
    begin = f"(CASE WHEN {start} < 1 THEN 1 ELSE {_capped(start)} END)"
    found = f"instr(substring({text}, {begin}), {sought})"
    return f"CAST(CASE WHEN {found} > 0 THEN {found} + {begin} - 1 ELSE {found} END AS BIGINT)"


def regular_position(text: str, pattern: str) -> str:
    """REGEXMATCH: where a regular expression matches first, regardless of case, 0 where it doesn't."""
    return _first_match(text, f"'(?:' || {pattern} || ')'", _REGARDLESS_OF_CASE)


def is_pattern(pattern: str) -> bool:
    """Whether every set of characters in a pattern of LIKE has an end."""
    return "[" not in _PATTERN.sub("", pattern)


def backward_range(pattern: str) -> str | None:
    """The first range of characters in a pattern of LIKE that ends before it begins, such as c-a."""
    sets = (match.group()[1:-1].removeprefix("^") for match in _PATTERN.finditer(pattern) if len(match.group()) > 1)
    ranges = (found for characters in sets for found in _RANGE.findall(characters))
    return next((found for found in ranges if found[0] > found[2]), None)


def matches_pattern(text: str, pattern: str) -> str:
    """LIKE with a pattern written in the query."""
    return f"regexp_full_match({text}, {text_literal(_regular(pattern))}, '{_SINGLE_LINE}')"


def _regular(pattern: str) -> str:
    """A pattern of LIKE as a regular expression: %, _, [a-f] and [^a-f]."""
    return "".join(_regular_part(match.group()) for match in _PATTERN.finditer(pattern))


def _regular_part(part: str) -> str:
    if len(part) == 1:
        return {"%": ".*", "_": "."}.get(part, re.escape(part))
    characters = part[1:-1].replace("\\", "\\\\").replace("[", "\\[")
    return f"[{characters}]"


def pattern_position(text: str, pattern: str) -> str:
    """PATINDEX of a pattern written in the query as for LIKE: where it matches first, 0 where it doesn't."""
    starts, ends = not pattern.startswith("%"), not pattern.endswith("%")
    inner = pattern.removeprefix("%").removesuffix("%")
    regular = _regular(inner)
    return _first_match(text, text_literal(regular + ("$" if ends else "")), _SINGLE_LINE, anchored=starts)


def _first_match(text: str, regular: str, options: str, anchored: bool = False) -> str:
    """The position of the first match: what comes before it is as short as can be."""
    before = f"'^({'' if anchored else '.*?'})' || {regular}"
    return (
        f"CAST(CASE WHEN regexp_matches({text}, {before}, '{options}') "
        f"THEN length(regexp_extract({text}, {before}, 1, '{options}')) + 1 "
        f"WHEN {text} IS NOT NULL AND {regular} IS NOT NULL THEN 0 END AS BIGINT)"
    )


def _of_length(function: str, count: str, result: str) -> str:
    """What a function gives that takes a length: an error for a negative one."""
    return f"CASE WHEN {count} < 0 THEN {_error(f'{function} with a negative length')} ELSE {result} END"


def _capped(number: str) -> str:
    """No more than the longest text has characters; NULL stays NULL, which `least` would leave out."""
    return f"(CASE WHEN {number} > {_LONGEST} THEN {_LONGEST} ELSE {number} END)"


def _clipped(number: str) -> str:
    """The same, and not less than none."""
    return f"(CASE WHEN {number} < 0 THEN 0 WHEN {number} > {_LONGEST} THEN {_LONGEST} ELSE {number} END)"


def _error(what: str) -> str:
    return f"error({text_literal(what)})"
