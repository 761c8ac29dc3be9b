"""Faults of the API itself, when they are switched on: throttling, server errors, slowness, cut connections, corrupt pages."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from webex_simulator.answers import Answer, ApiError, Dropped
from webex_simulator.effects import Effects

RUBBISH_PAGE = b"<html><head><title>Sign in to the network</title></head><body>Accept the terms of use.</body></html>"
"""What a captive portal or a broken proxy puts in the place of an answer."""
BAD_RECORD = (
    b'{"id":12345,"displayName":["no text"],"connectionStatus":{},"errorCodes":"none","locationId":false,"lastSeen":"yesterday"}'
)
CORRUPTIONS = ("truncated", "html", "types")


def before_answering(effects: Effects, path: str, now: float) -> None:
    """Delay a request, cut its connection (Dropped) or refuse it (ApiError), as the effects in force demand."""
    slow = effects.of_kind("slow", now, path)
    if slow is not None:
        time.sleep(slow.values["latencySeconds"])
    if effects.use_up("drop", now, path):
        raise Dropped
    throttle = _struck(effects, "throttle", path, now)
    if throttle is not None:
        retry_after = throttle["retryAfter"]
        headers = {"Retry-After": retry_after} if retry_after else {}
        raise ApiError(429, "Rate limit has been exceeded. Please try again later.", headers)
    failure = _struck(effects, "fail", path, now)
    if failure is not None:
        raise ApiError(failure["status"])


def _struck(effects: Effects, kind: str, path: str, now: float) -> dict[str, Any] | None:
    """The values of the effect of a kind that a request meets, which has one fewer left where they are counted."""
    effect = effects.of_kind(kind, now, path)
    if effect is not None and "left" in effect.values:
        effects.use_up(kind, now, path)
    return effect.values if effect is not None else None


def corrupted(answer: Answer, effects: Effects, path: str, now: float) -> Answer:
    """A page of a listing as it leaves: corrupt while corrupt pages are left, in turn in each way when none was chosen."""
    corruption = effects.of_kind("corrupt", now, path)
    if corruption is None or not answer.is_page:
        return answer
    left = effects.use_up("corrupt", now, path)
    how = corruption.values["how"] or CORRUPTIONS[(corruption.values["pages"] - left) % len(CORRUPTIONS)]
    if how == "truncated":
        return replace(answer, body=answer.body[: len(answer.body) * 2 // 3])
    if how == "html":
        return replace(answer, body=RUBBISH_PAGE, content_type="text/html")
    start = answer.body.index(b"[") + 1
    comma = b"," if answer.body[start : start + 1] != b"]" else b""
    return replace(answer, body=answer.body[:start] + BAD_RECORD + comma + answer.body[start:])
