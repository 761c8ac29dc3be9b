"""Breaking things on purpose: the estate, the API, and the way back."""

from __future__ import annotations

import contextlib
import json
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import requests
from webex_world import CITIES, World

from webex_simulator.capabilities import measures
from webex_simulator.scenarios import ScenarioClient, ScenarioError
from webex_simulator.server import SimulatorError

MakeWorld = Callable[..., World]


def down_by_location(world: World) -> dict[str, float]:
    """Share of devices that are disconnected, by location."""
    names = {location["id"]: location["name"] for location in world.all("/locations")}
    devices = [device for device in world.all("/devices") if "locationId" in device]
    down = Counter(names[device["locationId"]] for device in devices if device["connectionStatus"] == "disconnected")
    seen = Counter(names[device["locationId"]] for device in devices)
    return {name: down[name] / seen[name] for name in seen}


def find(world: World, path: str, **fields: str) -> dict[str, Any]:
    """The first record with these values, and an id that is told once."""
    return next(item for item in world.all(path) if fields.items() <= item.items())


def again(world: World, path: str, record: dict[str, Any]) -> dict[str, Any]:
    """The record as it is now."""
    return find(world, path, id=record["id"])


class TestRoomsAndDevices:
    def test_a_flapping_device_goes_down_and_comes_back_over_and_over(self, world: World) -> None:
        device = find(world, "/devices", connectionStatus="connected", type="roomdesk")
        world.scenario.flap(device=device["id"], down_seconds=30, up_seconds=60)
        seen = []
        for _ in range(9):
            seen.append(again(world, "/devices", device)["connectionStatus"])
            world.now += 30
        assert seen == ["disconnected", "connected", "connected"] * 3
        world.scenario.clear()
        assert again(world, "/devices", device)["connectionStatus"] == "connected"

    def test_maintenance_of_devices_comes_as_text_and_as_object(self, world: World) -> None:
        world.scenario.maintenance(city="lyon", seconds=60)
        modes = [device.get("plannedMaintenance") for device in world.all("/devices")]
        assert "on" in modes
        assert {"mode": "on"} in modes
        world.now += 61
        assert "on" not in [device.get("plannedMaintenance") for device in world.all("/devices")]

    def test_maintenance_of_a_room_has_a_window(self, world: World) -> None:
        room = find(world, "/workspaces", type="meetingRoom")
        world.scenario.maintenance(room=room["displayName"], seconds=600)
        assert again(world, "/workspaces", room)["plannedMaintenance"] == {
            "mode": "on", "startTime": "2026-11-24T11:00:00.000Z", "endTime": "2026-11-24T11:10:00.000Z"
        }  # fmt: skip
        world.now += 601
        assert again(world, "/workspaces", room)["plannedMaintenance"] == {"mode": "off"}

    def test_an_overcrowded_room_counts_more_people_than_seats_and_is_in_use(self, world: World) -> None:
        device = find(world, "/devices", connectionStatus="connected", product="Cisco Room Kit EQ")
        room = find(world, "/workspaces", id=device["workspaceId"])
        world.scenario.overcrowd(room["displayName"])
        world.now += 1
        asked = {"workspaceId": room["id"], "metricName": "peopleCount", "aggregation": "none", "sortBy": "newestFirst"}
        newest = world.get("/workspaceMetrics", **asked).json()["items"][0]
        assert newest["value"] == room["capacity"] + 3
        status = world.get("/xapi/status", deviceId=device["id"], name="RoomAnalytics.*").json()["result"]["RoomAnalytics"]
        assert (status["PeopleCount"]["Current"], status["RoomInUse"]) == (room["capacity"] + 3, "True")

    def test_a_room_that_counts_nobody_can_not_be_overcrowded_and_others_are_named(self, world: World) -> None:
        device = find(world, "/devices", product="Cisco Desk Pro")
        room = find(world, "/workspaces", id=device["workspaceId"])
        with pytest.raises(ScenarioError, match="counts no people"):
            world.scenario.overcrowd(room["displayName"])

    def test_a_bad_call_has_its_loss_and_jitter_and_shows_as_an_issue(self, world: World) -> None:
        device = find(world, "/devices", connectionStatus="connected", type="roomdesk", product="Cisco Room Bar")
        world.scenario.bad_call(device["id"], loss=7.5, jitter=90)
        assert "networkquality" in again(world, "/devices", device)["errorCodes"]
        names = ["SystemUnit.State.NumberOfActiveCalls", "MediaChannels.Call[*].Channel[*].Netstat.*"]
        result = world.get("/xapi/status", deviceId=device["id"], name=names).json()["result"]
        netstat = result["MediaChannels"]["Call"][0]["Channel"][0]["Netstat"]
        assert result["SystemUnit"]["State"]["NumberOfActiveCalls"] == 1
        assert (netstat["LastIntervalLost"], netstat["LastIntervalReceived"], netstat["Jitter"]) == (75, 925, 90)

    @pytest.mark.parametrize(
        ("code", "kind", "title"),
        [
            ("touchpanelconnection", "TouchPanel", "No touch panel connected"), ("camerapairing", "Camera", "Camera not paired"),
            ("microphonesconnected", "AudioMicrophone", "No microphone connected"),
        ],
    )  # fmt: skip
    def test_a_lost_peripheral_is_named_with_its_serial_number_and_what_webex_recommends(
        self, world: World, code: str, kind: str, title: str
    ) -> None:
        device = find(world, "/devices", connectionStatus="connected", type="roomdesk", product="Cisco Room Bar")
        world.scenario.issue(device["id"], code)
        names = ["Peripherals.ConnectedDevice[*].*", "Diagnostics.Message[*].*", "Network[*].CDP.*"]
        result = world.get("/xapi/status", deviceId=device["id"], name=names).json()["result"]
        (lost,) = (one for one in result["Peripherals"]["ConnectedDevice"] if one["Status"] == "LostConnection")
        assert (lost["Type"], lost["SerialNumber"][:3]) == (kind, "FOC")
        assert f"{title}." in [message["Description"] for message in result["Diagnostics"]["Message"]]
        assert set(result["Network"][0]["CDP"]) == {"DeviceId", "PortID"}
        (room,) = (one for one in world.all("/workspaces") if one["id"] == device["workspaceId"])
        (issue,) = (one for one in room["health"]["issues"] if one["title"] == title)
        assert issue["recommendedAction"].startswith("Check ") and issue["level"] == "error"

    def test_the_status_page_lists_incidents_and_fails_apart_from_the_api(self, world: World) -> None:
        def page() -> requests.Response:
            return requests.get(f"{world.simulator.status_url}/unresolved-incidents.json", timeout=10)

        assert page().json() == {"incidents": []}
        world.scenario.webex_incident("Calling: no dial tone", impact="major")
        world.scenario.webex_incident("Meetings: some users can't join", seconds=600)
        world.scenario.fail(60)
        told = [(one["name"], one["impact"], one["start_at"], one["resolved_at"]) for one in page().json()["incidents"]]
        noon = "2026-11-24T11:00:00.000Z"
        assert told == [
            ("Calling: no dial tone", "major", noon, None), ("Meetings: some users can't join", "minor", noon, None),
        ]  # fmt: skip
        world.now += 601
        assert [one["name"] for one in page().json()["incidents"]] == ["Calling: no dial tone"]
        world.scenario.fail_status_page(60)
        assert (page().status_code, world.get("/devices").status_code) == (503, 200)

    def test_a_teams_room_counts_its_call_as_one_of_teams_only(self, world: World) -> None:
        device = find(world, "/devices", connectionStatus="connected", devicePlatform="microsoftTeamsRoom")
        world.scenario.bad_call(device["id"])
        names = ["SystemUnit.State.NumberOfActiveCalls", "MicrosoftTeams.Calling.InCall"]
        result = world.get("/xapi/status", deviceId=device["id"], name=names).json()["result"]
        assert result["SystemUnit"]["State"]["NumberOfActiveCalls"] == 0
        assert result["MicrosoftTeams"]["Calling"]["InCall"] == "True"

    def test_a_phone_is_in_no_call_we_can_look_at(self, world: World) -> None:
        phone = find(world, "/devices", type="phone")
        with pytest.raises(ScenarioError, match="not a room device"):
            world.scenario.bad_call(phone["id"])

    def test_a_device_may_report_a_status_nobody_has_documented(self, world: World) -> None:
        device = find(world, "/devices", connectionStatus="connected")
        world.scenario.status(device["id"], "hibernating")
        assert again(world, "/devices", device)["connectionStatus"] == "hibernating"


