"""The simulated Webex organisation as a part of a local run."""

from __future__ import annotations

import asyncio
import contextlib
import errno

from local.part import Part, PartError
from local.run_settings import RunSettings
from processors import clock
from processors.ingest.push.activation import activation_from
from processors.ingest.push.home import FolderHome
from processors.ingest.push.manifest import manifest
from processors.ingest.push.trust import NotTrusted, Trust
from processors.ingest.tokens import TokenStoreError
from webex_simulator.clock import Clock
from webex_simulator.estate import City
from webex_simulator.scenarios import ScenarioClient, ScenarioError
from webex_simulator.server import SimulatorError, WebexSimulator

STATUS_SECONDS = 1.0
BEHIND_THE_OTHERS = 10
"""Priority (`nice`) of its process: it stands for machines that are elsewhere, and nobody who looks at the page waits for it."""


def simulator_of(settings: RunSettings) -> WebexSimulator:
    """The simulator of a run, not started yet. Raises SimulatorError."""
    return WebexSimulator(
        tuple(City(city.slug, city.name, city.time_zone, city.locations) for city in settings.cities),
        settings.state_dir / "webex-scenario.json",
        devices=settings.devices,
        seed=settings.seed,
        port=settings.webex_port,
        clock=Clock(settings.clock.seconds, settings.clock.speed),
    )


async def serve(part: Part) -> None:
    """Serve the estate of a run until the part is to stop."""
    simulator = _started(part.settings)
    try:
        if part.settings.push:
            activate(part.settings)
        if part.settings.control_hub:
            set_up_control_hub(part.settings)
        cities = len(part.settings.cities)
        part.ready(simulator.url, f"{len(simulator.estate.devices):,} devices, {cities} cities, seed {part.settings.seed}")
        while not part.stopping.is_set():
            by_status = {str(status): number for status, number in sorted(simulator.answers.items())}
            part.status(requests=simulator.answers.total(), requestsByStatus=by_status)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(part.stopping.wait(), STATUS_SECONDS)
    finally:
        simulator.stop()


def activate(settings: RunSettings) -> None:
    """Do what an administrator does in Control Hub: activate the integration, give the ingest its code. Once for a data folder.

    Raises PartError.
    """
    clock.use(settings.clock.now)
    trust = Trust(settings.webex_url)
    home = FolderHome(settings.integration_dir, trust)
    try:
        if home.integration() is None:
            given = ScenarioClient(settings.control_url).integrate(manifest())
            home.keep(activation_from(given["activationCode"], given["clientId"], trust), given["clientSecret"])
    except (NotTrusted, TokenStoreError, ScenarioError) as fault:
        raise PartError(f"The integration can't be activated: {fault}") from fault


def set_up_control_hub(settings: RunSettings) -> None:
    """Do what an administrator does in Control Hub: have it send its alerts to the fan-out's hook. Raises PartError."""
    try:
        secret = settings.control_hub_secret_path.read_text(encoding="utf-8")
        ScenarioClient(settings.control_url).control_hub(settings.control_hub_hook, secret)
    except (OSError, ScenarioError) as fault:
        raise PartError(f"Control Hub's alerts can't be set up: {fault}") from fault


def _started(settings: RunSettings) -> WebexSimulator:
    try:
        simulator = simulator_of(settings)
        simulator.start()
    except SimulatorError as fault:
        raise PartError(str(fault)) from fault
    except OSError as fault:
        if fault.errno != errno.EADDRINUSE:
            raise
        text = f"port {settings.webex_port} is in use: stop what listens there, or choose another with --webex-port"
        raise PartError(text) from fault
    return simulator
