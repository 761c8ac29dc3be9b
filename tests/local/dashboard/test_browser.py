"""The page in a real browser: what people see when things change, break and come back, at both widths and in both themes."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Literal

import pytest
from playwright.sync_api import Browser, ConsoleMessage, Error, Page, ViewportSize, expect

from local.dashboard import sign_in
from processors.alert_fanout.acting import Actor, silence
from processors.alert_fanout.acts import Scope
from processors.alert_fanout.channels.inbox import Inbox
from processors.alert_fanout.state import SqliteTexts, State
from processors.ingest.error_codes import CRITICAL, WARNING
from tests.local.dashboard import sample_tiles
from tests.local.dashboard.page_under_test import PageUnderTest, page_under_test
from tests.local.dashboard.screenshots import CHROMIUM, chromium
from tests.processors.alert_fanout.messages import Names, notices
from tests.support.rules import RULES
from tests.support.tools import NODE_MODULES, missing

pytestmark = [pytest.mark.browser, pytest.mark.xdist_group("browser")]

Theme = Literal["light", "dark"]
WALL, PHONE = ViewportSize(width=1280, height=800), ViewportSize(width=390, height=844)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    if not CHROMIUM.exists():
        missing(f"no Chromium at {CHROMIUM}: install it or set ROOMPULSE_CHROMIUM to its path")
    with chromium() as running:
        yield running


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PageUnderTest]:
    with page_under_test(tmp_path) as running:
        yield running


@pytest.fixture(scope="module")
def tab(browser: Browser) -> Iterator[Page]:
    """What the tests look through, one after another: a context for each is a process for each, half a second of CPU."""
    context = browser.new_context(reduced_motion="reduce")
    yield context.new_page()
    context.close()


Open = Callable[..., Page]


@pytest.fixture
def open_page(tab: Page, request: pytest.FixtureRequest) -> Iterator[Open]:
    """Open a path of the page and wait until it is drawn. Scripts may not fail, nor ask for what the policy forbids.

    Nothing of one test is left for the next: no cookie, nothing the page has stored, no page that still asks its server.
    """
    complaints: list[str] = []

    def failed(error: Error) -> None:
        complaints.append(str(error))

    def said(message: ConsoleMessage) -> None:
        if "Content Security" in message.text:
            complaints.append(message.text)

    def opened(
        path: str = "/",
        viewport: ViewportSize = WALL,
        theme: Theme = "light",
        ready: bool = True,
        of: PageUnderTest | None = None,
    ) -> Page:
        tab.set_viewport_size(viewport)
        tab.emulate_media(color_scheme=theme)
        tab.goto((of or request.getfixturevalue("server")).url + path)
        if ready:
            tab.wait_for_selector("body[data-ready=true]")
        return tab

    tab.on("pageerror", failed)
    tab.on("console", said)
    yield opened
    tab.remove_listener("pageerror", failed)
    tab.remove_listener("console", said)
    tab.unroute_all()
    tab.evaluate("localStorage.clear(), sessionStorage.clear()")
    tab.context.clear_cookies()
    tab.goto("about:blank")
    assert complaints == []


def card(page: Page, city: str) -> Any:
    return page.locator(".card", has=page.get_by_role("link", name=city, exact=True))


def states(page: Page, state: str) -> None:
    expect(page.locator("body")).to_have_attribute("data-state", state)


class TestGlance:
    def test_it_says_whether_anything_is_wrong_where_and_since_when(self, server: PageUnderTest, open_page: Open) -> None:
        server.show(sample_tiles.outage(server.now()))
        page = open_page()
        expect(page.get_by_role("heading", level=1)).to_have_text("Singapore Marina One has been down since 18:53 UTC+8")
        expect(page.locator(".summary").first).to_contain_text("2 of 3 cities need attention · ")
        expect(page.locator(".summary").first).to_contain_text(" · 18 of 36 reporting rooms in use · ")
        incident = page.locator(".incident").first
        expect(incident).to_contain_text("Critical")
        expect(incident).to_contain_text("Site outage")
        expect(incident).to_contain_text("Singapore Marina One · Singapore")
        expect(incident).to_contain_text("since 18:53 UTC+8")
        expect(incident).to_contain_text("100 % of devices down · 24 devices down now")

    def test_a_card_has_local_time_rooms_devices_and_the_age_of_its_poll(self, server: PageUnderTest, open_page: Open) -> None:
        server.show(sample_tiles.outage(server.now()))
        lyon = card(open_page(), "Lyon")
        expect(lyon).to_contain_text("12:07 CET")
        expect(lyon).to_contain_text("23of 24 rooms usable")
        expect(lyon).to_contain_text("46 up")
        expect(lyon).to_contain_text("1 down")
        expect(lyon.locator(".poll")).to_contain_text("polled")

    def test_when_all_is_well_it_says_so(self, server: PageUnderTest, open_page: Open) -> None:
        server.show(sample_tiles.Estate(sample_tiles.THREE_CITIES, server.now()))
        page = open_page()
        expect(page.get_by_role("heading", level=1)).to_have_text("All 3 cities are well")
        expect(page.get_by_text("Nothing is open")).to_be_visible()
        expect(page.get_by_text("Every room is well")).to_be_visible()

    def test_what_a_rule_measures_is_said_in_words(self, server: PageUnderTest, open_page: Open) -> None:
        estate = sample_tiles.Estate(sample_tiles.THREE_CITIES, server.now())
        rules = [rule for rule in RULES if not rule.by_platform]
        for rule in rules:
            device = estate.devices()[-1 if rule.entity == "location" else 0]  # elsewhere, so that it explains none of the others
            estate.fire(rule.id, 3, device, minutes=12, signal=rule.signal, value=2.0, entity=rule.entity)
        server.show(estate)
        page = open_page()
        expect(page.locator(".incident")).to_have_count(len(rules))
        told = page.locator("#incidents").inner_text()
        assert [rule.signal for rule in rules if f"{rule.signal} 2" in told] == []
        assert "went down 2 times in an hour" in told

    def test_an_issue_code_that_matters_is_said_in_words(self) -> None:
        words = (Path(__file__).resolve().parents[3] / "local/dashboard/static/js/issues.js").read_text(encoding="utf-8")
        assert [code for code in sorted(CRITICAL | WARNING) if f"  {code}: " not in words] == []

    def test_an_unusable_room_says_what_is_lost_and_what_cisco_recommends(self, server: PageUnderTest, open_page: Open) -> None:
        tiles = sample_tiles.normal(server.now()).tiles()
        told = {"signal": "criticalIssues", "text": "touchpanelconnection", "product": "Cisco Room Bar"}
        tiles["open_alerts"][0] |= told | {"details": sample_tiles.DETAILS, "observedAt": "2026-11-24T08:17:00.000Z"}
        incident = {"name": "Meetings: some can't join", "status": "monitoring", "since": "2026-11-24T08:45:00.000Z"}
        for city in tiles["cities"]:
            city["webexStatus"] = {"incidents": [incident], "unknown": "it answered 503"}
        server.source.set(tiles)
        page = open_page()
        for place in (page.locator(".incident-facts").first, page.locator(".rooms-table", has_text="touch panel lost")):
            for fact in (
                "touch panel lost", "lost: touch panel, Cisco Room Navigator, FOC2551N0DD, connection lost",
                "Webex says: Touch panel disconnected, since", "09:12 CET",
                "Cisco recommends: See that its cable is plugged in ·",
                "serial number FOC2301ABCD", "Third floor", "switch sw-3, port Gi1/0/12",
            ):  # fmt: skip
                expect(place).to_contain_text(fact)
        expect(page.locator(".incident-facts").first).to_contain_text("Cisco Room Bar")
        expect(page.locator(".incident-facts").first).to_contain_text(re.compile("as of .*09:17 CET$"))
        expect(page.locator(".webex")).to_contain_text("Webex reports: Meetings: some can't join, monitoring, since")
        expect(page.locator(".webex")).to_contain_text("Webex's status page can't be read: it answered 503")
        page.goto(f"{server.url}/wall")
        expect(page.locator(".webex")).to_contain_text("Webex reports: Meetings: some can't join, monitoring, since")

    def test_minor_incidents_call_for_nobody(self, server: PageUnderTest, open_page: Open) -> None:
        estate = sample_tiles.Estate(sample_tiles.THREE_CITIES, server.now())
        estate.fire("room-too-warm", 3, estate.devices()[0], minutes=12, signal="temperature", value=29.44, entity="workspace")
        server.show(estate)
        page = open_page()
        expect(page.get_by_role("heading", level=1)).to_have_text("All 3 cities are well")
        expect(page.locator(".incident")).to_contain_text("29.4 °C")
        expect(card(page, "Lyon")).to_contain_text("1 minor incident")

    def test_devices_of_no_city_are_shown_but_are_no_city(self, server: PageUnderTest, open_page: Open) -> None:
        tiles = sample_tiles.normal(server.now()).tiles()
        tiles["cities"].append(tiles["cities"][0] | {"cityId": "unassigned"})
        server.source.set(tiles)
        page = open_page()
        expect(card(page, "Unassigned")).to_be_visible()
        expect(page.locator("#trends .legend li")).to_have_count(6)  # three cities in two charts
        expect(page.locator(".summary").first).to_contain_text("1 of 3 cities needs attention · ")

    def test_trouble_of_no_city_is_not_the_sentence(self, server: PageUnderTest, open_page: Open) -> None:
        tiles = sample_tiles.Estate(sample_tiles.THREE_CITIES, server.now()).tiles()
        tiles["cities"].append(tiles["cities"][0] | {"cityId": "unassigned"})
        alert = sample_tiles.outage(server.now()).tiles()["open_alerts"][0]
        server.source.set(tiles | {"open_alerts": [alert | {"cityId": "unassigned"}]})
        for path in ("/", "/wall"):
            page = open_page(path)
            expect(page.get_by_role("heading", level=1)).to_have_text("All 3 cities are well")
            expect(page.locator(".summary").first).to_contain_text("Unassigned: 1 critical incident · ")

    def test_no_device_and_no_room_is_left_out_of_a_total(self, server: PageUnderTest, open_page: Open) -> None:
        tiles = sample_tiles.Estate(sample_tiles.THREE_CITIES, server.now()).tiles()
        more = {"cityId": "unassigned", "devices": 1005, "devicesDown": 2, "devicesUp": 1003, "rooms": 100, "roomsUsable": 98}
        known = {
            name: int(sum(row[name] for row in tiles["cities"])) for name in ("devices", "devicesDown", "rooms", "roomsUsable")
        }
        tiles["cities"].append(tiles["cities"][0] | more)
        server.source.set(tiles)
        summary = open_page().locator(".summary").first
        expect(summary).to_contain_text(f"{known['devicesDown'] + 2} of {known['devices'] + 1005:,} devices down")
        expect(summary).to_contain_text(f"{known['roomsUsable'] + 98} of {known['rooms'] + 100} rooms usable")
        expect(summary).to_contain_text("Unassigned: 2 devices down")
        expect(open_page("/wall").locator(".summary")).to_have_text(
            f"Unassigned: 2 devices down, no incident · {known['roomsUsable'] + 98} of {known['rooms'] + 100} rooms usable"
        )

    def test_a_chart_says_what_the_page_says_beside_it(self, server: PageUnderTest, open_page: Open) -> None:
        """Not the average of the last minute, in which an outage has only begun."""
        tiles = sample_tiles.outage(server.now()).tiles()
        (row,) = (row for row in tiles["cities"] if row["cityId"] == "singapore")
        for minute in tiles["city_trend"]:
            minute |= {"devicesDown": 0.4, "devicesIssues": 7.0, "roomsUsable": 5.0}
        server.source.set(tiles)
        page = open_page()
        down, rooms, usable = (int(row[name]) for name in ("devicesDown", "rooms", "roomsUsable"))
        legends = page.locator("#trends .legend li", has_text="Singapore")
        expect(legends.nth(0)).to_have_text(f"Singapore {down}")
        expect(legends.nth(1)).to_have_text(f"Singapore {round(100 * usable / rooms)} %")
        page.goto(f"{server.url}/cities/singapore")
        expect(page.locator(".legend li", has_text="down")).to_have_text(f"down {down}")
        expect(page.locator(".legend li", has_text="usable")).to_have_text(f"usable {usable}")


class TestLive:
    def test_a_change_arrives_without_reloading_and_in_place(self, server: PageUnderTest, open_page: Open) -> None:
        server.show(sample_tiles.normal(server.now()))
        page = open_page()
        singapore = card(page, "Singapore")
        singapore.evaluate("node => { node.marked = true }")
        expect(singapore).to_contain_text("No open incidents")
        server.show(sample_tiles.outage(server.now()))
        expect(singapore).to_contain_text("1 critical incident")
        assert singapore.evaluate("node => node.marked"), "the card is updated, not replaced"
        server.show(sample_tiles.normal(server.now()))
        expect(singapore).to_contain_text("No open incidents")
        expect(page.locator(".incident").filter(has_text="Site outage")).to_have_count(0)

    def test_nothing_jumps_when_data_arrives(self, server: PageUnderTest, open_page: Open) -> None:
        server.show(sample_tiles.Estate(sample_tiles.THREE_CITIES, server.now()))
        page = open_page()
        places = "[...document.querySelectorAll('h1, .card, .panel, .chart-canvas')].map(n => n.getBoundingClientRect().top)"
        before = page.evaluate(places)
        server.show(sample_tiles.outage(server.now()))
        expect(page.locator(".incident")).to_have_count(4)
        assert page.evaluate(places) == before

    def test_ages_grow_while_nothing_arrives(self, server: PageUnderTest, open_page: Open) -> None:
        server.show(sample_tiles.normal(server.now()))
        poll = card(open_page(), "Lyon").locator(".poll")
        first = poll.inner_text()
        expect(poll).not_to_have_text(first)

    def test_simulated_time_is_said(self, open_page: Open, tmp_path: Path) -> None:
        with page_under_test(tmp_path, speed=60.0) as fast:
            fast.show(sample_tiles.normal(fast.now()))
            expect(open_page(of=fast).locator("#simulated")).to_have_text("simulated time, ×60")

    def test_time_that_a_faster_run_left_ahead_is_said(self, open_page: Open, tmp_path: Path) -> None:
        with page_under_test(tmp_path, simulated_now=datetime.now(UTC) + timedelta(hours=3, minutes=5)) as ahead:
            ahead.show(sample_tiles.normal(ahead.now()))
            expect(open_page(of=ahead).locator("#simulated")).to_have_text("simulated time, 3 h 5 min ahead")

    def test_real_time_is_not_called_simulated(self, server: PageUnderTest, open_page: Open) -> None:
        server.show(sample_tiles.normal(server.now()))
        expect(open_page().locator("#simulated")).to_be_hidden()


class TestStates:
    def test_it_is_loading_until_the_first_data(self, server: PageUnderTest, open_page: Open) -> None:
        def refused(route: Any) -> None:
            route.abort()

        page = open_page("/alerts", ready=False)
        page.route("**/events*", refused)
        page.goto(server.url)
        states(page, "loading")
        expect(page.locator(".skeleton")).to_be_visible()
        page.unroute("**/events*", refused)
        page.wait_for_selector("body[data-ready=true]")
        expect(page.locator(".skeleton")).to_have_count(0)

    def test_before_the_first_poll_it_waits_and_claims_nothing(self, open_page: Open) -> None:
        page = open_page()
        expect(page.get_by_role("heading", level=1)).to_have_text("Waiting for the first poll")
        expect(page.locator(".card[data-state=waiting]")).to_have_count(3)
        expect(page.get_by_text("Nothing is open")).to_have_count(0)
        expect(page.get_by_text("Every room is well")).to_have_count(0)
        states(page, "live")

    def test_a_city_not_heard_from_needs_attention(self, server: PageUnderTest, open_page: Open) -> None:
        estate = sample_tiles.Estate(sample_tiles.THREE_CITIES, server.now())
        estate.silent_since["toronto"] = server.now() - timedelta(minutes=6)
        server.show(estate)
        page = open_page()
        expect(card(page, "Toronto")).to_contain_text("Not heard from for 6 min")
        expect(page.get_by_role("heading", level=1)).to_have_text("1 of 3 cities needs attention")
        states(page, "live")

    def test_old_data_is_loud_and_the_sentence_says_of_when_it_is(self, server: PageUnderTest, open_page: Open) -> None:
        server.show(sample_tiles.outage(server.now() - timedelta(minutes=20)))
        page = open_page()
        states(page, "stale")
        expect(page.get_by_role("heading", level=1)).to_have_text(
            "As of 10:47 UTC: Singapore Marina One has been down since 18:33 UTC+8"
        )
        expect(page.get_by_role("alert")).to_contain_text("No new data since 10:47 UTC")
        expect(page.locator("#banner")).to_be_in_viewport()
        server.show(sample_tiles.outage(server.now()))
        states(page, "live")
        expect(page.locator("#banner")).to_be_hidden()

    def test_a_failing_refresh_is_said_and_forgotten_when_it_heals(self, server: PageUnderTest, open_page: Open) -> None:
        server.show(sample_tiles.normal(server.now()))
        page = open_page()
        states(page, "live")
        server.source.fault = OSError("the table Processed can't be read")
        states(page, "stale")
        expect(page.get_by_role("alert")).to_contain_text("the table Processed can't be read")
        server.source.fault = None
        states(page, "live")

    def test_a_lost_server_is_said_and_its_return_picked_up(self, open_page: Open, tmp_path: Path) -> None:
        with page_under_test(tmp_path) as server:
            server.show(sample_tiles.normal(server.now()))
            page = open_page(of=server)
            states(page, "live")
            port = server.port
        states(page, "disconnected")
        expect(page.get_by_role("alert")).to_contain_text("No connection to RoomPulse")
        expect(page.locator(".card")).to_have_count(3)
        with page_under_test(tmp_path, port=port) as server:
            server.show(sample_tiles.outage(server.now()))
            states(page, "live")
            expect(card(page, "Singapore")).to_contain_text("1 critical incident")


class TestCity:
    def test_it_shows_its_incidents_and_its_rooms_worst_first(self, server: PageUnderTest, open_page: Open) -> None:
        server.show(sample_tiles.outage(server.now()))
        page = open_page("/cities/lyon")
        expect(page).to_have_title("Lyon · RoomPulse")
        expect(page.get_by_role("heading", level=1)).to_have_text("Lyon: 2 open incidents")
        part_dieu = page.locator(".location", has=page.get_by_role("heading", name="Lyon Part-Dieu"))
        expect(part_dieu.locator(".tile").first).to_contain_text("down")
        expect(part_dieu.locator(".tile")).to_have_count(12)
        expect(page.locator("#environment")).to_contain_text("Temperature")
        expect(page.locator("#firmware")).to_contain_text("RoomOS 12.1.2")
        expect(page.locator("#trend")).to_contain_text("Shaded: office hours (Monday to Friday, 08:00 to 18:00, CET)")

    def test_a_card_leads_to_it_and_it_leads_back(self, server: PageUnderTest, open_page: Open) -> None:
        server.show(sample_tiles.normal(server.now()))
        page = open_page()
        page.get_by_role("link", name="Toronto", exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("Toronto")
        page.get_by_role("link", name="All cities").click()
        expect(page.locator(".card")).to_have_count(3)

    def test_rooms_change_in_place(self, server: PageUnderTest, open_page: Open) -> None:
        server.show(sample_tiles.normal(server.now()))
        page = open_page("/cities/singapore")
        expect(page.locator(".tile[data-health=down]")).to_have_count(0)
        server.show(sample_tiles.outage(server.now()))
        expect(page.locator(".tile[data-health=down]")).to_have_count(12)
        expect(page.locator(".location").first).to_contain_text("100 % of 24 devices down")

    def test_a_city_that_does_not_exist_says_so(self, open_page: Open) -> None:
        page = open_page("/cities/atlantis", ready=False)
        expect(page.get_by_role("heading", level=1)).to_have_text("There is no such page")


class TestInbox:
    @pytest.fixture
    def inbox(self, server: PageUnderTest) -> None:
        estate = sample_tiles.outage(server.now())
        server.show(estate)
        for alert in estate.alerts:
            server.put_in_inbox(alert, "fired")
        old = sample_tiles.normal(server.now() - timedelta(hours=30)).alerts[0]
        server.put_in_inbox(old, "fired")
        server.put_in_inbox(old, "resolved")

    @pytest.mark.usefixtures("inbox")
    def test_the_newest_come_first_and_an_end_stands_with_its_beginning(self, open_page: Open) -> None:
        page = open_page("/alerts")
        expect(page.get_by_role("heading", level=1)).to_have_text("4 incidents open")
        expect(page.locator(".alert")).to_have_count(29)
        expect(page.locator(".alert").first).to_contain_text("Room too warm")
        last = page.locator(".alert").last
        expect(last).to_contain_text("Resolved after 22 min")
        expect(last).to_contain_text("Mon 23 Nov, 05:45 to 06:07 CET")

    @pytest.mark.usefixtures("inbox")
    def test_filters_work_by_keyboard_and_stay_in_the_address(self, open_page: Open) -> None:
        page = open_page("/alerts")
        city = page.get_by_label("City")
        city.focus()
        page.keyboard.press("l")  # jumps to Lyon
        expect(page.locator(".alert")).to_have_count(3)
        page.keyboard.press("Tab")
        page.keyboard.press("Tab")
        page.keyboard.press("r")  # jumps to Resolved
        expect(page.locator(".alert")).to_have_count(1)
        assert page.url.endswith("?city=lyon&state=resolved")
        page.reload()
        expect(page.locator(".alert")).to_have_count(1)
        page.get_by_label("Severity").select_option("1")
        expect(page.get_by_text("No alert matches these filters")).to_be_visible()

    def test_an_outage_says_how_many_devices_are_folded_in_and_names_them(self, server: PageUnderTest, open_page: Open) -> None:
        alert = next(alert for alert in sample_tiles.outage(server.now()).alerts if alert["ruleId"] == "site-outage")
        server.put_in_inbox(alert, "fired", folded=[f"Room Bar {number}" for number in range(500)], held_back=2)
        page = open_page("/alerts")
        row = page.locator(".alert")
        expect(row.locator(".alert-news")).to_contain_text("500 devices folded in · updated")
        expect(row.locator(".alert-news")).to_contain_text("held back on 2 channels")
        row.locator("summary").click()
        expect(row.locator(".alert-names")).to_contain_text("Room Bar 499")

    def test_what_became_part_of_an_outage_is_not_shown_as_resolved(self, server: PageUnderTest, open_page: Open) -> None:
        inbox, told = Inbox(server.settings.inbox_path), notices(Names())
        for kind in ("open", "merge"):
            inbox.send(told[kind])
        state = open_page("/alerts").locator(".alert-state")
        expect(state).to_contain_text("Part of an outage after")
        expect(state.locator("svg")).to_be_hidden()

    def test_an_incident_of_one_device_says_no_more_than_it_has_to(self, server: PageUnderTest, open_page: Open) -> None:
        server.put_in_inbox(sample_tiles.normal(server.now()).alerts[0], "fired")
        expect(open_page("/alerts").locator(".alert-news")).to_be_hidden()

    @pytest.mark.parametrize(("path", "sentence"), [("/alerts", "Waiting for the first poll"), ("/devices", "Devices")])
    def test_before_the_first_poll_nothing_is_counted_that_nobody_has_seen(
        self, open_page: Open, path: str, sentence: str
    ) -> None:
        expect(open_page(path).get_by_role("heading", level=1)).to_have_text(sentence)

    def test_an_alert_appears_when_it_is_sent(self, server: PageUnderTest, open_page: Open) -> None:
        page = open_page("/alerts")
        expect(page.get_by_text("No alerts yet")).to_be_visible()
        server.put_in_inbox(sample_tiles.normal(server.now()).alerts[0], "fired")
        expect(page.locator(".alert")).to_contain_text("Open for 22 min")
        expect(page.get_by_text("Runbook: docs/runbooks/device-offline.md")).to_be_hidden()
        page.get_by_text("All that was sent").click()
        expect(page.get_by_text("Runbook: docs/runbooks/device-offline.md")).to_be_visible()


class TestWall:
    """One screen, whatever the number of cities."""

    @pytest.mark.parametrize("count", [1, 3, 60, 500])
    def test_every_city_is_on_one_screen_the_worst_first(self, open_page: Open, tmp_path: Path, count: int) -> None:
        with page_under_test(tmp_path, cities=sample_tiles.many_cities(count)) as server:
            server.show(sample_tiles.troubled(server.now(), sample_tiles.many_cities(count)))
            page = open_page("/wall", ViewportSize(width=1920, height=1080), of=server)
            expect(page.locator(".wall-tile")).to_have_count(count)
            states(page, "live")
            expect(page.locator("html")).to_have_attribute("data-theme", "dark")
            order = page.locator(".wall-tile").evaluate_all("tiles => tiles.map((tile) => tile.dataset.state)")
            assert order == sorted(order, key=WALL_ORDER.index)
            for size in (ViewportSize(width=1920, height=1080), ViewportSize(width=1280, height=720)):
                page.set_viewport_size(size)
                assert page.evaluate(OFF_SCREEN) == []

    def test_whatever_the_screen_and_the_trouble_every_tile_has_a_place(self, open_page: Open) -> None:
        assert open_page("/wall").evaluate(WITHOUT_A_PLACE) == []

    def test_the_headline_names_the_worst_and_its_size(self, server: PageUnderTest, open_page: Open) -> None:
        server.show(sample_tiles.outage(server.now()))
        page = open_page("/wall")
        expect(page.get_by_role("heading", level=1)).to_have_text(
            "Singapore Marina One has been down since 18:53 UTC+8, 24 devices"
        )
        expect(page.locator(".summary")).to_have_text(
            "2 of 3 cities need attention · 59 of 72 rooms usable · 2 devices in maintenance"
        )
        estate = sample_tiles.Estate(sample_tiles.THREE_CITIES, server.now())
        estate.silent_since["toronto"] = server.now() - timedelta(minutes=6)
        server.show(estate)
        expect(page.get_by_role("heading", level=1)).to_contain_text("Toronto has not been heard from since 06:01 EST")

    def test_a_city_in_which_something_is_kept_quiet_is_not_simply_well(self, open_page: Open, tmp_path: Path) -> None:
        muted = replace(sample_tiles.LYON, mutes={"device-offline": "2026-11-24", "call-quality": "2026-11-23"})
        with page_under_test(tmp_path, cities=(muted, sample_tiles.TORONTO, sample_tiles.SINGAPORE)) as server:
            estate = sample_tiles.Estate(sample_tiles.THREE_CITIES, server.now(), maintained={"toronto-0-0-0"})
            server.show(estate)
            page = open_page("/wall", of=server)
            expect(page.locator(".wall-tile[data-state=maintenance]")).to_have_count(2)
            told = page.locator(".wall-tile").evaluate_all("tiles => tiles.map((tile) => tile.innerText)")
            assert "Device offline muted" in told[0] and "1 device in maintenance" in told[1] and "No open" in told[2]
            page.goto(f"{server.url}/")
            expect(card(page, "Lyon")).to_contain_text("Device offline muted")

    def test_devices_that_are_down_without_an_alert_are_not_ticked_off(self, server: PageUnderTest, open_page: Open) -> None:
        """A rule may not have fired yet, or never will: five minutes after a device went down its city still looked well."""
        estate = sample_tiles.Estate(sample_tiles.THREE_CITIES, server.now(), maintained={"toronto-0-0-0"})
        estate.health |= {"lyon-0-0-0": "down", "lyon-0-1-0": "down", "toronto-0-0-0": "down"}
        server.show(estate)
        page = open_page("/wall")
        expect(page.locator(".wall-tile[data-state=down]")).to_contain_text("2 devices down, no incident")
        expect(page.locator(".wall-tile[data-state=maintenance]")).to_contain_text("1 device in maintenance")
        expect(page.get_by_role("heading", level=1)).to_have_text(
            "No open incidents that call for anybody; devices are down in 1 of 3 cities"
        )
        page.goto(f"{server.url}/cities/lyon")
        expect(page.get_by_role("heading", level=1)).to_have_text("Lyon: no open incidents, 2 devices down")

    def test_what_people_keep_quiet_is_marked(self, server: PageUnderTest, open_page: Open) -> None:
        server.show(sample_tiles.Estate(sample_tiles.THREE_CITIES, server.now()))
        state = State(SqliteTexts(server.settings.fanout_state_path))
        until = server.now() + timedelta(hours=2)
        silence(state, "lyon", Scope(room="r"), Actor("Ada", "test"), server.now(), until=until, text="works")
        state.close()
        page = open_page("/wall")
        expect(page.locator(".wall-tile[data-state=maintenance]")).to_contain_text("1 silence")

    def test_old_data_has_no_colour_of_health_and_is_said_above_all(self, server: PageUnderTest, open_page: Open) -> None:
        server.show(sample_tiles.Estate(sample_tiles.THREE_CITIES, server.now()))
        page = open_page("/wall")
        expect(page.locator(".wall-tile[data-state=fine]")).to_have_count(3)
        fresh = page.evaluate(TILE_COLOURS)
        server.show(sample_tiles.Estate(sample_tiles.THREE_CITIES, server.now() - timedelta(minutes=20)))
        states(page, "stale")
        expect(page.get_by_role("heading", level=1)).to_have_text("As of 10:47 UTC: all 3 cities are well")
        expect(page.get_by_role("alert")).to_be_in_viewport()
        assert set(page.evaluate(TILE_COLOURS)).isdisjoint(fresh)
        assert page.evaluate(OFF_SCREEN) == []


WALL_ORDER = ["critical", "silent", "major", "minor", "down", "waiting", "maintenance", "fine"]

OFF_SCREEN = """() => {
  const { innerWidth: width, innerHeight: height } = window;
  const inside = (box) => box.left >= 0 && box.top >= 0 && box.right <= width && box.bottom <= height;
  const seen = (box) => box.width > 0 && box.height > 0 && inside(box);
  const off = [...document.querySelectorAll(".wall-tile")].filter((tile) => !seen(tile.getBoundingClientRect()));
  const root = document.documentElement;
  const scrolls = root.scrollHeight > height || root.scrollWidth > width;
  return [...off.map((tile) => tile.innerText), ...(scrolls ? ["the page scrolls"] : [])];
}"""

TILE_COLOURS = """() => [...document.querySelectorAll(".wall-tile .icon")].map((icon) => getComputedStyle(icon).color)"""

WITHOUT_A_PLACE = """async () => {
  const { wallLayout } = await import("/static/js/wall_layout.js");
  const counts = [0, 1, 2, 3, 7, 54, 60, 211, 500];
  const faults = [];
  for (const [width, height] of [[1880, 850], [1240, 560], [1240, 300], [390, 700], [3800, 1900]])
    for (const troubled of counts)
      for (const others of counts) {
        if (troubled + others === 0) continue;
        const { columns, rows, span, size } = wallLayout(width, height, troubled, others);
        const beside = Math.floor(columns / span); // the grid places the large tiles first, row by row
        const placed = columns >= span && Math.ceil(troubled / beside) * span <= rows;
        const room = columns * rows - troubled * span * span >= others;
        const unread = troubled > 0 && troubled <= 60 && width > 1000 && height > 500 && size * span < 20;
        if (!placed || !room || unread) faults.push([width, height, troubled, others, span, size]);
      }
  return faults;
}"""


class TestDevices:
    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageUnderTest]:
        with page_under_test(tmp_path_factory.mktemp("page")) as running:
            estate = sample_tiles.outage(running.now())
            estate.room_names["lyon-0-3"] = "<img src=x onerror=\"document.body.dataset.hacked='yes'\">"
            running.show(estate)
            yield running

    def test_a_search_leads_to_a_room_and_on_to_a_device_with_its_day(self, open_page: Open) -> None:
        page = open_page("/")
        page.get_by_label("Search cities, rooms and devices").fill("onerror")
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_have_text("3 found")
        page.get_by_role("link", name="<img").first.click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("is down: 1 device down")
        expect(page.locator("#signals")).to_contain_text("Temperature")
        page.locator("#members a").first.click()
        expect(page.get_by_role("heading", level=1)).to_contain_text("has been down for 14 min")
        assert page.url.endswith("/devices/lyon-0-3-0")
        page.get_by_text("Every change").click()
        expect(page.locator(".changes li")).to_have_count(3)
        expect(page.locator(".changes li").first).to_contain_text("(14 min): down")
        expect(page.locator("#incidents-of")).to_contain_text("Device offline")
        expect(page.locator("#incidents-of")).to_contain_text("No notification of it is known")
        assert page.evaluate("document.body.dataset.hacked") is None

    def test_a_device_says_what_webex_tells_of_it(self, open_page: Open) -> None:
        facts = open_page("/devices/lyon-1-5-1").locator("dl")
        for fact in (
            "Serial" "FOC2301ABCD", "Floor" "Third floor", "Switch" "sw-3 · Gi1/0/12",
            "Webex on the room" "Touch panel disconnected · since 09:12 CET",
            "Cisco recommends" "See that its cable is plugged in.",
            "Lost peripherals" "touch panel, Cisco Room Navigator, FOC2551N0DD, connection lost",
        ):  # fmt: skip
            expect(facts).to_contain_text(fact)

    def test_the_table_is_found_sorted_and_downloaded_as_it_is_shown(self, open_page: Open) -> None:
        page = open_page("/devices?city=lyon")
        expect(page.locator(".devices-table tbody tr")).to_have_count(48)
        page.get_by_label("State").select_option("issues")
        expect(page.locator(".devices-table tbody tr")).to_have_count(1)
        expect(page.locator("tbody [data-column=health]")).to_contain_text("touch panel lost")
        page.get_by_label("State").select_option("")
        page.get_by_role("button", name="Device", exact=True).press("Enter")
        expect(page.locator("[aria-sort=ascending]")).to_have_text("Device")
        assert page.url.endswith("/devices?city=lyon&sort=name")
        expect(page.get_by_role("link", name="Download as CSV")).to_have_attribute("href", "/devices.csv?city=lyon&sort=name")


class TestSigningIn:
    def test_a_page_that_other_machines_reach_asks_first_and_leads_back(
        self, open_page: Open, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sign_in, "LONGEST_WAIT_SECONDS", 0.0)
        with page_under_test(tmp_path, host="0.0.0.0") as server:
            server.show(sample_tiles.normal(server.now()))
            page = open_page("/alerts?city=lyon", ready=False, of=server)
            expect(page.get_by_role("heading", level=1)).to_have_text("Sign in to RoomPulse")
            page.keyboard.type("a guess")
            page.keyboard.press("Enter")
            expect(page.get_by_role("alert")).to_contain_text("That is not the token.")
            page.get_by_label("Token").fill(sign_in.token_in(server.settings.page_token_path)[0])
            page.keyboard.press("Enter")
            expect(page.get_by_role("heading", level=1)).to_have_text("3 incidents open")
            assert page.url.endswith("/alerts?city=lyon")


PATHS = [
    "/", "/cities/llanfair", "/alerts", "/wall", "/devices", "/devices/llanfair-0-0-0", "/rooms/llanfair-0-0", "/search?q=madrid",
]  # fmt: skip


class TestEveryone:
    """Whatever the screen, the theme, the hand, the eye, the name."""

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageUnderTest]:
        with page_under_test(tmp_path_factory.mktemp("page"), cities=sample_tiles.ELEVEN_CITIES) as running:
            estate = sample_tiles.worst(running.now())
            running.show(estate)
            for alert in estate.alerts[:40]:
                running.put_in_inbox(alert, "fired")
            yield running

    @pytest.mark.parametrize("path", PATHS)
    def test_nothing_has_to_be_scrolled_sideways(self, open_page: Open, path: str) -> None:
        page = open_page(path)
        for viewport in (WALL, PHONE):
            page.set_viewport_size(viewport)
            assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]

    @pytest.mark.parametrize("path", PATHS)
    def test_every_text_stands_out_from_its_ground(self, open_page: Open, path: str) -> None:
        page = open_page(path)
        for theme in ("light", "dark"):
            page.evaluate("(theme) => (document.documentElement.dataset.theme = theme)", theme)
            assert page.evaluate(TOO_FAINT) == []

    def test_a_name_is_text_whatever_it_contains(self, open_page: Open) -> None:
        page = open_page("/cities/paris")
        expect(page.locator(".tile", has_text="<img src=x onerror=")).to_be_visible()
        assert page.evaluate("document.body.dataset.hacked") is None
        assert page.evaluate("document.images.length") == 0

    def test_a_keyboard_reaches_everything_in_order(self, open_page: Open) -> None:
        page = open_page("/")
        reached = []
        for _ in range(10):
            page.keyboard.press("Tab")
            reached.append(page.evaluate("(document.activeElement.id || document.activeElement.textContent).trim().slice(0, 22)"))
        assert reached[:5] == ["Skip to the content", "RoomPulse", "Cities", "Wall", "Devices"]
        assert page.evaluate("document.activeElement.closest('section').id") == "incidents"
        page.locator(".skip").focus()
        page.keyboard.press("Enter")
        assert page.evaluate("document.activeElement.id") == "main"
        page.locator(".card a").first.focus()
        assert page.evaluate("getComputedStyle(document.activeElement.closest('.card')).outlineStyle") == "solid"
        page.keyboard.press("Enter")
        expect(page.get_by_role("heading", level=1)).to_contain_text("Lyon")

    def test_paper_is_light_and_has_all_incidents_and_nothing_to_press(self, open_page: Open) -> None:
        page = open_page("/", theme="dark")
        page.emulate_media(media="print", color_scheme="dark")
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(244, 245, 242)"
        assert page.evaluate("getComputedStyle(document.querySelector('#incidents .scroller')).position") == "static"
        for pressed in (page.get_by_role("navigation", name="Pages"), page.locator("#theme"), page.locator(".search")):
            expect(pressed).to_be_hidden()
        page.emulate_media(media="screen")

    def test_the_chosen_theme_is_remembered(self, open_page: Open) -> None:
        page = open_page("/", theme="dark")
        page.get_by_role("button", name="Switch between dark and light").click()
        assert page.evaluate("document.documentElement.dataset.theme") == "light"
        page.reload()
        page.wait_for_selector("body[data-ready=true]")
        assert page.evaluate("document.documentElement.dataset.theme") == "light"

    def test_colour_is_never_alone(self, open_page: Open) -> None:
        page = open_page("/")
        marks = page.locator(".severity, .verdict, .healths li, .state")
        assert marks.count() > 50
        assert marks.evaluate_all("nodes => nodes.every(node => node.querySelector('svg use') && node.textContent.trim())")

    def test_the_page_has_landmarks_and_reads_the_sentence_out(self, open_page: Open) -> None:
        page = open_page("/")
        for role in ("banner", "navigation", "main"):
            expect(page.get_by_role(role)).to_have_count(1)
        expect(page.locator("[aria-live=polite] h1")).to_have_count(1)
        assert page.locator("canvas").count() == 2
        assert page.locator("[role=img][aria-label*='Singapore 120']").count() == 1


class TestJudgedByAxe:
    """What axe-core finds. What it can't know of, the tests above do."""

    PATHS = (
        "/", "/cities/singapore", "/alerts", "/wall", "/devices", "/devices/singapore-0-0-0", "/rooms/toronto-0-2",
        "/search?q=toronto", "/nowhere",
    )  # fmt: skip

    @pytest.fixture(scope="class")
    @classmethod
    def server(cls, tmp_path_factory: pytest.TempPathFactory) -> Iterator[PageUnderTest]:
        with page_under_test(tmp_path_factory.mktemp("page"), poll_seconds=100) as running:  # new for as long as axe-core looks
            for alert in sample_tiles.outage(running.now()).alerts[:3]:
                running.put_in_inbox(alert, "fired")
            yield running

    OLD = ("/", "/cities/singapore", "/alerts", "/wall", "/devices/singapore-0-0-0")

    @pytest.fixture(scope="class")
    @classmethod
    def axe(cls) -> str:
        path = NODE_MODULES / "axe-core" / "axe.min.js"
        if not path.exists():
            missing("axe-core is missing: `make test` installs it (npm ci in tests/)")
        return path.read_text(encoding="utf-8")

    def test_no_page_breaks_a_rule(self, server: PageUnderTest, open_page: Open, axe: str) -> None:
        server.show(sample_tiles.outage(server.now()))
        page = open_page("/")
        assert {path: found for path in self.PATHS if (found := findings(page, server.url + path, axe, "live"))} == {}

    def test_old_data_stands_out_from_its_ground_as_well_as_new(self, server: PageUnderTest, open_page: Open, axe: str) -> None:
        server.show(sample_tiles.outage(server.now() - timedelta(minutes=20)))
        page = open_page("/")
        assert {path: found for path in self.OLD if (found := findings(page, server.url + path, axe, "stale"))} == {}

    def test_the_form_to_sign_in_breaks_none(self, open_page: Open, tmp_path: Path, axe: str) -> None:
        with page_under_test(tmp_path, host="0.0.0.0") as server:
            page = open_page(ready=False, of=server)
            page.evaluate(axe)
            assert page.evaluate(AXE_FINDINGS, []) == []


