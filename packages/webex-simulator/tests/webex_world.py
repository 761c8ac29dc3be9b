"""Simulators on free ports, with a clock the tests turn by hand; each in a folder of its own and stopped at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import requests

from webex_simulator import server
from webex_simulator.cities import SAMPLE
from webex_simulator.clock import Clock
from webex_simulator.estate import build_estate
from webex_simulator.scenarios import ScenarioClient
from webex_simulator.server import WebexSimulator

CITIES = SAMPLE
TUESDAY_NOON = datetime.fromisoformat("2026-11-24T11:00:00+00:00").timestamp()
"""Noon in Lyon, an ordinary working day."""


class World:
    """A running simulator, the hands of its clock, and a client that is logged in."""

    def __init__(self, folder: Path, *, speed: float = 1.0, **options: Any) -> None:
        self.now = TUESDAY_NOON
        self.state_file = folder / "state" / "webex-scenario.json"
        clock = Clock(lambda: TUESDAY_NOON + (self.now - TUESDAY_NOON) * speed, speed)
        self.options = {"devices": 400, "clock": clock, **options}
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.headers["Authorization"] = "Bearer simulated-access-token"
        self.start()

    def start(self) -> None:
        """Start a simulator on what is on disk."""
        self.simulator = WebexSimulator(CITIES, self.state_file, **self.options)
        self.simulator.start()
        self.scenario = ScenarioClient(self.simulator.control_url)

    def close(self) -> None:
        """Stop it and hang up."""
        self.simulator.stop()
        self.session.close()

    def get(self, path: str, **params: Any) -> requests.Response:
        """GET below /v1; a `from` is given as from_."""
        params = {name.rstrip("_"): value for name, value in params.items()}
        return self.session.get(f"{self.simulator.url}{path}", params=params, timeout=10)

    def all(self, path: str, **params: Any) -> list[dict[str, Any]]:
        """Every item of a listing, following the next links."""
        response = self.get(path, **params)
        items = []
        while True:
            response.raise_for_status()
            items += response.json()["items"]
            if "next" not in response.links:
                return items
            response = self.session.get(response.links["next"]["url"], timeout=10)

    def statuses(self) -> dict[str, str]:
        """Connection status by device id."""
        return {device["id"]: device["connectionStatus"] for device in self.all("/devices")}

    def control(self, action: str, **fields: Any) -> requests.Response:
        """POST an action to the control endpoint."""
        return self.session.post(f"{self.simulator.control_url}/{action}", json=fields, timeout=10)


_estate_of = cache(build_estate)


@pytest.fixture
def make_world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., World]]:
    """Simulators; those of the same seed and size have one estate, which nothing changes."""
    monkeypatch.setattr(server, "build_estate", _estate_of)
    worlds = []

    def make(**options: Any) -> World:
        worlds.append(World(tmp_path, **options))
        return worlds[-1]

    yield make
    for world in worlds:
        world.close()


@pytest.fixture
def world(make_world: Callable[..., World]) -> World:
    """400 devices in three cities, at noon in Lyon."""
    return make_world()
