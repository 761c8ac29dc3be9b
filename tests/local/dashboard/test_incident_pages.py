"""The pages of incidents in a real browser: the life of an incident by its buttons, on a wall and on a phone."""

from __future__ import annotations

import getpass
import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
import requests
from playwright.sync_api import Browser, Page, expect

from local.dashboard import incident_pages
from local.dashboard.incident_pages import LIVE_PAGES
from processors.alert_fanout.alerts import Alert
from processors.alert_fanout.channels.inbox import Inbox
from processors.alert_fanout.incidents import Book, Incident
from processors.alert_fanout.state import SqliteTexts, State
from processors.timestamps import format_time
from tests.local.dashboard.page_under_test import PageUnderTest, page_under_test
from tests.local.dashboard.screenshots import CHROMIUM, chromium
from tests.processors.alert_fanout.messages import Names, notices
from tests.support.shared_data import REPOSITORY
from tests.support.tools import missing

NAME = "Room <b>Bar</b> 1"
HOURS = {"days": ["mon"], "from": "08:00", "to": "18:00"}
CITY = {"timeZone": "Asia/Singapore", "officeHours": HOURS, "channels": [{"type": "teams", "urlSecret": "teams-singapore"}]}
SETTINGS = {
    "rules": {"device-offline": {"meaning": "A room device has lost its connection.", "runbook": "https://wiki.example.com/x"}},
    "cities": {"singapore": {"name": "Singapore", **CITY}, "*": {"name": "Unassigned", **CITY}},
}


def incident(number: int, name: str, now: datetime) -> Incident:
    place = ("singapore", "location-1", "Marina One", f"workspace-{number}", f"Room {number}")
    began = format_time(now)
    alert = Alert(
        f"device-offline|{number}|{began}", "device-offline", 2, "fired", "device", f"device-{number}", name, *place,
        "offline", 1, 1, began, began,
    )  # fmt: skip
    found = Incident(alert.alert_id, "alert", alert, began, began)
    found.note(now, "began")
    return found


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PageUnderTest]:
    """A page of a run with two open incidents in one location."""
    (tmp_path / "settings").mkdir()
    (tmp_path / "settings" / "fanout").write_text(json.dumps(SETTINGS), encoding="utf-8")
    with page_under_test(tmp_path) as running:
        state = State(SqliteTexts(running.settings.state_dir / "fanout.sqlite"))
        found = [incident(number, name, running.now()) for number, name in ((1, NAME), (2, "Board 2"))]

        def enter(book: Book) -> None:
            book.incidents |= {one.id: one for one in found}

        state.change("singapore", enter)
        state.close()
        yield running


def colours(path: str) -> dict[str, list[str]]:
    """The colours of a style sheet by name: in the light, in the dark."""
    found: dict[str, list[str]] = {}
    for name, colour in re.findall(r"--([\w-]+): (#[0-9a-f]+)", (REPOSITORY / path).read_text(encoding="utf-8").lower()):
        found.setdefault(name, []).append(colour if len(colour) > 4 else "#" + "".join(2 * digit for digit in colour[1:]))
    return found


def test_a_colour_of_one_name_is_the_same_here_and_on_the_live_page() -> None:
    here, there = colours("processors/alert_fanout/templates/incident.css"), colours("local/dashboard/static/css/theme.css")
    shared = here.keys() & there.keys()
    assert {"critical", "major", "ink", "ground", "link"} <= shared
    assert {name: here[name] for name in shared} == {name: there[name][:2] for name in shared}


def test_it_answers_to_its_own_names_only(server: PageUnderTest) -> None:
    assert requests.get(f"{server.url}/incidents", timeout=30).status_code == 200
    foreign = requests.get(f"{server.url}/incidents", headers={"Host": "evil.example.com"}, timeout=30)
    assert foreign.status_code == 400


def test_a_post_without_a_page_does_nothing(server: PageUnderTest) -> None:
    page = requests.get(f"{server.url}/incidents", timeout=30).text
    handle = page.split('href="/incidents/')[1].split('"')[0]
    sent_back = requests.post(f"{server.url}/hooks/pagerduty", json={}, timeout=30)
    assert sent_back.status_code == 404 and "backSecret" in sent_back.text
    answer = requests.post(f"{server.url}/incidents/{handle}", data={"do": "acknowledge", "for": "8h"}, timeout=30)
    assert answer.status_code == 403


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        missing(f"no Chromium at {CHROMIUM}: install it or set ROOMPULSE_CHROMIUM to its path")
    with chromium() as running:
        yield running


