"""The pages of incidents: what they show, that nothing in them is markup, and who can do what by them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import azure.functions as func
import pytest

from processors.alert_fanout import function_app
from processors.alert_fanout.html_text import element
from processors.alert_fanout.incident_page import Request, Response, answer
from processors.alert_fanout.incidents import Incident
from processors.alert_fanout.settings import FanoutSettings
from processors.alert_fanout.state import SqliteTexts, State, StateError
from processors.alert_fanout.steps import Step
from processors.contracts.facts import ANY_OTHER_CITY
from tests.processors.alert_fanout.city_life import RULES, START, Lyon

HOST = "pages.example.com"
HOSTILE = "<script>alert(1)</script>\"'&{{7*7}}"
KINDS = ("acknowledge", "take", "unacknowledge", "comment", "snooze", "silence", "unsilence")


class Browser:
    """A browser in which somebody is signed in (or nobody), at the pages of one city."""

    def __init__(self, lyon: Lyon, state: State, person: str | None = "Ada") -> None:
        self.lyon, self.state, self.person = lyon, state, person
        self.cookie = ""
        self.beside: tuple[tuple[str, str], ...] = ()
        self.headers = {"host": HOST, "origin": f"https://{HOST}", "sec-fetch-site": "same-origin"}

    def asks(self, method: str, path: str, body: bytes = b"") -> Response:
        settings = FanoutSettings(RULES, {"lyon": self.lyon.city, ANY_OTHER_CITY: self.lyon.city})
        headers = self.headers | ({"cookie": self.cookie} if self.cookie else {})
        got = answer(Request(method, path, headers, body, self.person, self.beside), self.state, settings, self.lyon.now)
        if "Set-Cookie" in got.headers:
            self.cookie = got.headers["Set-Cookie"].split(";")[0]
        return got

    def opens(self, incident: Incident) -> str:
        got = self.asks("GET", f"/incidents/{incident.handle}")
        assert got.status == 200
        return got.body

    def does(self, incident: Incident, do: str, **fields: str) -> Response:
        """Fill in and send the form of a page that was opened before."""
        hidden = dict(re.findall(r'name="(token|nonce)" value="([0-9a-f]+)"', self.opens(incident)))
        body = urlencode(hidden | {"do": do} | fields).encode()
        return self.asks("POST", f"/incidents/{incident.handle}", body)


@pytest.fixture
def lyon(make_row: Any) -> Lyon:
    """Two devices of a site are down, of which the first has a name that would be code elsewhere."""
    city = Lyon(make_row)
    city.happens(city.alert(name=HOSTILE), city.alert(number=2))
    city.after(seconds=3)
    return city


@pytest.fixture
def state(tmp_path: Path, lyon: Lyon) -> Iterator[State]:
    opened = State(SqliteTexts(tmp_path / "fanout.sqlite"))
    opened.change("lyon", lambda book: book.incidents.update(lyon.book.incidents))
    yield opened
    opened.close()


@pytest.fixture
def browser(lyon: Lyon, state: State) -> Browser:
    return Browser(lyon, state)


@pytest.fixture
def incident(lyon: Lyon) -> Incident:
    return next(iter(lyon.book.incidents.values()))


class Texts(HTMLParser):
    """The names of a page's elements, and its visible text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append(tag)
        assert not [name for name, _ in attrs if name.startswith("on") or name == "style"]

    def handle_data(self, data: str) -> None:
        self.text += f"{data} "


