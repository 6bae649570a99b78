"""Every metric of ours, with help for whoever is on call. Label sets are closed; nothing here is made per tenant."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

REGISTRY = CollectorRegistry(auto_describe=True)

_SIZES = (1, 10, 100, 1_000, 10_000, 50_000, 100_000, 200_000, 500_000, 1_000_000)
_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)

SPANS_RECEIVED = Counter("ingest_spans_received_total", "Spans accepted at the doors.", registry=REGISTRY)
RECORDS_RECEIVED = Counter(
    "ingest_records_received_total",
    "Records in decoded requests, those that were rejected one by one included.",
    ("signal",),
    registry=REGISTRY,
)
RECORDS_REJECTED = Counter(
    "ingest_records_rejected_total",
    "Records left out of a request by a rule; the sender was told in partial_success.",
    ("signal", "reason"),
    registry=REGISTRY,
)
RECORDS_STORED = Counter(
    "ingest_records_stored_total", "Records whose insert ClickHouse has confirmed.", ("signal",), registry=REGISTRY
)
RECORDS_QUARANTINED = Counter(
    "ingest_records_quarantined_total",
    "Accepted records that ClickHouse refused for their data; the log and the notes in the quarantine folder say why.",
    ("signal",),
    registry=REGISTRY,
)
REQUESTS = Counter(
    "ingest_requests_total",
    "Requests at the telemetry doors by outcome: ok, partial, undecodable, too_large, unsupported, busy, …",
    ("signal", "transport", "outcome"),
    registry=REGISTRY,
)
REQUEST_BYTES = Counter(
    "ingest_request_bytes_total", "Bytes of bodies as sent, before decompression.", ("signal",), registry=REGISTRY
)
DECODE_SECONDS = Histogram(
    "ingest_decode_duration_seconds", "Time to decode one body.", ("signal",), buckets=_SECONDS, registry=REGISTRY
)
BATCH_SIZE = Histogram(
    "ingest_batch_size", "Rows of an inserted batch.", ("signal",), buckets=_SIZES, registry=REGISTRY
)
FLUSH_SECONDS = Histogram(
    "ingest_flush_duration_seconds",
    "Time from sealing a batch to ClickHouse's confirmation, retries included.",
    ("signal",),
    buckets=_SECONDS,
    registry=REGISTRY,
)
BUFFER_BYTES = Gauge(
    "ingest_buffer_size",
    "Bytes held for telemetry that is being read or not stored yet.",
    ("signal",),
    registry=REGISTRY,
)
BUFFER_LIMIT_BYTES = Gauge(
    "ingest_buffer_limit_bytes", "Bytes at which the doors answer 429 (server.max_buffer_bytes).", registry=REGISTRY
)
BATCHES_WAITING = Gauge(
    "ingest_batches_waiting", "Sealed batches that ClickHouse has not confirmed.", ("signal",), registry=REGISTRY
)
OLDEST_SECONDS = Gauge(
    "ingest_oldest_unstored_seconds", "Age of the oldest record that is not stored yet.", ("signal",), registry=REGISTRY
)
INSERT_ATTEMPTS = Counter(
    "ingest_insert_attempts_total",
    "Inserts by outcome: stored, unavailable (retried), refused (set aside), misconfigured (retried slowly), "
    "fault (a bug of ours, in the log; retried).",
    ("signal", "outcome"),
    registry=REGISTRY,
)
STORE_UP = Gauge("ingest_store_up", "1 if ClickHouse answers.", registry=REGISTRY)
STORE_RESTARTS = Counter(
    "ingest_store_restarts_total", "Restarts of the embedded ClickHouse after it died.", registry=REGISTRY
)
QUERY_SECONDS = Histogram(
    "query_duration_seconds", "Time to answer a REST request.", ("route",), buckets=_SECONDS, registry=REGISTRY
)
QUERIES = Counter("query_requests_total", "REST requests by route and status.", ("route", "status"), registry=REGISTRY)


def exposition() -> bytes:
    """All metrics in Prometheus' text format."""
    return generate_latest(REGISTRY)
