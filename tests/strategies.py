"""Hypothesis strategies for OTLP requests: everything that a message can say and no rule rejects.

Made from the message descriptors, so a field that a newer opentelemetry-proto brings is drawn, and a test of exactness
fails until it is stored. Only what rules forbid, and what means nothing outside profiles, is listed here by name.
"""

from __future__ import annotations

import math
from functools import cache
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from app.codec.groups import Request
from app.model import Signal

Fields = dict[str, Any]
"""What the constructor of a message takes."""

_MOST: Final = 2  # members of a list: enough for doubled keys and for order, few enough to be quick

TEXTS: Final = st.one_of(
    st.sampled_from(["", "a", "b", "\0", "\0a\0", '"\\\b\u2028', "é", "\U0001f600", "\ufeff", "\uffff", "NaN", "1"]),
    st.text(st.characters(codec="utf-8"), max_size=8),
)
DOUBLES: Final = st.one_of(
    st.sampled_from([0.0, -0.0, 1.0, 1e22, 5e-324, 1.7976931348623157e308, math.nan, math.inf, -math.inf]),
    st.floats().map(lambda number: math.nan if math.isnan(number) else number),  # JSON knows one NaN
)
BYTES: Final = st.binary(max_size=6)

REQUESTS: Final[dict[Signal, type[Request]]] = {
    Signal.TRACES: ExportTraceServiceRequest,
    Signal.METRICS: ExportMetricsServiceRequest,
    Signal.LOGS: ExportLogsServiceRequest,
}

_PROFILES_ONLY: Final = frozenset({"string_value_strindex", "key_strindex"})


def integers(least: int, most: int) -> st.SearchStrategy[int]:
    """All of a range, its ends and the small ones often."""
    return st.one_of(st.sampled_from(sorted({least, 0, 1, most - 1, most})), st.integers(least, most))


@cache
def requests(signal: Signal) -> st.SearchStrategy[Request]:
    """Whole export requests of which every record is accepted."""
    message_type = REQUESTS[signal]
    return _messages(message_type.DESCRIPTOR).map(lambda fields: message_type(**fields))


@cache
def values(depth: int = 4) -> st.SearchStrategy[AnyValue]:
    """AnyValues, none among them, up to `depth` arrays and kvlists inside each other."""
    return _values(depth).map(lambda fields: AnyValue(**fields))


@cache
def _values(depth: int) -> st.SearchStrategy[Fields]:
    kinds: list[st.SearchStrategy[Fields]] = [
        st.just({}),
        *(
            st.fixed_dictionaries({field.name: _scalars(field)})
            for field in AnyValue.DESCRIPTOR.fields
            if field.message_type is None and field.name not in _PROFILES_ONLY
        ),
    ]
    if depth:
        arrays = st.lists(_values(depth - 1), max_size=_MOST)
        kvlists = st.lists(_key_values(depth - 1), max_size=_MOST)
        kinds.append(arrays.map(lambda items: {"array_value": {"values": items}}))
        kinds.append(kvlists.map(lambda items: {"kvlist_value": {"values": items}}))
    return st.one_of(kinds)


def _key_values(depth: int) -> st.SearchStrategy[Fields]:
    return st.fixed_dictionaries({"key": TEXTS, "value": _values(depth)})


@cache
def _messages(descriptor: Descriptor) -> st.SearchStrategy[Fields]:
    """Messages with any of their fields set, and at most one of alternatives."""
    match descriptor.name:
        case "AnyValue":
            return _values(3)
        case "KeyValue":
            return _key_values(3)
    free = {
        field.name: _fields(field)
        for field in descriptor.fields
        if _alternatives(field) is None and field.name not in _PROFILES_ONLY
    }
    must = _CONTAINERS | ({"trace_id", "span_id"} if descriptor.name == "Span" else frozenset())
    required = {name: free.pop(name) for name in sorted(must & free.keys())}
    chosen: list[st.SearchStrategy[Fields]] = [st.fixed_dictionaries(required, optional=free)]
    for oneof in descriptor.oneofs:
        if len(oneof.fields) > 1:
            named = [st.fixed_dictionaries({field.name: _fields(field)}) for field in oneof.fields]
            chosen.append(st.one_of(st.just({}), *named))
    made = st.tuples(*chosen).map(lambda parts: {name: value for part in parts for name, value in part.items()})
    return made.map(_with_fitting_buckets) if descriptor.name == "HistogramDataPoint" else made


