"""The API over HTTP, as it is documented."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import pairwise
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import requests
from webex_world import TUESDAY_NOON, World

from webex_simulator.capabilities import measures
from webex_simulator.site_time import parse_iso
from webex_simulator.tokens import ACCESS_SECONDS, CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN

HOUR, DAY = 3600.0, 86400.0
MakeWorld = Callable[..., World]


def iso(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat()


class TestListings:
    def test_every_device_is_listed_once(self, world: World) -> None:
        ids = [device["id"] for device in world.all("/devices", max=70)]
        assert len(ids) == len(set(ids)) == 400

    def test_a_larger_page_than_the_cap_is_silently_cut_and_the_next_link_keeps_the_query(self, make_world: MakeWorld) -> None:
        world = make_world(page_cap=150)
        response = world.get("/devices", max=1000, type="roomdesk")
        assert len(response.json()["items"]) == 150
        link = urlsplit(response.links["next"]["url"])
        assert parse_qs(link.query) == {"max": ["1000"], "type": ["roomdesk"], "start": ["150"]}
        assert link.netloc == urlsplit(world.simulator.url).netloc

    def test_the_last_page_has_no_next_link(self, world: World) -> None:
        assert "Link" not in world.get("/devices", max=200, start=200).headers
        assert world.get("/devices", start=5000).json() == {"items": []}

    @pytest.mark.parametrize(
        "field", ["displayName", "connectionStatus", "locationId", "workspaceId", "product", "type", "serial"]
    )
    def test_devices_are_filtered_by_a_field(self, world: World, field: str) -> None:
        everything = world.all("/devices")
        value = next(device[field] for device in everything if field in device)
        expected = [device["id"] for device in everything if device.get(field) == value]
        assert [device["id"] for device in world.all("/devices", max=20, **{field: value})] == expected

    @pytest.mark.parametrize("form", ["{mac}", "{bare}", "{lower}", "{dashes}", "{dots}"])
    def test_a_mac_address_finds_its_device_however_it_is_written(self, world: World, form: str) -> None:
        device = next(one for one in world.all("/devices") if one.get("mac"))
        mac = device["mac"]
        bare = mac.replace(":", "")
        dots = ".".join(bare.lower()[at : at + 4] for at in (0, 4, 8))
        asked = form.format(mac=mac, bare=bare, lower=bare.lower(), dashes=mac.replace(":", "-"), dots=dots)
        assert [one["id"] for one in world.all("/devices", mac=asked)] == [device["id"]]

    def test_one_device_is_what_the_listing_says_of_it(self, world: World) -> None:
        for device in world.all("/devices")[::40]:
            assert world.get(f"/devices/{device['id']}").json() == device

    def test_a_device_that_is_not_there_is_not_found(self, world: World) -> None:
        assert world.get("/devices/unknown").status_code == 404

    def test_filters_add_up_and_several_tags_must_all_be_there(self, world: World) -> None:
        found = world.all("/devices", type="roomdesk", tag="tier-1")
        assert found
        assert all(device["type"] == "roomdesk" and "tier-1" in device["tags"] for device in found)
        assert world.all("/devices", tag="tier-1,tier-2") == []

    def test_workspaces_bring_devices_and_capabilities_only_when_asked_to(self, world: World) -> None:
        assert not {"devices", "capabilities"} & set(world.all("/workspaces")[0])
        rooms = world.all("/workspaces", includeDevices="true", includeCapabilities="true", max=50)
        in_rooms = sorted(device["id"] for room in rooms for device in room["devices"])
        assert in_rooms == sorted(device["id"] for device in world.all("/devices") if "workspaceId" in device)
        with_navigator = next(room for room in rooms if any(device["type"] == "accessory" for device in room["devices"]))
        assert with_navigator["capabilities"]["airQuality"]["supported"] is True

    def test_the_health_of_a_workspace_follows_its_devices(self, world: World) -> None:
        for room in world.all("/workspaces", includeDevices="true"):
            troubled = any(device["connectionStatus"] in ("disconnected", "connected_with_issues") for device in room["devices"])
            assert (room["health"]["level"] != "ok") == troubled

    def test_locations_have_city_and_time_zone_and_can_be_searched(self, world: World) -> None:
        locations = {location["name"]: location for location in world.all("/locations")}
        assert locations["Lyon Confluence"]["address"]["city"] == "Lyon"
        assert locations["Lyon Confluence"]["timeZone"] == "Europe/Paris"
        assert [each["name"] for each in world.all("/locations", name="CONFLU")] == ["Lyon Confluence"]
        assert [each["name"] for each in world.all("/locations", id=locations["Toronto Front Street"]["id"])] == [
            "Toronto Front Street"
        ]

    def test_the_floors_of_a_location_are_those_of_its_workspaces(self, world: World) -> None:
        location = world.all("/locations")[0]
        floors = {floor["id"] for floor in world.get(f"/locations/{location['id']}/floors").json()["items"]}
        assert {room["floorId"] for room in world.all("/workspaces", locationId=location["id"])} <= floors

    @pytest.mark.parametrize("query", [{"max": "many"}, {"max": 0}, {"start": -1}])
    def test_a_page_that_makes_no_sense_is_refused(self, world: World, query: dict[str, str]) -> None:
        response = world.get("/devices", **query)
        assert response.status_code == 400
        assert next(iter(query)) in response.json()["message"]


class TestErrorsAndTokens:
    def test_errors_have_the_documented_shape_and_the_tracking_id_of_the_header(self, world: World) -> None:
        response = world.get("/nothing")
        body = response.json()
        assert response.status_code == 404
        assert body["errors"] == [{"description": body["message"]}]
        assert body["trackingId"] == response.headers["TrackingID"]

    def test_every_answer_has_a_tracking_id_of_its_own(self, world: World) -> None:
        ids = {world.get("/devices", max=1).headers["TrackingID"] for _ in range(5)}
        assert len(ids) == 5

    @pytest.mark.parametrize("header", [None, "Bearer ", "Bearer wrong", "Basic simulated-access-token", "Bearer simulated-1-2"])
    def test_without_a_valid_token_there_is_only_401(self, world: World, header: str | None) -> None:
        response = requests.get(f"{world.simulator.url}/devices", headers={"Authorization": header} if header else {}, timeout=10)
        assert response.status_code == 401

    def test_the_api_only_reads(self, world: World) -> None:
        assert world.session.delete(f"{world.simulator.url}/devices", timeout=10).status_code == 405

    def refresh(self, world: World, **changes: str) -> requests.Response:
        form = {
            "grant_type": "refresh_token",
            "client_id": CLIENT_ID,
            "client_secret": CLIENT_SECRET,
            "refresh_token": REFRESH_TOKEN,
        }
        return requests.post(f"{world.simulator.url}/access_token", data=form | changes, timeout=10)

    def test_a_refreshed_token_works_until_it_expires_by_the_clock(self, world: World) -> None:
        answer = self.refresh(world).json()
        assert (answer["expires_in"], answer["refresh_token"], answer["token_type"]) == (ACCESS_SECONDS, REFRESH_TOKEN, "Bearer")
        world.session.headers["Authorization"] = f"Bearer {answer['access_token']}"
        world.now += ACCESS_SECONDS - 1
        assert world.get("/devices", max=1).status_code == 200
        world.now += 2
        assert world.get("/devices", max=1).status_code == 401

    def test_a_refreshed_token_survives_a_restart(self, world: World) -> None:
        token = self.refresh(world).json()["access_token"]
        world.simulator.stop()
        world.start()
        world.session.headers["Authorization"] = f"Bearer {token}"
        assert world.get("/devices", max=1).status_code == 200

    @pytest.mark.parametrize(
        ("changes", "status"),
        [({"grant_type": "password"}, 400), ({"client_secret": "wrong"}, 401), ({"refresh_token": "wrong"}, 400)],
    )
    def test_a_wrong_refresh_is_refused(self, world: World, changes: dict[str, str], status: int) -> None:
        assert self.refresh(world, **changes).status_code == status


class TestTransport:
    def test_answers_are_compressed_only_when_asked_for(self, world: World) -> None:
        packed = world.get("/devices")
        plain = world.session.get(f"{world.simulator.url}/devices", headers={"Accept-Encoding": "identity"}, timeout=10)
        assert packed.headers["Content-Encoding"] == "gzip"
        assert "Content-Encoding" not in plain.headers
        assert packed.content == plain.content
        assert int(packed.headers["Content-Length"]) < len(plain.content) / 5

    def test_a_connection_is_kept_alive(self, world: World) -> None:
        connection = http.client.HTTPConnection(urlsplit(world.simulator.url).netloc, timeout=10)
        for _ in range(3):
            connection.request("GET", "/v1/devices?max=1", headers={"Authorization": "Bearer simulated-access-token"})
            response = connection.getresponse()
            local_address = connection.sock.getsockname()
            assert json.loads(response.read())["items"]
        assert connection.sock.getsockname() == local_address
        connection.close()

    def test_a_stopped_simulator_cuts_its_connections_and_can_start_again(self, world: World) -> None:
        assert world.get("/devices", max=1).ok
        url = world.simulator.url
        world.simulator.stop()
        with pytest.raises(requests.ConnectionError):
            world.session.get(f"{url}/devices", timeout=5)
        world.simulator.start()
        assert world.get("/devices", max=1).ok

    def test_requests_are_counted_by_status(self, world: World) -> None:
        world.get("/devices", max=1)
        world.get("/nothing")
        assert world.simulator.answers == {200: 1, 404: 1}


class TestWorkspaceMetrics:
    def room(self, world: World, sensor: str = "peopleCount") -> str:
        """A room in Lyon that measures something."""
        estate = world.simulator.estate
        rooms = (room for room in estate.workspaces if room.location.name.startswith("Lyon") and measures(estate, room, sensor))
        return next(
            room.id for room in rooms if world.get("/workspaceMetrics", workspaceId=room.id, metricName=sensor).json()["items"]
        )

    def test_raw_readings_come_with_their_device_in_the_order_asked_for(self, world: World) -> None:
        span = {"from_": iso(TUESDAY_NOON - HOUR), "to": iso(TUESDAY_NOON)}
        ask = {"workspaceId": self.room(world, "temperature"), "metricName": "temperature", "aggregation": "none", **span}
        newest, oldest = (
            world.get("/workspaceMetrics", **ask).json(),
            world.get("/workspaceMetrics", **ask, sortBy="oldestFirst").json(),
        )
        assert newest["items"] == oldest["items"][::-1]
        assert oldest["unit"] == "celsius"
        times = sorted({parse_iso(item["timestamp"]) for item in oldest["items"]})
        assert 0 <= times[0] - (TUESDAY_NOON - HOUR) < 300, "each room reads at seconds of its own"
        assert {late - early for early, late in pairwise(times)} == {300.0}
        assert {"deviceId", "timestamp", "value"} == set(oldest["items"][0])
        assert {item["deviceId"] for item in oldest["items"]} <= set(world.statuses())

    def test_buckets_ignore_zeros_and_negative_values(self, world: World) -> None:
        ask = {"workspaceId": self.room(world), "metricName": "peopleCount", "from_": iso(TUESDAY_NOON - 24 * HOUR)}
        raw = world.get("/workspaceMetrics", **ask, aggregation="none").json()["items"]
        assert {item["value"] for item in raw} >= {-1, 0}, "an empty room in standby, and one in office hours"
        buckets = world.get("/workspaceMetrics", **ask, aggregation="hourly").json()["items"]
        positive = {item["timestamp"][:13] for item in raw if item["value"] > 0}
        assert {bucket["start"][:13] for bucket in buckets} == positive
        assert all(0 < bucket["min"] <= bucket["mean"] <= bucket["max"] for bucket in buckets)

    def test_a_bucket_starts_at_the_full_hour_and_holds_nothing_from_before_the_time_asked_for(self, world: World) -> None:
        ask = {"workspaceId": self.room(world, "temperature"), "metricName": "temperature", "to": iso(TUESDAY_NOON)}
        span = {"from_": iso(TUESDAY_NOON - 20 * 60)}
        (bucket,) = world.get("/workspaceMetrics", **ask, **span).json()["items"]
        values = [item["value"] for item in world.get("/workspaceMetrics", **ask, **span, aggregation="none").json()["items"]]
        assert bucket["start"] == "2026-11-24T10:00:00.000Z"
        assert bucket["max"] == max(values)
        assert len(values) >= 4

    def test_readings_never_come_from_the_future(self, world: World) -> None:
        ask = {"workspaceId": self.room(world, "temperature"), "metricName": "temperature", "aggregation": "none"}
        items = world.get("/workspaceMetrics", **ask, from_=iso(TUESDAY_NOON - 600), to=iso(TUESDAY_NOON + HOUR)).json()["items"]
        assert items
        assert max(item["timestamp"] for item in items) <= "2026-11-24T11:00:00.000Z"

    @pytest.mark.parametrize(
        ("aggregation", "hours", "status"),
        [
            ("none", 47.9, 200),
            ("none", 48, 400),
            ("hourly", 48, 400),
            ("daily", 719, 200),
            ("daily", 720, 400),
            ("none", -1, 400),
        ],
    )
    def test_spans_are_limited_as_the_real_api_limits_them(
        self, world: World, aggregation: str, hours: float, status: int
    ) -> None:
        span = {"from_": iso(TUESDAY_NOON - hours * HOUR), "to": iso(TUESDAY_NOON), "aggregation": aggregation}
        ask = {"workspaceId": world.simulator.estate.workspaces[0].id, "metricName": "peopleCount"}
        assert world.get("/workspaceMetrics", **ask, **span).status_code == status

    @pytest.mark.parametrize(
        ("changes", "status", "named"),
        [
            ({"metricName": "occupancy"}, 400, "metricName"),
            ({"metricName": ""}, 400, "metricName"),
            ({"workspaceId": "unknown"}, 404, "workspace"),
            ({"from_": "yesterday"}, 400, "from"),
            ({"metricName": "tvoc", "unit": "celsius"}, 400, "unit"),
            ({"aggregation": "weekly"}, 400, "aggregation"),
        ],
    )
    def test_what_makes_no_sense_is_refused(self, world: World, changes: dict[str, str], status: int, named: str) -> None:
        ask = {"workspaceId": world.simulator.estate.workspaces[0].id, "metricName": "temperature"} | changes
        response = world.get("/workspaceMetrics", **ask)
        assert (response.status_code, named in response.json()["message"]) == (status, True)

    def test_fahrenheit_is_the_same_temperature(self, world: World) -> None:
        ask = {"workspaceId": self.room(world, "temperature"), "metricName": "temperature", "aggregation": "none"}
        celsius, fahrenheit = (
            world.get("/workspaceMetrics", **ask, unit=unit).json()["items"] for unit in ("celsius", "fahrenheit")
        )
        assert fahrenheit[0]["value"] == pytest.approx(celsius[0]["value"] * 1.8 + 32, abs=0.06)


class TestWorkspaceDurations:
    def minutes(self, world: World, room: str, measurement: str, **more: str) -> list[dict[str, Any]]:
        day = {"from_": "2026-11-24T06:00:00Z", "to": "2026-11-24T11:00:00Z"} | more
        found: list[dict[str, Any]] = world.get(
            "/workspaceDurationMetrics", workspaceId=room, measurement=measurement, **day
        ).json()["items"]
        return found

    def test_a_morning_is_booked_and_used_as_its_rooms_are(self, world: World) -> None:
        rooms = [room.id for room in world.simulator.estate.workspaces][:40]
        booked = [hour["duration"] for room in rooms for hour in self.minutes(world, room, "timeBooked")]
        used = [hour["duration"] for room in rooms for hour in self.minutes(world, room, "timeUsed")]
        assert len(booked) == len(used) == 5 * len(rooms)
        assert set(booked) == {0, 60}
        assert 0 < sum(used) < sum(booked)
        assert any(held and not seen for held, seen in zip(booked, used, strict=True)), "somebody did not show up"
        assert any(seen and not held for held, seen in zip(booked, used, strict=True)), "somebody walked in"

    def test_a_bucket_holds_nothing_from_outside_the_time_asked_for(self, world: World) -> None:
        room = next(r.id for r in world.simulator.estate.workspaces if self.minutes(world, r.id, "timeBooked")[-1]["duration"])
        (half,) = self.minutes(world, room, "timeBooked", from_="2026-11-24T10:30:00Z")
        assert (half["start"][:16], half["duration"]) == ("2026-11-24T10:00", 30)

    @pytest.mark.parametrize(("hours", "status"), [(47, 200), (48, 400)])
    def test_a_span_of_48_hours_is_refused(self, world: World, hours: int, status: int) -> None:
        start = datetime.fromtimestamp(TUESDAY_NOON - hours * 3600, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        ask = {"workspaceId": world.simulator.estate.workspaces[0].id, "from_": start, "to": "2026-11-24T11:00:00Z"}
        assert world.get("/workspaceDurationMetrics", **ask).status_code == status


class TestXapi:
    def status(self, world: World, device: str, *names: str) -> requests.Response:
        return world.get("/xapi/status", deviceId=device, name=list(names))

    def device(self, world: World, **wanted: str) -> str:
        return next(
            str(device["id"])
            for device in world.all("/devices")
            if all(device.get(name) == value for name, value in wanted.items())
            and ("workspaceId" in device) == ("personId" not in device)
        )

    def test_expressions_name_leaves_branches_and_wildcards_whatever_their_case(self, world: World) -> None:
        room = self.device(world, connectionStatus="connected", type="roomdesk", product="Cisco Room Kit EQ")
        leaf = self.status(world, room, "roomanalytics.peoplecount.current").json()
        assert leaf["deviceId"] == room
        assert set(leaf["result"]["RoomAnalytics"]["PeopleCount"]) == {"Current"}
        branch = self.status(world, room, "RoomAnalytics.*").json()["result"]["RoomAnalytics"]
        assert {"PeopleCount", "RoomInUse", "AmbientNoise"} <= set(branch)
        items = self.status(world, room, "Peripherals.ConnectedDevice[*].Status").json()["result"]["Peripherals"][
            "ConnectedDevice"
        ]
        assert all(set(item) == {"id", "Status"} for item in items)

    def test_types_are_as_loose_as_on_a_device(self, world: World) -> None:
        board = self.device(world, connectionStatus="connected", product="Cisco Board Pro 55")
        analytics = self.status(world, board, "RoomAnalytics").json()["result"]["RoomAnalytics"]
        assert analytics["RoomInUse"] in ("True", "False")
        assert isinstance(analytics["AmbientTemperature"], str)
        assert isinstance(analytics["PeopleCount"]["Current"], int)

    def test_several_expressions_are_merged(self, world: World) -> None:
        room = self.device(world, connectionStatus="connected", type="roomdesk")
        names = (
            "SystemUnit.State.System",
            "SystemUnit.Uptime",
            "Peripherals.ConnectedDevice[*].Status",
            "Peripherals.ConnectedDevice[*].Name",
        )
        result = self.status(world, room, *names).json()["result"]
        assert set(result["SystemUnit"]) == {"State", "Uptime"}
        assert set(result["Peripherals"]["ConnectedDevice"][0]) == {"id", "Status", "Name"}

    def test_the_sdk_way_of_one_parameter_with_commas_works_too(self, world: World) -> None:
        room = self.device(world, connectionStatus="connected", type="roomdesk")
        assert set(self.status(world, room, "Standby.State,SystemUnit.Uptime").json()["result"]) == {"Standby", "SystemUnit"}

    def test_an_unknown_path_gives_an_empty_result(self, world: World) -> None:
        room = self.device(world, connectionStatus="connected", type="roomdesk")
        assert self.status(world, room, "No.Such.Path").json()["result"] == {}

    def test_a_personal_device_keeps_what_concerns_privacy_to_itself(self, world: World) -> None:
        person = next(d["id"] for d in world.all("/devices") if "personId" in d and d["connectionStatus"].startswith("connected"))
        assert self.status(world, person, "RoomAnalytics.*").json()["result"] == {}

    def test_issues_are_diagnostics_with_their_type(self, world: World) -> None:
        room = self.device(world, connectionStatus="connected", type="roomdesk")
        world.scenario.issue(room, "touchpanelconnection")
        result = self.status(world, room, "Diagnostics.Message[*].Type").json()["result"]
        assert result["Diagnostics"]["Message"] == [{"id": 1, "Type": "TouchPanelConnection"}]

    def test_at_most_ten_expressions(self, world: World) -> None:
        room = self.device(world, connectionStatus="connected", type="roomdesk")
        assert self.status(world, room, *[f"A.B{number}" for number in range(11)]).status_code == 400
        assert self.status(world, room).status_code == 400

    def test_only_reachable_room_devices_answer(self, world: World) -> None:
        assert self.status(world, self.device(world, type="phone"), "Standby").status_code == 403
        assert (
            self.status(world, self.device(world, type="roomdesk", connectionStatus="disconnected"), "Standby").status_code == 404
        )
        assert self.status(world, "unknown", "Standby").status_code == 404
