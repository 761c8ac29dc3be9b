"""The Webex client: follows the server's pages to the end, survives a bad day of the API, and never waits without bound."""

from __future__ import annotations

import gzip
import json
import logging
import time
import zlib
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from processors.contracts.http_session import Session
from processors.ingest import webex_client
from processors.ingest.gunzip import Unpacked
from processors.ingest.token_bucket import RequestRates
from processors.ingest.webex_client import (
    Deadline,
    DeadlinePassed,
    NotPermitted,
    Throttled,
    TokenError,
    Unavailable,
    WebexClient,
    pause_seconds,
)
from tests.support.misbehaving import answering, misbehaving
from tests.support.scripted_webex import FAST, TRACKING_ID, Answer, OneToken, ScriptedWebex, device, error
from tests.support.shared_data import shared_data


@pytest.fixture
def client(webex: ScriptedWebex) -> WebexClient:
    return WebexClient(webex.base, OneToken(), FAST)


def listed(client: WebexClient, page_size: int = 1000, seconds: float = 10) -> list[str]:
    """The ids of all devices."""
    return [item["id"] for page in client.pages("/devices", {}, page_size, Deadline(seconds)) for item in page.items]


class TestPaging:
    def test_follows_next_links_although_the_server_caps_pages_below_what_was_asked(
        self, webex: ScriptedWebex, client: WebexClient
    ) -> None:
        webex.listings["/devices"] = [device(n) for n in range(7)]
        webex.page_cap = 3
        assert listed(client) == [f"device-{n}" for n in range(7)]
        assert [request.params.get("start") for request in webex.asked("/devices")] == [None, "3", "6"]

    def test_an_empty_page_in_the_middle_is_not_the_end(self, webex: ScriptedWebex, client: WebexClient) -> None:
        webex.listings["/devices"] = [device(1)]
        empty = Answer(headers={"Link": f'<{webex.base}/devices?start=0&max=5>; rel="next"'})
        webex.faults["/devices"] = [empty]
        assert listed(client) == ["device-1"]

    def test_links_of_other_relations_are_not_followed(self, webex: ScriptedWebex, client: WebexClient) -> None:
        webex.faults["/devices"] = [Answer(headers={"Link": f'<{webex.base}/devices?start=9>; rel="prev"'})]
        assert listed(client) == []
        assert len(webex.requests) == 1

    def test_a_relative_next_link_works(self, webex: ScriptedWebex, client: WebexClient) -> None:
        webex.listings["/devices"] = [device(1)]
        webex.faults["/devices"] = [Answer(headers={"Link": '</v1/devices?start=0>; rel="next"'})]
        assert listed(client) == ["device-1"]

    def test_links_that_go_in_a_circle_end(self, webex: ScriptedWebex, client: WebexClient) -> None:
        webex.always["/devices"] = Answer(headers={"Link": f'<{webex.base}/devices?start=1>; rel="next"'})
        with pytest.raises(Unavailable, match="circle"):
            listed(client)

    def test_the_token_is_not_sent_to_another_host(self, webex: ScriptedWebex, client: WebexClient) -> None:
        webex.faults["/devices"] = [Answer(headers={"Link": '<http://127.0.0.1:9/v1/devices?start=1>; rel="next"'})]
        with pytest.raises(Unavailable, match="another host"):
            listed(client)

    @pytest.mark.parametrize("broken", ["{next}", "<{next}", '<{next}>; rel="next', '<{next}>; rel="next" x'])
    def test_a_link_header_that_can_not_be_parsed_is_told_after_its_page(
        self, webex: ScriptedWebex, client: WebexClient, broken: str
    ) -> None:
        webex.listings["/devices"] = [device(1), device(2)]
        header = broken.format(next=f"{webex.base}/devices?start=1")
        webex.faults["/devices"] = [Answer(body=json.dumps({"items": [device(1)]}).encode(), headers={"Link": header})]
        pages = client.pages("/devices", {}, 1000, Deadline(10))
        assert [item["id"] for item in next(pages).items] == ["device-1"]
        with pytest.raises(Unavailable, match="Link header can't be understood"):
            next(pages)

    def test_a_next_link_without_our_parameters_and_with_some_of_no_value_asks_as_we_do(
        self, webex: ScriptedWebex, client: WebexClient
    ) -> None:
        webex.listings["/workspaces"] = [{"id": n} for n in "abc"]
        link = f'<{webex.base}/workspaces?max=null&start=1>; rel="next"'
        webex.faults["/workspaces"] = [Answer(body=b'{"items": [{"id": "a"}]}', headers={"Link": link})]
        pages = client.pages("/workspaces", {"includeCapabilities": "true"}, 50, Deadline(10))
        assert [item["id"] for page in pages for item in page.items] == ["a", "b", "c"]
        assert webex.requests[1].params == {"start": "1", "includeCapabilities": "true", "max": "50"}

    def test_several_link_headers_are_one(self, webex: ScriptedWebex, client: WebexClient) -> None:
        webex.listings["/devices"] = [device(1)]
        links = f'<{webex.base}/devices?start=9>; rel="prev", <{webex.base}/devices?start=0>; title="a=b"; rel="last next"'
        webex.faults["/devices"] = [Answer(headers={"Link": links})]
        assert listed(client) == ["device-1"]

    @pytest.mark.parametrize("page", [1, 2])
    def test_a_full_page_without_a_next_link_is_looked_behind(self, webex: ScriptedWebex, client: WebexClient, page: int) -> None:
        webex.listings["/devices"] = [device(n) for n in range(7)]
        rows, size = webex.listings["/devices"][: 3 * page], 3
        cut = Answer(body=json.dumps({"items": rows[-3:]}).encode())
        webex.page_cap = size
        webex.faults["/devices"] = [*[None] * (page - 1), cut]
        seen: list[str] = []
        with pytest.raises(Unavailable, match=rf"row {len(rows)} ended a full page without a next link"):
            for one in client.pages("/devices", {}, size, Deadline(10)):
                seen += [item["id"] for item in one.items]
        assert list(dict.fromkeys(seen)) == [f"device-{n}" for n in range(7)]

    @pytest.mark.parametrize("status", [302, 401, 403, 451])
    def test_whoever_lets_nobody_look_behind_a_full_page_has_not_said_that_it_is_the_last(
        self, webex: ScriptedWebex, client: WebexClient, status: int
    ) -> None:
        webex.page_cap = 2
        webex.listings["/devices"] = [device(n) for n in range(4)]
        webex.faults["/devices"] = [None, None, error(status), error(status)]
        with pytest.raises(NotPermitted, match=f"{status}"):
            listed(client)

    @pytest.mark.parametrize("behind", [None, error(400), error(404)])
    def test_a_full_page_may_be_the_last_one(self, webex: ScriptedWebex, client: WebexClient, behind: Answer | None) -> None:
        webex.listings["/devices"] = [device(n) for n in range(6)]
        webex.page_cap = 3
        webex.faults["/devices"] = [None, None, behind]
        assert listed(client, page_size=3) == [f"device-{n}" for n in range(6)]

    def test_a_server_that_knows_no_offsets_has_no_more_rows(self, webex: ScriptedWebex, client: WebexClient) -> None:
        webex.always["/devices"] = Answer(body=json.dumps({"items": [device(1), device(2)]}).encode())
        assert listed(client, page_size=2) == ["device-1", "device-2"] * 2
        assert len(webex.requests) == 2

    def test_pages_without_news_and_without_end_are_left(self, webex: ScriptedWebex, client: WebexClient) -> None:
        links = [f'<{webex.base}/devices?start={n}>; rel="next"' for n in range(100)]
        webex.faults["/devices"] = [Answer(headers={"Link": link}) for link in links]
        with pytest.raises(Unavailable, match="10 pages in a row listed nothing new"):
            listed(client)
        assert len(webex.requests) == 10

    def test_a_504_halves_the_page_and_goes_on_from_the_same_place(self, webex: ScriptedWebex, client: WebexClient) -> None:
        webex.listings["/devices"] = [device(n) for n in range(100)]
        webex.faults["/devices"] = [None, error(504)]
        webex.page_cap = 40
        assert len(set(listed(client, page_size=80))) == 100
        sizes = [(request.params.get("start"), request.params["max"]) for request in webex.asked("/devices")]
        assert sizes[:3] == [(None, "80"), ("40", "40"), ("40", "25")]

    def test_what_was_too_large_once_is_not_asked_for_again(self, webex: ScriptedWebex, client: WebexClient) -> None:
        webex.listings["/devices"] = [device(1)]
        webex.faults["/devices"] = [error(504)]
        listed(client, page_size=100)
        listed(client, page_size=100)
        assert [request.params["max"] for request in webex.asked("/devices")] == ["100", "50", "50"]

    def test_the_documented_example_is_understood(self, webex: ScriptedWebex, client: WebexClient) -> None:
        body = shared_data("webex/examples/devices.list.json").read_bytes()
        webex.faults["/devices"] = [Answer(body=body)]
        assert len(listed(client)) == len(json.loads(body)["items"])


