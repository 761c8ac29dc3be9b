"""Questions to Azure's REST APIs: each is answered with a JSON object, or with why it was not.

Plain HTTP with an Entra token, once per question: who asks decides whether an answer that is missing ends anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any
from urllib.parse import urlsplit

import requests

from infra.providers.base import error_of
from processors.contracts.http_session import Session

MANAGEMENT = "https://management.azure.com"
PAGES = 50
TIMEOUT_SECONDS = 30

Token = Callable[[str], str]
"""Gives an Entra token for a scope."""


class Unanswered(Exception):
    """A question got no answer. The text says who was asked and what came back.

    `status` is the HTTP status (None: nobody answered), `code` Azure's error code.
    """

    def __init__(self, text: str, status: int | None = None, code: str = "") -> None:
        super().__init__(text)
        self.status = status
        self.code = code


class AzureRest:
    """Asks whatever address it is given, with a token for the service that it names."""

    def __init__(self, token: Token) -> None:
        self._token = token
        self._session = Session()

    def ask(self, method: str, address: str, audience: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The JSON object that answers; raises Unanswered. `audience` is the service the token is for."""
        host = urlsplit(address).hostname
        headers = {"Authorization": f"Bearer {self._token(f'{audience}/.default')}"}
        try:
            response = self._session.request(method, address, json=body, headers=headers, timeout=TIMEOUT_SECONDS)
        except requests.RequestException as fault:
            raise Unanswered(f"{host} can't be reached ({type(fault).__name__}): are you online, and is it public?") from fault
        if not response.ok:
            raise _refused(host, response)
        try:
            answer = response.json()
        except requests.exceptions.JSONDecodeError as fault:
            text = f"{host} answered with something that is not JSON: is a proxy in the way?"
            raise Unanswered(text, response.status_code) from fault
        if not isinstance(answer, dict):
            raise Unanswered(f"{host} answered with something that is not a JSON object.", response.status_code)
        return answer

    def items(self, address: str, audience: str) -> Iterator[dict[str, Any]]:
        """The entries of a list, from all its pages; raises Unanswered, also where a list leads to another host or never ends."""
        following: Any = address
        for _ in range(PAGES):
            page = self.ask("GET", str(following), audience)
            listed = page.get("value")
            if not isinstance(listed, list) or not all(isinstance(item, dict) for item in listed):
                raise Unanswered(f"{urlsplit(address).path} is a list, and the answer has no entries in `value`.")
            yield from listed
            following = page.get("nextLink")
            if not following:
                return
            if urlsplit(str(following)).netloc != urlsplit(address).netloc:
                raise Unanswered(f"The list {urlsplit(address).path} continues at another host ({following}): not followed.")
        raise Unanswered(f"The list {urlsplit(address).path} has no end: more than {PAGES} pages.")


def _refused(host: str | None, response: requests.Response) -> Unanswered:
    code, message = error_of(response)
    wait = response.headers.get("Retry-After")
    asks = f" It asks to wait {wait} s." if wait else ""
    return Unanswered(f"{host} answered {response.status_code} ({code}): {message}{asks}", response.status_code, code)
