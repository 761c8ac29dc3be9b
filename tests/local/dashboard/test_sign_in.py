"""Who may see the page: everybody on this machine, and from others whoever has signed in."""

from __future__ import annotations

import io
import stat
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
import requests
from hypothesis import given
from hypothesis import strategies as st

from cli import run as run_module
from cli.console import PlainConsole
from local.dashboard.guard import own_path
from local.dashboard.server import listen
from local.dashboard.sign_in import (
    ADDRESSES_KEPT,
    COOKIE,
    LONGEST_WAIT_SECONDS,
    SESSION_SECONDS,
    SignIn,
    TokenError,
    is_loopback,
    token_in,
)
from local.part import PartError
from local.run_settings import RunSettings
from tests.local.dashboard.page_under_test import PageUnderTest, page_under_test

TOKEN = "the-token-of-these-tests-1234"


class Moment:
    """A clock in the hand of a test."""

    def __init__(self) -> None:
        self.seconds = 1_000_000.0

    def __call__(self) -> float:
        return self.seconds


@pytest.fixture
def moment() -> Moment:
    return Moment()


@pytest.mark.parametrize(
    ("host", "loopback"),
    [
        ("127.0.0.1", True), ("127.8.9.1", True), ("::1", True), ("localhost", True), ("0.0.0.0", False), ("::", False),
        ("192.168.1.4", False), ("roompulse.example.com", False), ("", False), ("localhost.example.com", False),
    ],
)  # fmt: skip
def test_loopback_alone_needs_no_sign_in(host: str, loopback: bool) -> None:
    assert is_loopback(host) is loopback


