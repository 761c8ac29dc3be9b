"""Telemetry of polls, as an OTLP collector gets it over HTTP and decodes it; and what happens when there is none."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from processors.ingest import poll_telemetry
from processors.ingest.poll_telemetry import telemetry_from
from tests.processors.conftest import StandingClock
from tests.processors.ingest.conftest import MakePoller
from tests.support.otlp_collector import Collector, collecting
from tests.support.scripted_webex import ScriptedWebex, error

REPOSITORY = Path(__file__).resolve().parents[3]


@pytest.fixture
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


def test_every_figure_of_the_polls_arrives(
    collector: Collector, make_poller: MakePoller, estate: ScriptedWebex, standing_clock: StandingClock
) -> None:
    lives = {"access": 9.5, "refresh": None}
    poller = make_poller(metric_requests=1)
    poller.telemetry = telemetry_from({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}, lambda: lives)
    first = poller.poll()
    estate.faults["/devices"] = [error(429, Retry_After="1")]
    estate.listings["/devices"].append({"displayName": "no id"})
    second = poller.poll()
    poller.close()
    assert collector.services == {"roompulse-ingest"}
    assert collector.value("roompulse.webex.requests") == first.requests + second.requests
    assert collector.value("roompulse.observations") == first.observations + second.observations
    assert collector.value("roompulse.quarantined") == 1
    assert collector.value("roompulse.webex.throttled") == 1
    assert collector.value("roompulse.devices") == 4
    assert collector.value("roompulse.poll.lag") == 3.0
    (point,) = collector.points["roompulse.webex.token.days"]
    assert point.as_double == 9.5 and [(a.key, a.value.string_value) for a in point.attributes] == [("kind", "access")]
    assert sum(point.count for point in collector.points["roompulse.poll.duration"]) == 2
    documented = {line.split("|")[1].strip() for line in (poll_telemetry.__doc__ or "").splitlines() if "| roompulse." in line}
    assert set(collector.points) == documented


def test_a_poll_is_a_span_with_its_faults(
    collector: Collector, make_poller: MakePoller, estate: ScriptedWebex, standing_clock: StandingClock
) -> None:
    estate.always["/devices"] = error(403)
    poller = make_poller()
    poller.telemetry = telemetry_from({"OTEL_EXPORTER_OTLP_ENDPOINT": collector.url}, None)
    report = poller.poll()
    poller.close()
    (span,) = collector.spans
    attributes = {attribute.key: attribute.value for attribute in span.attributes}
    assert span.name == "poll" and attributes["roompulse.poll_id"].string_value == report.poll_id
    assert attributes["roompulse.partial"].bool_value
    assert [event.attributes[0].value.string_value for event in span.events] == report.faults
    assert span.end_time_unix_nano >= span.start_time_unix_nano


@pytest.mark.parametrize("status", [400, None])
def test_a_collector_that_fails_or_is_not_there_does_not_touch_the_poll(
    status: int | None, make_poller: MakePoller, standing_clock: StandingClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(poll_telemetry, "FLUSH_MILLISECONDS", 300)
    with collecting() as collector:
        collector.status = status or 200
        url = collector.url if status else "http://127.0.0.1:1"
        poller = make_poller()
        poller.telemetry = telemetry_from({"OTEL_EXPORTER_OTLP_ENDPOINT": url}, None)
        assert not poller.poll().partial
        began = time.monotonic()
        poller.close()
        assert time.monotonic() - began < 10


def test_without_an_address_nothing_is_loaded_and_nothing_sent() -> None:
    assert telemetry_from({}, None) is None
    code = (
        "import sys; from processors.ingest import environment\n"
        "environment.telemetry_from({}, None)\n"
        "print([name for name in sys.modules if name.startswith(('opentelemetry', 'azure.monitor', 'google.protobuf'))])"
    )
    result = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"


def test_packages_that_are_missing_are_named_and_cost_no_poll(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.metrics", None)
    assert telemetry_from({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:1"}, None) is None
    assert "pip install -r requirements.txt" in caplog.text
