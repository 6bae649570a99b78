"""OTLP bodies whose ids change from request to request without being encoded again.

Shape of a span: 10 to 11 attributes of mixed types, 8 resource attributes, an event on 18 %, a link on 3 %, a model call
on 35 %; eight spans a trace. A data point has 5 attributes, a log record 6 and a sentence.
"""

from __future__ import annotations

import os
import random
import time
from dataclasses import dataclass
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

_TRACE, _SPAN = b"@TRACEID", b"@SP"
_SPANS_A_TRACE = 8
ROUTES = ("/cart", "/checkout", "/orders/{id}", "/search", "/login", "/pay")
RARE = "rare-needle"


@dataclass(frozen=True)
class Body:
    """A request split where its ids stand.

    Attributes:
        path: Of the OTLP/HTTP door.
        records: Spans, points or records in it.
        pieces: The bytes before, between and after the ids: of each span first the trace's, then its own.
        traces: For each span the number of its trace in this request; empty without ids.
    """

    path: str
    records: int
    pieces: tuple[bytes, ...]
    traces: tuple[int, ...]

    def fresh(self) -> bytes:
        """The body with ids that were never sent before."""
        if not self.traces:
            return self.pieces[0]
        ids = [os.urandom(8) for _ in range(self.traces[-1] + 1)]
        parts = [self.pieces[0]]
        for number, trace in enumerate(self.traces):
            gap = 2 * number + 1
            parts += (ids[trace], self.pieces[gap], number.to_bytes(2, "big"), self.pieces[gap + 1])
        return b"".join(parts)


def spans(count: int, seed: int = 1) -> Body:
    """A request of `count` spans around now."""
    chance = random.Random(seed)
    request: Any = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    _resource(group.resource, f"service-{seed % 8}")
    scoped = group.scope_spans.add()
    scoped.scope.name = "bench"
    now = time.time_ns()
    for number in range(count):
        trace = number // _SPANS_A_TRACE
        # 16 bytes: a marker, then eight that `fresh` fills; the span id likewise holds its number.
        span = scoped.spans.add(
            trace_id=_TRACE + b"\0" * 8,
            span_id=_SPAN + b"\0\0" + b"\1\2\3",
            name=f"GET {chance.choice(ROUTES)}",
            kind=chance.randint(1, 5),
            start_time_unix_nano=now - trace * 1_000_000,
            end_time_unix_nano=now - trace * 1_000_000 + chance.randint(10_000, 90_000_000),
        )
        if chance.random() < 0.05:
            span.status.code = 2
        _attributes(span, chance)
        if chance.random() < 0.18:
            event = span.events.add(time_unix_nano=now, name="cache.miss")
            event.attributes.add(key="cache.key").value.string_value = "cart:1"
        if chance.random() < 0.03:
            span.links.add(trace_id=os.urandom(16), span_id=os.urandom(8))
    return _split(request.SerializeToString(), count)


def points(count: int, seed: int = 1) -> Body:
    """A request of `count` data points: sums, gauges and histograms."""
    chance = random.Random(seed)
    request: Any = ExportMetricsServiceRequest()
    metric: Any = None
    group = request.resource_metrics.add()
    _resource(group.resource, f"service-{seed % 8}")
    scoped = group.scope_metrics.add()
    now = time.time_ns()
    for number in range(count):
        if number % 50 == 0:
            metric = scoped.metrics.add(name=f"metric.{number // 50}", unit="s", description="A number.")
        kind = number // 50 % 3
        if kind == 0:
            metric.sum.is_monotonic = True
            metric.sum.aggregation_temporality = 2
            point: Any = metric.sum.data_points.add(as_int=number)
        elif kind == 1:
            point = metric.gauge.data_points.add(as_double=chance.random())
        else:
            metric.histogram.aggregation_temporality = 2
            point = metric.histogram.data_points.add(
                count=100, sum=12.5, explicit_bounds=[0.01, 0.1, 1.0, 10.0], bucket_counts=[10, 40, 40, 9, 1]
            )
        point.time_unix_nano = now
        point.start_time_unix_nano = now - 60_000_000_000
        _put(point, "http.route", chance.choice(ROUTES))
        _put(point, "pod", f"pod-{number % 50}")
        for key in ("region", "zone", "method"):
            _put(point, key, f"{key}-{number % 3}")
    return Body("/v1/metrics", count, (request.SerializeToString(),), ())


def logs(count: int, seed: int = 1) -> Body:
    """A request of `count` log records."""
    chance = random.Random(seed)
    request: Any = ExportLogsServiceRequest()
    group = request.resource_logs.add()
    _resource(group.resource, f"service-{seed % 8}")
    scoped = group.scope_logs.add()
    now = time.time_ns()
    for number in range(count):
        record = scoped.log_records.add(time_unix_nano=now, observed_time_unix_nano=now, severity_text="INFO")
        record.severity_number = 9
        record.body.string_value = f"request {number} for user {chance.randrange(10_000)} took {chance.random():.3f} s"
        for key in ("code.function.name", "thread.name", "http.route", "user.id", "peer", "phase"):
            _put(record, key, f"{key}-{chance.randrange(20)}")
    return Body("/v1/logs", count, (request.SerializeToString(),), ())


def _attributes(span: Any, chance: random.Random) -> None:
    _put(span, "http.request.method", "GET")
    _put(span, "http.route", chance.choice(ROUTES))
    _put(span, "http.response.status_code", chance.choice((200, 200, 200, 404, 500)))
    _put(span, "user.id", f"user-{chance.randrange(1000)}")
    _put(span, "server.address", "shop.internal")
    _put(span, "net.ratio", chance.random())
    _put(span, "cache.hit", value=chance.random() < 0.5)
    if chance.random() < 0.35:
        _put(span, "gen_ai.operation.name", "chat")
        _put(span, "gen_ai.request.model", chance.choice(("model-a", "model-b")))
        _put(span, "gen_ai.usage.input_tokens", chance.randrange(2000))
        _put(span, "gen_ai.usage.output_tokens", chance.randrange(500))
    else:
        _put(span, "db.system.name", "postgresql")
        _put(span, "db.query.text", "SELECT * FROM carts WHERE user_id = $1")
        _put(span, "order.total", chance.random() * 100)


def _resource(resource: Any, service: str) -> None:
    _put(resource, "service.name", service)
    _put(resource, "service.version", "1.2.3")
    for key in ("deployment.environment.name", "host.name", "k8s.pod.name", "k8s.namespace.name", "cloud.region"):
        _put(resource, key, f"{key}-1")
    _put(resource, "process.pid", 4711)


def _put(holder: Any, key: str, value: str | float | bool) -> None:
    slot = holder.attributes.add(key=key).value
    if isinstance(value, bool):
        slot.bool_value = value
    elif isinstance(value, int):
        slot.int_value = value
    elif isinstance(value, float):
        slot.double_value = value
    else:
        slot.string_value = value


def _split(body: bytes, count: int) -> Body:
    """Cut at the eight free bytes of each trace id and the two of each span id."""
    pieces: list[bytes] = []
    at = 0
    for _ in range(count):
        trace = body.index(_TRACE, at) + len(_TRACE)
        pieces.append(body[at:trace])
        at = trace + 8
        span = body.index(_SPAN, at) + len(_SPAN)
        pieces.append(body[at:span])
        at = span + 2
    pieces.append(body[at:])
    return Body("/v1/traces", count, tuple(pieces), tuple(number // _SPANS_A_TRACE for number in range(count)))
