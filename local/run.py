"""One local run from a stack file: settings for every part, a data folder that only one run uses, a clock that resumes."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import os
import secrets
import shutil
import socket
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from activator.rules import Rule, load_rules
from infra.settings.contacts import Contact
from infra.settings.handover import handed_over
from infra.settings.processor_settings import Piece, fanout_settings, ingest_settings, pieces_of
from infra.settings.stack import City, StackSettings, load_stack
from local.clock import SimulatedClock
from local.lake.stored_files import unusable_part_of
from local.run_settings import CONTROL_HUB_SECRET, LocalCity, RunSettings
from local.supervisor import RunError

REPOSITORY = Path(__file__).parents[1]


def read_declarations(stack: str) -> tuple[StackSettings, tuple[Rule, ...]]:
    """The stack and the alert rules. Raises DeclarationError with every fault of either, or with the stacks there are."""
    rules = load_rules()
    return load_stack(REPOSITORY / f"Pulumi.{stack}.yaml", rules), rules


def pushed(stack: StackSettings) -> StackSettings:
    """The stack with every city's rooms reporting by themselves what they measure."""
    return replace(stack, cities=tuple(replace(city, push=True) for city in stack.cities))


def witnessed(stack: StackSettings) -> StackSettings:
    """The stack with the simulated Control Hub as the second witness of every city's devices."""
    return replace(stack, cities=tuple(replace(city, control_hub_secret=CONTROL_HUB_SECRET) for city in stack.cities))


def run_settings(
    stack: StackSettings,
    rules: tuple[Rule, ...],
    *,
    data_dir: Path,
    devices: int,
    seed: int,
    speed: float,
    poll_seconds: float | None,
    ports: tuple[int, int, int],
    page_host: str = "127.0.0.1",
) -> RunSettings:
    """The settings of a run; `ports` are those of the Webex simulator, of Event Hubs and of the page."""
    return RunSettings(
        data_dir=data_dir.resolve(),
        stack=stack.stack,
        cities=tuple(_local_city(city) for city in stack.cities),
        devices=devices,
        seed=seed,
        poll_seconds=poll_seconds or stack.poll.seconds,
        snapshot_minutes=stack.poll.snapshot_minutes,
        webex_port=ports[0],
        event_hubs_port=ports[1],
        page_port=ports[2],
        page_host=page_host,
        causes={rule.id: rule.suppress_when for rule in rules if rule.suppress_when},
        outside_severities={rule.id: rule.severity_outside for rule in rules if rule.severity_outside},
        push=any(city.push for city in stack.cities),
        control_hub=any(city.control_hub_secret == CONTROL_HUB_SECRET for city in stack.cities),
        clock=resumed_clock(data_dir, speed),
    )


def refuse_taken_ports(settings: RunSettings) -> None:
    """Raises RunError with every port of a run that something listens on, or that two of its parts would share.

    What else can be wrong with an address the part says that wants it; a port that is taken meanwhile, too.
    """
    wanted = (
        ("127.0.0.1", settings.webex_port, "--webex-port"),
        ("127.0.0.1", settings.event_hubs_port, "--event-hubs-port"),
        (settings.page_host, settings.page_port, "--port"),
    )
    with contextlib.ExitStack() as held:
        taken = [f"port {port} is in use ({option})" for host, port, option in wanted if _is_taken(host, port, held)]
    if taken:
        raise RunError(f"{', '.join(taken)}: stop what listens there (ss -ltnp), or choose another port with the option.")


def _is_taken(host: str, port: int, held: contextlib.ExitStack) -> bool:
    try:
        held.enter_context(socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET))
    except OSError as fault:
        return fault.errno == errno.EADDRINUSE
    return False


def _local_city(city: City) -> LocalCity:
    hours = city.office_hours
    mutes = {override.rule_id: override.until for override in city.overrides if override.mute and override.until}
    return LocalCity(city.slug, city.name, city.time_zone, city.webex_locations, hours.days, hours.opens, hours.closes, mutes)


def resumed_clock(data_dir: Path, speed: float) -> SimulatedClock:
    """A clock that never runs backwards over restarts: it starts at the real time, or where an earlier, faster run stood."""
    now = time.time()
    return SimulatedClock(real_origin=now, simulated_origin=max(now, _last_time(data_dir)), speed=speed)


