"""`roompulse run`: the whole pipeline on this machine, from a simulated Webex estate to the live page."""

from __future__ import annotations

import asyncio
import json
import signal
import time
import webbrowser
from collections import Counter
from collections.abc import Coroutine
from pathlib import Path
from typing import Annotated

import typer

from cli.console import console, failed
from cli.durations import seconds
from cli.screen import Screen, figures_of
from infra.settings.stack import StackSettings
from local.dashboard.sign_in import TokenError, is_loopback, token_in
from local.run import (
    claimed,
    not_notified,
    pushed,
    read_declarations,
    refuse_taken_ports,
    remember_time,
    run_settings,
    witnessed,
    write_files,
)
from local.run_settings import RunSettings
from local.supervisor import RunError, Supervisor


def run(
    stack: Annotated[str, typer.Option(help="Stack whose cities and rules are run: Pulumi.<stack>.yaml.")] = "dev",
    devices: Annotated[int, typer.Option(min=100, max=100_000, help="Size of the simulated Webex estate.")] = 420,
    seed: Annotated[int, typer.Option(help="Seed of the estate: the same seed gives the same rooms and faults.")] = 7,
    speed: Annotated[float, typer.Option(min=1.0, max=60.0, help="How many times faster than real the time runs.")] = 1.0,
    poll: Annotated[str | None, typer.Option(metavar="DURATION", help="Time between polls; default: the stack's.")] = None,
    run_for: Annotated[
        str | None, typer.Option("--for", metavar="DURATION", help="Stop by itself after, say, 90s or 5m.")
    ] = None,
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the page.")] = 8080,
    host: Annotated[
        str, typer.Option(help="Address the page listens on; any but loopback (0.0.0.0: all) asks whoever looks to sign in.")
    ] = "127.0.0.1",
    webex_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the Webex simulator.")] = 8081,
    event_hubs_port: Annotated[int, typer.Option(min=1, max=65535, help="Port of the Event Hubs stand-in.")] = 5672,
    data: Annotated[Path, typer.Option(help="Folder that keeps everything; a second run resumes from it.")] = Path(".roompulse"),
    browser: Annotated[bool, typer.Option(help="Open the page in a browser once it is there.")] = True,
    push: Annotated[
        bool, typer.Option("--push", help="Let the rooms of every city report by themselves what they measure.")
    ] = False,
    control_hub: Annotated[
        bool, typer.Option("--control-hub", help="Let the simulated Control Hub send its own alerts, as a second witness.")
    ] = False,
    notify_real_contacts: Annotated[
        bool, typer.Option("--notify-real-contacts", help="Notify the stack's contacts of what the simulated rooms do.")
    ] = False,
) -> None:
    """Run the whole pipeline on this machine and watch it live. Ctrl-C stops it; the next run resumes.

    Simulated Webex rooms are polled, observations flow through Event Hubs and the stream query into the lake, alerts reach the
    inbox, and a page shows it all. Break something with `roompulse scenario` while it runs.
    """
    limit = seconds(run_for) if run_for else None
    poll_seconds = seconds(poll) if poll else None
    try:
        declared, rules = read_declarations(stack)
        declared = pushed(declared) if push else declared
        declared = witnessed(declared) if control_hub else declared
        with claimed(data):
            settings = run_settings(
                declared, rules, data_dir=data, devices=devices, seed=seed, speed=speed, poll_seconds=poll_seconds,
                ports=(webex_port, event_hubs_port, port), page_host=host,
            )  # fmt: skip
            refuse_taken_ports(settings)
            run_file = write_files(settings, declared, rules, notify_real_contacts=notify_real_contacts)
            _say_who_is_notified(declared, notify_real_contacts)
            _say_who_can_see(settings)
            asyncio.run(_run(settings, run_file, limit, browser and console.is_terminal))
    except RunError as fault:
        raise failed("roompulse run", str(fault)) from fault
    except OSError as fault:
        raise failed(
            "roompulse run", f"{fault.filename or data}: {fault.strerror}. Fix that, or choose another folder with --data."
        ) from fault


def _say_who_is_notified(stack: StackSettings, notify_real_contacts: bool) -> None:
    kinds = Counter(contact.kind for contact in not_notified(stack))
    if not kinds:
        return
    counted = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    if notify_real_contacts:
        text = f"The rooms are simulated, and real contacts of stack {stack.stack} are notified of them: {counted}."
    else:
        text = (
            f"The rooms are simulated: alerts go to the inbox and to addresses of this machine. Contacts of stack {stack.stack} "
            f"that are not notified: {counted} (--notify-real-contacts notifies them)."
        )
    console.print(text, soft_wrap=True)