def _alternatives(field: FieldDescriptor) -> object:
    """The oneof that a field is part of; None for an optional one, which is a oneof of its own."""
    oneof = field.containing_oneof
    return oneof if oneof is not None and len(oneof.fields) > 1 else None


def _fields(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    one = st.deferred(lambda: _messages(field.message_type)) if field.message_type is not None else _scalars(field)
    return st.lists(one, min_size=field.name in _CONTAINERS, max_size=_MOST) if field.is_repeated else one


def _scalars(field: FieldDescriptor) -> st.SearchStrategy[Any]:
    owner = field.containing_type.name if field.containing_type is not None else ""
    special = _IDS.get((owner, field.name))
    return special if special is not None else _BY_TYPE[field.type]


_BY_TYPE: Final[dict[int, st.SearchStrategy[Any]]] = {
    FieldDescriptor.TYPE_STRING: TEXTS,
    FieldDescriptor.TYPE_BYTES: BYTES,
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_DOUBLE: DOUBLES,
    FieldDescriptor.TYPE_ENUM: st.one_of(st.integers(-1, 30), integers(-(2**31), 2**31 - 1)),
    FieldDescriptor.TYPE_INT32: integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_SINT32: integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_UINT32: integers(0, 2**32 - 1),
    FieldDescriptor.TYPE_FIXED32: integers(0, 2**32 - 1),
    FieldDescriptor.TYPE_INT64: integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SFIXED64: integers(-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_UINT64: integers(0, 2**64 - 1),
    FieldDescriptor.TYPE_FIXED64: integers(0, 2**64 - 1),
}

_TRACE_IDS: Final = st.binary(min_size=16, max_size=16)
_SPAN_IDS: Final = st.binary(min_size=8, max_size=8)
_ANY_TRACE_ID: Final = st.one_of(st.sampled_from([b"", bytes(16)]), _TRACE_IDS)
_ANY_SPAN_ID: Final = st.one_of(st.sampled_from([b"", bytes(8)]), _SPAN_IDS)
_IDS: Final[dict[tuple[str, str], st.SearchStrategy[bytes]]] = {
    ("Span", "trace_id"): _TRACE_IDS.filter(any),
    ("Span", "span_id"): _SPAN_IDS.filter(any),
    ("Span", "parent_span_id"): _ANY_SPAN_ID,
    ("Link", "trace_id"): _ANY_TRACE_ID,
    ("Link", "span_id"): _ANY_SPAN_ID,
    ("Exemplar", "trace_id"): _ANY_TRACE_ID,
    ("Exemplar", "span_id"): _ANY_SPAN_ID,
    ("LogRecord", "trace_id"): _ANY_TRACE_ID,
    ("LogRecord", "span_id"): _ANY_SPAN_ID,
}
_CONTAINERS: Final = frozenset(
    {"resource_spans", "scope_spans", "spans", "resource_logs", "scope_logs", "log_records"}
    | {"resource_metrics", "scope_metrics", "metrics", "data_points"}
)
"""Lists that are not empty: a request without records says nothing."""


def _with_fitting_buckets(point: Fields) -> Fields:
    """As many counts as the bounds need: one more, or none of either."""
    counts, bounds = point.get("bucket_counts", []), point.get("explicit_bounds", [])
    if not counts:
        return {**point, "explicit_bounds": []}
    return {**point, "explicit_bounds": (bounds + [0.5] * len(counts))[: len(counts) - 1]}
