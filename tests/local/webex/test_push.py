"""`roompulse run --push`: what an administrator does in Control Hub is done by the run itself, once."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from webex_world import CITIES, World

from local.clock import SimulatedClock
from local.functions.host import app_settings
from local.part import PartError
from local.run import pushed, read_declarations, write_files
from local.run_settings import LocalCity, RunSettings
from local.webex.part import activate
from processors import clock
from processors.ingest.environment import listener_from
from processors.ingest.push.home import FolderHome
from processors.ingest.push.trust import Trust


@pytest.fixture
def settings(world: World, tmp_path: Path) -> Iterator[RunSettings]:
    cities = tuple(LocalCity(city.slug, city.name, city.time_zone, city.locations) for city in CITIES)
    port = int(world.simulator.url.split(":")[2].split("/")[0])
    hands = SimulatedClock(real_origin=0.0, simulated_origin=world.now, speed=1e-9)
    yield RunSettings(tmp_path / "run", "dev", cities, webex_port=port, push=True, clock=hands)
    clock.use(None)


def test_it_is_activated_once_for_a_data_folder(settings: RunSettings) -> None:
    activate(settings)
    home = FolderHome(settings.integration_dir, Trust(settings.webex_url))
    first = home.integration()
    activate(settings)
    assert first == home.integration() is not None
    assert {stat.S_IMODE(path.stat().st_mode) for path in settings.integration_dir.iterdir()} == {0o600}


def test_the_ingest_is_told_where_the_integration_is_only_where_something_is_pushed(settings: RunSettings) -> None:
    assert listener_from(app_settings(settings)) is not None
    assert listener_from(app_settings(replace(settings, push=False))) is None


def test_a_simulator_that_is_not_there_is_said(settings: RunSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webex_simulator.scenarios.RESTART_SECONDS", 0.0)
    with pytest.raises(PartError, match="The integration can't be activated: No Webex simulator answers"):
        activate(replace(settings, webex_port=1))


def test_every_city_of_the_run_is_pushed_and_none_without(settings: RunSettings) -> None:
    stack, rules = read_declarations("dev")
    for declared, expected in ((stack, False), (pushed(stack), True)):
        write_files(settings, declared, rules)
        cities = [path.read_text(encoding="utf-8") for path in (settings.ingest_settings_path / "cities").iterdir()]
        assert {'"push": true' in text for text in cities} == {expected}
