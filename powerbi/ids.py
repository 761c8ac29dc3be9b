"""Identifiers that stay the same whenever something is rendered: by what a thing is called, never by chance."""

from __future__ import annotations

import uuid
from functools import cache

_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "https://roompulse/powerbi")


@cache
def stable_id(*names: str) -> str:
    """A GUID made of names from the whole to the part, such as a report, a page and a visual."""
    return str(uuid.uuid5(_NAMESPACE, "/".join(names)))


def stable_name(*names: str) -> str:
    """Twenty hexadecimal digits: how Power BI names pages and visuals."""
    return stable_id(*names).replace("-", "")[:20]
