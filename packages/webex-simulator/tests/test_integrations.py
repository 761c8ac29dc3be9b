"""Workspace Integrations: activated by a manifest, told what changes by a queue that is polled, and all that can go wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import jwt
import pytest
import requests
from webex_world import World

MANIFEST: dict[str, Any] = {
    "id": "0d9f3f0c-8b41-4c2f-9a53-5d4f5f0f6a11",
    "manifestVersion": 3,
    "apiAccess": [{"scope": "spark-admin:devices_read", "access": "required"}, {"scope": "spark:xapi_statuses"}],
    "xapiAccess": {
        "status": [
            {"path": "RoomAnalytics.*", "access": "required"},
            {"path": "Peripherals.ConnectedDevice[*].RoomAnalytics.*"},
            {"path": "Standby.State"},
            {"path": "Audio.Volume"},
        ],
        "events": [{"path": "BootEvent"}],
        "commands": [],
    },
}
MINUTE = 60


class App:
    """An integration as a program of its own: what its activation gave, its token, its queue."""

    def __init__(self, world: World, **activation: Any) -> None:
        self.world = world
        self.given = world.scenario.integrate({**MANIFEST, **activation.pop("manifest", {})}, **activation)
        self.claims = jwt.decode(self.given["activationCode"], options={"verify_signature": False})
        self.session = requests.Session()
        self.session.trust_env = False
        self.sign_in()

    def token(self, **changed: str) -> requests.Response:
        fields = {
            "grant_type": "refresh_token",
            "client_id": self.given["clientId"],
            "client_secret": self.given["clientSecret"],
            "refresh_token": self.claims["refreshToken"],
        }
        return self.session.post(self.claims["oauthUrl"], json=fields | changed, timeout=10)

    def sign_in(self) -> None:
        self.session.headers["Authorization"] = f"Bearer {self.token().json()['access_token']}"

    def patch(self, **changes: Any) -> requests.Response:
        return self.session.patch(self.claims["appUrl"], json=changes, timeout=10)

    def listen(self) -> str:
        answer = self.patch(provisioningState="completed", queue={"state": "enabled"}).json()
        self.poll_url = str(answer["queue"]["pollUrl"])
        return self.poll_url

    def poll(self) -> list[dict[str, Any]]:
        answer = self.session.get(self.poll_url, timeout=10)
        answer.raise_for_status()
        return list(answer.json()["messages"])

    def after(self, seconds: float) -> list[dict[str, Any]]:
        """What has come when so many seconds have passed."""
        self.world.now += seconds
        return self.poll()


@pytest.fixture
def app(world: World) -> Iterator[App]:
    """An integration that listens, after the state that every device begins with; a poll is never held."""
    world.simulator.integrations.hold_seconds = 0.0
    app = App(world)
    app.listen()
    yield app
    app.session.close()


def room_of(messages: list[dict[str, Any]], path: str) -> dict[str, Any]:
    """The first status message that tells a path."""
    return next(message for message in messages if path in message["changes"]["updated"])


class TestActivation:
    def test_the_code_is_signed_with_the_key_that_is_published(self, world: World) -> None:
        app = App(world)
        origin = world.simulator.url.removesuffix("/v1")
        keys = jwt.PyJWKSet.from_dict(requests.get(f"{origin}/jwks", timeout=10).json())
        header = jwt.get_unverified_header(app.given["activationCode"])
        claims = jwt.decode(app.given["activationCode"], keys[header["kid"]].key, algorithms=["ES256"])
        assert header["alg"] == "ES256"
        assert claims["action"] == "provision"
        assert {
            "sub",
            "orgName",
            "appId",
            "appUrl",
            "manifestUrl",
            "region",
            "scopes",
            "expiryTime",
            "iat",
            "jti",
        } <= claims.keys()
        assert [entry["path"] for entry in MANIFEST["xapiAccess"]["status"]] == json.loads(claims["xapiAccess"])["status"]
        assert claims["oauthUrl"] == f"{world.simulator.url}/access_token"

    def test_a_form_gives_a_token_as_well(self, world: World) -> None:
        app = App(world)
        form = {"grant_type": "refresh_token", "client_id": app.given["clientId"], "client_secret": app.given["clientSecret"]}
        answer = requests.post(app.claims["oauthUrl"], data=form | {"refresh_token": app.claims["refreshToken"]}, timeout=10)
        assert answer.json()["expires_in"] == 86_400

    @pytest.mark.parametrize(("field", "status"), [("client_secret", 401), ("refresh_token", 400), ("client_id", 401)])
    def test_a_wrong_field_gives_no_token(self, world: World, field: str, status: int) -> None:
        assert App(world).token(**{field: "wrong"}).status_code == status

    def test_what_was_activated_survives_a_restart_and_its_queue_does_not(self, world: World, app: App) -> None:
        port = world.simulator.url.split(":")[2].split("/")[0]
        world.simulator.stop()
        world.options["port"] = int(port)
        world.start()
        assert app.session.get(app.claims["appUrl"], timeout=10).json()["manifestVersion"] == 3
        assert app.session.get(app.poll_url, timeout=10).status_code == 404

    def test_a_manifest_that_is_none_is_refused(self, world: World) -> None:
        answer = world.control("integrate", manifest={"xapiAccess": {}})
        assert (answer.status_code, "The manifest is not one" in answer.json()["error"]) == (400, True)

    def test_clearing_what_is_broken_leaves_integrations(self, world: World, app: App) -> None:
        world.scenario.clear()
        assert app.session.get(app.claims["appUrl"], timeout=10).status_code == 200
        assert world.scenario.list() == []


class TestMessages:
    def test_every_device_begins_with_all_it_has_to_tell(self, app: App, world: World) -> None:
        first = app.poll()
        rooms = [device for device in world.all("/devices", type="roomdesk") if device.get("workspaceId")]
        connected = {device["id"] for device in rooms if device["connectionStatus"].startswith("connected")}
        assert {message["deviceId"] for message in first} == connected
        assert all(message["isFullSync"] and message["changes"]["removed"] == [] for message in first)
        assert app.poll() == []

    def test_only_what_can_be_subscribed_to_is_told(self, app: App) -> None:
        paths = {path for message in app.poll() for path in message["changes"]["updated"]}
        assert "RoomAnalytics.PeopleCount.Current" in paths
        assert not [path for path in paths if path.startswith("Audio")]

    def test_a_room_that_is_heated_says_so_at_the_moment_it_is(self, app: App, world: World) -> None:
        path = "RoomAnalytics.AmbientTemperature"
        device = room_of(app.poll(), path)
        room = next(room for room in world.all("/workspaces") if room["id"] == device["workspaceId"])
        world.now += 7
        world.scenario.heat(room["id"], 33)
        (message,) = [message for message in app.poll() if message["deviceId"] == device["deviceId"]]
        assert message["changes"]["updated"] == {path: "33.0"} | {
            path: value for path, value in message["changes"]["updated"].items() if "Temperature" not in path
        }
        assert (message["isFullSync"], message["timestamp"]) == (False, "2026-11-24T11:00:07.000Z")

    def test_what_is_pushed_is_what_is_polled_at_the_same_moment(self, app: App, world: World) -> None:
        world.simulator.integrations.hold_seconds = 0.0
        app.poll()
        pushed = [
            message for message in app.after(5 * MINUTE) if "RoomAnalytics.RelativeHumidity" in message["changes"]["updated"]
        ]
        assert pushed
        for message in pushed[:5]:
            start = "2026-11-24T10:59:00Z"
            asked = {"workspaceId": message["workspaceId"], "metricName": "humidity", "aggregation": "none", "from_": start}
            items = world.get("/workspaceMetrics", **asked).json()["items"]
            polled = {(item["timestamp"], item["value"]) for item in items}
            assert (message["timestamp"], message["changes"]["updated"]["RoomAnalytics.RelativeHumidity"]) in polled

    def test_a_device_that_comes_back_states_everything(self, app: App, world: World) -> None:
        device = app.poll()[0]["deviceId"]
        world.scenario.outage(device=device)
        assert not [message for message in app.after(10 * MINUTE) if message["deviceId"] == device]
        world.scenario.restore(device=device)
        back = [message for message in app.after(1) if message["deviceId"] == device]
        assert [message["isFullSync"] for message in back] == [True]

    def test_what_a_device_no_longer_has_is_removed(self, app: App, world: World) -> None:
        lost = [path for message in app.poll() for path in message["changes"]["removed"]]
        assert lost == []

    def test_an_event_of_the_manifest_is_told_and_another_is_not(self, app: App, world: World) -> None:
        device = app.poll()[0]["deviceId"]
        world.scenario.event(device, "BootEvent", {"Action": "Restart"})
        world.scenario.event(device, "UserInterface.Message", {"Text": "no"})
        (message,) = app.poll()
        assert (message["type"], message["events"][0]["key"], message["deviceId"]) == ("events", "BootEvent", device)

    def test_an_integration_of_one_location_is_told_of_that_one(self, world: World) -> None:
        world.simulator.integrations.hold_seconds = 0.0
        location = world.all("/locations")[0]
        app = App(world, location=location["name"])
        app.listen()
        at = {device["id"] for device in world.all("/devices", locationId=location["id"])}
        assert {message["deviceId"] for message in app.poll()} <= at


class TestQueue:
    def test_a_poll_is_held_until_something_changes(self, app: App, world: World) -> None:
        """No timing: the poll is answered by what is broken while it is held, and else would be held for a minute."""
        app.poll()
        world.simulator.integrations.hold_seconds = 60.0
        answers: list[list[dict[str, Any]]] = []
        import threading

        held = threading.Thread(target=lambda: answers.append(app.poll()))
        held.start()
        world.scenario.health_check()
        held.join(timeout=60)
        assert [message["type"] for message in answers[0]] == ["healthCheck"]

    def test_a_queue_that_was_dropped_has_to_be_enabled_anew(self, app: App, world: World) -> None:
        before = app.poll_url
        world.scenario.drop_queue()
        assert app.session.get(before, timeout=10).status_code == 404
        assert app.listen() != before
        assert app.poll()[0]["isFullSync"]

    def test_enabling_it_again_keeps_the_queue(self, app: App) -> None:
        assert app.listen() == app.poll_url

    def test_all_that_is_lost_is_lost(self, app: App, world: World) -> None:
        world.scenario.push_loss(100)
        assert app.poll() == []

    def test_all_that_is_doubled_comes_twice(self, app: App, world: World) -> None:
        world.scenario.push_duplicates(100)
        messages = app.poll()
        assert messages[::2] == messages[1::2] != []

    def test_out_of_order_is_another_order_of_the_same(self, make_world: Callable[..., World]) -> None:
        ordered = App(make_world())
        ordered.world.simulator.integrations.hold_seconds = 0.0
        ordered.listen()
        expected = {(message["deviceId"], message["timestamp"]): message for message in ordered.poll()}
        ordered.world.scenario.drop_queue()
        ordered.listen()
        ordered.world.scenario.push_disorder()
        messages = ordered.poll()
        assert [message["deviceId"] for message in messages] != [device for device, _ in expected]
        assert {message["deviceId"] for message in messages} == {device for device, _ in expected}

    def test_in_silence_what_changes_is_lost(self, app: App, world: World) -> None:
        world.scenario.push_silence()
        assert app.poll() == []
        world.scenario.clear()
        assert app.poll() == []

    def test_a_token_that_has_expired_is_refused_and_another_is_given(self, app: App, world: World) -> None:
        world.now += 1
        world.scenario.expire_token()
        assert app.session.get(app.poll_url, timeout=10).status_code == 401
        world.now += 1
        app.sign_in()
        assert app.poll()

    def test_the_token_of_a_service_app_opens_no_queue(self, app: App, world: World) -> None:
        assert world.session.get(app.poll_url, timeout=10).status_code == 401


class TestActions:
    def test_what_the_administrator_does_comes_signed(self, app: App, world: World) -> None:
        app.poll()
        world.scenario.update_integration("updateApproved", 4)
        (message,) = app.poll()
        claims = jwt.decode(message["jwt"], options={"verify_signature": False})
        assert (message["type"], claims["action"], claims["manifestVersion"]) == ("action", "updateApproved", 4)
        assert "expiryTime" not in claims

    def test_a_deprovisioned_integration_is_there_no_more(self, app: App, world: World) -> None:
        world.scenario.update_integration("deprovision")
        assert app.session.get(app.claims["appUrl"], timeout=10).status_code == 404

    @pytest.mark.parametrize("changes", [{"provisioningState": "done"}, {"queue": {"state": "on"}}])
    def test_a_state_that_there_is_none_of_is_refused(self, app: App, changes: dict[str, Any]) -> None:
        assert app.patch(**changes).status_code == 400
