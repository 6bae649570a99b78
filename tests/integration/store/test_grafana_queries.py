"""What Grafana's ClickHouse data source sends in its OpenTelemetry mode (4.20) runs on our views and finds the right rows.

The statements have the shapes of its query builder and of its dashboards, with its macros filled in.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from app.model import LOGS, SPANS
from app.store.embedded.server import EmbeddedServer
from tests.integration.store.schema import Schema, migrated
from tests.integration.store.spans import NOW, span

SECOND = 10**9
START, END = NOW // SECOND, NOW // SECOND + 60
TRACE = f"{1:032x}"
BETWEEN = f"Timestamp >= toDateTime({START}) AND Timestamp <= toDateTime({END})"


def versioned(service: str, version: str) -> dict[str, Any]:
    return {
        "service": service,
        "resource": f'[["service.name","s","{service}"],["service.version","s","{version}"]]',
    }


FRONT, CART, PAY = versioned("frontend", "1.0"), versioned("cart", "2.0"), versioned("payment", "3.0")
SPAN_ROWS: list[dict[str, Any]] = [
    span(1, 1, name="GET /", kind="SERVER", seconds=0.5, **FRONT),
    span(1, 2, parent=1, name="call cart", kind="CLIENT", seconds=0.4, at=NOW + SECOND, **FRONT),
    span(1, 3, parent=2, name="cart.get", kind="SERVER", seconds=0.3, at=NOW + 2 * SECOND, **CART),
    span(
        1,
        4,
        parent=3,
        name="pay",
        kind="SERVER",
        status="ERROR",
        seconds=0.2,
        at=NOW + 3 * SECOND,
        status_message="declined",
        **{
            **PAY,
            "attributes_map": (["http.status_code", "app.user"], ["402", "u1"]),
            "attributes_types": "is",
            "events.timestamp": [NOW + 3 * SECOND + 1_000_000],
            "events.name": ["exception"],
            "events.attributes": [(["exception.type"], ["Declined"])],
            "events.attributes_types": ["s"],
            "events.dropped_attributes_count": [0],
            "links.trace_id": [f"{2:032x}"],
            "links.span_id": [f"{5:016x}"],
            "links.trace_state": [""],
            "links.flags": [0],
            "links.attributes": [(["why"], ["retry"])],
            "links.attributes_types": ["s"],
            "links.dropped_attributes_count": [0],
        },
    ),
    span(2, 5, name="GET /", kind="SERVER", seconds=1.5, at=NOW + 10 * SECOND, **FRONT),
    span(2, 7, parent=5, name="pay", kind="SERVER", at=NOW + 40 * SECOND, **versioned("payment", "3.1")),
    span(3, 6, name="GET /old", kind="SERVER", at=NOW - 7200 * SECOND, **FRONT),
]
LEVELS = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"]
LOG_ROWS = [
    {
        "service_name": "payment",
        "timestamp": NOW + number * SECOND,
        "severity_text": level,
        "severity_number": 1 + 4 * number,
        "body": f"card {'declined' if number >= 3 else 'accepted'} {number}",
        "body_type": "s",
        "trace_id_bytes": (1 if number == 4 else 0).to_bytes(16, "big"),
        "resource": PAY["resource"],
        "attributes_map": (["card"], ["visa"]),
        "attributes_types": "s",
    }
    for number, level in enumerate(LEVELS)
]


@pytest.fixture(scope="module")
def schema(clickhouse: EmbeddedServer) -> Iterator[Schema]:
    """A trace over three services, a second one, an old one, and a log record of every level."""
    with migrated(clickhouse) as made:
        made.plant(SPANS, SPAN_ROWS)
        made.plant(LOGS, LOG_ROWS)
        yield made


def trace_by_id(database: str) -> str:
    """The builder's query of one trace, with the companion's bounds."""
    times = f'"{database}"."otel_traces_trace_id_ts"'
    fields = "arrayMap(key -> map('key', key, 'value',{0}[key]), mapKeys({0}))"
    tags, service_tags, attributes = (
        fields.format(name) for name in ('"SpanAttributes"', '"ResourceAttributes"', "attributes")
    )
    return (
        f"WITH '{TRACE}' as __gf_trace_id, "
        f"(SELECT min(Start) FROM {times} WHERE TraceId = __gf_trace_id) as __gf_trace_start, "
        f"(SELECT max(End) + 1 FROM {times} WHERE TraceId = __gf_trace_id) as __gf_trace_end "
        'SELECT "TraceId" as traceID, "SpanId" as spanID, "ParentSpanId" as parentSpanID, '
        '"ServiceName" as serviceName, "SpanName" as operationName, '
        'multiply(toUnixTimestamp64Nano("Timestamp"), 0.000001) as startTime, '
        'multiply("Duration", 0.000001) as duration, '
        f"{tags} as tags, {service_tags} as serviceTags, "
        "if(\"StatusCode\" IN ('Error', 'STATUS_CODE_ERROR'), 2, 0) as statusCode, "
        "arrayMap((name, timestamp, attributes) -> tuple(name, toString(toUnixTimestamp64Milli(timestamp)), "
        f"{attributes})::Tuple(name String, timestamp String, fields Array(Map(String, String))), "
        '"Events".Name, "Events".Timestamp, "Events".Attributes) AS logs, '
        f"arrayMap((traceID, spanID, attributes) -> tuple(traceID, spanID, {attributes})"
        "::Tuple(traceID String, spanID String, tags Array(Map(String, String))), "
        '"Links".TraceId, "Links".SpanId, "Links".Attributes) AS references, '
        '"SpanKind" as kind, "StatusMessage" as statusMessage, "TraceState" as traceState '
        f'FROM "{database}"."otel_traces" WHERE traceID = __gf_trace_id '
        'AND "Timestamp" >= __gf_trace_start AND "Timestamp" <= __gf_trace_end'
    )


def logs(database: str, where: str) -> str:
    """The builder's query of log records; filters stand on its aliases."""
    return (
        'SELECT Timestamp as "timestamp", Body as "body", SeverityText as "level", TraceId as "traceID", '
        f'ResourceAttributes, ScopeAttributes, LogAttributes FROM "{database}"."otel_logs" '
        f"WHERE ( timestamp >= toDateTime({START}) AND timestamp <= toDateTime({END}) ) AND {where} "
        "ORDER BY timestamp DESC LIMIT 1000"
    )


