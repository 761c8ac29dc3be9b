"""Control Hub's alerts: what befalls a device is posted, signed, after the time that Control Hub waits; and posted again."""

from __future__ import annotations

import hashlib
import hmac
import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from webex_world import World

SECRET = "shared"
TEN_MINUTES = 600


class Receiver:
    """Takes alerts; `refuse` so many before."""

    def __init__(self) -> None:
        self.refuse = 0
        self.alerts: list[dict[str, Any]] = []
        self.signatures: list[bool] = []
        receiver = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                wanted = hmac.new(SECRET.encode(), body, hashlib.sha1).hexdigest()
                receiver.signatures.append(self.headers["X-Spark-Signature"] == wanted)
                taken = receiver.refuse <= 0
                receiver.refuse -= 1
                if taken:
                    receiver.alerts.append(json.loads(body))
                self.send_response(200 if taken else 503)
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                return

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}/hooks"

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    def about(self, device: str) -> list[str]:
        """What was said of a device."""
        return [one["data"]["summary"] for one in self.alerts if one["data"]["notificationAttributes"]["deviceName"] == device]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    found = Receiver()
    yield found
    found.close()


class Watched:
    """A simulated organisation whose Control Hub looks when a test says so."""

    def __init__(self, world: World, receiver: Receiver, **after: float) -> None:
        self.world, self.receiver = world, receiver
        world.simulator._stopping.set()
        world.scenario.control_hub(receiver.url, SECRET, **after)
        self.hub = world.simulator.control_hub
        self.look()
        self.device = next(one["displayName"] for one in world.all("/devices") if one["connectionStatus"] == "connected")

    def look(self, seconds: float = 0) -> list[str]:
        self.world.now += seconds
        before = len(self.receiver.alerts)
        self.hub.look()
        return [one["data"]["summary"] for one in self.receiver.alerts[before:] if self._is_ours(one)]

    def _is_ours(self, alert: dict[str, Any]) -> bool:
        return bool(alert["data"]["notificationAttributes"]["deviceName"] == getattr(self, "device", ""))


@pytest.fixture
def watched(make_world: Callable[..., World], receiver: Receiver) -> Watched:
    return Watched(make_world(), receiver)


def test_offline_is_said_after_ten_minutes_and_its_return_at_once(watched: Watched) -> None:
    watched.world.scenario.outage(device=watched.device)
    assert watched.look(1) == [] and watched.look(TEN_MINUTES - 2) == []
    assert watched.look(2) == [f"{watched.device} is offline"]
    assert watched.look(3600) == []
    watched.world.scenario.restore(device=watched.device)
    assert watched.look(1) == [f"{watched.device} is online"]


def test_what_is_back_within_ten_minutes_control_hub_never_shows(watched: Watched) -> None:
    watched.world.scenario.outage(device=watched.device)
    watched.look(TEN_MINUTES - 60)
    watched.world.scenario.restore(device=watched.device)
    assert watched.look(120) == []


def test_an_alert_has_the_shape_of_ciscos_article_and_is_signed(watched: Watched) -> None:
    watched.world.scenario.issue(watched.device, "ultrasoundoutput")
    watched.look(1)
    watched.world.scenario.clear()
    watched.look(1)
    first, second = (one for one in watched.receiver.alerts if watched._is_ours(one))
    assert (first["resource"], first["event"], first["ownedBy"]) == ("controlHubAlerts", "created", "org")
    assert first["targetUrl"] == watched.receiver.url
    data = first["data"]
    assert (data["type"], data["subType"]) == ("Devices", "Issues detected and resolved events")
    assert data["notificationAttributes"]["issues"] == {"detected": ["ultrasoundoutput"], "resolved": []}
    assert second["data"]["notificationAttributes"]["issues"] == {"detected": [], "resolved": ["ultrasoundoutput"]}
    ids = {device["displayName"]: device["id"] for device in watched.world.all("/devices")}
    assert data["notificationAttributes"]["deviceId"] == ids[watched.device]
    assert data["notificationId"] != second["data"]["notificationId"]
    assert watched.receiver.signatures and all(watched.receiver.signatures)


def test_what_nobody_takes_is_sent_again_as_the_same_alert(watched: Watched) -> None:
    watched.world.scenario.outage(device=watched.device)
    watched.look(1)
    watched.receiver.refuse = 2
    watched.look(TEN_MINUTES)
    assert watched.receiver.about(watched.device) == []
    watched.look()
    watched.look()
    assert watched.receiver.about(watched.device) == [f"{watched.device} is offline"]


def test_what_was_so_before_is_not_news_and_clear_leaves_the_webhook(watched: Watched) -> None:
    assert watched.receiver.alerts == []
    watched.world.scenario.clear()
    watched.world.scenario.outage(device=watched.device)
    watched.look(1)
    assert watched.look(TEN_MINUTES) == [f"{watched.device} is offline"]
    assert "secret" not in json.dumps(watched.world.scenario.list())


def test_the_issues_of_what_is_gone_are_not_resolved_by_that(watched: Watched) -> None:
    watched.world.scenario.issue(watched.device, "ultrasoundoutput")
    assert len(watched.look(1)) == 1
    watched.world.scenario.outage(device=watched.device)
    assert watched.look(1) == []
    watched.world.scenario.restore(device=watched.device)
    assert watched.look(1) == []


def test_planned_maintenance_is_not_reported(watched: Watched) -> None:
    watched.world.scenario.maintenance(device=watched.device)
    watched.world.scenario.outage(device=watched.device)
    assert watched.look(TEN_MINUTES + 1) == []


def test_its_patience_can_be_shorter_and_it_looks_by_itself(make_world: Callable[..., World], receiver: Receiver) -> None:
    watched = Watched(make_world(), receiver, after_seconds=0)
    stopping = threading.Event()
    thread = threading.Thread(target=watched.hub.run, args=(stopping,), daemon=True)
    thread.start()
    watched.world.scenario.outage(device=watched.device)
    watched.world.now += 1
    for _ in range(100):
        if receiver.about(watched.device):
            break
        time.sleep(0.1)
    stopping.set()
    thread.join(10)
    assert receiver.about(watched.device) == [f"{watched.device} is offline"] and not thread.is_alive()
