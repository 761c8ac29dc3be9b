"""Figures and traces of the polls, in OpenTelemetry, to where `processors/telemetry.py` reads in the environment.

Exports run in threads of their own; when they fail, a log line says so and the poll knows nothing of it.

| metric | unit | meaning |
|---|---|---|
| roompulse.poll.duration | s | how long polls took (histogram; attributes `partial`, `snapshot`) |
| roompulse.poll.lag | s | age of the poll's time slot when everything was acknowledged |
| roompulse.webex.requests | 1 | requests to Webex |
| roompulse.webex.throttled | 1 | answers 429 and 423 |
| roompulse.observations | 1 | observations acknowledged |
| roompulse.quarantined | 1 | records that could not be understood |
| roompulse.devices | 1 | devices known |
| roompulse.webex.token.days | d | days left of the token (attribute `kind`: access, refresh) |

The trace is a span `poll` per poll, with what the poll reports as attributes and its faults as events.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Protocol

from processors.clock import utc_now
from processors.ingest.webex_client import TokenError
from processors.telemetry import FLUSH_MILLISECONDS, Exporters, exporters_from, made_or_reported
from processors.timestamps import parse_time

if TYPE_CHECKING:
    from processors.ingest.poll import PollReport

EXPORT_SECONDS = 60
SERVICE = "roompulse-ingest"
Lives = Callable[[], dict[str, float | None]]


class Telemetry(Protocol):
    """What becomes of a poll's report."""

    def record(self, report: PollReport, throttled: int) -> None:
        """Keep the figures of a poll; `throttled`: answers 429 and 423 since the process began."""

    def close(self) -> None:
        """Export what is kept, for at most a few seconds."""


def telemetry_from(environment: Mapping[str, str], lives: Lives | None) -> Telemetry | None:
    """As the environment says, None for nowhere. `lives` gives the days left of the tokens, where they are known."""

    def made() -> Telemetry | None:
        exporters = exporters_from(environment)
        return PollTelemetry(exporters, lives, environment.get("WEBEX_ORGANISATION", "")) if exporters else None

    return made_or_reported(made)


class PollTelemetry:
    """Telemetry through the OpenTelemetry SDK."""

    def __init__(self, exporters: Exporters, lives: Lives | None, organisation: str = "") -> None:
        """`organisation`: the slug of the partner that is polled; empty for the stack's own."""
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor

        about = {"roompulse.organisation": organisation} if organisation else {}
        resource = Resource({"service.name": SERVICE, **about})
        reader = PeriodicExportingMetricReader(exporters.metrics(), export_interval_millis=EXPORT_SECONDS * 1000)
        self._metrics = MeterProvider([reader], resource, shutdown_on_exit=False)
        self._traces = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._traces.add_span_processor(BatchSpanProcessor(exporters.spans()))
        self._tracer = self._traces.get_tracer("roompulse")
        self._lives = lives
        self._throttled_before = 0
        meter = self._metrics.get_meter("roompulse")
        self._duration = meter.create_histogram("roompulse.poll.duration", "s", "How long polls took")
        self._lag = meter.create_gauge("roompulse.poll.lag", "s", "Age of the poll's time slot when all was acknowledged")
        self._devices = meter.create_gauge("roompulse.devices", "1", "Devices known")
        self._token_days = meter.create_gauge("roompulse.webex.token.days", "d", "Days left of the Webex token")
        self._requests = meter.create_counter("roompulse.webex.requests", "1", "Requests to Webex")
        self._throttled = meter.create_counter("roompulse.webex.throttled", "1", "Answers 429 and 423")
        self._observations = meter.create_counter("roompulse.observations", "1", "Observations acknowledged")
        self._quarantined = meter.create_counter("roompulse.quarantined", "1", "Records not understood")

    def record(self, report: PollReport, throttled: int) -> None:
        """See Telemetry.record."""
        self._duration.record(report.seconds, {"partial": report.partial, "snapshot": report.snapshot})
        slot = parse_time(report.poll_id)
        if slot is not None:
            self._lag.set((utc_now() - slot).total_seconds())
        self._devices.set(report.devices)
        self._requests.add(report.requests)
        self._throttled.add(throttled - self._throttled_before)
        self._throttled_before = throttled
        self._observations.add(report.observations)
        self._quarantined.add(report.quarantined)
        self._record_token()
        self._trace(report)

    def close(self) -> None:
        """See Telemetry.close."""
        self._metrics.shutdown(FLUSH_MILLISECONDS)
        self._traces.force_flush(FLUSH_MILLISECONDS)
        self._traces.shutdown()

    def _record_token(self) -> None:
        if self._lives is None:
            return
        try:
            lives = self._lives()
        except TokenError:
            return  # an alarm in the log already
        for kind, days in lives.items():
            if days is not None:
                self._token_days.set(days, {"kind": kind})

    def _trace(self, report: PollReport) -> None:
        end = time.time_ns()
        span = self._tracer.start_span("poll", start_time=end - int(report.seconds * 1e9))
        for name, value in vars(report).items():
            if name != "faults":
                span.set_attribute(f"roompulse.{name}", value)
        for fault in report.faults:
            span.add_event("fault", {"text": fault})
        span.end(end)