class TestWhatItShows:
    def test_everything_about_an_incident(self, browser: Browser, incident: Incident) -> None:
        text = Texts(browser.opens(incident)).text
        for words in (
            "Major", "Nobody has it", "Lyon Part-Dieu", "Tue 24 Nov 2026 11:00", "Europe/Paris",
            "on this page", "Webex room", "notified", "Room Bar 2", "Signed in as Ada", "I have it",
        ):  # fmt: skip
            assert words in text, words

    def test_what_can_be_done_comes_before_the_runbook_to_which_a_link_leads(self, browser: Browser, incident: Incident) -> None:
        page = browser.opens(incident)
        assert re.findall(r"<h2>(What it is|Do something|Runbook|What became of it)</h2>", page) == [
            "What it is", "Do something", "Runbook", "What became of it",
        ]  # fmt: skip
        assert 'href="#runbook"' in page and '<section id="runbook">' in page

    def test_the_list_has_the_worst_first_and_leads_to_each(self, browser: Browser, lyon: Lyon) -> None:
        page = browser.asks("GET", "/incidents").body
        for one in lyon.book.incidents.values():
            assert f'href="/incidents/{one.handle}"' in page
        text = Texts(page).text
        assert "2 incidents open" in text and "Over" not in text
        assert "Major Device offline: Room Bar 2, Lyon" in " ".join(text.split())
        assert "since Tue 24 Nov 2026 11:00 (Europe/Paris)" in text and "Nobody has it" in text

    def test_a_severity_is_that_of_the_moment_in_the_list_as_on_the_page(
        self, browser: Browser, incident: Incident, monkeypatch: pytest.MonkeyPatch, standing_clock: Any
    ) -> None:
        monkeypatch.setitem(RULES, "device-offline", replace(RULES["device-offline"], outside_severity=3))
        for hour, shown, not_shown in ((10, "Major", "Minor"), (22, "Minor", "Major")):
            standing_clock.now = START.replace(hour=hour)
            for page in (browser.opens(incident), browser.asks("GET", "/incidents").body):
                assert shown in Texts(page).text and not_shown not in Texts(page).text

    def test_a_drill_is_known_for_one_in_the_list(self, browser: Browser, lyon: Lyon) -> None:
        lyon.happens(lyon.alert(number=3, entityId="drill-3", name="Drill 3"))
        browser.state.change("lyon", lambda book: book.incidents.update(lyon.book.incidents))
        assert "DRILL · Device offline: Drill 3, Lyon" in Texts(browser.asks("GET", "/incidents").body).text

    def test_without_an_incident_it_says_so(self, browser: Browser) -> None:
        browser.state.change("lyon", lambda book: book.incidents.clear())
        assert "<h1>No open incidents</h1>" in browser.asks("GET", "/incidents").body

    @pytest.mark.parametrize("path", ["/incidents", "/incidents/nothing"])
    def test_every_page_leads_to_the_others_at_its_address(self, browser: Browser, path: str) -> None:
        assert re.findall(r'<a href="([^"]*)"', browser.asks("GET", path).body)[0] == "/incidents"
        browser.beside = (("Cities", "/"), ("Wall", "/wall"))
        assert re.findall(r'<a href="([^"]*)"', browser.asks("GET", path).body)[:3] == ["/", "/wall", "/incidents"]

    @pytest.mark.parametrize("name", ["id", "handle", "beginning"])
    def test_an_incident_is_found_by_whatever_names_it(self, browser: Browser, incident: Incident, name: str) -> None:
        names = {"id": quote(incident.id, safe=""), "handle": incident.handle, "beginning": incident.handle[:5]}
        assert browser.asks("GET", f"/incidents/{names[name]}").status == 200

    def test_what_is_over_can_only_be_commented_on(self, browser: Browser, lyon: Lyon, incident: Incident) -> None:
        lyon.happens(lyon.alert("resolved", START))
        browser.state.change("lyon", lambda book: book.incidents.update(lyon.book.incidents))
        assert re.findall(r'name="do" value="([a-z]+)"', browser.opens(incident)) == ["comment"]

    def test_an_unknown_one_says_where_to_look(self, browser: Browser) -> None:
        got = browser.asks("GET", "/incidents/" + quote("<b>nothing</b>"))
        assert got.status == 404
        assert "<b>" not in got.body

    def test_names_are_text(self, browser: Browser, incident: Incident) -> None:
        """A4, case 20: whatever a device is called, and whatever people write."""
        browser.does(incident, "comment", text=HOSTILE)
        browser.does(incident, "snooze", text=HOSTILE, **{"for": "2h"})
        for page in (browser.opens(incident), browser.asks("GET", "/incidents").body):
            found = Texts(page)
            assert not {"script", "img", "iframe", "link"} & set(found.elements)
            assert HOSTILE in found.text

    def test_nothing_is_loaded_framed_or_kept(self, browser: Browser) -> None:
        headers = browser.asks("GET", "/incidents").headers
        assert headers["Content-Security-Policy"].startswith("default-src 'none'; style-src 'sha256-")
        assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]
        assert (headers["Cache-Control"], headers["X-Content-Type-Options"]) == ("no-store", "nosniff")

    def test_the_session_is_kept_from_scripts_and_other_sites(self, browser: Browser) -> None:
        cookie = browser.asks("GET", "/incidents").headers["Set-Cookie"]
        assert all(word in cookie for word in ("HttpOnly", "SameSite=Strict", "Secure"))