def remember_time(settings: RunSettings) -> None:
    """Write down how far the clock has come, also when it was set back meanwhile; called about once a second."""
    path = _clock_path(settings.data_dir)
    temporary = path.with_suffix(".tmp")
    latest = max(settings.clock.seconds(), _last_time(settings.data_dir))
    temporary.write_text(json.dumps({"simulatedTime": latest}), encoding="utf-8")
    temporary.replace(path)


def not_notified(stack: StackSettings) -> list[Contact]:
    """The contacts of a stack who would be notified for real by the fan-out here: e-mail and text messages leave from Azure
    only, and what is on this machine is nobody.
    """
    contacts = (contact for city in stack.cities for contact in city.contacts)
    return [contact for contact in contacts if contact.channel and not contact.is_on_this_machine]


def write_files(
    settings: RunSettings, stack: StackSettings, rules: tuple[Rule, ...], *, notify_real_contacts: bool = False
) -> Path:
    """Write what the parts read: the run's own settings and the settings of the processors. Gives the run file's path;
    raises DeclarationError when a processor would refuse its settings.

    The rooms are simulated, so nobody is notified but the inbox and addresses of this machine, unless `notify_real_contacts`.
    """
    today = settings.clock.now().date().isoformat()
    ingest = ingest_settings(_as_one_organisation(stack), rules, today) | {"pollSeconds": settings.poll_seconds}
    for rate in ("requestsPerSecond", "xapiRequestsPerSecond"):
        ingest[rate] *= settings.clock.speed  # as often in the time of the run, or polls would outlast their interval
    fanout = fanout_settings(stack, rules, inbox=str(settings.inbox_path))
    pieces = handed_over(stack, ingest, fanout)
    write_pieces(settings.ingest_settings_path, pieces.ingest)
    if not notify_real_contacts:  # all of them were checked, and some are left out
        fanout = fanout_settings(_with_nobody_real(stack), rules, inbox=str(settings.inbox_path))
    write_pieces(settings.fanout_settings_path, pieces_of(fanout))
    if settings.control_hub:
        settings.secrets_dir.mkdir(parents=True, exist_ok=True)
        settings.control_hub_secret_path.touch(mode=0o600)
        settings.control_hub_secret_path.write_text(secrets.token_hex(32), encoding="utf-8")
    run_file = settings.data_dir / "run.json"
    settings.write(run_file)
    return run_file


def _as_one_organisation(stack: StackSettings) -> StackSettings:
    """A stack whose partners' cities are the stack's own: the simulated Webex is one organisation."""
    return replace(stack, cities=tuple(replace(city, organisation="") for city in stack.cities))


def _with_nobody_real(stack: StackSettings) -> StackSettings:
    real = not_notified(stack)
    cities = (replace(city, contacts=tuple(one for one in city.contacts if one not in real)) for city in stack.cities)
    return replace(stack, cities=tuple(cities))


def write_pieces(folder: Path, pieces: list[Piece]) -> None:
    """Write the settings of a processor, and nothing else, into a folder. A webhook's address may be a secret, so nobody else
    may read them.
    """
    shutil.rmtree(folder, ignore_errors=True)
    for piece in pieces:
        path = folder / piece.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(mode=0o600)
        path.write_text(piece.text, encoding="utf-8")


@contextlib.contextmanager
def claimed(data_dir: Path) -> Iterator[None]:
    """Hold a data folder for this run alone; raises RunError when another run has it, when it can't be written, or when the lake
    can't be in it.
    """
    if unusable := unusable_part_of(data_dir):
        raise RunError(
            f"The data folder {data_dir.absolute()} can't hold the lake: delta-rs, which writes it, reads {unusable!r} as "
            "something else. Choose a folder without it with --data."
        )
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        handle = (data_dir / "run.lock").open("a+")
    except OSError as fault:
        raise RunError(f"The data folder {data_dir} can't be used: {fault.strerror}. Choose another with --data.") from fault
    with handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            handle.seek(0)
            owner = handle.read().strip() or "unknown"
            raise RunError(
                f"Another run (process {owner}) uses the data folder {data_dir}: stop it, or choose another folder with --data."
            ) from None
        handle.truncate(0)
        handle.write(str(os.getpid()))
        handle.flush()
        yield


def _clock_path(data_dir: Path) -> Path:
    return data_dir / "clock.json"


def _last_time(data_dir: Path) -> float:
    path = _clock_path(data_dir)
    if not path.is_file():
        return 0.0
    try:
        return float(json.loads(path.read_text(encoding="utf-8"))["simulatedTime"])
    except (ValueError, KeyError, TypeError) as fault:
        raise RunError(f"{path} is damaged ({fault}): delete it; the clock then starts at the real time.") from fault