class TestRetries:
    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    def test_a_5xx_is_tried_three_times(self, webex: ScriptedWebex, client: WebexClient, status: int) -> None:
        webex.listings["/devices"] = [device(1)]
        webex.faults["/devices"] = [error(status)] * 2
        assert listed(client) == ["device-1"]
        webex.faults["/devices"] = [error(status)] * 3
        with pytest.raises(Unavailable, match=rf"{status}, tracking id {TRACKING_ID}.*3 tries"):
            listed(client)

    @pytest.mark.parametrize(
        "rubbish",
        [
            pytest.param(Answer(body=b"<html>maintenance</html>"), id="html"),
            pytest.param(Answer(body=b'{"items": [{"id": "dev'), id="truncated JSON"),
            pytest.param(Answer(body=b""), id="nothing"),
            pytest.param(Answer(body=b'{"items": null}'), id="no items"),
            pytest.param(Answer(body=b"[1, 2]"), id="a list"),
            pytest.param(Answer(body=b"[" * 100_000), id="endless nesting"),
            pytest.param(Answer(body=b'{"items": []}' + b" " * 50_000, cut=20), id="reset in the middle of the body"),
            pytest.param(Answer(body=b"no gzip", headers={"Content-Encoding": "gzip"}, cut=7), id="broken gzip"),
        ],
    )
    def test_an_answer_that_is_no_list_is_tried_again(self, webex: ScriptedWebex, client: WebexClient, rubbish: Answer) -> None:
        webex.listings["/devices"] = [device(1)]
        webex.faults["/devices"] = [rubbish] * 2
        assert listed(client) == ["device-1"]
        webex.faults["/devices"] = [rubbish] * 3
        with pytest.raises(Unavailable):
            listed(client)

    @pytest.mark.parametrize("status", [206, 408, 421, 425])
    def test_a_status_that_passes_by_itself_is_tried_again(self, webex: ScriptedWebex, client: WebexClient, status: int) -> None:
        webex.listings["/devices"] = [device(1)]
        webex.faults["/devices"] = [Answer(status, b'{"items": [{"id": "part"}]}')] * 2
        assert listed(client) == ["device-1"]
        webex.always["/devices"] = error(status)
        with pytest.raises(Unavailable, match=f"{status}, tracking id {TRACKING_ID}"):
            client.get("/devices", {}, Deadline(5))

    def test_an_answer_that_a_proxy_has_passed_on_is_one(self, webex: ScriptedWebex, client: WebexClient) -> None:
        webex.always["/devices"] = Answer(203, b'{"items": [{"id": "device-1"}]}')
        assert listed(client) == ["device-1"]

    def test_a_silent_server_is_left_and_tried_again(
        self, webex: ScriptedWebex, client: WebexClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(webex_client, "READ_SECONDS", 0.1)
        webex.listings["/devices"] = [device(1)]
        webex.faults["/devices"] = [Answer(stall=1.0)]
        assert listed(client) == ["device-1"]

    def test_an_api_that_is_not_there_is_reported_with_its_address(self) -> None:
        with pytest.raises(Unavailable, match="/v1/devices"):
            listed(WebexClient("http://127.0.0.1:9/v1", OneToken(), FAST))

    @pytest.mark.parametrize(("status", "next_step"), [(403, "scopes"), (404, "WEBEX_API_BASE"), (400, "Cisco support")])
    def test_a_refusal_is_not_tried_again(self, webex: ScriptedWebex, client: WebexClient, status: int, next_step: str) -> None:
        webex.always["/devices"] = error(status)
        with pytest.raises(NotPermitted, match=f"{TRACKING_ID}.*{next_step}"):
            listed(client)
        assert len(webex.requests) == 1

    def test_every_error_is_logged_with_its_tracking_id_and_without_the_token(
        self, webex: ScriptedWebex, client: WebexClient, caplog: pytest.LogCaptureFixture
    ) -> None:
        webex.faults["/devices"] = [error(503)]
        with caplog.at_level(logging.DEBUG):
            listed(client)
        logged = [vars(record)["ids"] for record in caplog.records if record.name == "roompulse.ingest.webex"]
        assert [ids["trackingId"] for ids in logged] == [TRACKING_ID]
        assert "Bearer" not in caplog.text


class Renewing:
    """Tokens that are renewed one after the other."""

    def __init__(self, *tokens: str) -> None:
        self.tokens = list(tokens)
        self.rejected: list[str] = []

    def token(self) -> str:
        return self.tokens[0]

    def renew(self, rejected: str) -> str:
        self.rejected.append(rejected)
        if len(self.tokens) == 1:
            raise TokenError("there is no newer one")
        return self.tokens.pop(0) and self.tokens[0]


class TestToken:
    def test_a_401_renews_the_token_once(self, webex: ScriptedWebex) -> None:
        webex.listings["/devices"] = [device(1)]
        tokens = Renewing("expired", "token")
        assert listed(WebexClient(webex.base, tokens, FAST)) == ["device-1"]
        assert tokens.rejected == ["expired"]

    def test_a_renewed_token_that_is_refused_too_says_what_to_do(self, webex: ScriptedWebex) -> None:
        with pytest.raises(NotPermitted, match="authorise the Webex service app again"):
            listed(WebexClient(webex.base, OneToken("revoked"), FAST))
        assert len(webex.requests) == 2

    def test_a_source_without_a_newer_token_ends_it_after_one_request(self, webex: ScriptedWebex) -> None:
        with pytest.raises(TokenError):
            listed(WebexClient(webex.base, Renewing("expired"), FAST))
        assert len(webex.requests) == 1

    def test_a_token_that_runs_out_between_two_pages_is_renewed(self, webex: ScriptedWebex) -> None:
        webex.listings["/devices"] = [device(n) for n in range(4)]
        webex.page_cap = 2
        webex.faults["/devices"] = [None, error(401)]
        assert len(listed(WebexClient(webex.base, Renewing("token", "token"), FAST))) == 4

    def test_no_token_is_ever_logged(self, webex: ScriptedWebex, caplog: pytest.LogCaptureFixture) -> None:
        with caplog.at_level(logging.DEBUG), pytest.raises(TokenError):
            listed(WebexClient(webex.base, Renewing("very-secret"), FAST))
        assert "very-secret" not in caplog.text + str([vars(record) for record in caplog.records])


class TestThrottling:
    @pytest.mark.parametrize("status", [429, 423])
    def test_a_listing_pauses_as_told_and_then_goes_on(self, webex: ScriptedWebex, client: WebexClient, status: int) -> None:
        webex.listings["/devices"] = [device(1)]
        webex.faults["/devices"] = [error(status, Retry_After="1")]
        assert listed(client) == ["device-1"]
        first, second = webex.asked("/devices")
        assert second.at - first.at >= 1.0

    def test_a_pause_longer_than_the_poll_ends_the_poll_at_once_and_lasts_into_the_next(
        self, webex: ScriptedWebex, client: WebexClient
    ) -> None:
        webex.faults["/devices"] = [error(429, Retry_After="120")]
        began = time.monotonic()
        for _ in range(2):
            with pytest.raises(DeadlinePassed):
                listed(client, seconds=3)
        assert time.monotonic() - began < 60, "nobody waits for the 120 s"
        assert len(webex.requests) == 1

    @pytest.mark.parametrize(
        ("header", "seconds"),
        [
            ("17", 17),
            (" 2.5 ", 2.5),
            ("0", 1),
            ("-4", 1),
            ("86400", 300),
            ("inf", 300),
            (None, 15),
            ("", 15),
            ("nan", 15),
            ("rand(30),add(30)", 15),
            ("soon", 15),
        ],
    )
    def test_retry_after_in_all_the_forms_seen(self, header: str | None, seconds: float) -> None:
        assert pause_seconds(header, None) == seconds

    def test_retry_after_as_a_date_counts_from_the_date_of_the_answer(self) -> None:
        answered = datetime(2020, 1, 1, 12, tzinfo=UTC)
        until = format_datetime(answered + timedelta(seconds=40), usegmt=True)
        assert pause_seconds(until, format_datetime(answered, usegmt=True)) == 40
        assert pause_seconds(until, None) == 1

    def test_the_recorded_header_seen_in_the_wild(self) -> None:
        text = Path(shared_data("webex/examples/error.429.bad-retry-after.headers.txt")).read_text(encoding="utf-8")
        header = next(line.partition(":")[2] for line in text.splitlines() if line.lower().startswith("retry-after"))
        assert pause_seconds(header, None) == 15

    @given(st.text(), st.none() | st.text())
    def test_no_header_makes_us_wait_less_than_a_second_or_more_than_five_minutes(self, header: str, date: str | None) -> None:
        assert 1 <= pause_seconds(header, date) <= 300


LISTED = b'{"items": [{"id": "device-1"}]}'
PACKED = {
    "GZIP": gzip.compress(LISTED),
    "x-gzip": gzip.compress(LISTED),
    "gzip, identity": gzip.compress(LISTED),
    "deflate": zlib.compress(LISTED),
    "Identity": LISTED,
}


class TestWaysToWriteIt:
    @pytest.mark.parametrize("coding", PACKED)
    def test_a_body_may_be_packed_in_any_way_that_is_known_and_its_name_has_no_case(
        self, webex: ScriptedWebex, client: WebexClient, coding: str
    ) -> None:
        body = PACKED[coding]
        webex.always["/devices"] = Answer(body=body, headers={"Content-Encoding": coding}, cut=len(body))
        assert listed(client) == ["device-1"]

    @pytest.mark.parametrize("coding", ["br", "gzip, gzip"])
    def test_one_that_is_packed_otherwise_is_reported_as_such(
        self, webex: ScriptedWebex, client: WebexClient, coding: str
    ) -> None:
        webex.always["/devices"] = Answer(body=b"?", headers={"Content-Encoding": coding}, cut=1)
        with pytest.raises(Unavailable, match=f"packed as {coding}, which was not asked for: see that no proxy"):
            listed(client)

    @pytest.mark.parametrize("name", [b"Caf\xe9", b"Caf\t", b"\xf0\x9f\x98", b"a\x00b", b"a\nb"])
    def test_what_is_not_text_in_a_record_costs_no_other(self, webex: ScriptedWebex, client: WebexClient, name: bytes) -> None:
        body = b'{"items": [{"id": "device-1", "displayName": "%s"}, {"id": "device-2"}]}' % name
        webex.always["/devices"] = Answer(body=body)
        assert listed(client) == ["device-1", "device-2"]


class TestLargeAnswers:
    def test_an_answer_that_unpacks_to_more_than_there_is_room_for_is_left_and_asked_for_in_smaller_pages(
        self, webex: ScriptedWebex, client: WebexClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(webex_client, "LARGEST_ANSWER_BYTES", 90_000)
        webex.listings["/devices"] = [device(n) for n in range(300)]
        assert len(set(listed(client))) == 300
        assert [request.params["max"] for request in webex.requests][:3] == ["1000", "500", "250"]

    def test_one_that_is_not_packed_is_bounded_too(
        self, webex: ScriptedWebex, client: WebexClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(webex_client, "LARGEST_ANSWER_BYTES", 50_000)
        webex.always["/devices"] = Answer(body=b" " * 60_000, cut=60_000)
        with pytest.raises(Unavailable, match="larger than"):
            listed(client)

    def test_a_bomb_is_never_unpacked_whole(self) -> None:
        bomb = gzip.compress(b"0" * 50_000_000)
        assert len(Unpacked(1_000).more(bomb)) == 1_001

    @given(st.lists(st.binary(max_size=40), min_size=1, max_size=4), st.integers(1, 50))
    def test_any_gzip_in_any_portions_is_what_it_was(self, members: list[bytes], size: int) -> None:
        packed = b"".join(gzip.compress(member) for member in members)
        unpack = Unpacked(1_000_000)
        portions = [unpack.more(packed[at : at + size]) for at in range(0, len(packed), size)]
        unpack.end()
        assert b"".join(portions) == b"".join(members)


class TestSomethingInBetween:
    @pytest.mark.parametrize(
        ("answer", "reported"),
        [
            (error(302, Location="https://login.example.org/?to=webex"), "leads to login.example.org, such as a sign-in page"),
            (error(303, Location="http://10.0.0.1/portal"), "leads to 10.0.0.1"),
            (error(307), "sign-in page"),
            (error(407), "user and password into the address in HTTPS_PROXY"),
            (error(511), "sign-in page"),
        ],
    )
    def test_is_named_at_once_and_not_blamed_on_webex(
        self, webex: ScriptedWebex, client: WebexClient, answer: Answer, reported: str
    ) -> None:
        webex.always["/devices"] = answer
        with pytest.raises(NotPermitted, match=reported) as caught:
            listed(client)
        assert "Cisco" not in str(caught.value)
        assert len(webex.requests) == 1

    def test_a_page_with_status_200_is_named_too(self, webex: ScriptedWebex, client: WebexClient) -> None:
        webex.always["/devices"] = Answer(body=b"\n<!doctype html><title>Sign in</title>")
        with pytest.raises(Unavailable, match="sign-in page of the network"):
            listed(client)

    def test_an_authority_that_is_not_known_names_the_variable(
        self, client: WebexClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_arguments: object, **_options: object) -> None:
            raise requests.exceptions.SSLError("[SSL: CERTIFICATE_VERIFY_FAILED] unable to get local issuer certificate")

        monkeypatch.setattr(Session, "streamed", refuse)
        with pytest.raises(Unavailable, match="REQUESTS_CA_BUNDLE"):
            listed(client)


class TestRates:
    def test_requests_come_at_their_rate_after_the_burst(self, webex: ScriptedWebex) -> None:
        webex.listings["/devices"] = [device(n) for n in range(8)]
        webex.page_cap = 1
        began = time.monotonic()
        listed(WebexClient(webex.base, OneToken(), RequestRates(20, 4)))
        assert time.monotonic() - began >= 4 / 20 - 0.01
        assert len(webex.asked("/devices")) == 8

    def test_a_429_to_the_devices_halves_the_rate_of_the_whole_client(self, webex: ScriptedWebex) -> None:
        client = WebexClient(webex.base, OneToken(), RequestRates(100, 8))
        webex.faults["/devices"] = [error(429, Retry_After="1")]
        listed(client)
        assert client.endpoints.of("/devices").rate == pytest.approx(50, abs=1)
        assert client.endpoints.of("/workspaces").rate == pytest.approx(50, abs=1)
        assert client.throttled == 1

    @pytest.mark.parametrize("path", ["/workspaces", "/locations", "/workspaceMetrics", "/xapi/status"])
    def test_a_429_to_anything_else_slows_and_pauses_nothing_but_that(self, webex: ScriptedWebex, path: str) -> None:
        client = WebexClient(webex.base, OneToken(), RequestRates(100, 8, 100))
        webex.always[path] = error(429, Retry_After="200")
        with pytest.raises(Throttled):
            client.get(path, {}, Deadline(5))
        with pytest.raises(DeadlinePassed, match=rf"{path}.*Webex has asked \(429 or 423\) to be left alone for another 2\d\d s"):
            client.get(path, {}, Deadline(5))
        assert client.endpoints.of(path).rate == pytest.approx(50, abs=1)
        assert client.endpoints.of(path).within(5) == 0
        others = {"/devices", "/workspaces", "/locations", "/workspaceMetrics", "/xapi/status"} - {path}
        assert {round(client.endpoints.of(other).rate) for other in others} == {100}
        assert listed(client) == []
        assert len(webex.asked(path)) == 1

    def test_requests_that_do_not_fit_into_the_poll_are_not_made(self, webex: ScriptedWebex) -> None:
        webex.listings["/devices"] = [device(n) for n in range(8)]
        webex.page_cap = 1
        with pytest.raises(DeadlinePassed, match="used up"):
            listed(WebexClient(webex.base, OneToken(), RequestRates(0.5, 2)), seconds=1)
        assert len(webex.requests) == 2

    def test_devices_are_asked_at_their_own_rate(self, webex: ScriptedWebex) -> None:
        webex.statuses["device-1"] = {"Standby": {"State": "Off"}}
        client = WebexClient(webex.base, OneToken(), RequestRates(1e6, 1e6, 20, 2))
        began = time.monotonic()
        for _ in range(5):
            assert client.device_status("device-1", ("Standby.State", "RoomAnalytics.*"), Deadline(5)) == {
                "Standby": {"State": "Off"}
            }
        assert time.monotonic() - began >= 3 / 20 - 0.01
        assert len(webex.asked("/xapi/status")) == 5


class TestDeadline:
    @pytest.mark.parametrize("slow", [pytest.param(Answer(stall=5), id="silence"), pytest.param(Answer(drip=0.1), id="drip")])
    def test_a_question_of_a_slow_tier_is_given_up_long_before_the_poll(
        self, webex: ScriptedWebex, client: WebexClient, slow: Answer, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(webex_client, "ANSWER_SECONDS", 0.2)
        webex.always["/workspaceMetrics"] = slow
        with pytest.raises(Unavailable):
            client.get("/workspaceMetrics", {}, Deadline(60))

    @pytest.mark.parametrize("slow", [pytest.param(Answer(stall=5), id="silence"), pytest.param(Answer(drip=0.1), id="drip")])
    def test_a_server_that_takes_its_time_is_left_at_the_deadline(
        self, webex: ScriptedWebex, client: WebexClient, slow: Answer
    ) -> None:
        webex.always["/devices"] = slow
        began = time.monotonic()
        with pytest.raises(DeadlinePassed):
            listed(client, seconds=0.3)
        assert time.monotonic() - began < 4

    @pytest.mark.parametrize(
        "dripping", [b"HTTP/1.1 ", b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"]
    )
    def test_a_server_that_drips_what_comes_before_the_body_is_left_too(self, dripping: bytes) -> None:
        with misbehaving(answering(dripping, forever=b"0", pause=0.05)) as service:
            client = WebexClient(f"http://{service.address}/v1", OneToken(), FAST)
            began = time.monotonic()
            with pytest.raises(DeadlinePassed, match="its time in this poll is over in the middle of an answer"):
                listed(client, seconds=0.3)
            assert time.monotonic() - began < 2

    def test_retries_end_with_the_deadline(
        self, webex: ScriptedWebex, client: WebexClient, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(webex_client, "BACKOFF_SECONDS", 60)
        webex.always["/devices"] = error(503)
        with pytest.raises(DeadlinePassed, match=r"503.*its time in this poll is over before the next try") as fault:
            listed(client, seconds=2)
        assert "pause" not in str(fault.value) and "left alone" not in str(fault.value)


def test_connections_are_kept_alive_and_answers_are_compressed(webex: ScriptedWebex, client: WebexClient) -> None:
    webex.listings["/devices"] = [device(n) for n in range(5)]
    webex.page_cap = 1
    listed(client)
    assert client.requests_made == 5
    assert len(webex.connections) == 1
    assert all("gzip" in request.headers["accept-encoding"] for request in webex.requests)
