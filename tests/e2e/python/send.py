"""Send a fixed amount of every signal through the real Python SDK.

    send.py http|grpc none|gzip HTTP_URL GRPC_ADDRESS SERVICE_NAME

10 spans in 5 traces (each root with one child, an event and a link), 12 log records, 3 instruments.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from grpc import Compression as GrpcCompression
from opentelemetry._logs import LogRecord, SeverityNumber
from opentelemetry.exporter.otlp.proto.grpc import _log_exporter as grpc_logs
from opentelemetry.exporter.otlp.proto.grpc import metric_exporter as grpc_metrics
from opentelemetry.exporter.otlp.proto.grpc import trace_exporter as grpc_traces
from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http import _log_exporter as http_logs
from opentelemetry.exporter.otlp.proto.http import metric_exporter as http_metrics
from opentelemetry.exporter.otlp.proto.http import trace_exporter as http_traces
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Link, SpanContext, SpanKind, StatusCode, TraceFlags


def main(mode: str, compression: str, http_url: str, grpc_address: str, service: str) -> None:
    arguments: list[dict[str, Any]]
    exporters: tuple[Any, Any, Any]
    if mode == "http":
        squeeze = Compression.Gzip if compression == "gzip" else Compression.NoCompression
        arguments = [{"endpoint": f"{http_url}/v1/{s}", "compression": squeeze} for s in ("traces", "metrics", "logs")]
        exporters = (http_traces.OTLPSpanExporter, http_metrics.OTLPMetricExporter, http_logs.OTLPLogExporter)
    else:
        wire = GrpcCompression.Gzip if compression == "gzip" else GrpcCompression.NoCompression
        arguments = [{"endpoint": grpc_address, "insecure": True, "compression": wire}] * 3
        exporters = (grpc_traces.OTLPSpanExporter, grpc_metrics.OTLPMetricExporter, grpc_logs.OTLPLogExporter)
    resource = Resource.create({"service.name": service, "list": ["a", "b"]})

    tracers = TracerProvider(resource=resource)
    tracers.add_span_processor(BatchSpanProcessor(exporters[0](**arguments[0])))
    tracer = tracers.get_tracer("e2e", "1.0")
    elsewhere = SpanContext(
        0x0AF7651916CD43DD8448EB211C80319C, 0xB7AD6B7169203331, is_remote=True, trace_flags=TraceFlags(1)
    )
    for i in range(5):
        with (
            tracer.start_as_current_span(
                "POST /order",
                kind=SpanKind.SERVER,
                links=[Link(elsewhere, {"n": i})],
                attributes={"http.response.status_code": 200 + i, "ok": True, "ratio": 0.5, "list": ["x", "y"]},
            ),
            tracer.start_as_current_span("charge", kind=SpanKind.CLIENT) as child,
        ):
            child.add_event("retry", {"attempt": 1})
            if i == 0:
                child.set_status(StatusCode.ERROR, "declined")

    reader = PeriodicExportingMetricReader(exporters[1](**arguments[1]), export_interval_millis=600_000)
    meters = MeterProvider(resource=resource, metric_readers=[reader])
    meter = meters.get_meter("e2e")
    orders = meter.create_counter("orders")
    latency = meter.create_histogram("latency", unit="s")
    depth = meter.create_up_down_counter("depth")
    for i in range(100):
        orders.add(2, {"route": f"/r{i % 4}"})
        latency.record(i / 100)
        depth.add(1 if i % 2 else -1)

    loggers = LoggerProvider(resource=resource)
    loggers.add_log_record_processor(BatchLogRecordProcessor(exporters[2](**arguments[2])))
    logger = loggers.get_logger("e2e")
    for i in range(12):
        now = time.time_ns()
        logger.emit(
            LogRecord(
                timestamp=now,
                observed_timestamp=now,
                severity_number=SeverityNumber.INFO,
                severity_text="INFO",
                body=f"message {i}",
                attributes={"i": i},
            )
        )
    tracers.shutdown()
    meters.shutdown()
    loggers.shutdown()


if __name__ == "__main__":
    main(*sys.argv[1:])
