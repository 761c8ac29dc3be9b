"""The log leaves a process with the fields of its lines, to wherever the environment says; never a loop, never in the way."""

from __future__ import annotations

import logging
import subprocess
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest

from processors import telemetry
from processors.ingest.poll_telemetry import telemetry_from
from processors.telemetry import export_log, exporters_from, fields_of, stop_exporting
from tests.support.otlp_collector import Collector, Line, collecting
from tests.support.shared_data import REPOSITORY

log = logging.getLogger("roompulse.test")


@pytest.fixture(autouse=True)
def _nothing_is_exported_by_the_next_test() -> Iterator[None]:
    yield
    stop_exporting()


@pytest.fixture
def collector() -> Iterator[Collector]:
    """A collector that the log of this process goes to."""
    with collecting() as collector:
        export_log({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}, "roompulse-test")
        yield collector
        stop_exporting()


def record(**extra: Any) -> logging.LogRecord:
    """A log record with this `extra`."""
    return log.makeRecord(log.name, logging.INFO, __file__, 1, "a line", (), None, extra=extra)


def test_a_line_arrives_with_its_ids_and_its_text_as_a_person_wrote_it(collector: Collector) -> None:
    log.warning("no proper answer of %s", "devices", extra={"ids": {"city": "lyon", "trackingId": "ROUTER_1", "status": 502}})
    stop_exporting()
    ids = {"city": "lyon", "trackingId": "ROUTER_1", "status": 502}
    assert collector.lines == [Line("roompulse.test", "WARNING", "no proper answer of devices", ids)]
    assert collector.services == {"roompulse-test"}


def test_figures_are_fields_too(collector: Collector) -> None:
    logging.getLogger("roompulse.figures").info("figures", extra={"figures": {"observations": 42, "partial": True}})
    stop_exporting()
    assert collector.lines[0].fields == {"observations": 42, "partial": True}


def test_an_exception_is_a_field_of_its_line(collector: Collector) -> None:
    try:
        raise ValueError("the state is damaged")
    except ValueError:
        log.exception("the poll failed", extra={"ids": {"pollId": "1"}})
    stop_exporting()
    (line,) = collector.lines
    assert (line.severity, line.text, line.fields["pollId"]) == ("ERROR", "the poll failed", "1")
    assert line.fields["exception"].endswith("ValueError: the state is damaged\n")


@pytest.mark.parametrize(
    ("value", "exported"),
    [("text", "text"), (3, 3), (0, 0), (0.5, 0.5), (False, False), ("", ""), (["a", 1], '["a", 1]'), ({"é": 1}, '{"é": 1}')],
)
def test_fields_are_flat(value: Any, exported: Any) -> None:
    assert fields_of(record(ids={"field": value})) == {"field": exported}


def test_an_absent_value_is_left_out_not_zero() -> None:
    assert fields_of(record(ids={"seconds": None, "city": "lyon"})) == {"city": "lyon"}
    assert fields_of(record()) == {}


@pytest.mark.parametrize(
    ("logger", "level", "arrives"),
    [
        ("roompulse.ingest", logging.INFO, True),
        ("roompulse.ingest", logging.DEBUG, False),
        ("somebody.else", logging.WARNING, True),
        ("somebody.else", logging.INFO, False),
        ("azure.core.pipeline", logging.WARNING, False),
        ("azure.monitor.opentelemetry.exporter", logging.ERROR, False),
        ("opentelemetry.sdk", logging.ERROR, False),
        ("azure.eventhub", logging.WARNING, True),
    ],
)
def test_what_exports_never_exports_its_own_faults(logger: str, level: int, arrives: bool, collector: Collector) -> None:
    logging.getLogger(logger).log(level, "a line")
    stop_exporting()
    assert [line.logger for line in collector.lines] == [logger] * arrives


def test_asked_again_it_sends_nothing_twice(collector: Collector) -> None:
    export_log({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}, "roompulse-test")
    log.warning("once")
    stop_exporting()
    assert len(collector.lines) == 1


def test_without_an_address_nothing_is_loaded_and_nothing_sent() -> None:
    code = (
        "import logging, sys; from processors.telemetry import export_log\n"
        "export_log({}, 'x')\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'azure.monitor', 'google.protobuf'))])\n"
        "print(logging.getLogger().handlers)"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert result.stdout.split() == ["[]", "[]"]


def test_the_end_of_a_process_sends_what_waits() -> None:
    with collecting() as collector:
        code = (
            "import logging; from processors.telemetry import export_log\n"
            f"export_log({{'OTEL_EXPORTER_OTLP_ENDPOINT': {collector.url!r}}}, 'x')\n"
            "logging.getLogger('roompulse.test').warning('last words')"
        )
        subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, check=True)
        assert [line.text for line in collector.lines] == ["last words"]


def test_packages_that_are_missing_are_named(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http._log_exporter", None)
    export_log({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, "x")
    assert "pip install -r requirements.txt" in caplog.text


@pytest.mark.parametrize("connection", ["garbage", "InstrumentationKey=x", "IngestionEndpoint=https://e/"])
def test_a_malformed_connection_string_is_told_once_and_stops_nothing(connection: str, caplog: pytest.LogCaptureFixture) -> None:
    environment = {"APPLICATIONINSIGHTS_CONNECTION_STRING": connection}
    for _ in range(2):
        export_log(environment, "x")
    assert caplog.text.count("Fix APPLICATIONINSIGHTS_CONNECTION_STRING.") == 1
    assert telemetry_from(environment, None) is None


def test_a_collector_that_is_not_there_holds_nobody_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(telemetry, "FLUSH_MILLISECONDS", 300)
    export_log({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, "x")
    began = time.monotonic()
    log.warning("nobody hears this")
    assert time.monotonic() - began < 8, "an exporter gives up after 10 s"
    stop_exporting()


def test_application_insights_is_entered_with_the_managed_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("APPLICATIONINSIGHTS_STATSBEAT_DISABLED_ALL", "true")
    connection = "InstrumentationKey=00000000-0000-0000-0000-000000000001;IngestionEndpoint=http://127.0.0.1:1/"
    exporters = exporters_from({"APPLICATIONINSIGHTS_CONNECTION_STRING": connection, "AZURE_CLIENT_ID": "an-identity"})
    assert exporters is not None
    for make in (exporters.metrics, exporters.spans, exporters.logs):
        exporter = make()
        assert exporter._credential is not None
        exporter.shutdown()
