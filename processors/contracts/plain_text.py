"""Names as text. Whatever Webex names is somebody else's: one line that people can read, and never markup, code or a second line.

What a text may not be is said here. What a surface would take for markup is left to the surface, which writes into fields that
have no markup rather than escape it (decision 0415).
"""

from __future__ import annotations

import unicodedata

NAME_LIMIT = 100
"""The longest name that is shown: what ServiceNow takes of one, and more than Control Hub's lists show."""
_JOINERS = "\u200c\u200d"
"""Invisible, and needed: by Persian and by the scripts of India, and by emoji made of several."""
MOST_MARKS = 8
"""More marks on one letter than any script writes; hundreds of them cover the lines above and below."""


def one_line(text: str, limit: int | None = None) -> str:
    """`text` without what breaks a line or can't be seen (control characters, marks of direction, zero widths), white space
    taken together; what is longer than `limit` ends in an ellipsis.
    """
    if not text.isprintable():
        text = "".join(map(_seen, text))
    text = _unstacked(" ".join(text.split()))
    return text if limit is None or len(text) <= limit else f"{text[: limit - 1].rstrip()}…"


def visible(text: str) -> str:
    """`text` without what can't be seen, its lines and spaces as they are. A terminal takes control characters for orders."""
    return "".join(character if character in "\n\t" else _seen(character) for character in text)


def name_of(text: str | None) -> str:
    """A name as it is shown; empty where there is none."""
    return one_line(text, NAME_LIMIT) if text else ""


def unseen(text: str) -> str:
    """What `text` holds that a name that people read may not, as a sentence's object; empty where it holds nothing of it."""
    for character in () if text.isascii() and text.isprintable() else text:
        if _seen(character) != character:
            return f"U+{ord(character):04X} {unicodedata.name(character, 'a control character')}"
    return f"more than {MOST_MARKS} marks on one letter" if _unstacked(text) != text else ""


def _unstacked(text: str) -> str:
    """`text` with MOST_MARKS marks on a letter at most."""
    if text.isascii():
        return text
    kept, marks = [], 0
    for character in text:
        marks = marks + 1 if unicodedata.category(character) in ("Mn", "Me") else 0
        if marks <= MOST_MARKS:
            kept.append(character)
    return "".join(kept)


def _seen(character: str) -> str:
    category = unicodedata.category(character)
    if category in ("Cc", "Zl", "Zp"):
        return " "
    return "" if category in ("Cf", "Cs") and character not in _JOINERS else character
