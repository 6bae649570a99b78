"""Protobuf bodies to rows: the bytes to the messages of opentelemetry-proto, and those to columns.

A body without bytes is a request without records. Unknown fields are ignored, as newer senders need it.
"""

from __future__ import annotations

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from app.codec.contract import Bounds
from app.codec.logs import decode_logs
from app.codec.metrics import decode_metrics
from app.codec.traces import decode_traces
from app.codec.wire import parse
from app.model import Chunk, Signal

Request = ExportTraceServiceRequest | ExportMetricsServiceRequest | ExportLogsServiceRequest
"""The whole body of one export request."""


def parse_request(signal: Signal, body: bytes, max_depth: int) -> Request:
    """The message that a protobuf body holds; see `app.codec.wire.parse`.

    Raises:
        Undecodable: It holds no such message.
    """
    match signal:
        case Signal.TRACES:
            return parse(ExportTraceServiceRequest, body, max_depth)
        case Signal.METRICS:
            return parse(ExportMetricsServiceRequest, body, max_depth)
        case Signal.LOGS:
            return parse(ExportLogsServiceRequest, body, max_depth)


def decode_message(message: Request, bounds: Bounds) -> Chunk:
    """The records of a request.

    Raises:
        Undecodable: A value is nested deeper than `limits.max_depth`.
    """
    match message:
        case ExportTraceServiceRequest():
            return decode_traces(message, bounds)
        case ExportMetricsServiceRequest():
            return decode_metrics(message, bounds)
        case ExportLogsServiceRequest():
            return decode_logs(message, bounds)
