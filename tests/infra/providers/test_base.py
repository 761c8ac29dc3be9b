"""How patiently requests are made, and what an error tells."""

from __future__ import annotations

import time
from collections.abc import Iterator
from email.utils import formatdate

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from infra.providers import base
from infra.providers.base import AzureClient, AzureError, Patience, ProviderError, error_of, retry_after
from tests.infra.providers.fake_service import Answer, FakeService, Request, arm_error


class Echo(FakeService):
    """Answers 200 to everything."""

    def handle(self, request: Request) -> Answer:
        return Answer(200, {})


@pytest.fixture
def service() -> Iterator[Echo]:
    service = Echo()
    yield service
    service.close()


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The pauses made, in seconds, without making them."""
    made: list[float] = []
    monkeypatch.setattr("infra.providers.base.time.sleep", made.append)
    return made


def response(status: int = 200, body: str = "", **headers: str) -> requests.Response:
    made = requests.Response()
    made.status_code, made._content, made.reason = status, body.encode(), "Reason"
    made.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return made


def test_a_pause_is_what_the_service_asks_for_and_grows_where_it_does_not(service: Echo, pauses: list[float]) -> None:
    service.fail("GET", "/x", Answer(429, None, {"Retry-After": "17"}))
    service.fail("GET", "/x", Answer(503, None), times=3)
    AzureClient("job", service.url, lambda: "t").send("GET", "/x")
    assert pauses == [17, 2, 4, 8]


@pytest.mark.parametrize(
    ("asked", "expected"),
    [([600], [600]), ([600, 300], [600, 300]), ([600, 301], [600]), ([901], []), ([200, 200, 200], [200, 200, 200])],
)
def test_what_a_service_asks_to_wait_is_waited_whole_or_not_at_all(
    service: Echo, pauses: list[float], asked: list[int], expected: list[int]
) -> None:
    for seconds in asked:
        service.fail("GET", "/x", Answer(429, None, {"Retry-After": str(seconds)}))
    given_up = expected != asked
    response = AzureClient("job", service.url, lambda: "t").send("GET", "/x")
    assert (pauses, response.status_code == 429) == (expected, given_up)


def test_a_wait_that_is_too_long_is_told(service: Echo, pauses: list[float]) -> None:
    service.fail("GET", "/x", Answer(429, None, {"Retry-After": "3590"}))
    client = AzureClient("job", service.url, lambda: "t")
    with pytest.raises(AzureError, match="Next: run pulumi up again in 60 minutes, as it asks"):
        client.expect(client.send("GET", "/x"), "asking", 200)


def test_a_token_is_asked_for_at_each_try_because_it_may_expire_between_them(service: Echo, pauses: list[float]) -> None:
    tokens = iter(["first", "second"])
    service.fail("GET", "/x", Answer(503))
    AzureClient("job", service.url, lambda: next(tokens)).send("GET", "/x")
    assert [request.headers["Authorization"] for request in service.requests] == ["Bearer first", "Bearer second"]


def test_a_service_that_never_answers_is_an_error_that_names_it(pauses: list[float]) -> None:
    with pytest.raises(
        ProviderError, match=r"^job: 127\.0\.0\.1:9 does not answer \(ConnectionError\)\. Next: check the network"
    ):
        AzureClient("job", "http://127.0.0.1:9", lambda: "t").send("GET", "/x")
    assert sum(pauses) == base.REQUEST_PATIENCE_SECONDS


@given(st.lists(st.floats(0, 1000), max_size=50), st.floats(1, 1000))
def test_patience_never_waits_longer_than_it_has_and_always_ends(waits: list[float], seconds: float) -> None:
    made: list[float] = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("infra.providers.base.time.sleep", made.append)
        patience = Patience(seconds)
        went_on = [patience.wait(wait) for wait in [*waits, *[1.0] * 1001]]
    assert sum(made) <= seconds * (1 + 1e-9) and not went_on[-1]


@pytest.mark.parametrize(("text", "seconds"), [("12", 12), ("", 0), ("soon", 0), ("-3", 0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0)])
def test_what_the_service_says_about_waiting(text: str, seconds: int) -> None:
    assert retry_after(response(Retry_After=text)) == seconds


def test_waiting_until_a_date() -> None:
    assert 50 < retry_after(response(Retry_After=formatdate(time.time() + 60, usegmt=True))) <= 60


@pytest.mark.parametrize(
    ("body", "told"),
    [
        ('{"error": {"code": "C", "message": "M"}}', ("C", "M")),
        ('{"code": "C", "message": "M", "details": {"message": "M", "requestId": "r"}}', ("C", "M")),
        ('{"error": {"code": "C", "message": "M", "details": [{"code": "D", "message": "N"}, {"message": "M"}]}}', ("C", "M N")),
        ('{"error": "plain"}', ("Reason", "plain")),
        ('{"error": {"message": null}}', ("Reason", "")),
        ("[1]", ("Reason", "[1]")),
        ("<html>gateway</html>", ("Reason", "<html>gateway</html>")),
        ("", ("Reason", "")),
    ],
)
def test_errors_come_in_many_shapes(body: str, told: tuple[str, str]) -> None:
    assert error_of(response(400, body)) == told


@pytest.mark.parametrize(
    ("status", "code", "step"),
    [
        (401, "InvalidAuthenticationToken", "az login"),
        (403, "AuthorizationFailed", "missing role"),
        (409, "MissingSubscriptionRegistration", "az provider register"),
        (429, "TooManyRequests", "in a few minutes"),
        (400, "BadRequest", "fix what the message names"),
    ],
)
def test_an_error_names_the_resource_the_reason_the_correlation_and_the_next_step(
    service: Echo, status: int, code: str, step: str
) -> None:
    client = AzureClient("Stream Analytics job asa-1", service.url, lambda: "t")
    answer = arm_error(status, code, "The reason.")
    made = response(status, f'{{"error": {{"code": "{code}", "message": "The reason."}}}}', **answer.headers)
    text = str(client.failure(made, "starting the job"))
    reason = f"Stream Analytics job asa-1: starting the job failed: HTTP {status} {code}: The reason."
    assert text.startswith(f"{reason} Correlation id correlation-1. Next: ") and step in text
