"""OTLP messages compared record by record, by Google's own protobuf code and none of ours."""

from __future__ import annotations

import base64
import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from google.protobuf import json_format
from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

REQUESTS: dict[str, type[Message]] = {
    "traces": ExportTraceServiceRequest,
    "metrics": ExportMetricsServiceRequest,
    "logs": ExportLogsServiceRequest,
}
_IDS = {"traceId", "spanId", "parentSpanId"}


def from_protobuf(signal: str, body: bytes) -> Any:
    """A request out of protobuf bytes."""
    request = REQUESTS[signal]()
    request.ParseFromString(body)
    return request


def from_json(signal: str, body: bytes) -> Any:
    """A request out of OTLP/JSON: hex ids become base64, and a double that is null (as Node writes NaN) "NaN"."""
    return json_format.ParseDict(_as_proto_json(json.loads(body)), REQUESTS[signal](), ignore_unknown_fields=True)


def _as_proto_json(value: Any) -> Any:
    if isinstance(value, list):
        return [_as_proto_json(item) for item in value]
    if not isinstance(value, dict):
        return value
    changed = {}
    for key, item in value.items():
        if key in _IDS and isinstance(item, str):
            changed[key] = base64.b64encode(bytes.fromhex(item)).decode()
        elif key == "doubleValue" and item is None:
            changed[key] = "NaN"
        else:
            changed[key] = _as_proto_json(item)
    return changed


def records(signal: str, request: Any) -> Counter[tuple[bytes, ...]]:
    """Every record with everything around it, as bytes; how they were grouped is forgotten."""
    return Counter(_spans(request) if signal == "traces" else _logs(request) if signal == "logs" else _points(request))


def _bytes(message: Message) -> bytes:
    return message.SerializeToString(deterministic=True)


def _spans(request: Any) -> Iterator[tuple[bytes, ...]]:
    for group in request.resource_spans:
        for scoped in group.scope_spans:
            origin = (
                _bytes(group.resource),
                group.schema_url.encode(),
                _bytes(scoped.scope),
                scoped.schema_url.encode(),
            )
            for span in scoped.spans:
                yield (*origin, _bytes(span))


def _logs(request: Any) -> Iterator[tuple[bytes, ...]]:
    for group in request.resource_logs:
        for scoped in group.scope_logs:
            origin = (
                _bytes(group.resource),
                group.schema_url.encode(),
                _bytes(scoped.scope),
                scoped.schema_url.encode(),
            )
            for record in scoped.log_records:
                yield (*origin, _bytes(record))


def _points(request: Any) -> Iterator[tuple[bytes, ...]]:
    for group in request.resource_metrics:
        for scoped in group.scope_metrics:
            origin = (
                _bytes(group.resource),
                group.schema_url.encode(),
                _bytes(scoped.scope),
                scoped.schema_url.encode(),
            )
            for metric in scoped.metrics:
                kind = metric.WhichOneof("data")
                if kind is None:
                    continue
                points = list(getattr(metric, kind).data_points)
                head = type(metric)()
                head.CopyFrom(metric)
                del getattr(head, kind).data_points[:]
                for point in points:
                    yield (*origin, _bytes(head), _bytes(point))