class TestWhatCanBeDone:
    def test_acknowledge_take_over_and_let_go(self, browser: Browser, lyon: Lyon, state: State, incident: Incident) -> None:
        assert browser.does(incident, "acknowledge", **{"for": "8h"}).status == 303
        assert "Ada has it until" in browser.opens(incident)
        browser.person = "Bob"
        assert browser.does(incident, "take", **{"for": "8h"}, text="on site").status == 303
        assert "Bob has it until" in browser.opens(incident)
        assert browser.does(incident, "unacknowledge").status == 303
        assert "Nobody has it" in browser.opens(incident)
        assert [(act.author, act.way, act.kind) for act in state.acts("lyon").all] == [
            ("Ada", "page", "acknowledge"), ("Bob", "page", "take"), ("Bob", "page", "unacknowledge"),
        ]  # fmt: skip

    def test_snooze_and_end_it(self, browser: Browser, lyon: Lyon, state: State, incident: Incident) -> None:
        browser.does(incident, "snooze", text="painters", **{"for": "2h"})
        assert "Quiet until Tue 24 Nov 2026 13:00: painters" in browser.opens(incident)
        (act,) = state.acts("lyon").all
        assert browser.does(incident, "unsilence", silence=act.id).status == 303
        assert state.acts("lyon").silences(lyon.now + timedelta(seconds=1)) == []

    @pytest.mark.parametrize(
        ("scope", "hides_both"), [("device", False), ("room", False), ("location", True), ("rule", True), ("city", True)]
    )
    def test_silence_it_or_what_is_around_it(
        self, browser: Browser, lyon: Lyon, state: State, incident: Incident, scope: str, hides_both: bool
    ) -> None:
        assert browser.does(incident, "silence", scope=scope, text="painters", **{"for": "1h"}).status == 303
        quiet = [state.acts("lyon").silence(one, lyon.now) is not None for one in lyon.book.incidents.values()]
        assert quiet == [True, hides_both]

    @pytest.mark.parametrize(
        ("do", "fields", "why"),
        [
            ("snooze", {"for": "2h"}, "needs a reason"),
            ("snooze", {"for": "9y", "text": "x"}, "for how long"),
            ("silence", {"for": "2h", "text": "x", "scope": "world"}, "what to silence"),
            ("comment", {}, "needs a text"),
            ("unacknowledge", {}, "nothing to take back"),
            ("resolve", {}, "Nothing of that name"),
            ("comment", {"text": "x", "nonce": "short"}, "Open the incident again"),
        ],
    )
    def test_what_can_not_be_done_is_said_on_the_page(
        self, browser: Browser, state: State, incident: Incident, do: str, fields: dict[str, str], why: str
    ) -> None:
        got = browser.does(incident, do, **fields)
        assert got.status == 409
        assert why in Texts(got.body).text
        assert state.acts("lyon").all == ()

    def test_a_form_that_is_sent_twice_does_it_once(self, browser: Browser, state: State, incident: Incident) -> None:
        hidden = dict(re.findall(r'name="(token|nonce)" value="([0-9a-f]+)"', browser.opens(incident)))
        body = urlencode(hidden | {"do": "comment", "text": "on my way"}).encode()
        assert [browser.asks("POST", f"/incidents/{incident.handle}", body).status for _ in range(2)] == [303, 303]
        assert len(state.acts("lyon").all) == 1


FORGED: dict[str, Any] = {
    "nobody is signed in": lambda browser: setattr(browser, "person", None),
    "somebody else is signed in": lambda browser: setattr(browser, "person", "Mallory"),
    "without the session": lambda browser: setattr(browser, "cookie", ""),
    "with a session of one's own": lambda browser: setattr(browser, "cookie", f"roompulse-incidents={'0' * 32}"),
    "from a foreign site": lambda browser: browser.headers.update(origin="https://evil.example.com"),
    "from a foreign site, as the browser says": lambda browser: browser.headers.update({"sec-fetch-site": "cross-site"}),
    "from a page without an origin": lambda browser: browser.headers.update(origin="null"),
    "from no page at all": lambda browser: browser.headers.pop("origin"),
}


