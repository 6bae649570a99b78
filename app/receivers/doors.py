"""The table of signals: one row each, read by both doors, so that no code is written once per signal."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from google.protobuf.message import Message
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2

from app.access import ANONYMOUS, Principal, Role
from app.errors import Forbidden
from app.model import Signal


@dataclass(frozen=True, slots=True)
class Door:
    """How one signal comes in.

    Attributes:
        signal: What comes in.
        path: Path of OTLP/HTTP.
        service: Full name of the gRPC service; its method is `Export`.
        response: Message that a sender reads.
        rejected_field: Field of `response.partial_success` that counts what was left out.
    """

    signal: Signal
    path: str
    service: str
    response: type[Message]
    rejected_field: str


EXPORT = "Export"

DOORS = (
    Door(
        signal=Signal.TRACES,
        path="/v1/traces",
        service="opentelemetry.proto.collector.trace.v1.TraceService",
        response=trace_service_pb2.ExportTraceServiceResponse,
        rejected_field="rejected_spans",
    ),
    Door(
        signal=Signal.METRICS,
        path="/v1/metrics",
        service="opentelemetry.proto.collector.metrics.v1.MetricsService",
        response=metrics_service_pb2.ExportMetricsServiceResponse,
        rejected_field="rejected_data_points",
    ),
    Door(
        signal=Signal.LOGS,
        path="/v1/logs",
        service="opentelemetry.proto.collector.logs.v1.LogsService",
        response=logs_service_pb2.ExportLogsServiceResponse,
        rejected_field="rejected_log_records",
    ),
)

DOOR_BY_PATH = {door.path: door for door in DOORS}

PROFILE_PATHS = frozenset({"/v1development/profiles", "/v1/profiles"})
"""Of the fourth signal, not taken by this version. The Collector's README names the second, its code the first."""

Authenticate = Callable[[Mapping[str, str]], Principal]
"""From headers to who is asking; or raises Denied. Names are in lower case, repeated ones are joined by ", "."""


def anonymous(headers: Mapping[str, str]) -> Principal:  # noqa: ARG001 - the shape of Authenticate
    """Let everybody in as the one anonymous principal."""
    return ANONYMOUS


def authorized_writer(authenticate: Authenticate, headers: Mapping[str, str]) -> Principal:
    """Name the caller, who must be allowed to write.

    Raises:
        Unauthenticated: No credential, or a wrong one.
        Forbidden: It may not write telemetry.
    """
    principal = authenticate(headers)
    if Role.WRITER not in principal.roles:
        raise Forbidden(f"this credential has no role {Role.WRITER.value!r}, which writing telemetry needs")
    return principal
