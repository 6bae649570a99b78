"""Which message of a request repeats which, from the outside in: what both encodings are cut along."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from google.protobuf.message import Message
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord, ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    NumberDataPoint,
    ResourceMetrics,
    ScopeMetrics,
    Sum,
    Summary,
    SummaryDataPoint,
)
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans, Span

from app.codec.groups import ResourceHead, ScopeHead
from app.model import Signal

GROUPS_FIELD, SCOPES_FIELD, RECORDS_FIELD, POINTS_FIELD = 1, 2, 2, 1
"""Numbers of the repeated fields: of a request, of a resource, of a scope, of a metric's data."""


@dataclass(frozen=True, slots=True)
class Holder:
    """A message that repeats records.

    Attributes:
        kind: Its type.
        field: Number of the repeated field.
        name: Its name in Python.
        json_name: Its name in paths.
        record: Type of what it repeats.
    """

    kind: type[Message]
    field: int
    name: str
    json_name: str
    record: type[Message]


@dataclass(frozen=True, slots=True)
class Layout:
    """The messages of a signal, from the outside in."""

    resource: type[ResourceHead]
    resource_json_name: str
    scope: type[ScopeHead]
    scope_json_name: str
    records: Holder


LAYOUTS: Final[dict[Signal, Layout]] = {
    Signal.TRACES: Layout(
        ResourceSpans,
        "resourceSpans",
        ScopeSpans,
        "scopeSpans",
        Holder(ScopeSpans, RECORDS_FIELD, "spans", "spans", Span),
    ),
    Signal.METRICS: Layout(
        ResourceMetrics,
        "resourceMetrics",
        ScopeMetrics,
        "scopeMetrics",
        Holder(ScopeMetrics, RECORDS_FIELD, "metrics", "metrics", Metric),
    ),
    Signal.LOGS: Layout(
        ResourceLogs,
        "resourceLogs",
        ScopeLogs,
        "scopeLogs",
        Holder(ScopeLogs, RECORDS_FIELD, "log_records", "logRecords", LogRecord),
    ),
}
DATA: Final = {
    Metric.DESCRIPTOR.fields_by_name[name].number: (
        name,
        Holder(kind, POINTS_FIELD, "data_points", "dataPoints", point),
    )
    for name, kind, point in (
        ("gauge", Gauge, NumberDataPoint),
        ("sum", Sum, NumberDataPoint),
        ("histogram", Histogram, HistogramDataPoint),
        ("exponential_histogram", ExponentialHistogram, ExponentialHistogramDataPoint),
        ("summary", Summary, SummaryDataPoint),
    )
}
"""The alternatives of a metric's data, by field number."""
