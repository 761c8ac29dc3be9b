"""The ingest from a shell: polls Webex and sends observations to Event Hubs, into a file, or to the screen."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from processors.clock import utc_now
from processors.contracts.validation import SettingsError
from processors.ingest.environment import (
    ORGANISATION,
    faults_of,
    ingest_settings_from,
    listener_from,
    make_poller,
    of_organisation,
)
from processors.ingest.poll import Poller, PollReport
from processors.ingest.poll_telemetry import SERVICE
from processors.ingest.sinks import EventHubsSink, JsonLinesSink, SendError, Sink
from processors.ingest.state import StateError, StateUnavailable
from processors.telemetry import export_log
from processors.timestamps import slot_of

EXIT_DONE, EXIT_FAILED, EXIT_USAGE, EXIT_PARTIAL = 0, 1, 2, 3

log = logging.getLogger("roompulse.command")

_DESCRIPTION = """\
Polls the Webex API for rooms and devices and sends observations (CloudEvents): a device when it changed, at every poll while it
is unhealthy, and every device in a snapshot from time to time; readings of room sensors; a summary per location and city.
"""
_EPILOG = """\
environment:
  WEBEX_ACCESS_TOKEN   access token of your Webex service app; or
  WEBEX_TOKEN_FILE     file (chmod 600) with {"client_id": ..., "refresh_token": ...}, renewed there with WEBEX_CLIENT_SECRET; or
  WEBEX_TOKEN_VAULT_URI   Key Vault with secrets webex-token-set and webex-client-secret, renewed there (needs STATE_BLOB_URL)
  WEBEX_INTEGRATION_FOLDER   folder of the Workspace Integration that pushes (docs/stages/push.md); else the vault
  WEBEX_API_BASE       default https://webexapis.com/v1
  WEBEX_STATUS_BASE    Webex's status page, default https://status.webex.com; empty: not read
  INGEST_SETTINGS      settings file, unless --settings is given
  EVENT_HUBS           connection string of the Event Hubs namespace, or
  EVENT_HUBS__fullyQualifiedNamespace   its host name: then your Entra sign-in (az login, managed identity) is used
  EVENTSTREAM          connection string (with EntityPath) of a Fabric eventstream's custom endpoint: observations go there
  STATE_FOLDER         where to remember what was sent; without it every start begins with a snapshot; or
  STATE_BLOB_URL       container of Azure Storage to remember it in, for one of several instances at a time
  WEBEX_ORGANISATION   slug of a partner: its cities are polled, with its tokens and a state of its own; default: the stack's own
  OTEL_EXPORTER_OTLP_ENDPOINT   where metrics and traces of the polls and the log go (OTLP over HTTP); or
  APPLICATIONINSIGHTS_CONNECTION_STRING   the same, to Application Insights

examples:
  see what would be sent, once:    ... --once --to stdout | head
  poll every minute:               ... --every 60s
  record a day into a file:        ... --every 60s --to monday.jsonl

exit codes: 0 done, 1 failed (could not send or remember), 2 wrong usage or settings, 3 done, but Webex did not show everything
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line; gives the exit code. `arguments` default to those of the process."""
    options = _parser().parse_args(arguments)
    handler = logging.StreamHandler(sys.stderr)
    handler.addFilter(_for_people)
    handler.setFormatter(_WithFields("%(asctime)s %(levelname)s %(message)s"))
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    environment = of_organisation(os.environ, os.environ.get(ORGANISATION, ""))
    export_log(environment, SERVICE)
    if options.settings:
        environment["INGEST_SETTINGS"] = str(options.settings)
    faults = faults_of(environment, event_hubs=options.to == "event-hubs", state=False)
    if faults:
        return _failed(EXIT_USAGE, "\n".join(faults))
    try:
        poller = _poller(environment, options.to, options.every)
    except SettingsError as fault:
        return _failed(EXIT_USAGE, str(fault))
    except (StateError, SendError) as fault:
        return _failed(EXIT_FAILED, str(fault))
    with contextlib.closing(poller), _stop_on_signals() as stopping:
        return _poll_once(poller) if options.once else _poll_repeatedly(poller, options.every, stopping)


class _WithFields(logging.Formatter):
    """A line for people, with which city, answer or file it is about."""

    def format(self, record: logging.LogRecord) -> str:
        """Render a record; its ids stand behind the message."""
        ids: Mapping[str, object] = getattr(record, "ids", {})
        return super().format(record) + "".join(f" {name}={value}" for name, value in ids.items() if value is not None)


def _for_people(record: logging.LogRecord) -> bool:
    """Our own summary of each poll says to a person what the structured log says to a machine."""
    return record.name == log.name or record.levelno >= logging.ERROR


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m processors.ingest.fabric_real_time_ingest",
        description=_DESCRIPTION,
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    how_often = parser.add_mutually_exclusive_group(required=True)
    how_often.add_argument("--once", action="store_true", help="poll once")
    how_often.add_argument("--every", type=_duration, metavar="DURATION", help="poll at this interval (10s, 1m) until Ctrl-C")
    parser.add_argument("--settings", type=Path, metavar="FILE", help="ingest-settings.json; default: INGEST_SETTINGS")
    parser.add_argument(
        "--to", default="event-hubs", metavar="event-hubs|stdout|FILE", help="where observations go; default: event-hubs"
    )
    return parser


def _duration(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)(s|m|h)", text)
    if not match or float(match[1]) <= 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a duration: write 30s, 5m or 1h")
    return float(match[1]) * {"s": 1, "m": 60, "h": 3600}[match[2]]


def _poller(environment: Mapping[str, str], to: str, every: float | None) -> Poller:
    settings = ingest_settings_from(environment)
    if every:
        settings = dataclasses.replace(settings, poll_seconds=every)
    sink: Sink = EventHubsSink(environment) if to == "event-hubs" else JsonLinesSink(None if to == "stdout" else Path(to))
    return make_poller(environment, settings, sink, listener_from(environment) if every else None)


def _poll_once(poller: Poller) -> int:
    try:
        report = poller.poll()
    except (SendError, StateError) as fault:
        return _failed(EXIT_FAILED, str(fault))
    _say(report)
    return EXIT_PARTIAL if report.partial else EXIT_DONE


def _poll_repeatedly(poller: Poller, every: float, stopping: threading.Event) -> int:
    """Poll until asked to stop. A failed poll is said and repeated: what it could not send, the next one sends."""
    while not stopping.is_set():
        try:
            _say(poller.poll(followed=True))
        except (SendError, StateUnavailable) as fault:
            log.error("%s", fault)
        except StateError as fault:
            return _failed(EXIT_FAILED, str(fault))
        now = utc_now()
        stopping.wait(every - (now - slot_of(now, every)).total_seconds())
    return EXIT_DONE


@contextlib.contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set: the poll under way is finished first."""
    stopping = threading.Event()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: stopping.set()) for number in numbers]
    try:
        yield stopping
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _say(report: PollReport) -> None:
    if report.idle:
        log.info(f"{report.poll_id}: another instance polls; this one waits for its turn")
        return
    snapshot, partial = " (snapshot)" if report.snapshot else "", ", PARTIAL" if report.partial else ""
    log.info(
        f"{report.poll_id}: {report.observations} observations{snapshot} of {report.devices} devices, "
        f"{report.requests} requests, {report.quarantined} quarantined, {report.seconds:.1f} s{partial}"
    )
    for fault in report.faults:
        log.warning("%s", fault)


def _failed(code: int, text: str) -> int:
    log.error("%s", text)
    return code


if __name__ == "__main__":
    sys.exit(main())