class TestEstate:
    def test_an_outage_of_a_city_takes_its_devices_down_and_no_others_until_it_is_restored(self, world: World) -> None:
        before = world.statuses()
        world.scenario.outage(city="lyon")
        down = down_by_location(world)
        assert down["Lyon Part-Dieu"] == down["Lyon Confluence"] == 1
        assert max(share for name, share in down.items() if not name.startswith("Lyon")) < 0.2
        world.scenario.restore(city="lyon")
        assert world.statuses() == before

    def test_a_device_that_is_down_was_last_seen_before(self, world: World) -> None:
        device = next(d for d in world.all("/devices") if d["connectionStatus"] == "connected")
        world.scenario.outage(device=device["id"])
        world.now += 3600
        (seen,) = [d for d in world.all("/devices") if d["id"] == device["id"]]
        assert seen["connectionStatus"] == "disconnected"
        assert seen["lastSeen"] <= "2026-11-24T11:00:00.000Z"

    @pytest.mark.parametrize("name", ["Lyon Confluence", "lyon confluence", "LYON-CONFLUENCE", " Lyon  Confluence "])
    def test_names_are_found_however_they_are_written(self, world: World, name: str) -> None:
        world.scenario.outage(location=name)
        assert down_by_location(world)["Lyon Confluence"] == 1

    def test_restoring_a_city_restores_what_is_in_it(self, world: World) -> None:
        before = world.statuses()
        world.scenario.outage(location="Lyon Confluence")
        world.scenario.outage(city="lyon")
        world.scenario.restore(city="LYON")
        assert world.statuses() == before
        assert world.scenario.list() == []

    def test_a_part_of_an_outage_cant_be_restored_and_the_error_says_what_can(self, world: World) -> None:
        world.scenario.outage(city="lyon")
        with pytest.raises(ScenarioError, match="city Lyon: restore that"):
            world.scenario.restore(location="Lyon Confluence")

    def test_asking_twice_is_the_same_as_once(self, world: World) -> None:
        for _ in range(2):
            world.scenario.outage(city="lyon")
        assert len(world.scenario.list()) == 1
        for _ in range(2):
            world.scenario.restore(city="lyon")
        assert world.scenario.list() == []

    def test_a_heated_room_reads_its_temperature_from_now_on(self, world: World) -> None:
        estate = world.simulator.estate
        room = next(
            room
            for room in estate.workspaces
            if measures(estate, room, "temperature")
            and all(world.statuses()[estate.devices[index].id] == "connected" for index in room.devices)
        )
        world.scenario.heat(room.name, 31.5)
        world.now += 301
        ask = {"workspaceId": room.id, "metricName": "temperature", "aggregation": "none", "from_": "2026-11-24T10:30:00Z"}
        values = [item["value"] for item in world.get("/workspaceMetrics", **ask).json()["items"]]
        assert 31.5 in values
        assert min(values) < 27

    def test_a_room_without_a_sensor_cant_be_heated_and_others_are_named(self, world: World) -> None:
        estate = world.simulator.estate
        phone_place = next(room for room in estate.workspaces if estate.devices[room.devices[0]].product.type == "phone")
        with pytest.raises(ScenarioError, match=r"measures no temperature\. Rooms there that do: "):
            world.scenario.heat(phone_place.name, 30)

    def test_a_city_reports_the_firmware_it_is_told_to_even_an_awkward_one(self, world: World) -> None:
        version = 'RoomOS "10"\\ \u00e9'
        world.scenario.firmware(version, city="toronto")
        toronto = world.all("/locations", name="Toronto")[0]["id"]
        # Some records have no software field at all.
        assert {device.get("software", version) for device in world.all("/devices", locationId=toronto)} == {version}

    def test_a_device_reports_several_issues_at_once(self, world: World) -> None:
        device = next(d for d in world.all("/devices") if d["connectionStatus"] == "connected" and d["type"] == "roomdesk")
        world.scenario.issue(device["id"], "missingdisplay")
        world.scenario.issue(device["id"], "brandnewcode")
        (seen,) = [d for d in world.all("/devices") if d["id"] == device["id"]]
        assert (seen["connectionStatus"], seen["errorCodes"]) == ("connected_with_issues", ["missingdisplay", "brandnewcode"])

    def test_an_effect_ends_by_itself_after_its_seconds_on_peoples_watches(self, make_world: MakeWorld) -> None:
        world = make_world(speed=10.0)
        before = world.statuses()
        world.control("outage", city="lyon", seconds=2)
        assert world.scenario.list()[0]["until"] == "2026-11-24T11:00:20.000Z"
        assert world.statuses() != before
        world.now += 2.1
        assert "disconnected" not in {status for device, status in world.statuses().items() if before[device] == "connected"}
        assert world.scenario.list() == []

    def test_chance_outages_can_be_switched_on(self, world: World) -> None:
        assert world.control("chance-outages").ok
        assert [effect["kind"] for effect in world.scenario.list()] == ["chance-outages"]


