"""Cisco's own SDK beside our listener, each at a queue of its own: both connect, and are told the same, change by change."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from webex_world import World

from processors import clock
from processors.clock import utc_now
from processors.ingest.push.activation import action_from, activation_from
from processors.ingest.push.app import App
from processors.ingest.push.home import FolderHome
from processors.ingest.push.messages import StatusMessage, read_message
from processors.ingest.push.trust import Trust
from processors.ingest.tokens import INTEGRATION, ServiceAppToken
from processors.timestamps import format_time
from tests.support.cisco_sdk import connected

PATHS = ("RoomAnalytics.*", "Standby.State", "SystemUnit.State.NumberOfActiveCalls")
MANIFEST = {
    "id": "5a1c4b7e-3f0e-4f51-9d4c-0c7f5c1d2e33",
    "manifestVersion": 7,
    "apiAccess": [{"scope": "spark:xapi_statuses", "access": "required"}],
    "xapiAccess": {"status": [{"path": path} for path in PATHS], "events": [{"path": "BootEvent"}]},
}


@pytest.fixture(autouse=True)
def real_time_again() -> Iterator[None]:
    yield
    clock.use(None)


def said(change: dict[str, Any]) -> tuple[tuple[str, str], ...]:
    return tuple(sorted((key, str(value)) for key, value in change.items()))


class OurQueue:
    """A second activation, listened to by the ingest's own code."""

    def __init__(self, world: World, folder: Path) -> None:
        given = world.scenario.integrate(MANIFEST)
        self.trust = Trust(world.simulator.url)
        home = FolderHome(folder, self.trust)
        home.keep(activation_from(given["activationCode"], given["clientId"], self.trust), given["clientSecret"])
        integration = home.integration()
        assert integration is not None
        self.app = App(integration, ServiceAppToken(home.store, integration.oauth_url, INTEGRATION), self.trust)
        self.url = self.app.listening()

    def changes(self) -> list[dict[str, Any]]:
        messages = [read_message(item, utc_now()) for item in self.app.poll(self.url).messages]
        return [
            {"deviceId": message.device_id, "key": path, "value": value, "timestamp": format_time(message.time)}
            for message in messages
            if isinstance(message, StatusMessage)
            for path, value in message.updated.items()
        ]

    def actions(self) -> list[dict[str, Any]]:
        """What the administrator does by the next answer, as the ingest verifies it."""
        jwts = [item["jwt"] for item in self.app.poll(self.url).messages if item["type"] == "action"]
        found = [action_from(jwt, self.app.integration, self.trust, [])[0] for jwt in jwts]
        return [{"action": one.name, "manifestVersion": one.manifest_version} for one in found]


CONNECTED = {"manifestVersion": 7}
"""What the SDK says when it has connected; it polls meanwhile, and may hear of changes before."""


def test_ciscos_sdk_and_our_listener_are_told_the_same_changes(world: World, tmp_path: Path) -> None:
    clock.use(lambda: datetime.fromtimestamp(world.now, UTC))
    world.simulator.integrations.hold_seconds = 0.2
    queue = OurQueue(world, tmp_path / "integration")
    with connected(world.scenario.integrate(MANIFEST)) as sdk:
        for step, at_first in ((0, [CONNECTED]), (300, [])):
            world.now += step
            expected = at_first + queue.changes()
            assert Counter(map(said, sdk.told(len(expected)))) == Counter(map(said, expected)) != Counter()
        device = expected[-1]["deviceId"]
        world.scenario.event(device, "BootEvent", {"Action": "Restart"})
        assert sdk.told(1) == [{"deviceId": device, "key": "BootEvent", "value": {"Action": "Restart"}}]


def test_ciscos_sdk_and_our_listener_verify_and_understand_the_same_actions(world: World, tmp_path: Path) -> None:
    """The SDK looks at the real time: a token of five minutes ago is too old for it."""
    world.now = time.time()
    clock.use(lambda: datetime.fromtimestamp(world.now, UTC))
    world.simulator.integrations.hold_seconds = 0.2
    queue = OurQueue(world, tmp_path / "integration")
    with connected(world.scenario.integrate(MANIFEST)) as sdk, ThreadPoolExecutor(1) as pool:
        assert CONNECTED in sdk.told(1 + len(queue.changes()))
        world.simulator.integrations.hold_seconds = 20  # both wait, as they do at Webex, when the administrator acts
        for action, version in (("healthCheck", 7), ("update", 8), ("updateApproved", 8), ("deprovision", 8)):
            ours = pool.submit(queue.actions)
            time.sleep(0.5)
            world.scenario.update_integration(action, version)
            assert ours.result(30) == sdk.told(1) == [{"action": action, "manifestVersion": version}]


def test_a_health_check_is_nothing_to_do_for_either(world: World, tmp_path: Path) -> None:
    clock.use(lambda: datetime.fromtimestamp(world.now, UTC))
    world.simulator.integrations.hold_seconds = 0.2
    queue = OurQueue(world, tmp_path / "integration")
    with connected(world.scenario.integrate(MANIFEST)) as sdk:
        sdk.told(1 + len(queue.changes()))
        world.scenario.health_check()
        assert sdk.told(1) == [{"said": "xapi: got health check message"}]
        assert queue.changes() == []
        world.now += 300
        expected = queue.changes()
        assert Counter(map(said, sdk.told(len(expected)))) == Counter(map(said, expected)) != Counter(), "both go on"
