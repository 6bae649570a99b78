"""The accounted size of decoded records is their real one, to within a half, so `max_buffer_bytes` means what it says."""

from __future__ import annotations

import gc
import tracemalloc
from pathlib import Path

import pytest
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from app.codec.contract import Bounds, Encoding
from app.codec.reference import ReferenceDecoder
from app.model import Signal
from app.pipeline.footprint import decoded_bytes, estimated_bytes
from app.settings import LimitSettings
from tests.unit.pipeline.doubles import NOW_NANO

CORPUS = Path(__file__).parents[2] / "data" / "otlp"
PAYLOADS = {
    "spans": ("python/0001_v1_traces.pb", Signal.TRACES),
    "gen-ai-spans": ("genai/0001_v1_traces.pb", Signal.TRACES),
    "spans-as-json": ("node/0001_v1_traces.json", Signal.TRACES),
    "points": ("python/0002_v1_metrics.pb", Signal.METRICS),
    "points-with-exemplars": ("python/0003_v1_metrics.pb", Signal.METRICS),
    "three-points-as-json": ("node/0006_v1_metrics.json", Signal.METRICS),
    "logs": ("python/0004_v1_logs.pb", Signal.LOGS),
    "logs-as-json": ("node/0004_v1_logs.json", Signal.LOGS),
}
BOUNDS = Bounds(LimitSettings(), NOW_NANO, 0, 1 << 63)


def measured(signal: Signal, encoding: Encoding, body: bytes, copies: int = 10) -> tuple[int, int]:
    """What the records of a body are accounted for, and what Python really holds for them, the body included."""
    decoder = ReferenceDecoder()
    decoder.decode(signal, encoding, body, BOUNDS)  # caches fill once
    gc.collect()
    tracemalloc.start()
    try:
        before, _ = tracemalloc.get_traced_memory()
        chunks = [decoder.decode(signal, encoding, body, BOUNDS) for _ in range(copies)]
        gc.collect()
        after, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    return copies * decoded_bytes(chunks[0], encoding, len(body)), after - before + copies * len(body)


@pytest.mark.parametrize(("name", "signal"), PAYLOADS.values(), ids=PAYLOADS)
def test_real_payloads_are_accounted_within_a_half(name: str, signal: Signal) -> None:
    """Bodies that SDKs sent."""
    encoding = Encoding.JSON if name.endswith(".json") else Encoding.PROTOBUF
    accounted, real = measured(signal, encoding, (CORPUS / name).read_bytes())
    assert 0.5 * real < accounted < 1.5 * real


def spans(count: int, attributes: int) -> bytes:
    """Spans with so many attributes each."""
    sent = ExportTraceServiceRequest()
    scope = sent.resource_spans.add().scope_spans.add()
    for number in range(count):
        span = scope.spans.add(
            name="GET /things",
            span_id=b"12345678",
            start_time_unix_nano=NOW_NANO,
            end_time_unix_nano=NOW_NANO + number,
        )
        span.trace_id = (number + 1).to_bytes(16, "big")
        for place in range(attributes):
            span.attributes.add(key=f"some.key.{place}").value.string_value = f"some text {number} {place}"
    return sent.SerializeToString()


def logs(count: int, text: str) -> bytes:
    """Records with this body and nothing else."""
    sent = ExportLogsServiceRequest()
    scope = sent.resource_logs.add().scope_logs.add()
    for number in range(count):
        record = scope.log_records.add(time_unix_nano=NOW_NANO + number)
        if text:
            record.body.string_value = f"{text} {number}"
    return sent.SerializeToString()


def points(count: int) -> bytes:
    """Bare points of one gauge."""
    sent = ExportMetricsServiceRequest()
    gauge = sent.resource_metrics.add().scope_metrics.add().metrics.add(name="queue").gauge
    for number in range(count):
        gauge.data_points.add(time_unix_nano=NOW_NANO + number, as_double=number / 3)
    return sent.SerializeToString()


GENERATED = {
    "spans-of-10-attributes": (Signal.TRACES, spans(512, 10)),
    "bare-spans": (Signal.TRACES, spans(512, 0)),
    "spans-of-40-attributes": (Signal.TRACES, spans(200, 40)),
    "ten-spans": (Signal.TRACES, spans(10, 10)),
    "empty-logs": (Signal.LOGS, logs(512, "")),
    "logs-of-2-kilobytes": (Signal.LOGS, logs(512, "x" * 2000)),
    "bare-points": (Signal.METRICS, points(512)),
    "one-point": (Signal.METRICS, points(1)),
}


@pytest.mark.parametrize(("signal", "body"), GENERATED.values(), ids=GENERATED)
def test_extreme_payloads_are_accounted_within_a_half(signal: Signal, body: bytes) -> None:
    """From a body that is all text to one that is all rows."""
    accounted, real = measured(signal, Encoding.PROTOBUF, body)
    assert 0.5 * real < accounted < 1.5 * real


def test_a_chunk_without_rows_takes_nothing() -> None:
    """Its request is not kept."""
    chunk = ReferenceDecoder().decode(Signal.LOGS, Encoding.PROTOBUF, b"", BOUNDS)
    assert decoded_bytes(chunk, Encoding.PROTOBUF, 0) == 0


def test_the_estimate_before_decoding_is_of_the_right_size() -> None:
    """Within a factor of two and a half for common payloads."""
    for body, signal in ((spans(512, 10), Signal.TRACES), (logs(512, "x" * 200), Signal.LOGS)):
        _, real = measured(signal, Encoding.PROTOBUF, body, copies=1)
        assert real / 2.5 < estimated_bytes(Encoding.PROTOBUF, len(body)) < real * 2.5
