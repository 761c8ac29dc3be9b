"""The faults that every kind of channel has to bear, those too that nobody has thought of yet: a new kind is here unasked."""

from __future__ import annotations

import contextlib
import json
import logging
import socket
import threading
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from processors.alert_fanout import http_call
from processors.alert_fanout.channel_kind import Channel, ChannelKind, Example
from processors.alert_fanout.channel_kinds import CHANNEL_KINDS, channel_settings
from processors.alert_fanout.channels import azure_monitor
from processors.alert_fanout.delivery import DeliveryError
from processors.alert_fanout.notice import Notice
from processors.alert_fanout.secrets import secret_from, variable_of
from processors.contracts import http_session
from tests.processors.alert_fanout.messages import FIELDS, Names, notices
from tests.support.misbehaving import NOT_TAKING, TAKING, WELL, Behaviour, misbehaving

PATH = "/hook/secret-token"
"""What in an address is a secret."""
NOTICE = notices(Names())["open"]
CASES = {
    f"{kind.type}-{number}": (kind, number)
    for kind in CHANNEL_KINDS
    for number, _ in enumerate(kind.examples("https://example.com"))
}
ACTIONS = ("open", "update", "merge", "close")


@pytest.fixture(autouse=True)
def _no_identity(monkeypatch: pytest.MonkeyPatch, standing_clock: Any) -> None:
    monkeypatch.setattr(azure_monitor, "_token_of", lambda client_id: lambda: "an-azure-token")


