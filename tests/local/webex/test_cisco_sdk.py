"""The pushing simulator, judged by Cisco's own SDK: it connects, and is told everything that a raw queue beside it is told."""

from __future__ import annotations

from collections import Counter
from typing import Any

import jwt
import requests
from webex_world import World

from tests.support.cisco_sdk import connected

PATHS = ("RoomAnalytics.*", "Standby.State", "SystemUnit.State.NumberOfActiveCalls")
MANIFEST = {
    "id": "5a1c4b7e-3f0e-4f51-9d4c-0c7f5c1d2e33",
    "manifestVersion": 7,
    "apiAccess": [{"scope": "spark:xapi_statuses", "access": "required"}],
    "xapiAccess": {"status": [{"path": path} for path in PATHS], "events": [{"path": "BootEvent"}]},
}


def said(change: dict[str, Any]) -> tuple[str, str, str, str]:
    return change["deviceId"], change["key"], str(change["value"]), change["timestamp"]


class RawQueue:
    """A second activation, read without any SDK."""

    def __init__(self, world: World) -> None:
        given = world.scenario.integrate(MANIFEST)
        claims = jwt.decode(given["activationCode"], options={"verify_signature": False})
        fields = {"client_id": given["clientId"], "client_secret": given["clientSecret"], "refresh_token": claims["refreshToken"]}
        token = requests.post(claims["oauthUrl"], json=fields | {"grant_type": "refresh_token"}, timeout=10).json()[
            "access_token"
        ]
        self.headers = {"Authorization": f"Bearer {token}"}
        answer = requests.patch(claims["appUrl"], json={"queue": {"state": "enabled"}}, headers=self.headers, timeout=10)
        self.url = answer.json()["queue"]["pollUrl"]

    def changes(self) -> list[dict[str, Any]]:
        messages = requests.get(self.url, headers=self.headers, timeout=10).json()["messages"]
        return [
            {"deviceId": message["deviceId"], "key": path, "value": value, "timestamp": message["timestamp"]}
            for message in messages
            if message["type"] == "status"
            for path, value in message["changes"]["updated"].items()
        ]


def test_ciscos_sdk_is_told_every_change_and_event(world: World) -> None:
    world.simulator.integrations.hold_seconds = 0.2
    queue = RawQueue(world)
    with connected(world.scenario.integrate(MANIFEST)) as sdk:
        assert sdk.told(1) == [{"manifestVersion": 7}]
        for step in (0, 300):
            world.now += step
            expected = queue.changes()
            assert Counter(map(said, sdk.told(len(expected)))) == Counter(map(said, expected)) != Counter()
        device = expected[0]["deviceId"]
        world.scenario.event(device, "BootEvent", {"Action": "Restart"})
        assert sdk.told(1) == [{"deviceId": device, "key": "BootEvent", "value": {"Action": "Restart"}}]
