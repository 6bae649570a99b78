"""Small OTLP bodies of our own, with the time of now, so that default retention takes them."""

from __future__ import annotations

import os
import time

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


def spans(service: str, count: int, *, first: int = 0, **attributes: str) -> bytes:
    """A protobuf request of `count` spans, each a trace of its own, numbered by the attribute `n`."""
    request = ExportTraceServiceRequest()
    group = request.resource_spans.add()
    entry = group.resource.attributes.add(key="service.name")
    entry.value.string_value = service
    scoped = group.scope_spans.add()
    now = time.time_ns()
    for number in range(first, first + count):
        span = scoped.spans.add(
            trace_id=os.urandom(16),
            span_id=os.urandom(8),
            name="work",
            kind=2,
            start_time_unix_nano=now,
            end_time_unix_nano=now + 1_000_000,
        )
        span.attributes.add(key="n").value.int_value = number
        for key, value in attributes.items():
            span.attributes.add(key=key).value.string_value = value
    return request.SerializeToString()
