"""Rows of spans for tests, near the present since retention and some queries count from it."""

from __future__ import annotations

import time
from typing import Any

NOW = time.time_ns() // (3600 * 10**9) * 3600 * 10**9
"""The last full hour, in nanoseconds."""

KINDS = {"UNSPECIFIED": 0, "INTERNAL": 1, "SERVER": 2, "CLIENT": 3, "PRODUCER": 4, "CONSUMER": 5}
STATUSES = {"UNSET": 0, "OK": 1, "ERROR": 2}


def span(
    trace: int,
    number: int,
    *,
    parent: int = 0,
    service: str = "shop",
    name: str = "work",
    at: int = NOW,
    seconds: float = 0.001,
    kind: str = "INTERNAL",
    status: str = "UNSET",
    **columns: Any,
) -> dict[str, Any]:
    """One row of `spans`.

    Args:
        trace: Number of the trace.
        number: Number of the span.
        parent: Number of its parent; 0: a root.
        service: Its service.
        name: Its name.
        at: Start in nanoseconds.
        seconds: Duration.
        kind: Word of the enum.
        status: Word of the enum.
        columns: Further columns.
    """
    return {
        "trace_id_bytes": trace.to_bytes(16, "big"),
        "span_id_bytes": number.to_bytes(8, "big"),
        "parent_span_id_bytes": parent.to_bytes(8, "big"),
        "service_name": service,
        "span_name": name,
        "timestamp": at,
        "duration_ns": round(seconds * 10**9),
        "span_kind": KINDS[kind],
        "status_code": STATUSES[status],
        **columns,
    }