class TestApi:
    @pytest.mark.parametrize("retry_after", ["17", "rand(30),add(30)", None])
    def test_a_throttled_api_answers_429_with_any_retry_after_or_none(self, world: World, retry_after: str | None) -> None:
        world.scenario.throttle(30, retry_after)
        response = world.get("/devices")
        assert (response.status_code, response.headers.get("Retry-After")) == (429, retry_after)
        world.now += 31
        assert world.get("/devices").ok

    @pytest.mark.parametrize("status", [500, 502, 503, 504])
    def test_a_failing_api_answers_its_status_for_a_while(self, world: World, status: int) -> None:
        world.scenario.fail(30, status)
        response = world.get("/devices")
        assert response.status_code == status
        assert response.json()["trackingId"]
        world.now += 31
        assert world.get("/devices").ok

    def test_corrupt_pages_come_in_every_way_and_then_end(self, world: World) -> None:
        world.scenario.corrupt(3)
        truncated, html, types = (world.get("/devices", max=10) for _ in range(3))
        with pytest.raises(ValueError):
            truncated.json()
        assert html.headers["Content-Type"] == "text/html"
        assert types.json()["items"][0]["id"] == 12345
        assert len(world.get("/devices", max=10).json()["items"]) == 10
        assert world.scenario.list() == []

    @pytest.mark.parametrize("how", ["truncated", "html", "types"])
    def test_one_way_of_corruption_can_be_chosen(self, world: World, how: str) -> None:
        healthy = world.get("/locations").content
        world.control("corrupt", pages=2, how=how)
        first, second = world.get("/locations").content, world.get("/locations").content
        assert first == second != healthy
        assert world.get("/locations").content == healthy

    def test_only_pages_of_listings_are_corrupted(self, world: World) -> None:
        world.scenario.corrupt(1)
        room = world.simulator.estate.workspaces[0].id
        assert world.get("/workspaceMetrics", workspaceId=room, metricName="tvoc").json()["metricName"] == "tvoc"
        assert len(world.scenario.list()) == 1

    @pytest.mark.parametrize(
        ("fault", "fields", "status"),
        [("fail", {"status": 502}, 502), ("throttle", {"retryAfter": "1"}, 429), ("drop", {}, 0), ("corrupt", {"pages": 2}, 200)],
    )
    def test_a_fault_can_meet_one_tier_only_and_so_many_of_its_requests(
        self, world: World, fault: str, fields: dict[str, Any], status: int
    ) -> None:
        counted = {} if fault == "corrupt" else {"requests": 2}
        world.control(fault, path="/workspaces", **fields, **counted)
        world.control(fault, path="/locations", **fields, **counted)
        assert world.get("/devices").ok, "another path"
        for _ in range(2):
            with contextlib.suppress(requests.ConnectionError):
                world.get("/workspaces")
        assert world.get("/workspaces").json()["items"], "its requests are used up"
        assert [effect["path"] for effect in world.scenario.list()] == ["/locations"], "each path has its own"
        assert world.simulator.answers == {200: 2, status: 2} if status != 200 else {200: 4}

    def test_connections_are_cut_as_often_as_told(self, world: World) -> None:
        world.control("drop", requests=2)
        for _ in range(2):
            with pytest.raises(requests.ConnectionError):
                world.get("/devices")
        assert world.get("/devices").ok
        assert world.simulator.answers == {0: 2, 200: 1}

    def test_a_slow_api_still_answers_others_meanwhile(self, world: World) -> None:
        world.control("slow", latencySeconds=0.3)
        assert world.get("/devices", max=1).elapsed.total_seconds() >= 0.3

    def test_an_expired_token_is_refused_and_a_new_one_works(self, world: World) -> None:
        world.control("expire-token")
        assert world.get("/devices").status_code == 401
        world.now += 1
        form = {
            "grant_type": "refresh_token",
            "client_id": "simulated-client-id",
            "client_secret": "simulated-client-secret",
            "refresh_token": "simulated-refresh-token",
        }
        token = requests.post(f"{world.simulator.url}/access_token", data=form, timeout=10).json()["access_token"]
        world.session.headers["Authorization"] = f"Bearer {token}"
        assert world.get("/devices").ok

    def test_paging_traps_repeat_rows_leave_pages_empty_and_time_out_on_large_pages(self, world: World) -> None:
        world.control("paging-traps", overlap=True, emptyPage=True, timeoutAbove=100)
        assert world.get("/devices", max=101).status_code == 504
        first = world.get("/devices", max=100)
        second = world.session.get(first.links["next"]["url"], timeout=10)
        assert second.json()["items"] == []
        assert "next" in second.links
        ids = [device["id"] for device in world.all("/devices", max=100)]
        assert len(ids) == 403
        assert len(set(ids)) == 400


