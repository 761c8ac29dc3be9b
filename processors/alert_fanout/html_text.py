"""HTML in which a text can't be anything else: elements are made of texts, which are escaped, and of elements."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

_EMPTY = ("input", "meta")


class Html(str):
    """Text that is HTML already: only `element` and `together` make it."""

    __slots__ = ()


def element(tag: str, /, *inside: str, **attributes: str | bool | None) -> Html:
    """An element. Attributes that are None or False are left out; `class_` and `for_` lose their underscore."""
    written = "".join(_attribute(key.rstrip("_").replace("_", "-"), value) for key, value in attributes.items())
    return Html(f"<{tag}{written}>" if tag in _EMPTY else f"<{tag}{written}>{together(inside)}</{tag}>")


def together(parts: Iterable[str]) -> Html:
    """Parts one after another: elements as they are, texts escaped."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in parts))


def _attribute(name: str, value: str | bool | None) -> str:
    if value is None or value is False:
        return ""
    return f" {name}" if value is True else f' {name}="{escape(value)}"'