class TestWhoCanNot:
    @pytest.mark.parametrize("forge", FORGED.values(), ids=FORGED)
    @pytest.mark.parametrize("do", KINDS)
    def test_a_forged_form_does_nothing(self, browser: Browser, state: State, incident: Incident, forge: Any, do: str) -> None:
        hidden = dict(re.findall(r'name="(token|nonce)" value="([0-9a-f]+)"', browser.opens(incident)))
        forge(browser)
        body = urlencode(hidden | {"do": do, "text": "x", "for": "2h", "scope": "city", "silence": "0" * 8}).encode()
        assert browser.asks("POST", f"/incidents/{incident.handle}", body).status in (401, 403)
        assert state.acts("lyon").all == ()

    @pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
    @pytest.mark.parametrize("do", KINDS)
    def test_a_link_does_nothing(self, browser: Browser, state: State, incident: Incident, method: str, do: str) -> None:
        hidden = dict(re.findall(r'name="(token|nonce)" value="([0-9a-f]+)"', browser.opens(incident)))
        query = urlencode(hidden | {"do": do, "text": "x", "for": "2h", "scope": "city"})
        browser.asks(method, f"/incidents/{incident.handle}?{query}", query.encode())
        assert state.acts("lyon").all == ()

    def test_nobody_sees_a_page_without_signing_in(self, browser: Browser, incident: Incident) -> None:
        browser.person = None
        got = browser.asks("GET", f"/incidents/{incident.handle}")
        assert got.status == 401
        assert "Room Bar" not in got.body

    @pytest.mark.parametrize("body", [b"", b"\xff\xfe", b"&" * 50_000, b"a=b&" * 5000, b"do=" + b"x" * 100_000])
    def test_rubbish_is_refused(self, browser: Browser, incident: Incident, body: bytes) -> None:
        browser.opens(incident)
        assert browser.asks("POST", f"/incidents/{incident.handle}", body).status == 403


def test_the_runbook_is_on_the_page(browser: Browser, incident: Incident) -> None:
    page = browser.opens(incident)
    assert "<h2>Runbook</h2>" in page and "<strong>What it means.</strong>" in page


ON = {"INCIDENT_PAGES": "entra", "WEBSITE_AUTH_ENABLED": "True"}
ADA = {"X-MS-CLIENT-PRINCIPAL-NAME": "ada@example.com", "X-MS-CLIENT-PRINCIPAL-IDP": "aad", "Host": HOST}


class TestTheFunction:
    @pytest.fixture
    def serve(self, tmp_path: Path, state: State, lyon: Lyon, monkeypatch: pytest.MonkeyPatch) -> Any:
        monkeypatch.setenv("STATE_FOLDER", str(tmp_path))
        monkeypatch.setattr(
            function_app, "_page_state", lambda: (state, FanoutSettings(RULES, {"lyon": lyon.city, "*": lyon.city}))
        )
        function = next(one for one in function_app.app.get_functions() if one.get_function_name() == "incidents")

        def asked(environment: dict[str, str], headers: dict[str, str], path: str = "/incidents") -> func.HttpResponse:
            for name in ("INCIDENT_PAGES", "WEBSITE_AUTH_ENABLED"):
                monkeypatch.delenv(name, raising=False)
            for name, value in environment.items():
                monkeypatch.setenv(name, value)
            request = func.HttpRequest("GET", f"https://{HOST}{path}", headers=headers, body=b"")
            got: func.HttpResponse = function.get_user_function()(request)
            return got

        return asked

    @pytest.mark.parametrize(
        ("environment", "headers", "status"),
        [
            (ON, ADA, 200),
            (ON, {}, 401),
            (ON, {"X-MS-CLIENT-PRINCIPAL-NAME": "ada@example.com"}, 401),
            (ON, ADA | {"X-MS-CLIENT-PRINCIPAL-IDP": "twitter"}, 401),
            ({}, ADA, 404),
            ({"INCIDENT_PAGES": "entra"}, ADA, 404),  # the platform would not take a forged header away
            ({"WEBSITE_AUTH_ENABLED": "True"}, ADA, 404),
        ],
    )
    def test_it_trusts_headers_only_where_the_platform_signs_people_in(
        self, serve: Any, environment: dict[str, str], headers: dict[str, str], status: int
    ) -> None:
        assert serve(environment, headers).status_code == status

    def test_it_gives_the_page_with_its_headers(self, serve: Any, incident: Incident) -> None:
        got = serve(ON, ADA, f"/incidents/{incident.handle}")
        assert b"ada@example.com" in got.get_body()
        assert got.mimetype == "text/html"
        assert got.headers["Cache-Control"] == "no-store"

    @pytest.mark.parametrize(
        ("environment", "url"),
        [
            ({}, None),
            ({"WEBSITE_HOSTNAME": "x.azurewebsites.net"}, None),
            ({"INCIDENT_PAGES": "entra", "WEBSITE_HOSTNAME": "x.azurewebsites.net"}, "https://x.azurewebsites.net"),
            ({"INCIDENT_PAGES_URL": "http://127.0.0.1:8080"}, "http://127.0.0.1:8080"),
        ],
    )
    def test_messages_lead_to_it_where_it_is(self, environment: dict[str, str], url: str | None) -> None:
        assert function_app.pages_url(environment) == url


