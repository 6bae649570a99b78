"""Readers that know the OpenTelemetry Collector's ClickHouse exporter find its columns, types and words."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, Final

import pytest

from app.model import LOGS, METRICS, SPANS
from app.store.embedded.server import EmbeddedServer
from tests.integration.store.schema import Schema, migrated
from tests.integration.store.spans import KINDS, NOW, span

LC: Final = "LowCardinality(String)"
ATTRS: Final = "Map(LowCardinality(String), String)"
TIME: Final = "DateTime64(9)"

TRACES = {
    "Timestamp": TIME,
    "TraceId": "String",
    "SpanId": "String",
    "ParentSpanId": "String",
    "TraceState": "String",
    "SpanName": LC,
    "SpanKind": LC,
    "ServiceName": LC,
    "ResourceAttributes": ATTRS,
    "ScopeName": "String",
    "ScopeVersion": "String",
    "SpanAttributes": ATTRS,
    "Duration": "UInt64",
    "StatusCode": LC,
    "StatusMessage": "String",
    "Events.Timestamp": f"Array({TIME})",
    "Events.Name": f"Array({LC})",
    "Events.Attributes": f"Array({ATTRS})",
    "Links.TraceId": "Array(String)",
    "Links.SpanId": "Array(String)",
    "Links.TraceState": "Array(String)",
    "Links.Attributes": f"Array({ATTRS})",
    "ResourceAttributeItems": "Array(String)",
    "SpanAttributeItems": "Array(String)",
}
LOG_RECORDS = {
    "Timestamp": TIME,
    "TraceId": "String",
    "SpanId": "String",
    "TraceFlags": "UInt8",
    "SeverityText": LC,
    "SeverityNumber": "UInt8",
    "ServiceName": LC,
    "Body": "String",
    "ResourceSchemaUrl": LC,
    "ResourceAttributes": ATTRS,
    "ScopeSchemaUrl": LC,
    "ScopeName": "String",
    "ScopeVersion": LC,
    "ScopeAttributes": ATTRS,
    "LogAttributes": ATTRS,
    "EventName": "String",
    "__otel_materialized_k8s.cluster.name": LC,
    "__otel_materialized_k8s.container.name": LC,
    "__otel_materialized_k8s.deployment.name": LC,
    "__otel_materialized_k8s.namespace.name": LC,
    "__otel_materialized_k8s.node.name": LC,
    "__otel_materialized_k8s.pod.name": LC,
    "__otel_materialized_k8s.pod.uid": LC,
    "__otel_materialized_deployment.environment.name": LC,
}
POINT = {
    "ResourceAttributes": ATTRS,
    "ResourceSchemaUrl": "String",
    "ScopeName": "String",
    "ScopeVersion": "String",
    "ScopeAttributes": ATTRS,
    "ScopeDroppedAttrCount": "UInt32",
    "ScopeSchemaUrl": "String",
    "ServiceName": LC,
    "MetricName": "String",
    "MetricDescription": "String",
    "MetricUnit": "String",
    "Attributes": ATTRS,
    "StartTimeUnix": TIME,
    "TimeUnix": TIME,
}
EXEMPLARS = {
    "Exemplars.FilteredAttributes": f"Array({ATTRS})",
    "Exemplars.TimeUnix": f"Array({TIME})",
    "Exemplars.Value": "Array(Float64)",
    "Exemplars.SpanId": "Array(String)",
    "Exemplars.TraceId": "Array(String)",
}
FLAGS = {"Flags": "UInt32"}
VALUE = {"Value": "Float64"}
TOTALS = {"Count": "UInt64", "Sum": "Float64"}
RANGE = {"Min": "Float64", "Max": "Float64"}
TEMPORALITY = {"AggregationTemporality": "Int32"}
BUCKETS = {"BucketCounts": "Array(UInt64)", "ExplicitBounds": "Array(Float64)"}
SCALED = {
    "Scale": "Int32",
    "ZeroCount": "UInt64",
    "PositiveOffset": "Int32",
    "PositiveBucketCounts": "Array(UInt64)",
    "NegativeOffset": "Int32",
    "NegativeBucketCounts": "Array(UInt64)",
}
EXPONENTIAL = {**POINT, **TOTALS, **SCALED, **EXEMPLARS, **FLAGS, **RANGE, **TEMPORALITY}
QUANTILES = {"ValueAtQuantiles.Quantile": "Array(Float64)", "ValueAtQuantiles.Value": "Array(Float64)"}
VIEWS = {
    "otel_traces": TRACES,
    "otel_logs": LOG_RECORDS,
    "otel_metrics_gauge": {**POINT, **VALUE, **FLAGS, **EXEMPLARS},
    "otel_metrics_sum": {**POINT, **VALUE, **FLAGS, **EXEMPLARS, **TEMPORALITY, "IsMonotonic": "Bool"},
    "otel_metrics_histogram": {**POINT, **TOTALS, **BUCKETS, **EXEMPLARS, **FLAGS, **RANGE, **TEMPORALITY},
    "otel_metrics_exp_histogram": EXPONENTIAL,
    "otel_metrics_exponential_histogram": EXPONENTIAL,
    "otel_metrics_summary": {**POINT, **TOTALS, **QUANTILES, **FLAGS},
}

RESOURCE = json.dumps([["service.name", "s", "shop"], ["k8s.pod.name", "s", "shop-1"], ["process.pid", "i", "17"]])
COMMON: dict[str, Any] = {
    "service_name": "shop",
    "resource": RESOURCE,
    "resource_schema_url": "https://r",
    "scope_name": "lib",
    "scope_version": "2",
    "scope": '[["scope.key","s","x"]]',
    "scope_schema_url": "https://s",
    "attributes_map": (["route", "retries"], ["/cart", "3"]),
    "attributes_types": "si",
}
FULL_SPAN = span(
    1,
    2,
    parent=1,
    name="GET /cart",
    kind="SERVER",
    status="ERROR",
    seconds=1.5,
    at=NOW + 1,
    status_message="boom",
    trace_state="a=1",
    session_id="sess",
    agent_name="planner",
    llm_input_tokens=7,
    **{
        **COMMON,
        "events.timestamp": [NOW + 5],
        "events.name": ["exception"],
        "events.attributes": [(["exception.type"], ["E"])],
        "events.attributes_types": ["s"],
        "events.dropped_attributes_count": [0],
        "links.trace_id": [f"{9:032x}"],
        "links.span_id": [f"{8:016x}"],
        "links.trace_state": ["b=2"],
        "links.flags": [0],
        "links.attributes": [(["why"], ["retry"])],
        "links.attributes_types": ["s"],
        "links.dropped_attributes_count": [0],
    },
)
LOG = {
    **COMMON,
    "timestamp": NOW + 1,
    "trace_id_bytes": (1).to_bytes(16, "big"),
    "span_id_bytes": (2).to_bytes(8, "big"),
    "flags": 0x101,
    "severity_number": 17,
    "severity_text": "ERROR",
    "body": "payment declined",
    "body_type": "s",
    "event_name": "payment",
}
TYPES = {"COUNTER": 1, "GAUGE": 2, "HISTOGRAM": 3, "SUMMARY": 4, "EXPONENTIAL_HISTOGRAM": 5, "UP_DOWN_COUNTER": 6}


def point(kind: str, **columns: Any) -> dict[str, Any]:
    return {
        **COMMON,
        "metric_name": f"m.{kind.lower()}",
        "metric_description": "what",
        "metric_unit": "ms",
        "metric_type": TYPES[kind],
        "timestamp": NOW + 2,
        "start_time_unix_nano": NOW,
        "flags": 1,
        "residue": '{"scope":{"droppedAttributesCount":4}}',
        "exemplars.time_unix_nano": [NOW + 1],
        "exemplars.value": [0.5],
        "exemplars.value_int": [0],
        "exemplars.value_type": [1],
        "exemplars.trace_id": [f"{1:032x}"],
        "exemplars.span_id": [f"{2:016x}"],
        "exemplars.attributes": [(["user"], ["u"])],
        "exemplars.attributes_types": ["s"],
        **columns,
    }


POINTS = [
    point("GAUGE", value=2.5, value_type=1),
    point(
        "COUNTER", value=float(2**53), value_int=2**53 + 1, value_type=2, is_monotonic=True, aggregation_temporality=2
    ),
    point("UP_DOWN_COUNTER", value=-1.0, value_int=-1, value_type=2, aggregation_temporality=1),
    point(
        "HISTOGRAM",
        count=6,
        sum=9.5,
        min=0.1,
        max=8.0,
        bucket_counts=[1, 2, 3],
        explicit_bounds=[1.0, 5.0],
        aggregation_temporality=1,
    ),
    point(
        "EXPONENTIAL_HISTOGRAM",
        count=6,
        sum=9.5,
        min=-0.1,
        max=8.0,
        scale=-3,
        zero_count=1,
        positive_offset=2,
        positive_bucket_counts=[3, 1],
        negative_offset=-1,
        negative_bucket_counts=[1],
        aggregation_temporality=2,
    ),
    point("SUMMARY", count=10, sum=99.0, **{"quantiles.quantile": [0.5, 0.99], "quantiles.value": [4.0, 50.0]}),
]


@pytest.fixture(scope="module")
def schema(clickhouse: EmbeddedServer) -> Iterator[Schema]:
    """One full record of each kind, and spans of every kind and status."""
    with migrated(clickhouse) as made:
        plain = [span(2, 10 + number, kind=kind) for kind, number in KINDS.items()]
        made.plant(SPANS, [FULL_SPAN, *plain, span(3, 30, status="OK")])
        made.plant(LOGS, [LOG, {"timestamp": NOW}])
        made.plant(METRICS, POINTS)
        yield made


@pytest.mark.parametrize("view", VIEWS)
def test_each_view_has_the_exporters_columns_and_types_first(schema: Schema, view: str) -> None:
    columns = [(row["name"], row["type"]) for row in schema.rows(f"DESCRIBE {view}")]
    assert columns[: len(VIEWS[view])] == list(VIEWS[view].items())


@pytest.mark.parametrize("view", VIEWS)
def test_each_view_names_the_tenant(schema: Schema, view: str) -> None:
    assert {row["tenant"] for row in schema.rows(f"SELECT tenant FROM {view}")} == {"default"}


@pytest.mark.parametrize("view", VIEWS)
def test_values_have_the_types_that_are_declared(schema: Schema, view: str) -> None:
    quoted = [f"`{name}`" for name in VIEWS[view]]
    found = schema.row(f"SELECT {', '.join(f'toTypeName({name}) AS {name}' for name in quoted)} FROM {view} LIMIT 1")
    assert found == VIEWS[view]


def test_the_companion_has_the_exporters_columns_after_the_tenant(schema: Schema) -> None:
    names = [row["name"] for row in schema.rows("DESCRIBE otel_traces_trace_id_ts")]
    assert names == ["tenant", "TraceId", "Start", "End"]


def test_a_span_is_told_in_the_exporters_words(schema: Schema) -> None:
    row = schema.row(
        "SELECT * REPLACE (toUnixTimestamp64Nano(Timestamp) AS Timestamp, "
        "arrayMap(t -> toUnixTimestamp64Nano(t), `Events.Timestamp`) AS `Events.Timestamp`) "
        f"FROM otel_traces WHERE SpanId = '{2:016x}'"
    )
    assert {name: row[name] for name in TRACES} == {
        "Timestamp": NOW + 1,
        "TraceId": f"{1:032x}",
        "SpanId": f"{2:016x}",
        "ParentSpanId": f"{1:016x}",
        "TraceState": "a=1",
        "SpanName": "GET /cart",
        "SpanKind": "Server",
        "ServiceName": "shop",
        "ResourceAttributes": {"service.name": "shop", "k8s.pod.name": "shop-1", "process.pid": "17"},
        "ScopeName": "lib",
        "ScopeVersion": "2",
        "SpanAttributes": {"route": "/cart", "retries": "3"},
        "Duration": 1_500_000_000,
        "StatusCode": "Error",
        "StatusMessage": "boom",
        "Events.Timestamp": [NOW + 5],
        "Events.Name": ["exception"],
        "Events.Attributes": [{"exception.type": "E"}],
        "Links.TraceId": [f"{9:032x}"],
        "Links.SpanId": [f"{8:016x}"],
        "Links.TraceState": ["b=2"],
        "Links.Attributes": [{"why": "retry"}],
        "ResourceAttributeItems": ["service.name=shop", "k8s.pod.name=shop-1", "process.pid=17"],
        "SpanAttributeItems": ["route=/cart", "retries=3"],
    }


def test_our_own_columns_of_spans_come_after(schema: Schema) -> None:
    row = schema.row(
        f"SELECT tenant, session_id, agent_name, llm_input_tokens FROM otel_traces WHERE SpanId = '{2:016x}'"
    )
    assert row == {"tenant": "default", "session_id": "sess", "agent_name": "planner", "llm_input_tokens": 7}


def test_kinds_have_the_exporters_words(schema: Schema) -> None:
    found = [
        row["SpanKind"]
        for row in schema.rows(f"SELECT SpanKind FROM otel_traces WHERE TraceId = '{2:032x}' ORDER BY SpanId")
    ]
    assert found == ["Unspecified", "Internal", "Server", "Client", "Producer", "Consumer"]


def test_statuses_have_the_exporters_words(schema: Schema) -> None:
    found = {row["StatusCode"] for row in schema.rows("SELECT DISTINCT StatusCode FROM otel_traces")}
    assert found == {"Unset", "Ok", "Error"}


def test_a_root_has_an_empty_parent(schema: Schema) -> None:
    assert schema.value(f"SELECT ParentSpanId FROM otel_traces WHERE TraceId = '{3:032x}'") == ""


def test_a_log_record_is_told_in_the_exporters_names(schema: Schema) -> None:
    row = schema.row(
        "SELECT * REPLACE (toUnixTimestamp64Nano(Timestamp) AS Timestamp) FROM otel_logs WHERE TraceId != ''"
    )
    materialized = {name: "" for name in LOG_RECORDS if name.startswith("__otel")}
    assert {name: row[name] for name in LOG_RECORDS} == {
        "Timestamp": NOW + 1,
        "TraceId": f"{1:032x}",
        "SpanId": f"{2:016x}",
        "TraceFlags": 1,
        "SeverityText": "ERROR",
        "SeverityNumber": 17,
        "ServiceName": "shop",
        "Body": "payment declined",
        "ResourceSchemaUrl": "https://r",
        "ResourceAttributes": {"service.name": "shop", "k8s.pod.name": "shop-1", "process.pid": "17"},
        "ScopeSchemaUrl": "https://s",
        "ScopeName": "lib",
        "ScopeVersion": "2",
        "ScopeAttributes": {"scope.key": "x"},
        "LogAttributes": {"route": "/cart", "retries": "3"},
        "EventName": "payment",
        **materialized,
        "__otel_materialized_k8s.pod.name": "shop-1",
    }


def test_readers_take_the_logs_for_the_newer_form(schema: Schema) -> None:
    """Grafana tells the two forms apart by TimestampTime alone."""
    assert "TimestampTime" not in {row["name"] for row in schema.rows("DESCRIBE otel_logs")}


OF_POINTS = {
    "ResourceAttributes": {"service.name": "shop", "k8s.pod.name": "shop-1", "process.pid": "17"},
    "ResourceSchemaUrl": "https://r",
    "ScopeName": "lib",
    "ScopeVersion": "2",
    "ScopeAttributes": {"scope.key": "x"},
    "ScopeDroppedAttrCount": 4,
    "ScopeSchemaUrl": "https://s",
    "ServiceName": "shop",
    "MetricDescription": "what",
    "MetricUnit": "ms",
    "Attributes": {"route": "/cart", "retries": "3"},
    "StartTimeUnix": NOW,
    "TimeUnix": NOW + 2,
    "Flags": 1,
}
OF_EXEMPLARS = {
    "Exemplars.FilteredAttributes": [{"user": "u"}],
    "Exemplars.TimeUnix": [NOW + 1],
    "Exemplars.Value": [0.5],
    "Exemplars.SpanId": [f"{2:016x}"],
    "Exemplars.TraceId": [f"{1:032x}"],
}
OF_SCALED = {
    "Count": 6,
    "Sum": 9.5,
    "Scale": -3,
    "ZeroCount": 1,
    "PositiveOffset": 2,
    "PositiveBucketCounts": [3, 1],
    "NegativeOffset": -1,
    "NegativeBucketCounts": [1],
    "Min": -0.1,
    "Max": 8.0,
    "AggregationTemporality": 2,
}


@pytest.mark.parametrize(
    ("view", "name", "values"),
    [
        ("otel_metrics_gauge", "m.gauge", {"Value": 2.5, **OF_EXEMPLARS}),
        (
            "otel_metrics_sum",
            "m.counter",
            {"Value": float(2**53), "AggregationTemporality": 2, "IsMonotonic": True, **OF_EXEMPLARS},
        ),
        (
            "otel_metrics_sum",
            "m.up_down_counter",
            {"Value": -1.0, "AggregationTemporality": 1, "IsMonotonic": False, **OF_EXEMPLARS},
        ),
        (
            "otel_metrics_histogram",
            "m.histogram",
            {
                "Count": 6,
                "Sum": 9.5,
                "Min": 0.1,
                "Max": 8.0,
                "BucketCounts": [1, 2, 3],
                "ExplicitBounds": [1.0, 5.0],
                "AggregationTemporality": 1,
                **OF_EXEMPLARS,
            },
        ),
        ("otel_metrics_exp_histogram", "m.exponential_histogram", {**OF_SCALED, **OF_EXEMPLARS}),
        ("otel_metrics_exponential_histogram", "m.exponential_histogram", {**OF_SCALED, **OF_EXEMPLARS}),
        (
            "otel_metrics_summary",
            "m.summary",
            {"Count": 10, "Sum": 99.0, "ValueAtQuantiles.Quantile": [0.5, 0.99], "ValueAtQuantiles.Value": [4.0, 50.0]},
        ),
    ],
)
def test_a_data_point_is_told_in_the_exporters_names(
    schema: Schema, view: str, name: str, values: dict[str, Any]
) -> None:
    exemplars = ", arrayMap(t -> toUnixTimestamp64Nano(t), `Exemplars.TimeUnix`) AS `Exemplars.TimeUnix`"
    row = schema.row(
        f"SELECT * REPLACE (toUnixTimestamp64Nano(TimeUnix) AS TimeUnix, "
        f"toUnixTimestamp64Nano(StartTimeUnix) AS StartTimeUnix{exemplars if 'Exemplars.Value' in values else ''}) "
        f"FROM {view} WHERE MetricName = '{name}'"
    )
    assert {column: row[column] for column in VIEWS[view]} == {**OF_POINTS, "MetricName": name, **values}


@pytest.mark.parametrize(
    ("view", "names"),
    [
        ("otel_metrics_gauge", ["m.gauge"]),
        ("otel_metrics_sum", ["m.counter", "m.up_down_counter"]),
        ("otel_metrics_histogram", ["m.histogram"]),
        ("otel_metrics_exp_histogram", ["m.exponential_histogram"]),
        ("otel_metrics_exponential_histogram", ["m.exponential_histogram"]),
        ("otel_metrics_summary", ["m.summary"]),
    ],
)
def test_each_metrics_view_has_its_type_only(schema: Schema, view: str, names: list[str]) -> None:
    assert [row["n"] for row in schema.rows(f"SELECT MetricName AS n FROM {view} ORDER BY n")] == names


def test_an_integer_beyond_a_double_is_exact_beside_the_exporters_value(schema: Schema) -> None:
    row = schema.row("SELECT value_int, value_type FROM otel_metrics_sum WHERE MetricName = 'm.counter'")
    assert row == {"value_int": 2**53 + 1, "value_type": "INT"}
