"""The body of an answer of a service that speaks JSON, as it comes: in odd bytes, and from somebody else who speaks HTML."""

from __future__ import annotations

import json
from typing import Any

MOST_DIGITS = 300


def json_object(body: bytes) -> dict[str, Any] | None:
    """A body as a JSON object, None when it is none. Bytes that are not text, and control characters, are for whoever reads the
    record that they stand in (`records`): they must not cost the page.
    """
    try:
        text = body.decode(json.detect_encoding(body), "surrogateescape")
        document = json.loads(text, strict=False, parse_int=_whole_number)
    except (ValueError, RecursionError):
        return None
    return document if isinstance(document, dict) else None


def _whole_number(digits: str) -> float:
    """A whole number; one with so many digits that Python refuses it must not cost the page it stands on."""
    return int(digits) if len(digits) <= MOST_DIGITS else float(digits)


def is_page(body: bytes) -> bool:
    """Whether it is a page of HTML: somebody on the way answered."""
    return body.lstrip()[:1] == b"<"