def test_the_search_finds_root_spans_newest_first(schema: Schema) -> None:
    sql = (
        'SELECT "TraceId" as traceID, "ServiceName" as serviceName, "SpanName" as operationName, '
        '"Timestamp" as startTime, multiply("Duration", 0.000001) as duration '
        f'FROM "{schema.database}"."otel_traces" WHERE ( {BETWEEN} ) AND ( ParentSpanId = \'\' ) AND ( Duration > 0 ) '
        "ORDER BY Timestamp DESC, Duration DESC LIMIT 1000"
    )
    found = [(int(row["traceID"], 16), row["operationName"], row["duration"]) for row in schema.rows(sql)]
    assert found == [(2, "GET /", 1500.0), (1, "GET /", 500.0)]


def test_one_trace_comes_whole_in_the_panels_columns(schema: Schema) -> None:
    found = {int(row["spanID"], 16): row for row in schema.rows(trace_by_id(schema.database))}
    assert set(found) == {1, 2, 3, 4}
    assert found[4] == {
        "traceID": TRACE,
        "spanID": f"{4:016x}",
        "parentSpanID": f"{3:016x}",
        "serviceName": "payment",
        "operationName": "pay",
        "startTime": pytest.approx((NOW + 3 * SECOND) / 1e6),
        "duration": 200.0,
        "tags": [{"key": "http.status_code", "value": "402"}, {"key": "app.user", "value": "u1"}],
        "serviceTags": [{"key": "service.name", "value": "payment"}, {"key": "service.version", "value": "3.0"}],
        "statusCode": 2,
        "logs": [
            {
                "name": "exception",
                "timestamp": str((NOW + 3 * SECOND) // 1_000_000 + 1),
                "fields": [{"key": "exception.type", "value": "Declined"}],
            }
        ],
        "references": [{"traceID": f"{2:032x}", "spanID": f"{5:016x}", "tags": [{"key": "why", "value": "retry"}]}],
        "kind": "Server",
        "statusMessage": "declined",
        "traceState": "",
    }


@pytest.mark.parametrize(
    ("where", "numbers"),
    [
        ("( level IN ('ERROR', 'WARN') )", [4, 3]),
        ("( level = 'FATAL' )", [5]),
        ("(body LIKE '%declined%')", [5, 4, 3]),
        (f"( traceID = '{TRACE}' )", [4]),
        ("( LogAttributes['card'] = 'visa' ) AND ( level = 'INFO' )", [2]),
        ("( ResourceAttributes['service.version'] = '4.0' )", []),
    ],
)
def test_log_records_are_found_by_the_builders_filters(schema: Schema, where: str, numbers: list[int]) -> None:
    found = [int(row["body"].split()[-1]) for row in schema.rows(logs(schema.database, where))]
    assert found == numbers


def test_the_log_volume_counts_each_level(schema: Schema) -> None:
    levels = {
        "critical": "'critical','fatal','CRITICAL','FATAL','Critical','Fatal'",
        "error": "'error','err','ERROR','ERR','Error','Err'",
        "warn": "'warn','warning','WARN','WARNING','Warn','Warning'",
        "info": "'info','information','INFO','INFORMATION','Info','Information'",
        "debug": "'debug','dbug','DEBUG','DBUG','Debug','Dbug'",
        "trace": "'trace','TRACE','Trace'",
    }
    sums = ", ".join(
        f'sum(multiSearchAny(toString("SeverityText"), [{words}])) as {level}' for level, words in levels.items()
    )
    sql = (
        f'SELECT toStartOfInterval("Timestamp", INTERVAL 1 DAY) as "time", {sums} '
        f'FROM "{schema.database}"."otel_logs" WHERE ( {BETWEEN} ) GROUP BY time ORDER BY time ASC LIMIT 10000'
    )
    row = schema.row(sql)
    assert {level: row[level] for level in levels} == dict.fromkeys(levels, 1)


def test_the_service_map_has_an_edge_a_call_between_services(schema: Schema) -> None:
    both = " AND ".join(BETWEEN.replace("Timestamp", f"{side}.Timestamp") for side in ("child", "parent"))
    sql = f"""
        SELECT
          concat(parent.ServiceName, '-', child.ServiceName) AS id,
          parent.ServiceName AS source,
          child.ServiceName AS target,
          concat(toString(count()), ' calls') AS mainstat
        FROM otel_traces AS child
        INNER JOIN otel_traces AS parent
          ON child.ParentSpanId = parent.SpanId
          AND child.TraceId = parent.TraceId
        WHERE {both}
          AND parent.ServiceName != child.ServiceName
        GROUP BY source, target
        ORDER BY count() DESC
        LIMIT 50
    """
    assert {(row["source"], row["target"], row["mainstat"]) for row in schema.rows(sql)} == {
        ("frontend", "cart", "1 calls"),
        ("cart", "payment", "1 calls"),
        ("frontend", "payment", "1 calls"),
    }


def test_the_nodes_of_the_service_map_have_spans_mean_and_errors(schema: Schema) -> None:
    sql = f"""
        SELECT
          ServiceName AS id,
          concat(toString(count()), ' spans') AS mainstat,
          concat(toString(round(avg(Duration) / 1000000, 1)), ' ms avg') AS secondarystat,
          countIf(StatusCode IN ('Error', 'STATUS_CODE_ERROR')) / count() AS arc__errors
        FROM otel_traces
        WHERE {BETWEEN}
        GROUP BY ServiceName
        ORDER BY count() DESC
        LIMIT 30
    """
    assert {tuple(row.values()) for row in schema.rows(sql)} == {
        ("frontend", "3 spans", "800 ms avg", 0.0),
        ("cart", "1 spans", "300 ms avg", 0.0),
        ("payment", "2 spans", "100.5 ms avg", 0.5),
    }


DASHBOARDS = {
    "services": (f"SELECT DISTINCT ServiceName FROM otel_traces WHERE {BETWEEN} ORDER BY ServiceName", 3),
    "statuses": (f"SELECT DISTINCT StatusCode FROM otel_traces WHERE {BETWEEN} ORDER BY StatusCode", 2),
    "levels": (f"SELECT DISTINCT SeverityText FROM otel_logs WHERE {BETWEEN} ORDER BY SeverityText", 6),
    "request rate": (
        f"""
        SELECT toStartOfInterval(Timestamp, INTERVAL 3600 second) AS time, count() / 3600 AS rps
        FROM otel_traces
        WHERE {BETWEEN} AND ServiceName = 'frontend' AND SpanKind = 'Server'
          AND positionCaseInsensitive(SpanName, 'get') > 0
        GROUP BY time ORDER BY time
        """,
        1,
    ),
    "percentiles": (
        f"""
        SELECT toStartOfInterval(Timestamp, INTERVAL 30 second) AS time, quantile(0.5)(Duration) AS p50,
          quantile(0.99)(Duration) AS p99
        FROM otel_traces
        WHERE {BETWEEN} AND SpanKind IN ('Producer', 'Consumer')
        GROUP BY time ORDER BY time
        """,
        0,
    ),
    "top errors": (
        f"""
        SELECT SpanName AS Operation, SpanKind AS Kind, StatusMessage AS Error, count() AS Count,
          max(Timestamp) AS "Last Seen"
        FROM otel_traces
        WHERE {BETWEEN} AND ServiceName = 'payment' AND StatusCode IN ('Error', 'STATUS_CODE_ERROR')
        GROUP BY SpanName, SpanKind, StatusMessage ORDER BY Count DESC LIMIT 20
        """,
        1,
    ),
    # With its shortest duration chosen, the dashboard's HAVING is refused by ClickHouse whatever the table.
    "trace search": (
        f"""
        SELECT TraceId, any(ServiceName) AS Service, any(SpanName) AS RootOperation, min(Timestamp) AS Time,
          max(Duration) AS Duration, count() AS Spans,
          anyIf(StatusCode, StatusCode IN ('Error', 'STATUS_CODE_ERROR')) AS Status
        FROM otel_traces
        WHERE {BETWEEN}
        GROUP BY TraceId HAVING 1=1 ORDER BY Time DESC LIMIT 200
        """,
        2,
    ),
    "top operations": (
        f"""
        SELECT SpanName AS Operation, count() AS Count,
          round(countIf(StatusCode IN ('Error', 'STATUS_CODE_ERROR')) / count() * 100, 2) AS "Error %",
          anyIf(if(StatusMessage != '', StatusMessage, SpanAttributes['http.status_code']),
            StatusCode IN ('Error', 'STATUS_CODE_ERROR')) AS "Top Error"
        FROM otel_traces
        WHERE {BETWEEN} AND ServiceName IN ('payment')
        GROUP BY Operation ORDER BY Count DESC LIMIT 15
        """,
        1,
    ),
    "log samples": (
        f"""
        SELECT Timestamp AS timestamp, Body AS body, SeverityText AS level, ServiceName, TraceId, SpanId,
          ResourceAttributes['service.namespace'] AS namespace, ResourceAttributes['k8s.pod.name'] AS k8s_pod
        FROM otel_logs
        WHERE {BETWEEN} AND ServiceName = 'payment'
        ORDER BY Timestamp DESC LIMIT 200
        """,
        6,
    ),
    "deployments": (
        f"""
        SELECT time, ServiceName AS tags, concat(ServiceName, ' deployed ', version,
          if(prev_version != '', concat(' (was ', prev_version, ')'), '')) AS text, 'Deployment' AS title
        FROM (
          SELECT toStartOfInterval(Timestamp, INTERVAL 30 second) AS time, ServiceName,
            topK(1)(ResourceAttributes['service.version'])[1] AS version,
            lagInFrame(topK(1)(ResourceAttributes['service.version'])[1])
              OVER (PARTITION BY ServiceName ORDER BY time) AS prev_version
          FROM otel_traces
          WHERE {BETWEEN} AND ResourceAttributes['service.version'] != ''
          GROUP BY ServiceName, time
          ORDER BY ServiceName, time
        )
        WHERE prev_version != '' AND prev_version != version
        ORDER BY time
        """,
        1,
    ),
}


@pytest.mark.parametrize("name", DASHBOARDS)
def test_queries_of_the_dashboards_run(schema: Schema, name: str) -> None:
    sql, rows = DASHBOARDS[name]
    assert len(schema.rows(sql)) == rows