class Case:
    """An example of a kind, and how to have it at any address with any secrets."""

    def __init__(self, kind: ChannelKind, number: int, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.kind, self._number, self._folder, self._monkeypatch = kind, number, folder, monkeypatch
        self._opened: list[Channel] = []

    def example(self, url: str) -> Example:
        return self.kind.examples(url)[self._number]

    def at(self, url: str, **secrets: bytes) -> Channel:
        """The channel that notifies the service at `url`; its secrets come from files, those given as they are."""
        example, folder = self.example(url), self._folder / str(len(self._opened))
        folder.mkdir()
        for name, value in example.secrets.items():
            (folder / name).write_bytes(secrets.get(name, value.encode()))
        for name, value in example.environment.items():
            self._monkeypatch.setenv(name, value)
        channel = channel_settings(example.settings).open(secret_from({"SECRETS_FOLDER": str(folder)}))
        self._opened.append(channel)
        return channel

    def close(self) -> None:
        for channel in self._opened:
            channel.close()


@pytest.fixture(params=CASES)
def case(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Case]:
    made = Case(*CASES[request.param], tmp_path, monkeypatch)
    yield made
    made.close()


def refused(channel: Channel, notice: Notice = NOTICE) -> DeliveryError:
    """Why a channel did not take a notice: nothing else may come of it, and none of it may give the address away."""
    with pytest.raises(DeliveryError) as caught:
        channel.send(notice)
    assert "secret-token" not in str(caught.value)
    return caught.value


def test_there_is_a_case_of_every_kind_that_calls_somebody() -> None:
    assert {kind.type for kind, _ in CASES.values()} == {kind.type for kind in CHANNEL_KINDS} - {"inbox"}


NO_SUCCESS = (300, 302, 304, 307, 400, 401, 403, 404, 407, 408, 409, 410, 413, 418, 425, 429, 451, 500, 502, 503, 511, 599)


def test_a_status_of_no_success_says_whether_time_will_mend_it(case: Case, receiver: Any) -> None:
    channel = case.at(receiver.url)
    for status in NO_SUCCESS:
        receiver.always = status
        fault = refused(channel)
        assert f"status {status}" in str(fault)
        assert fault.refused is (400 <= status < 500 and status not in (401, 403, 407, 408, 409, 425, 429))
        assert not (fault.unusable or fault.taken)


def test_any_success_is_one(case: Case, receiver: Any) -> None:
    channel = case.at(receiver.url)
    for status in (200, 201, 202, 204):
        receiver.always = status
        channel.send(NOTICE)
    assert len(receiver.requests) == 4


def in_a_minute() -> str:
    return format_datetime(datetime.now(UTC) + timedelta(seconds=60), usegmt=True)


RETRY_AFTER: dict[str, tuple[float, float] | None] = {
    "7": (7, 7),
    "a date": (50, 61),
    "Thu, 01 Jan 1970 00:00:00 GMT": (1, 1),
    "-4": (1, 1),
    "86400": (900, 900),
    "1e999": (900, 900),
    "nan": None,
    "soon": None,
    "": None,
    "Thu, 99 Foo 99999 00:00:00 GMT": None,
}


def test_it_is_left_alone_for_as_long_as_it_asks_within_reason(case: Case, receiver: Any, answer: Any) -> None:
    channel = case.at(receiver.url)
    for header, wanted in RETRY_AFTER.items():
        receiver.always = answer(429, {"Retry-After": in_a_minute() if header == "a date" else header})
        pause = refused(channel).pause
        assert pause is None if wanted is None else pause is not None and wanted[0] <= pause <= wanted[1], header


def test_who_takes_it_and_goes_on_without_end_is_cut_short_and_not_notified_again(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    for behaviour, fault in faults_of(case, TAKING, monkeypatch).items():
        assert fault.taken and "took it" in str(fault), behaviour


def test_who_never_says_that_it_took_it_has_not(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    for behaviour, fault in faults_of(case, NOT_TAKING, monkeypatch).items():
        assert not (fault.taken or fault.unusable), behaviour


@pytest.mark.parametrize("behaviour", WELL)
def test_who_takes_it_in_a_way_that_is_seldom_seen_has_taken_it(case: Case, behaviour: str) -> None:
    with misbehaving(WELL[behaviour]) as service:
        case.at(f"http://{service.address}{PATH}").send(NOTICE)
        assert service.connections == 1


COMPLAINTS = {
    "no_service": "no_service",
    "channel_is_archived": "channel_is_archived",
    "Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429": "that the delivery failed",
    '{"status": "invalid event", "message": "Event object is invalid"}': "the status invalid event",
    '{"status": "failure secret-token", "error": {"message": "No"}}': "a status of failure",
    '{"error": {"message": "Requested URI does not represent any resource"}, "status": 200}': "an error",
    '{"ok": false}': "an error",
    '{"success": false, "code": 50001}': "an error",
    "<!DOCTYPE html><title>Your instance is hibernating</title>": "a web page: something else answered in its place",
    "\ufeff<html>Sign in</html>": "a web page: something else answered in its place",
}
"""What services say with a status of success, and what becomes of it."""
CONTENT = (
    "", "ok", "1", "null", "[]", "accepted", '{"status": "success"}', '{"id": "M", "roomId": "R", "errors": []}',
    '{"result": {"Default Bulk Endpoint": "1 events were inserted"}}', '{"error": null, "ok": true}', "Thank you, no errors.",
)  # fmt: skip
"""What they say when they took it."""


@pytest.mark.parametrize("said", COMPLAINTS)
def test_a_status_of_success_with_an_error_behind_it_is_none(case: Case, receiver: Any, answer: Any, said: str) -> None:
    receiver.always = answer(202, body=said.encode())
    channel = case.at(receiver.url)
    if _is_of_somebodys_own(case):
        channel.send(NOTICE)  # nobody knows what its words mean
        return
    fault = refused(channel)
    assert str(fault).endswith(f"answered with status 202 and {COMPLAINTS[said]}")
    assert not (fault.refused or fault.taken or fault.unusable)


def _is_of_somebodys_own(case: Case) -> bool:
    settings = case.example("https://example.com").settings
    return bool(settings["type"] == "webhook" and settings.get("template", "roompulse") == "roompulse")


def test_what_services_say_when_they_took_it_is_no_complaint(case: Case, receiver: Any, answer: Any) -> None:
    channel = case.at(receiver.url)
    for said in CONTENT:
        receiver.always = answer(200, body=said.encode())
        channel.send(NOTICE)
    assert len(receiver.requests) == len(CONTENT)


def test_an_address_that_is_dead_leaves_time_for_the_next(case: Case, receiver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A host with two addresses, the first of which takes no connection and refuses none."""
    dead = socket.socket()
    dead.bind(("127.0.0.1", 0))
    dead.listen(0)
    waiting = [socket.create_connection(dead.getsockname()) for _ in range(1)]
    real: Callable[..., Any] = socket.getaddrinfo
    monkeypatch.setattr(http_call, "CONNECT_SECONDS", 0.3)
    with contextlib.ExitStack() as stack:
        for one in (dead, *waiting):
            stack.enter_context(one)
        found = real(*dead.getsockname(), 0, socket.SOCK_STREAM)

        def both(*asked: Any, **how: Any) -> Any:
            return [*found, *real(*asked, **how)]

        monkeypatch.setattr(socket, "getaddrinfo", both)
        case.at(receiver.url).send(NOTICE)
    assert len(receiver.requests) == 1


def faults_of(case: Case, behaviours: dict[str, Behaviour], monkeypatch: pytest.MonkeyPatch) -> dict[str, DeliveryError]:
    """What becomes of a notice at services that behave so, all at once; none of them may take much memory, or two requests. The
    time of a request is over when every service has shown what it does with one.
    """
    with contextlib.ExitStack() as stack, ThreadPoolExecutor(len(behaviours)) as pool:
        services = [stack.enter_context(misbehaving(behaviour)) for behaviour in behaviours.values()]
        shows = [service.shows for service in services]
        monkeypatch.setattr(http_session, "_InTime", partial(_UntilShown, shows))
        monkeypatch.setattr(http_call, "ANSWER_SECONDS", 60.0)
        channels = [case.at(f"http://{service.address}{PATH}") for service in services]
        tracemalloc.start()
        stack.callback(tracemalloc.stop)
        found = list(pool.map(refused, channels))
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
        assert [service.connections for service in services] == [1] * len(services)
    return dict(zip(behaviours, found, strict=True))


class _UntilShown(http_session._InTime):
    """Ends when these events are set, as it does when its time is over."""

    def __init__(self, events: Sequence[threading.Event], *how: Any) -> None:
        super().__init__(*how)
        threading.Thread(target=self._end_when, args=(events,), daemon=True).start()

    def _end_when(self, events: Sequence[threading.Event]) -> None:
        for event in events:
            event.wait()
        self.end()


def test_a_service_without_tls_is_not_spoken_to_where_tls_is_wanted(case: Case, receiver: Any) -> None:
    fault = refused(case.at(receiver.url.replace("http://", "https://")))
    assert "TLS" in str(fault) and receiver.attempts == 0


@pytest.mark.parametrize(
    "address", ["http://a..b/x", "http://*.example.com/", "https://", "http://[::1", "https://exa mple.com", "ftp://a/b"]
)
def test_no_address_at_all_is_a_fault_of_the_channel_and_of_nobody_else(case: Case, address: str) -> None:
    refused(case.at(address))


SPOILT = {
    "a zero-width space": "\u200bsecret-token".encode(),
    "a line feed": b"secret\n-token",
    "a byte order mark inside": "secret\ufeff-token".encode(),
    "a non-UTF-8 byte": b"secret\xff-token",
    "a smart quote": "\u201csecret-token\u201d".encode(),
}


@pytest.mark.parametrize("spoilt", SPOILT)
def test_a_secret_that_was_spoilt_is_named_and_never_shown(case: Case, receiver: Any, spoilt: str) -> None:
    for name in case.example(receiver.url).secrets:
        channel = case.at(receiver.url, **{name: SPOILT[spoilt]})
        if spoilt == "a smart quote" and _may_be_any_text(channel):
            continue  # a password, or a signing key, which may have one
        fault = refused(channel)
        assert fault.unusable and f"the secret {name} " in str(fault)
        with pytest.raises(DeliveryError, match=f"the secret {name} "):
            channel.check()
    assert receiver.attempts == 0


def _may_be_any_text(channel: Channel) -> bool:
    try:
        channel.check()
    except DeliveryError:
        return False
    return True


def test_a_secret_that_is_missing_says_where_to_put_it(case: Case, receiver: Any) -> None:
    for name in case.example(receiver.url).secrets:
        fault = refused(case.at(receiver.url, **{name: b" \n"}))
        assert fault.unusable and variable_of(name) in str(fault)


def test_check_sends_nothing_and_finds_nothing_where_nothing_is_wrong(case: Case, receiver: Any) -> None:
    case.at(receiver.url).check()
    assert receiver.attempts == 0


@pytest.mark.parametrize("action", ACTIONS)
def test_a_repeat_is_the_same_request_so_that_it_can_be_seen_for_one(case: Case, receiver: Any, answer: Any, action: str) -> None:
    receiver.always = answer(body={"id": "MESSAGE", "roomId": "ROOM"})
    for _ in range(2):
        case.at(receiver.url).send(replace(NOTICE, action=action, ref="MESSAGE|ROOM"))
    assert len({_without_its_moment(request) for request in receiver.requests}) <= 1


def _without_its_moment(request: Any) -> tuple[str, str, str, str]:
    content = request.json[0] if isinstance(request.json, list) else request.json
    content.pop("TimeGenerated", None)
    return request.method, request.path, request.headers.get("Idempotency-Key", ""), json.dumps(content)


@pytest.mark.parametrize("field", FIELDS)
def test_a_name_is_never_markup(case: Case, receiver: Any, answer: Any, field: str) -> None:
    receiver.always = answer(body={"id": "MESSAGE", "roomId": "ROOM"})
    channel = case.at(receiver.url)
    for markup in case.kind.markup:
        for notice in notices(replace(Names(), **{field: f"a {markup}b"})).values():
            channel.send(notice)
    texts = [text for request in receiver.requests for text in _texts(request.json)]
    assert [text for text in texts for markup in case.kind.markup if markup in text] == []


def _texts(value: Any) -> Iterator[str]:
    if isinstance(value, dict | list):
        for inner in value.values() if isinstance(value, dict) else value:
            yield from _texts(inner)
    elif isinstance(value, str):
        yield value


def test_what_it_logs_gives_no_secret_away(case: Case, receiver: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, "processors"), caplog.at_level(logging.INFO):
        receiver.answers = [200, 500]
        channel = case.at(receiver.url)
        channel.send(NOTICE)
        refused(channel)
    shown = str([vars(record) for record in caplog.records])
    assert not any(value in shown for value in ("secret-token", *case.example(receiver.url).secrets.values()))
