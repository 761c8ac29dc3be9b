"""An OTLP collector for tests: takes metrics, spans and log lines, and decodes them with OpenTelemetry's own messages."""

from __future__ import annotations

import gzip
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Line:
    """A log line with its fields."""

    logger: str
    severity: str
    text: str
    fields: dict[str, Any]


def _line(logger: str, record: Any) -> Line:
    fields = {entry.key: getattr(entry.value, entry.value.WhichOneof("value")) for entry in record.attributes}
    return Line(logger, record.severity_text, record.body.string_value, fields)


class Collector:
    """What arrived: points by metric, spans, and log lines."""

    def __init__(self) -> None:
        self.url = ""
        self.points: dict[str, list[Any]] = {}
        self.spans: list[Any] = []
        self.lines: list[Line] = []
        self.services: set[str] = set()
        self.status = 200

    def take(self, path: str, body: bytes) -> None:
        """Decode what was posted."""
        if path == "/v1/metrics":
            for resource in ExportMetricsServiceRequest.FromString(body).resource_metrics:
                self.services |= {a.value.string_value for a in resource.resource.attributes if a.key == "service.name"}
                for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                    points = getattr(metric, metric.WhichOneof("data") or "").data_points
                    self.points.setdefault(metric.name, []).extend(points)
        elif path == "/v1/logs":
            for logs in ExportLogsServiceRequest.FromString(body).resource_logs:
                self.services |= {a.value.string_value for a in logs.resource.attributes if a.key == "service.name"}
                self.lines += [_line(scope.scope.name, record) for scope in logs.scope_logs for record in scope.log_records]
        elif path == "/v1/traces":
            for spans in ExportTraceServiceRequest.FromString(body).resource_spans:
                self.spans += [span for scope in spans.scope_spans for span in scope.spans]

    def value(self, name: str) -> float:
        """The newest value of a counter or gauge."""
        point = self.points[name][-1]
        return float(getattr(point, point.WhichOneof("value")))


@contextmanager
def collecting() -> Iterator[Collector]:
    collector = Collector()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if self.headers.get("Content-Encoding") == "gzip":
                body = gzip.decompress(body)
            if collector.status == 200:
                collector.take(self.path, body)
            self.send_response(collector.status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, format: str, *arguments: object) -> None:
            """Tests need no log."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    collector.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield collector
    finally:
        server.shutdown()
        server.server_close()
