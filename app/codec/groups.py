"""A request as its decoder walks over it: resources, their scopes, and runs of records, each made when it is reached.

A small request is one message, and its groups are views of that. Of a large one only a run at a time exists as
messages, so memory and the time that one call holds the interpreter do not depend on the body. Both give the same rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Generic, TypeVar

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.logs.v1.logs_pb2 import ResourceLogs, ScopeLogs
from opentelemetry.proto.metrics.v1.metrics_pb2 import Metric, ResourceMetrics, ScopeMetrics
from opentelemetry.proto.trace.v1.trace_pb2 import ResourceSpans, ScopeSpans

from app.codec.reasons import RecordRejected
from app.errors import TooLarge
from app.model import Signal

Request = ExportTraceServiceRequest | ExportMetricsServiceRequest | ExportLogsServiceRequest
"""The whole body of one export request."""

ResourceHead = ResourceSpans | ResourceMetrics | ResourceLogs
ScopeHead = ScopeSpans | ScopeMetrics | ScopeLogs

REQUESTS: Final[dict[Signal, type[Request]]] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}

LARGE_BODY_BYTES: Final = 256 << 10
"""Up to this a body is parsed as a whole, which is quickest: 20 ms and 30 MiB of messages at worst."""

Head = TypeVar("Head", bound=Message)
Part = TypeVar("Part")
R = TypeVar("R", bound=Message)


@dataclass(frozen=True, slots=True)
class Group(Generic[Head, Part]):
    """A message and, apart from it, what it repeats.

    Attributes:
        head: The message; what stands in its repeated part is not looked at.
        rejection: The rule that the head breaks, if that was found before it was parsed: it is empty then.
        parts: What it repeats. To be read once, and before the next group.
    """

    head: Head
    rejection: RecordRejected | None
    parts: Iterable[Part]


@dataclass(frozen=True, slots=True)
class Oversized(Generic[R]):
    """A record that breaks a rule, found before it was parsed.

    Attributes:
        stub: Its scalar fields, as far as they stand before the trouble.
        rejection: The rule.
    """

    stub: R
    rejection: RecordRejected


Run = Sequence[R] | Oversized[R]
"""Records that follow each other."""

Groups = Iterable[Group[ResourceHead, Group[ScopeHead, Any]]]
"""A request. The innermost parts are runs of spans, of log records or of metrics, or `Group[Metric, Run[point]]`."""


def groups_of(request: Request) -> Groups:
    """The groups of a message that is there as a whole."""
    match request:
        case ExportTraceServiceRequest():
            for spans in request.resource_spans:
                yield Group(spans, None, [Group(scope, None, (scope.spans,)) for scope in spans.scope_spans])
        case ExportMetricsServiceRequest():
            for metrics in request.resource_metrics:
                yield Group(metrics, None, [Group(scope, None, (scope.metrics,)) for scope in metrics.scope_metrics])
        case ExportLogsServiceRequest():
            for logs in request.resource_logs:
                yield Group(logs, None, [Group(scope, None, (scope.log_records,)) for scope in logs.scope_logs])


def count_records(request: Request) -> int:
    """Spans, log records or data points of a message that is there as a whole."""
    match request:
        case ExportTraceServiceRequest():
            return sum(len(scope.spans) for group in request.resource_spans for scope in group.scope_spans)
        case ExportLogsServiceRequest():
            return sum(len(scope.log_records) for group in request.resource_logs for scope in group.scope_logs)
        case ExportMetricsServiceRequest():
            scopes = (scope for group in request.resource_metrics for scope in group.scope_metrics)
            return sum(len(points_of(metric)) for scope in scopes for metric in scope.metrics)


def points_of(metric: Metric) -> Sequence[Any]:
    """The data points of a metric, whatever its kind."""
    kind = metric.WhichOneof("data")
    return getattr(metric, kind).data_points if kind is not None else ()


def too_many(noun: str, max_records: int) -> TooLarge:
    """The refusal of a request for the number of its records, or of what they stand in."""
    return TooLarge(f"the request holds more than {max_records} {noun}, limits.max_records is {max_records}")