class TestToken:
    def test_it_is_made_once_and_for_its_owner_only(self, tmp_path: Path) -> None:
        path = tmp_path / "page-token"
        token, is_new = token_in(path)
        assert (len(token) >= 32, is_new) == (True, True)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert token_in(path) == (token, False)

    @pytest.mark.parametrize("kept", [b"", b"short\n", b"\xff\xfe" * 20])
    def test_a_damaged_one_is_never_used(self, tmp_path: Path, kept: bytes) -> None:
        (tmp_path / "page-token").write_bytes(kept)
        with pytest.raises(TokenError, match=r"page-token .*delete the file"):
            token_in(tmp_path / "page-token")

    def test_a_folder_without_room_for_it_is_named(self, tmp_path: Path) -> None:
        with pytest.raises(TokenError, match=r"can't be kept in .*missing"):
            token_in(tmp_path / "missing" / "page-token")

    def test_it_is_shown_when_it_is_new_and_found_in_its_file_afterwards(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        output = io.StringIO()
        monkeypatch.setattr(run_module, "console", PlainConsole(file=output, width=300))
        settings = RunSettings(tmp_path, "dev", (), page_host="0.0.0.0", page_port=8090)
        run_module._say_who_can_see(settings)
        token, first = token_in(settings.page_token_path)[0], output.getvalue()
        assert token in first and f"{settings.page_url}." in first and "not encrypted" in first
        run_module._say_who_can_see(settings)
        again = output.getvalue().removeprefix(first)
        assert token not in again and "page-token" in again

    def test_on_loopback_nothing_is_said_and_none_is_made(self, tmp_path: Path) -> None:
        settings = RunSettings(tmp_path, "dev", ())
        run_module._say_who_can_see(settings)
        assert not settings.page_token_path.exists()


class TestCookie:
    def test_it_holds_for_its_time_and_after_a_restart(self, moment: Moment) -> None:
        cookie = SignIn(TOKEN, moment).attempt(f" {TOKEN}\n", "10.0.0.1").cookie
        assert SignIn(TOKEN, moment).knows(cookie)
        moment.seconds += SESSION_SECONDS - 1
        assert SignIn(TOKEN, moment).knows(cookie)
        moment.seconds += 1
        assert not SignIn(TOKEN, moment).knows(cookie)

    def test_another_token_signs_everybody_out(self, moment: Moment) -> None:
        cookie = SignIn(TOKEN, moment).attempt(TOKEN, "10.0.0.1").cookie
        assert not SignIn(TOKEN + "x", moment).knows(cookie)

    def test_it_does_not_hold_the_token(self, moment: Moment) -> None:
        assert TOKEN not in str(SignIn(TOKEN, moment).attempt(TOKEN, "10.0.0.1").cookie)

    @given(st.one_of(st.none(), st.text(max_size=90), st.from_regex(r"\d{1,12}\.[0-9a-f]{64}", fullmatch=True)))
    def test_nothing_else_is_taken_for_one(self, cookie: str | None) -> None:
        assert not SignIn(TOKEN).knows(cookie)

    def test_its_end_can_not_be_put_off(self, moment: Moment) -> None:
        end, _, signature = str(SignIn(TOKEN, moment).attempt(TOKEN, "10.0.0.1").cookie).partition(".")
        assert not SignIn(TOKEN, moment).knows(f"{int(end) + 1}.{signature}")


class TestGuessing:
    def test_each_failure_doubles_the_wait_in_which_nothing_is_looked_at(self, moment: Moment) -> None:
        sign_in = SignIn(TOKEN, moment)
        waits = []
        for _ in range(9):
            waits.append(sign_in.attempt("guess", "10.0.0.1").wait_seconds)
            assert sign_in.attempt(TOKEN, "10.0.0.1").cookie is None, "not even the token"
            moment.seconds += waits[-1]
        assert waits == [1, 2, 4, 8, 16, 32, LONGEST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, LONGEST_WAIT_SECONDS]
        assert sign_in.attempt(TOKEN, "10.0.0.1").cookie
        assert sign_in.attempt("guess", "10.0.0.1").wait_seconds == 1, "whoever has signed in begins anew"

    @pytest.mark.parametrize(("one", "other", "same"), [
        ("10.0.0.1", "10.0.0.2", False), ("2001:db8::1", "2001:db8::2:3", True), ("2001:db8::1", "2001:db8:0:1::1", False),
    ])  # fmt: skip
    def test_nobody_else_waits_for_it_but_who_shares_a_network_of_ipv6(
        self, moment: Moment, one: str, other: str, same: bool
    ) -> None:
        sign_in = SignIn(TOKEN, moment)
        sign_in.attempt("guess", one)
        assert (sign_in.attempt(TOKEN, other).cookie is None) is same

    def test_a_flood_of_addresses_takes_no_memory(self, moment: Moment) -> None:
        sign_in = SignIn(TOKEN, moment)
        for number in range(ADDRESSES_KEPT + 50):
            sign_in.attempt("guess", f"10.0.{number // 250}.{number % 250}")
        assert len(sign_in._failures) == ADDRESSES_KEPT

    @given(st.text(max_size=60))
    def test_any_text_may_be_tried(self, text: str) -> None:
        assert SignIn(TOKEN).attempt(text, text).cookie is None


@pytest.mark.parametrize("path", ["/", "/wall", "/rooms/a%2Fb?x=1", "/alerts?city=lyon&state=open"])
def test_a_sign_in_leads_back_to_where_one_wanted_to_go(path: str) -> None:
    assert own_path(path) == path


@pytest.mark.parametrize(
    "path",
    [
        "", "https://evil.example/", "//evil.example/", "/\\evil.example", "\\\\evil.example", "javascript:alert(1)",
        "/\t/evil.example", "/\n/evil.example", " //evil.example", "wall",
    ],
)  # fmt: skip
def test_a_sign_in_leads_nowhere_else(path: str) -> None:
    assert own_path(path) == "/"


@given(st.text(alphabet="/\\:.@?#%e \t\n\r", max_size=12))
def test_whatever_is_asked_for_stays_on_this_page(path: str) -> None:
    led = own_path(path)
    assert led[0] == "/" and led[1:2] not in ("/", "\\") and not urlsplit(led).netloc and led.isprintable()


@pytest.fixture(scope="module")
def open_page(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageUnderTest]:
    with page_under_test(tmp_path_factory.mktemp("open"), host="0.0.0.0") as running:
        yield running


@pytest.fixture
def token(open_page: PageUnderTest) -> str:
    return token_in(open_page.settings.page_token_path)[0]


PAGES = ["/", "/wall", "/alerts", "/cities/lyon", "/cities/nowhere", "/nowhere"]
FOR_PROGRAMS = ["/api/snapshot", "/api/alerts", "/api/cities/lyon", "/api/session", "/events", "/events?view=wall"]


class TestOpenPage:
    @pytest.mark.parametrize("path", PAGES)
    def test_whoever_has_not_signed_in_sees_the_form_only(self, open_page: PageUnderTest, path: str) -> None:
        answer = requests.get(open_page.url + path, timeout=30)
        assert (answer.status_code, "Sign in to RoomPulse" in answer.text) == (401, True)

    @pytest.mark.parametrize("path", FOR_PROGRAMS)
    def test_programs_are_told_to_sign_in(self, open_page: PageUnderTest, path: str) -> None:
        answer = requests.get(open_page.url + path, timeout=30)
        assert (answer.status_code, answer.json()) == (401, {"error": "sign in at /sign-in first"})

    @pytest.mark.parametrize("path", ["/healthz", "/static/css/page.css", "/sign-in"])
    def test_what_gives_nothing_away_is_open(self, open_page: PageUnderTest, path: str) -> None:
        assert requests.get(open_page.url + path, timeout=30).status_code == 200

    def test_the_token_opens_all_of_it(self, open_page: PageUnderTest, token: str) -> None:
        browser = requests.Session()
        answer = browser.post(f"{open_page.url}/sign-in", {"token": token, "next": "/wall"}, allow_redirects=False, timeout=30)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/wall")
        cookie = answer.headers["Set-Cookie"].lower()
        assert cookie.startswith(f"{COOKIE}=")
        assert all(part in cookie for part in ("httponly", "samesite=strict", "path=/"))
        assert "secure" not in cookie, "a browser would keep it back over http"
        assert token not in cookie
        for path in ("/", "/wall", "/api/snapshot", "/api/session"):
            seen = browser.get(open_page.url + path, timeout=30)
            assert seen.status_code in (200, 204)
            assert seen.headers["Cache-Control"] == "private, no-store"

    def test_a_form_of_another_site_is_refused(self, open_page: PageUnderTest, token: str) -> None:
        headers = {"Origin": "https://evil.example"}
        answer = requests.post(f"{open_page.url}/sign-in", {"token": token}, headers=headers, timeout=5, allow_redirects=False)
        assert (answer.status_code, "Set-Cookie" in answer.headers) == (403, False)

    def test_a_huge_form_is_not_read(self, tmp_path: Path) -> None:
        with page_under_test(tmp_path, host="0.0.0.0") as running:
            answer = requests.post(f"{running.url}/sign-in", {"token": "x" * 100_000}, timeout=30)
        assert answer.status_code == 429

    def test_a_wrong_token_says_how_long_to_wait_and_where_the_right_one_is(self, tmp_path: Path) -> None:
        with page_under_test(tmp_path, host="0.0.0.0") as running:
            answer = requests.post(f"{running.url}/sign-in", {"token": "guess"}, timeout=30)
            again = requests.post(f"{running.url}/sign-in", {"token": "guess"}, timeout=30)
        assert (answer.status_code, answer.headers["Retry-After"]) == (429, "1")
        assert "That is not the token. Try again in 1 s; it is in the file page-token" in answer.text
        assert again.status_code == 429

    def test_what_is_sent_back_is_known_by_its_signature_and_signs_in_nowhere(self, open_page: PageUnderTest) -> None:
        answer = requests.post(f"{open_page.url}/hooks/control-hub", json={}, timeout=30)
        assert answer.status_code != 401 and answer.headers["Content-Type"].startswith("text/plain"), "not the form to sign in"

    @pytest.mark.parametrize(
        ("host", "known"),
        [
            ("10.1.2.3:8080", True), ("[2001:db8::7]:8080", True), ("localhost", True), ("{machine}:8080", True),
            ("{MACHINE}.local", True), ("rebound.example.com", False), ("127.0.0.1.example.com:80", False), ("", False),
            ("localhost:x", False),
        ],
    )  # fmt: skip
    def test_it_answers_to_addresses_and_its_own_names(self, open_page: PageUnderTest, host: str, known: bool) -> None:
        machine = urlsplit(open_page.address).hostname or ""
        name = host.format(machine=machine, MACHINE=machine.upper())
        assert (requests.get(f"{open_page.url}/healthz", headers={"Host": name}, timeout=30).status_code == 200) is known


@pytest.mark.parametrize("host", ["10.1.2.3", "[2001:db8::7]", "rebound.example.com", "127.0.0.1.example.com"])
def test_on_loopback_no_other_name_is_answered(tmp_path_factory: pytest.TempPathFactory, host: str) -> None:
    with page_under_test(tmp_path_factory.mktemp("loopback")) as running:
        assert requests.get(f"{running.url}/healthz", headers={"Host": host}, timeout=30).status_code == 400


def test_an_address_of_another_machine_is_said_with_the_way_out() -> None:
    with pytest.raises(PartError, match=r"192\.0\.2\.1 is not an address of this machine: choose one of its own with --host"):
        listen(0, "192.0.2.1")
