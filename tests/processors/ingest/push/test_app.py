"""The integration's queue, as it answers when something is wrong with it: whether what it handed out may be lost."""

from __future__ import annotations

from typing import Any

import pytest

from processors.ingest.push import app as app_module
from processors.ingest.push.app import AnswerLost, App, Polled
from processors.ingest.push.trust import Trust
from processors.ingest.webex_client import WebexError
from tests.support.misbehaving import Behaviour, answering, closing, misbehaving
from tests.support.scripted_webex import OneToken

OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = b'{"messages": [{"type": "healthCheck", "deviceId": "Caf\xe9"}]}'


def polled_at(address: str) -> Polled:
    """What a poll of a queue at this address gives."""
    integration: Any = None
    return App(integration, OneToken(), Trust(f"http://{address}")).poll(f"http://{address}/queue")


def with_body(body: bytes, status: bytes = b"200 OK", more: bytes = b"") -> Behaviour:
    """Answers so, and hangs up."""
    return closing(b"HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s" % (status, more, len(body), body))


LOST: dict[str, Behaviour] = {
    "hangs up without an answer": closing(),
    "hangs up within the headers": closing(OK + b"Content-"),
    "hangs up within the body": closing(OK + b"Content-Length: 1000\r\n\r\n" + WHOLE),
    "drips": answering(OK + b"Content-Length: 1000\r\n\r\n", forever=b" ", pause=0.05),
    "half a JSON": with_body(WHOLE[:20]),
    "a list": with_body(b"[]"),
    "endless nesting": with_body(b"[" * 100_000),
    "no messages": with_body(b'{"messages": null}'),
    "broken gzip": with_body(WHOLE, more=b"Content-Encoding: gzip\r\n"),
}
NOT_LOST: dict[str, Behaviour] = {
    "an error": with_body(b"{}", b"503 No"),
    "throttled": with_body(b"{}", b"429 No"),
    "a sign-in page": with_body(b"", b"302 See there", b"Location: https://sign.in.example/\r\n"),
    "a sign-in page with 200": with_body(b"<!DOCTYPE html><title>Sign in</title>"),
    "gone": with_body(b"{}", b"404 No"),
}


@pytest.mark.parametrize("how", LOST)
def test_an_answer_that_breaks_may_have_held_messages(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(app_module, "HELD_SECONDS", 0.4)
    with misbehaving(LOST[how]) as queue, pytest.raises(AnswerLost):
        polled_at(queue.address)


@pytest.mark.parametrize("how", NOT_LOST)
def test_one_that_says_that_there_is_none_has_held_nothing(how: str) -> None:
    with misbehaving(NOT_LOST[how]) as queue, pytest.raises(WebexError) as fault:
        polled_at(queue.address)
    assert not isinstance(fault.value, AnswerLost)


def test_a_page_of_somebody_on_the_way_is_said_to_be_one() -> None:
    with misbehaving(NOT_LOST["a sign-in page with 200"]) as queue, pytest.raises(WebexError, match="let this machine through"):
        polled_at(queue.address)


def test_nor_has_a_queue_that_nobody_could_ask() -> None:
    with pytest.raises(WebexError) as fault:
        polled_at("127.0.0.1:9")
    assert not isinstance(fault.value, AnswerLost)


def test_bytes_that_are_not_text_cost_no_answer() -> None:
    with misbehaving(with_body(WHOLE)) as queue:
        assert polled_at(queue.address).messages == [{"type": "healthCheck", "deviceId": "Caf\udce9"}]


@pytest.mark.parametrize(("date", "seconds"), [("10:00:00", 45.0), ("13:00:00", 1.0)])
def test_a_pause_until_a_moment_counts_from_the_clock_of_whoever_asks_for_it(date: str, seconds: float) -> None:
    more = f"Date: Tue, 24 Nov 2015 {date} GMT\r\nRetry-After: Tue, 24 Nov 2015 10:00:45 GMT\r\n".encode()
    with misbehaving(with_body(b"{}", b"429 No", more)) as queue, pytest.raises(app_module.Paused) as fault:
        polled_at(queue.address)
    assert fault.value.seconds == seconds
