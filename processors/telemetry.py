"""Where telemetry goes, and the log on its way there with the fields of its lines, in OpenTelemetry.

Azure's Functions worker hands its host a line's level, category and message, and drops what `extra` holds: which city, blob,
incident or fault. So an app that has somewhere to send to exports its log itself, and PYTHON_ENABLE_OPENTELEMETRY reports the
worker to hand on nothing.

Where to is said by OTEL_EXPORTER_OTLP_ENDPOINT (OTLP over HTTP, protobuf) or APPLICATIONINSIGHTS_CONNECTION_STRING (entered with
the managed identity AZURE_CLIENT_ID). The packages are loaded only then. Exports run in threads of their own.
"""

from __future__ import annotations

import atexit
import json
import logging
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

FLUSH_MILLISECONDS = 5_000
"""How long the end of a process may wait for the last telemetry to arrive."""
EXPORT_MILLISECONDS = 2_000
"""How long a log line waits for others before it is sent."""
OURS = "roompulse"
EXPORTING = ("opentelemetry", "azure.monitor", "azure.core", "azure.identity", "msal", "urllib3")
"""Loggers of what exports: a line about a failed export must not become the next export."""

log = logging.getLogger("roompulse.telemetry")
_lock = threading.Lock()
_exporting: LogExport | None = None
_asked = False
"""Whether this process was asked to export its log: what can't be then is reported once, not at every call."""
Made = TypeVar("Made")


@dataclass(frozen=True)
class Exporters:
    """The exporters of one destination, each made when it is asked for."""

    metrics: Callable[[], Any]
    spans: Callable[[], Any]
    logs: Callable[[], Any]


def exporters_from(environment: Mapping[str, str]) -> Exporters | None:
    """What exports to where the environment says, None for nowhere. See `made_or_reported` for what it and its exporters
    raise."""
    if endpoint := environment.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        return _otlp(endpoint.rstrip("/"))
    if connection := environment.get("APPLICATIONINSIGHTS_CONNECTION_STRING"):
        return _application_insights(connection, environment.get("AZURE_CLIENT_ID"))
    return None


def made_or_reported(make: Callable[[], Made | None]) -> Made | None:
    """What `make` makes with exporters; None, and a line in the log, where packages are missing or the address is malformed:
    whether there is telemetry decides nothing else.
    """
    try:
        return make()
    except ModuleNotFoundError as missing:
        log.error("no telemetry: %s is not installed; pip install -r requirements.txt has it", missing.name)
    except ValueError as fault:
        log.error("no telemetry: %s Fix APPLICATIONINSIGHTS_CONNECTION_STRING.", str(fault).rstrip(".") + ".")
    return None


def _otlp(base: str) -> Exporters:
    from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

    return Exporters(
        lambda: OTLPMetricExporter(endpoint=f"{base}/v1/metrics"),
        lambda: OTLPSpanExporter(endpoint=f"{base}/v1/traces"),
        lambda: OTLPLogExporter(endpoint=f"{base}/v1/logs"),
    )


def _application_insights(connection: str, client_id: str | None) -> Exporters:
    from azure.identity import DefaultAzureCredential
    from azure.monitor.opentelemetry.exporter import (
        AzureMonitorLogExporter,
        AzureMonitorMetricExporter,
        AzureMonitorTraceExporter,
    )

    options: dict[str, Any] = {
        "connection_string": connection,
        "credential": DefaultAzureCredential(managed_identity_client_id=client_id),
        "disable_offline_storage": True,
    }
    return Exporters(
        lambda: AzureMonitorMetricExporter(**options),
        lambda: AzureMonitorTraceExporter(**options),
        lambda: AzureMonitorLogExporter(**options),
    )


def export_log(environment: Mapping[str, str], service: str) -> None:
    """Send the log of this process, from now to its end, to where the environment says; nothing happens where it says nowhere.

    `service` names the process (`service.name`). Further calls change nothing. Lines of ours go from INFO on, those of libraries
    from WARNING on. What can't be sent costs a line on standard error.
    """
    global _asked, _exporting
    with _lock:
        if _asked:
            return
        _asked = True
        _exporting = made_or_reported(lambda: _log_export(environment, service))
        if _exporting is None:
            return
        logging.getLogger().addHandler(_exporting)
        logging.getLogger(OURS).setLevel(logging.INFO)
        atexit.register(stop_exporting)


def stop_exporting() -> None:
    """Send what waits, for at most a few seconds, and export no further line."""
    global _asked, _exporting
    with _lock:
        _asked = False
        if _exporting is not None:
            logging.getLogger().removeHandler(_exporting)
            _exporting.close()
            atexit.unregister(stop_exporting)
            _exporting = None


def _log_export(environment: Mapping[str, str], service: str) -> LogExport | None:
    exporters = exporters_from(environment)
    return LogExport(exporters.logs(), service) if exporters else None


class LogExport(logging.Handler):
    """Exports log records with their ids and figures as attributes of the line."""

    def __init__(self, exporter: Any, service: str) -> None:
        from opentelemetry.sdk._logs import LoggerProvider
        from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
        from opentelemetry.sdk.resources import Resource

        super().__init__(logging.INFO)
        self._provider = LoggerProvider(Resource({"service.name": service}), shutdown_on_exit=False)
        self._provider.add_log_record_processor(BatchLogRecordProcessor(exporter, schedule_delay_millis=EXPORT_MILLISECONDS))
        self.addFilter(_concerns_people)

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a record on to the thread that sends."""
        from opentelemetry._logs import LogRecord
        from opentelemetry._logs.severity import SeverityNumber

        severity = {logging.INFO: SeverityNumber.INFO, logging.WARNING: SeverityNumber.WARN}
        self._provider.get_logger(record.name).emit(
            LogRecord(
                timestamp=int(record.created * 1e9),
                severity_number=severity.get(record.levelno, SeverityNumber.ERROR),
                severity_text=record.levelname,
                body=record.getMessage(),
                attributes=fields_of(record),
            )
        )

    def close(self) -> None:
        """Send what waits, for at most a few seconds."""
        self._provider.force_flush(FLUSH_MILLISECONDS)
        self._provider.shutdown()
        super().close()


def fields_of(record: logging.LogRecord) -> dict[str, str | int | float | bool]:
    """The fields of a line as flat attributes: its ids, its figures, its exception. What is None is left out."""
    fields = {**getattr(record, "ids", {}), **getattr(record, "figures", {})}
    attributes = {name: _flat(value) for name, value in fields.items() if value is not None}
    if record.exc_info and record.exc_info[0] is not None:
        attributes["exception"] = "".join(traceback.format_exception(*record.exc_info))
    return attributes


def _flat(value: Any) -> str | int | float | bool:
    return value if isinstance(value, str | int | float | bool) else json.dumps(value, ensure_ascii=False, default=str)


def _concerns_people(record: logging.LogRecord) -> bool:
    return record.name.startswith(OURS) or (record.levelno >= logging.WARNING and not record.name.startswith(EXPORTING))