def findings(page: Page, address: str, axe: str, state: str) -> list[str]:
    """What axe-core finds on a page: by every rule where the data is new, by that of contrast in both themes where it is old."""
    page.goto(address)
    if not address.endswith("/nowhere"):
        page.wait_for_selector(f"body[data-ready=true][data-state={state}]")
    page.evaluate(axe)
    if state == "live":
        return list(page.evaluate(AXE_FINDINGS, []))
    found = []
    for theme in ("light", "dark"):
        page.evaluate("(theme) => (document.documentElement.dataset.theme = theme)", theme)
        found += page.evaluate(AXE_FINDINGS, ["color-contrast"])
    return found


AXE_FINDINGS = """async (rules) => {
  const only = rules.length ? { runOnly: { type: "rule", values: rules } } : {};
  const { violations } = await axe.run(document, { resultTypes: ["violations"], preload: false, ...only });
  const said = (id) => ({ html, any }) => `${id}: ${html.slice(0, 90)} ${any[0]?.message ?? ""}`;
  return violations.flatMap(({ id, nodes }) => nodes.map(said(id)));
}"""

TOO_FAINT = """() => {
  const channels = (text) => text.match(/[\\d.]+/g).map(Number);
  const luminance = ([red, green, blue]) => [red, green, blue]
    .map((value) => value / 255)
    .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
    .reduce((sum, value, at) => sum + value * [0.2126, 0.7152, 0.0722][at], 0);
  const ground = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = channels(getComputedStyle(at).backgroundColor);
      if (colour.length === 3 || colour[3] === 1) return colour;
    }
  };
  const faint = [];
  for (const node of document.querySelectorAll("body *")) {
    const own = [...node.childNodes].some((child) => child.nodeType === Node.TEXT_NODE && child.data.trim());
    if (!own || node.closest(".visually-hidden, .skip") || !node.checkVisibility()) continue;
    const style = getComputedStyle(node);
    const [light, dark] = [luminance(channels(style.color)), luminance(ground(node))].sort((one, other) => other - one);
    const ratio = (light + 0.05) / (dark + 0.05);
    const needed = parseFloat(style.fontSize) >= 24 ? 3 : 4.5;
    if (ratio < needed) faint.push(`${node.className || node.tagName}: ${ratio.toFixed(2)} ${node.textContent.slice(0, 20)}`);
  }
  return faint;
}"""