def press(page: Page, button: str, fold: str = "", **fields: str) -> None:
    """Unfold a form, fill it in and send it."""
    if fold:
        page.locator("summary", has_text=fold).click()
    form = page.locator("form", has=page.get_by_role("button", name=button, exact=True))
    for label, value in fields.items():
        form.get_by_label(label.replace("_", " ")).fill(value)
    form.get_by_role("button", name=button, exact=True).click()


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
def test_an_alert_leads_to_its_incident_as_long_as_the_fan_out_knows_it(server: PageUnderTest, browser: Browser) -> None:
    inbox, told = Inbox(server.settings.inbox_path), notices(Names())["open"]
    state = State(SqliteTexts(server.settings.fanout_state_path))
    known = next(iter(state.book("singapore").incidents))
    state.close()
    for alert_id in (known, "over long ago"):
        inbox.send(replace(told, incident=alert_id))
    page = browser.new_page()
    page.goto(f"{server.url}/alerts")
    expect(page.locator(".alert")).to_have_count(2)
    page.get_by_role("link", name="Its incident").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Device offline: {NAME}, Singapore")
    page.close()


@pytest.mark.browser
@pytest.mark.xdist_group("browser")
@pytest.mark.parametrize(("width", "theme"), [(1280, "light"), (390, "dark")])
def test_the_life_of_an_incident_by_its_buttons(server: PageUnderTest, browser: Browser, width: int, theme: Any) -> None:
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=theme)
    page, complaints = context.new_page(), list[str]()
    page.on("console", lambda message: complaints.append(message.text))
    page.goto(f"{server.url}/incidents")
    page.get_by_role("link", name=f"Device offline: {NAME}").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(f"Device offline: {NAME}, Singapore")
    for words in ("Nobody has it", "Marina One", "Asia/Singapore", "Device offline: Board 2", "Teams teams-singapore"):
        expect(page.locator("main")).to_contain_text(words)
    expect(page.get_by_role("link", name="https://wiki.example.com/x")).to_be_visible()

    badges = page.locator(".state")
    press(page, "I have it", What_you_do_about_it="on my way")
    expect(badges.nth(1)).to_contain_text(f"{getpass.getuser()} has it until")
    press(page, "Snooze it", "Snooze it", Why="painters")
    expect(badges.nth(2)).to_contain_text("painters")
    press(page, "End the quiet")
    expect(badges).to_have_count(2)
    press(page, "Silence", "Silence a place", Why="cabling")
    expect(badges.nth(2)).to_contain_text("cabling")
    press(page, "Comment", "Comment", What_there_is_to_say="<i>it was the plug</i>")
    expect(page.locator("main")).to_contain_text("<i>it was the plug</i>")
    press(page, "Take it over", "Take it over", What_you_do_about_it="mine now")
    press(page, "Nobody has it any more")
    expect(badges.nth(1)).to_have_text("Nobody has it")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    assert complaints == []
    context.close()


def test_settings_that_can_not_be_read_are_said(server: PageUnderTest) -> None:
    server.settings.fanout_settings_path.write_text('{"rules": {}}', encoding="utf-8")
    answer = requests.get(f"{server.url}/incidents", timeout=30)
    assert (answer.status_code, "<h1>Not now</h1>" in answer.text, "cities" in answer.text) == (503, True, True)


def test_the_live_page_and_the_pages_of_incidents_have_one_navigation(server: PageUnderTest) -> None:
    paths = ("/", "/incidents", "/nowhere")
    navigations = (requests.get(f"{server.url}{path}", timeout=30).text.split("</nav>")[0] for path in paths)
    live, incidents, nowhere = (re.findall(r'<a href="(/[a-z]*)"[^>]*>(\w+)', one.partition("<nav")[2]) for one in navigations)
    assert live == incidents == nowhere == [*((path, words) for words, path in LIVE_PAGES), ("/incidents", "Incidents")]


def test_whoever_looks_from_another_machine_reads_where_to_act_and_finds_the_way_back(
    server: PageUnderTest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(incident_pages, "is_this_machine", lambda host: False)
    answer = requests.get(f"{server.url}/incidents", timeout=30)
    assert (answer.status_code, "from the machine that RoomPulse runs on" in answer.text) == (403, True)
    assert '<a href="/">Cities</a>' in answer.text and NAME.split("<")[0] not in answer.text
