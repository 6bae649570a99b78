"""Small OTLP messages, and what the reference decoder makes of them."""

from __future__ import annotations

from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import (
    AnyValue,
    ArrayValue,
    InstrumentationScope,
    KeyValue,
    KeyValueList,
)
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    Gauge,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span, Status

from app.codec.contract import Bounds, Encoding
from app.codec.reference import ReferenceDecoder
from app.model import Chunk, Signal
from app.settings import LimitSettings

NOW = 1_790_000_000_000_000_000
HOUR = 3_600_000_000_000
TRACE_ID = bytes(range(1, 17))
SPAN_ID = bytes(range(1, 9))

Request = ExportTraceServiceRequest | ExportMetricsServiceRequest | ExportLogsServiceRequest


def any_value(value: object) -> AnyValue:
    """Strings, integers, doubles, booleans, bytes, None, lists, dicts, and Pairs for kvlists with doubled keys."""
    match value:
        case None:
            return AnyValue()
        case AnyValue():
            return value
        case Pairs():
            return AnyValue(kvlist_value=KeyValueList(values=key_values(*value)))
        case dict():
            return AnyValue(kvlist_value=KeyValueList(values=key_values(*value.items())))
        case list():
            return AnyValue(array_value=ArrayValue(values=[any_value(item) for item in value]))
    field = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value", bytes: "bytes_value"}
    return AnyValue(**{field[type(value)]: value})  # type: ignore[arg-type] # the table above fits


class Pairs(tuple[tuple[str, object], ...]):
    """A kvlist that may hold a key twice."""

    __slots__ = ()


def key_values(*pairs: tuple[str, object]) -> list[KeyValue]:
    return [KeyValue(key=key, value=any_value(value)) for key, value in pairs]


def attributes(values: dict[str, object] | Pairs | None) -> list[KeyValue]:
    pairs = values.items() if isinstance(values, dict) else values or ()
    return key_values(*pairs)


def span(values: dict[str, object] | Pairs | None = None, **fields: Any) -> Span:
    """A good span; fields replace its own, None leaves one out."""
    good: dict[str, Any] = {
        "trace_id": TRACE_ID,
        "span_id": SPAN_ID,
        "name": "GET /",
        "start_time_unix_nano": NOW,
        "end_time_unix_nano": NOW + 5,
        "status": Status(),
        "attributes": attributes(values),
    }
    return Span(**{field: value for field, value in {**good, **fields}.items() if value is not None})


def log(values: dict[str, object] | Pairs | None = None, **fields: Any) -> LogRecord:
    """A good log record; fields replace its own."""
    return LogRecord(**{"time_unix_nano": NOW, "attributes": attributes(values), **fields})


def point(values: dict[str, object] | Pairs | None = None, **fields: Any) -> NumberDataPoint:
    """A good data point; fields replace its own."""
    return NumberDataPoint(**{"time_unix_nano": NOW, "attributes": attributes(values), **fields})


def gauge(*points: NumberDataPoint, **fields: Any) -> Metric:
    return Metric(**{"name": "load", "gauge": Gauge(data_points=points), **fields})


def traces(
    *spans: Span, resource: Resource | None = None, scope: InstrumentationScope | None = None, **urls: str
) -> ExportTraceServiceRequest:
    scope_spans = ScopeSpans(spans=spans, scope=scope, schema_url=urls.get("scope_url", ""))
    group = ResourceSpans(resource=resource, scope_spans=[scope_spans], schema_url=urls.get("resource_url", ""))
    return ExportTraceServiceRequest(resource_spans=[group])


def logs(
    *records: LogRecord, resource: Resource | None = None, scope: InstrumentationScope | None = None
) -> ExportLogsServiceRequest:
    group = ResourceLogs(resource=resource, scope_logs=[ScopeLogs(log_records=records, scope=scope)])
    return ExportLogsServiceRequest(resource_logs=[group])


def metrics(
    *metrics: Metric, resource: Resource | None = None, scope: InstrumentationScope | None = None
) -> ExportMetricsServiceRequest:
    group = ResourceMetrics(resource=resource, scope_metrics=[ScopeMetrics(metrics=metrics, scope=scope)])
    return ExportMetricsServiceRequest(resource_metrics=[group])


def bounds(**limits: int) -> Bounds:
    """A month back, an hour ahead."""
    return Bounds(LimitSettings(**limits), NOW, NOW - 30 * 24 * HOUR, NOW + HOUR)


def signal_of(request: Request) -> Signal:
    match request:
        case ExportTraceServiceRequest():
            return Signal.TRACES
        case ExportMetricsServiceRequest():
            return Signal.METRICS
        case ExportLogsServiceRequest():
            return Signal.LOGS


def decode(request: Request, **limits: int) -> Chunk:
    """What comes of the bytes of a request."""
    body = request.SerializeToString()
    return ReferenceDecoder().decode(signal_of(request), Encoding.PROTOBUF, body, bounds(**limits))


def row(request: Request, **limits: int) -> dict[str, Any]:
    """The only row of a request that is taken whole."""
    chunk = decode(request, **limits)
    assert (chunk.rows, chunk.rejections.message) == (1, "")
    return {name: values[0] for name, values in chunk.columns.items()}


def rejected(request: Request, **limits: int) -> tuple[str, str]:
    """The reason and the example of the only record of a request, which is rejected."""
    chunk = decode(request, **limits)
    assert (chunk.rows, chunk.rejections.total) == (0, 1)
    ((reason, example),) = chunk.rejections.examples.items()
    return reason, example