class TestRequests:
    @pytest.mark.parametrize(
        ("action", "fields", "status", "text"),
        [
            ("outage", {"city": "lion"}, 404, "Did you mean lyon"),
            ("outage", {"city": "atlantis"}, 404, "Some cities there are: lyon, toronto"),
            ("outage", {"location": "Part-Dieu"}, 404, "Did you mean Lyon Part-Dieu?"),
            ("outage", {}, 400, "exactly one of city, location, device"),
            ("outage", {"city": "lyon", "device": "x"}, 400, "exactly one"),
            ("outage", {"city": 7}, 400, "city must be text"),
            ("outage", {"city": "lyon", "seconds": "soon"}, 400, "seconds must be a number"),
            ("outage", {"city": "lyon", "minutes": 3}, 400, "knows no minutes"),
            ("explode", {}, 404, "Actions: outage, restore"),
            ("fail", {"status": 200}, 400, "from 500 to 599"),
            ("heat", {"celsius": 30}, 400, "heat needs room"),
            ("clear", {"id": "effect-99"}, 404, "GET /_control lists"),
            ("corrupt", {"how": "badly"}, 400, "truncated, html, types"),
        ],
    )
    def test_a_wrong_request_is_told_what_to_do(
        self, world: World, action: str, fields: dict[str, object], status: int, text: str
    ) -> None:
        response = world.control(action, **fields)
        assert response.status_code == status
        assert text in response.json()["error"]
        assert world.scenario.list() == []

    def test_a_body_that_is_no_json_object_is_refused(self, world: World) -> None:
        for body in ("{", "[]"):
            assert world.session.post(f"{world.simulator.control_url}/clear", data=body, timeout=10).status_code == 400

    def test_a_name_that_several_have_is_asked_for_by_id(self, make_world: MakeWorld) -> None:
        world = make_world(devices=5000)
        names = Counter(device.name for device in world.simulator.estate.devices)
        ((name, count),) = names.most_common(1)
        assert count > 1
        with pytest.raises(ScenarioError, match=f"{count} devices are called"):
            world.scenario.outage(device=name)

    def test_the_state_tells_what_is_broken(self, world: World) -> None:
        world.scenario.outage(city="lyon")
        world.scenario.throttle(60, "5")
        state = world.session.get(world.simulator.control_url, timeout=10).json()
        assert (state["devices"], state["cities"]["lyon"]) == (400, "Lyon")
        outage, throttle = state["effects"]
        assert (outage["kind"], outage["target"], "until" in outage) == ("outage", "city Lyon", False)
        assert (throttle["kind"], throttle["retryAfter"], throttle["until"]) == ("throttle", "5", "2026-11-24T11:01:00.000Z")

    def test_one_effect_is_cleared_by_its_id_and_all_without(self, world: World) -> None:
        for city in CITIES:
            world.scenario.outage(city=city.slug)
        first = world.scenario.list()[0]["id"]
        world.control("clear", id=first)
        assert first not in {effect["id"] for effect in world.scenario.list()}
        assert len(world.scenario.list()) == 2
        world.scenario.clear()
        assert world.scenario.list() == []

    def test_nobody_at_the_address_is_told_plainly(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("webex_simulator.scenarios.RESTART_SECONDS", 0.1)
        with pytest.raises(ScenarioError, match=r"No Webex simulator answers at http://127.0.0.1:9/_control .*: start one there"):
            ScenarioClient("http://127.0.0.1:9/_control").list()


class TestKeeping:
    def test_effects_outlive_the_simulator(self, world: World) -> None:
        world.scenario.outage(city="lyon")
        world.scenario.corrupt(2)
        world.get("/devices")
        before = world.scenario.list()
        world.simulator.stop()
        world.start()
        assert world.scenario.list() == before
        assert down_by_location_after_corruption(world)["Lyon Confluence"] == 1

    def test_the_estate_goes_on_where_the_clock_stands(self, world: World) -> None:
        before = world.all("/devices")
        world.simulator.stop()
        world.start()
        assert world.all("/devices") == before

    def test_a_change_that_cant_be_kept_is_not_made(self, world: World) -> None:
        state = world.state_file.parent
        state.rmdir() if state.exists() else None
        state.write_text("a file in the place of the folder, as a full disk would have it")
        with pytest.raises(ScenarioError, match="can't be kept on disk"):
            world.scenario.outage(city="lyon")
        assert world.scenario.list() == []
        assert down_by_location(world)["Lyon Confluence"] < 0.2
        state.unlink()
        world.scenario.outage(city="lyon")
        assert len(world.scenario.list()) == 1

    @pytest.mark.parametrize("text", ["{", "[]", '{"lastNumber": 1, "effects": [{}]}'])
    def test_a_damaged_file_is_named_with_the_way_out(self, make_world: MakeWorld, tmp_path: Path, text: str) -> None:
        (tmp_path / "state").mkdir()
        (tmp_path / "state" / "webex-scenario.json").write_text(text)
        with pytest.raises(SimulatorError, match=r"webex-scenario.json is damaged .* delete it"):
            make_world()

    def test_an_effect_on_what_no_longer_exists_does_no_harm(self, make_world: MakeWorld) -> None:
        world = make_world()
        world.scenario.outage(device=world.simulator.estate.devices[0].id)
        world.simulator.stop()
        other = make_world(seed=8)
        assert len(other.scenario.list()) == 1
        assert len(other.all("/devices")) == 400
        assert json.loads((other.state_file).read_text())["lastNumber"] == 1


def down_by_location_after_corruption(world: World) -> dict[str, float]:
    world.get("/devices")
    return down_by_location(world)


def test_the_documentation_lists_the_actions_there_are(world: World) -> None:
    page = Path(__file__).parents[1].joinpath("control.md").read_text(encoding="utf-8")
    documented = re.findall(r"^\| `([a-z-]+)` \|", page, re.MULTILINE)
    assert world.control("none").json()["error"].endswith(f"Actions: {', '.join(documented)}.")


class TestWhoMayBreakThings:
    @pytest.mark.parametrize(
        "headers",
        [
            {"Origin": "https://evil.example"},
            {"Origin": "null"},
            {"Origin": "http://127.0.0.1:8080"},
            {"Sec-Fetch-Site": "cross-site"},
            {"Sec-Fetch-Site": "same-site"},
            {"Host": "evil.example"},
            {"Host": "evil.example:8081"},
            {"Host": "127.0.0.1.evil.example"},
            {"Host": "[::1"},
            {"Host": "10.0.0.7:8081"},
            {"Host": ""},
        ],
        ids=lambda headers: " ".join(f"{name} {value}" for name, value in headers.items()),
    )
    @pytest.mark.parametrize("method", ["POST", "GET"])
    def test_a_page_in_a_browser_and_a_foreign_name_may_not(self, world: World, headers: dict[str, str], method: str) -> None:
        answer = requests.request(
            method, f"{world.simulator.control_url}/outage", json={"city": "lyon"}, headers=headers, timeout=5
        )
        assert (answer.status_code, "commands on this machine only" in answer.json()["error"]) == (403, True)
        assert requests.get(world.simulator.control_url, timeout=5).json()["effects"] == []

    @pytest.mark.parametrize("host", ["127.0.0.1:8081", "localhost:8081", "LOCALHOST", "[::1]:8081"])
    def test_a_command_by_any_name_of_loopback_may(self, world: World, host: str) -> None:
        answer = requests.post(
            f"{world.simulator.control_url}/outage",
            json={"city": "lyon"},
            headers={"Host": host, "Sec-Fetch-Site": "none"},
            timeout=5,
        )
        assert answer.status_code == 200

    def test_the_api_answers_by_any_name_as_the_real_one_does(self, world: World) -> None:
        assert requests.get(f"{world.simulator.url}/devices", headers={"Host": "webex.internal"}, timeout=5).status_code == 401
