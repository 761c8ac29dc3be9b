"""The thread that listens, against the simulated queue: what it does with everything that can happen to it."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from webex_world import World

from processors import clock
from processors.ingest.push import listener as listener_module
from processors.ingest.push.activation import activation_from
from processors.ingest.push.app import AnswerLost, App, Polled
from processors.ingest.push.coverage import Coverage
from processors.ingest.push.home import FolderHome
from processors.ingest.push.listener import Listener
from processors.ingest.push.manifest import manifest
from processors.ingest.push.messages import OtherMessage, read_message
from processors.ingest.push.trust import Trust
from processors.ingest.sinks import SendError

FAR_AHEAD = datetime(2100, 1, 1, tzinfo=UTC)


class Kept:
    """A desk that keeps what is handed in, and fails as often as it is told to."""

    def __init__(self, coverage: Coverage) -> None:
        self.coverage = coverage
        self.messages: list[dict[str, Any]] = []
        self.failures = 0
        self.fault: Exception = SendError("the hub is gone")
        self.tries = 0
        self.arrived = threading.Condition()

    def take(self, messages: Sequence[Any]) -> list[OtherMessage]:
        """See Desk."""
        with self.arrived:
            self.tries += 1
            self.arrived.notify_all()
            if self.failures:
                self.failures -= 1
                raise self.fault
            self.messages += messages
            self.coverage.heard()
            self.arrived.notify_all()
        read = (read_message(message, FAR_AHEAD) for message in messages)
        return [message for message in read if isinstance(message, OtherMessage)]

    def until(self, reached: Callable[[], bool]) -> None:
        """Wait for what a test is about."""
        with self.arrived:
            assert self.arrived.wait_for(reached, timeout=20), f"never came: {len(self.messages)} messages, {self.tries} tries"


class Scene:
    """A simulated Webex with an activated integration, and a listener at it."""

    def __init__(self, folder: Path) -> None:
        self.world = World(folder / "webex", devices=100)
        self.world.simulator.integrations.hold_seconds = 0.05
        self.trust = Trust(self.world.simulator.url)
        self.home = FolderHome(folder / "integration", self.trust)
        self.coverage = Coverage()
        self.desk = Kept(self.coverage)
        self.listener = Listener(self.home, self.trust, self.coverage)
        clock.use(lambda: datetime.fromtimestamp(self.world.now, UTC))

    def activate(self) -> None:
        given = self.world.scenario.integrate(manifest())
        self.home.keep(activation_from(given["activationCode"], given["clientId"], self.trust), given["clientSecret"])

    def hear_first(self) -> int:
        """Listen until everything that devices begin with has come; gives how many messages that is."""
        self.listener.attach(self.desk)
        self.desk.until(lambda: len(self.desk.messages) >= self.devices)
        return len(self.desk.messages)

    @property
    def devices(self) -> int:
        rooms = [one for one in self.world.all("/devices", type="roomdesk") if one.get("workspaceId")]
        return sum(one["connectionStatus"].startswith("connected") for one in rooms)

    def close(self) -> None:
        self.listener.close(5)
        clock.use(None)
        self.world.close()


@pytest.fixture
def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    for name in ("SHORTEST_ROUND_SECONDS", "ERROR_SECONDS", "LOOK_AGAIN_SECONDS"):
        monkeypatch.setattr(listener_module, name, 0.01)
    scene = Scene(tmp_path)
    scene.activate()
    yield scene
    scene.close()


def test_what_devices_tell_is_handed_over_and_covered(scene: Scene) -> None:
    first = scene.hear_first()
    scene.world.now += 300
    scene.desk.until(lambda: len(scene.desk.messages) > first)
    assert all(message["isFullSync"] for message in scene.desk.messages[:first])
    assert not any(message["isFullSync"] for message in scene.desk.messages[first:])
    assert scene.coverage.look() == "live"


@pytest.mark.parametrize("failures", [1, 3])
def test_what_was_not_taken_is_handed_in_again_before_anything_else(scene: Scene, failures: int) -> None:
    scene.desk.failures = failures
    first = scene.hear_first()
    assert scene.desk.tries >= failures + 1
    assert len({(message["deviceId"], message["timestamp"]) for message in scene.desk.messages}) == first == scene.devices


def test_a_fault_of_ours_is_said_and_what_it_was_about_is_polled(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    first = scene.hear_first()
    scene.desk.failures, scene.desk.fault = 1, ZeroDivisionError("a fault of ours")
    scene.world.now += 300
    caplog_has(caplog, "what was pushed could not be handled", scene)
    scene.world.now += 300
    scene.desk.until(lambda: len(scene.desk.messages) > first)


def test_an_answer_that_broke_leaves_a_gap_and_is_no_silence(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    first = scene.hear_first()
    lost: list[str] = []
    poll = App.poll

    def breaks_once(app: App, url: str) -> Polled:
        if not lost:
            lost.append(url)
            raise AnswerLost("an answer that broke")
        return poll(app, url)

    monkeypatch.setattr(scene.coverage, "lost", lambda: lost.append("a gap"))
    monkeypatch.setattr(App, "poll", breaks_once)
    scene.world.now += 300
    scene.desk.until(lambda: len(scene.desk.messages) > first)
    assert lost[1:] == ["a gap"] and scene.coverage.look() == "live"


def test_an_expired_token_costs_nothing(scene: Scene) -> None:
    first = scene.hear_first()
    scene.world.now += 120
    scene.world.scenario.expire_token()
    scene.world.now += 180
    scene.desk.until(lambda: len(scene.desk.messages) > first)
    assert scene.coverage.look() == "live"


def test_a_dropped_queue_is_enabled_anew_and_everything_is_told_again(scene: Scene) -> None:
    first = scene.hear_first()
    scene.world.scenario.drop_queue()
    scene.desk.until(lambda: len(scene.desk.messages) >= 2 * first)
    assert all(message["isFullSync"] for message in scene.desk.messages)


def test_a_throttled_queue_is_left_alone_as_long_as_it_says(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    first = scene.hear_first()
    scene.world.scenario.throttle(60, "1")
    scene.world.now += 300
    scene.world.scenario.clear()
    scene.desk.until(lambda: len(scene.desk.messages) > first)


def test_nothing_is_polled_for_nobody_and_what_came_in_between_waits(scene: Scene) -> None:
    first = scene.hear_first()
    scene.listener.detach()
    assert scene.coverage.look() == "off"
    scene.world.now += 300
    other = Kept(scene.coverage)
    scene.listener.attach(other)
    other.until(lambda: bool(other.messages))
    assert len(scene.desk.messages) == first


def test_a_deactivated_integration_is_forgotten_and_said(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "roompulse.ingest.push")
    scene.hear_first()
    scene.world.scenario.update_integration("deprovision")
    caplog_has(caplog, "nothing is pushed any more", scene)
    assert scene.coverage.look() == "off"


def test_an_integration_that_is_activated_later_is_found(scene: Scene) -> None:
    scene.home.forget()
    scene.listener.attach(scene.desk)
    scene.desk.until(lambda: True)
    scene.activate()
    scene.desk.until(lambda: len(scene.desk.messages) >= scene.devices)


def test_an_approved_manifest_is_taken_up_and_an_action_of_somebody_else_is_left(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "roompulse.ingest.push")
    scene.hear_first()
    scene.world.scenario.update_integration("updateApproved", 2)
    caplog_has(caplog, "the administrator acts", scene)
    queue = scene.world.simulator.integrations
    app_id = next(iter(queue._queues))
    queue._put(app_id, {"type": "action", "jwt": "eyJ.not.signed"})
    caplog_has(caplog, "an action is left", scene)
    assert scene.home.integration() is not None


def test_a_manifest_that_asks_for_more_than_is_approved_is_said(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "roompulse.ingest.push")
    effects = scene.world.simulator._api._effects
    (activated,) = effects.all(scene.world.now)
    activated.values["statuses"] = activated.values["statuses"][1:]
    scene.listener.attach(scene.desk)
    caplog_has(caplog, "the integration's manifest is not approved as it is", scene)


def test_no_token_is_ever_logged(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    scene.hear_first()
    scene.world.scenario.fail(60)
    caplog_has(caplog, "what Webex pushes can't be had", scene)
    tokens = scene.home.store.read()
    secrets = (tokens.access_token, tokens.refresh_token, scene.home.store.client_secret())
    assert all(secrets)
    assert not [secret for secret in secrets if any(secret in f"{record.__dict__}" for record in caplog.records)]


def caplog_has(caplog: pytest.LogCaptureFixture, text: str, scene: Scene) -> None:
    """Wait until something is logged."""
    for _ in range(1500):
        if text in [record.getMessage() for record in caplog.records]:
            return
        threading.Event().wait(0.01)
    raise AssertionError(f"never said: {text}; {[record.getMessage() for record in caplog.records]}")
