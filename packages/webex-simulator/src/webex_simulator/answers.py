"""What the API answers with: bodies, errors in the documented shape, and the query parameters they are answers to."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from urllib.parse import parse_qsl

JSON = "application/json;charset=UTF-8"


@dataclass(frozen=True)
class Answer:
    """A response but for the headers every response has. `is_page` distinguishes pages of a listing from other answers."""

    status: int
    body: bytes
    headers: Mapping[str, str] = field(default_factory=dict)
    content_type: str = JSON
    is_page: bool = False


class ApiError(Exception):
    """A request the API refuses; `str()` is the message for the caller."""

    def __init__(self, status: int, message: str = "", headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message or HTTPStatus(status).phrase)
        self.status = status
        self.headers = headers or {}


class Dropped(Exception):
    """The connection is to be cut without an answer."""


class Query:
    """The query parameters of a request; a parameter given twice keeps all its values."""

    def __init__(self, text: str) -> None:
        self.pairs = parse_qsl(text, keep_blank_values=True)

    def get(self, name: str) -> str | None:
        """The last value of a parameter, None when it is absent."""
        return next((value for key, value in reversed(self.pairs) if key == name), None)

    def all(self, name: str) -> list[str]:
        """Every value of a parameter; commas separate values too."""
        return [part for key, value in self.pairs if key == name for part in value.split(",")]

    def required(self, name: str) -> str:
        """The value of a parameter that must be there; raises ApiError 400."""
        value = self.get(name)
        if not value:
            raise ApiError(400, f"The parameter {name} is missing.")
        return value

    def number(self, name: str, default: int, least: int) -> int:
        """A whole number not below `least`; raises ApiError 400."""
        value = self.get(name)
        if value is None:
            return default
        if not value.isdecimal() or int(value) < least:
            raise ApiError(400, f"The parameter {name} must be a whole number, at least {least}: {value!r}.")
        return int(value)

    def choice(self, name: str, choices: tuple[str, ...], default: str) -> str:
        """One of several words; raises ApiError 400."""
        value = self.get(name) or default
        if value not in choices:
            raise ApiError(400, f"The parameter {name} must be one of {', '.join(choices)}: {value!r}.")
        return value

    def flag(self, name: str) -> bool:
        """Whether a parameter is true."""
        return (self.get(name) or "false").lower() == "true"


def json_answer(document: object, status: int = 200) -> Answer:
    """A document as JSON."""
    return Answer(status, json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode())


def error_answer(error: ApiError, tracking_id: str) -> Answer:
    """An error in the documented shape."""
    message = str(error)
    document = {"message": message, "errors": [{"description": message}], "trackingId": tracking_id}
    return Answer(error.status, json.dumps(document).encode(), error.headers)