@pytest.mark.parametrize(("pages", "links"), [(None, ()), ("https://x", ("Incident",)), ("http://127.0.0.1:8080", ())])
def test_a_message_leads_to_the_page(lyon: Lyon, incident: Incident, pages: str | None, links: tuple[str, ...]) -> None:
    from processors.alert_fanout.render import notice

    settings = replace(FanoutSettings(RULES, {"lyon": lyon.city}), pages=pages)
    message = notice(lyon.book, Step(incident.id, "x", "open"), settings, lyon.city)
    assert message.page == (f"{pages}/incidents/{incident.handle}" if pages else None)
    assert tuple(words for words, _ in message.links) == links
    assert (str(message.page) in message.text) is (pages is not None)


def test_html_is_made_of_escaped_texts() -> None:
    made = element("a", "<b>", element("i", "&"), title='"x"', hidden=True, id=None)
    assert made == '<a title="&quot;x&quot;" hidden>&lt;b&gt;<i>&amp;</i></a>'


def test_a_state_that_can_not_be_read_is_said(browser: Browser, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> list[str]:
        raise StateError("The state is on fire: put it out.")

    monkeypatch.setattr(browser.state, "cities", broken)
    got = browser.asks("GET", "/incidents")
    assert (got.status, "put it out" in got.body) == (503, True)


def test_what_became_part_of_another_leads_to_it_and_is_not_called_resolved(
    browser: Browser, lyon: Lyon, incident: Incident
) -> None:
    lyon.happens(lyon.outage())
    lyon.after(seconds=3)
    browser.state.change("lyon", lambda book: book.incidents.update(lyon.book.incidents))
    outage = next(one for one in lyon.book.incidents.values() if one.lead.rule_id == "site-outage")
    page = browser.opens(incident)
    assert "Part of an outage: device offline" in Texts(page).text and "Resolved: " not in Texts(page).text
    assert f'<a href="/incidents/{outage.handle}">Part of another</a>' in page
    assert "notified of what it became part of" in " ".join(Texts(page).text.split())


class TestACityThatCantBeRead:
    @pytest.fixture(autouse=True)
    def _damaged(self, state: State) -> None:
        state._store.save("oslo", "rubbish", None)

    def test_the_others_are_shown_and_what_is_missing_is_said(self, browser: Browser, incident: Incident) -> None:
        got = browser.asks("GET", "/incidents")
        assert got.status == 200 and incident.handle in got.body
        assert "open where they can be read" in got.body
        assert "The state of oslo in" in got.body and "Move it away" in got.body

    def test_theirs_can_be_acted_on(self, browser: Browser, state: State, incident: Incident) -> None:
        assert browser.does(incident, "acknowledge", **{"for": "8h"}).status == 303
        assert state.acts("lyon").all[0].incident == incident.id

    def test_one_that_may_be_its_is_not_said_to_be_unknown(self, browser: Browser) -> None:
        got = browser.asks("GET", "/incidents/0123456789")
        assert got.status == 503 and "The state of oslo in" in got.body
