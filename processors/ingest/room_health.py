"""What Webex itself says of a room's health: how bad it is, since when, and what it recommends. Read with the workspaces anyway.

No real answer has been seen (docs/unproven.md): the specification writes a level as an object (`{"Members": "error"}`), its text
says one word. Both are read.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from processors.timestamps import format_time, parse_time

MOST_ISSUES = 10
"""More of one room are not sent: what is wrong with it is clear by then."""
_LEVELS = frozenset({"error", "warning", "info", "ok"})


class RoomIssue(NamedTuple):
    """An issue of a room in Webex's words. What is not reported is None; `since` is when Webex noticed it."""

    level: str | None
    title: str | None
    description: str | None
    recommended_action: str | None
    since: str | None


class RoomHealth(NamedTuple):
    """The health of a room: its level (error, warning, info, ok) and the issues it comes from."""

    level: str | None
    issues: tuple[RoomIssue, ...]


def read_health(value: object, text: Callable[[Mapping[str, Any], str], str | None], note: Callable[[str], object]) -> RoomHealth:
    """The `health` of a workspace; `text` reads a field of an object, `note` hears of the kind of what is not a health."""
    if not isinstance(value, Mapping):
        if value not in (None, ""):
            note("no object")
        return NO_HEALTH
    listed = value.get("issues")
    if listed is not None and not isinstance(listed, list):
        note("issues that are not a list")
    issues = [one for one in listed if isinstance(one, Mapping)] if isinstance(listed, list) else []
    return RoomHealth(_level(value.get("level")), tuple(_issue(one, text) for one in issues[:MOST_ISSUES]))


NO_HEALTH = RoomHealth(None, ())


def reported(health: RoomHealth) -> dict[str, Any] | None:
    """The health as observations carry it; None when nothing is known."""
    if health == NO_HEALTH:
        return None
    issues = [{name: value for name, value in zip(_NAMES, issue, strict=True) if value is not None} for issue in health.issues]
    return ({"level": health.level} if health.level else {}) | {"issues": issues}


_NAMES = ("level", "title", "description", "recommendedAction", "since")


def _issue(fields: Mapping[str, Any], text: Callable[[Mapping[str, Any], str], str | None]) -> RoomIssue:
    since = parse_time(fields.get("createdAt"))
    return RoomIssue(
        level=_level(fields.get("level")),
        title=text(fields, "title"),
        description=text(fields, "description"),
        recommended_action=text(fields, "recommendedAction"),
        since=format_time(since) if since else None,
    )


def _level(value: object) -> str | None:
    word = value.get("Members") if isinstance(value, Mapping) else value
    return word if isinstance(word, str) and word in _LEVELS else None