def _say_who_can_see(settings: RunSettings) -> None:
    if is_loopback(settings.page_host):
        return
    try:
        token, is_new = token_in(settings.page_token_path)
    except TokenError as fault:
        raise RunError(f"{fault}.") from fault
    where = settings.page_token_path
    said = f"The token to sign in: {token} (kept in {where})." if is_new else f"The token to sign in is in {where}."
    console.print(
        f"Other machines reach the page at {settings.page_url}. {said} Delete the file to have a new one, which signs everybody "
        "out. What passes is not encrypted: put a proxy with TLS before it where the network is not yours.",
        soft_wrap=True,
    )


async def _run(settings: RunSettings, run_file: Path, limit: float | None, open_browser: bool) -> None:
    """Start everything, watch it until it is asked to stop or breaks, stop everything, say what was done."""
    screen = Screen(console, settings)
    supervisor = Supervisor(settings, run_file, screen)
    asked_to_stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, asked_to_stop.set)
    screen.header()
    try:
        if not await _finished(supervisor.start(), asked_to_stop):
            return
        if open_browser:
            webbrowser.open(settings.page_url)
        screen.begin()
        await _watch(screen, supervisor, settings, asked_to_stop, limit)
        if not asked_to_stop.is_set():
            # a run that ends by its clock has stored what it has sent
            await _finished(supervisor.drain(), asked_to_stop)
    finally:
        screen.end()
        killed = await supervisor.stop()
        if killed:
            console.print(
                f"  [yellow]![/] killed in the middle of their work: {', '.join(killed)}. The next run repeats it.", markup=True
            )
    _summary(screen, supervisor, settings)


async def _finished(work: Coroutine[None, None, None], asked_to_stop: asyncio.Event) -> bool:
    """Let work go on to its end; False when the person wanted to stop before that."""
    working, stop = asyncio.create_task(work), asyncio.create_task(asked_to_stop.wait())
    await asyncio.wait({working, stop}, return_when=asyncio.FIRST_COMPLETED)
    if working.done():
        stop.cancel()
        await working
        return True
    working.cancel()
    await asyncio.gather(working, return_exceptions=True)
    return False


async def _watch(
    screen: Screen, supervisor: Supervisor, settings: RunSettings, asked_to_stop: asyncio.Event, limit: float | None
) -> None:
    """Draw the figures once a second until asked to stop, until the time is over, or until a part is beyond repair."""
    began = time.monotonic()
    broken = asyncio.create_task(supervisor.broken())
    try:
        while not asked_to_stop.is_set() and (limit is None or time.monotonic() - began < limit):
            screen.keeping(_kept(supervisor, settings))
            screen.look_at_the_clock()
            screen.update(supervisor)
            stop = asyncio.create_task(asked_to_stop.wait())
            await asyncio.wait({broken, stop}, timeout=1.0, return_when=asyncio.FIRST_COMPLETED)
            stop.cancel()
            if broken.done():
                await broken
    finally:
        broken.cancel()
        await asyncio.gather(broken, return_exceptions=True)


def _kept(supervisor: Supervisor, settings: RunSettings) -> OSError | None:
    """Write down how far the run has come; gives why that can't be done now: a full disk ends nothing, room can be made."""
    try:
        remember_time(settings)
        supervisor.look_after()
    except OSError as fault:
        return fault
    return None


def _summary(screen: Screen, supervisor: Supervisor, settings: RunSettings) -> None:
    figures = figures_of(supervisor)
    report = {
        "stack": settings.stack,
        "devices": settings.devices,
        "seconds": round(time.monotonic() - screen.started, 1),
        "peakMemoryMegabytes": round(screen.peak_memory / 1e6, 1),
        "lagSeconds": {"p50": screen.lag(0.5), "p95": screen.lag(0.95), "max": screen.lag(1)},
        "restarts": {process.spec.module: process.restarts for process in supervisor.processes if process.restarts},
        **figures,
    }
    try:
        (settings.data_dir / "last-run.json").write_text(json.dumps(report, indent=1), encoding="utf-8")
    except OSError as fault:
        screen.keeping(fault)
    console.print(
        f"Stopped after {report['seconds']:.0f} s: {int(figures['polls']):,} polls, "
        f"{int(figures['observations_sent']):,} observations, "
        f"lag {float(figures['lag_seconds']):.1f} s, at most {report['peakMemoryMegabytes']:.0f} MB. "
        f"Everything is in {settings.data_dir}; the next run resumes from it.",
        soft_wrap=True,
    )
