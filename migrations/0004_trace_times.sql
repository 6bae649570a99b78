-- From when to when a trace ran, so that a reader of one trace opens its days only: by tenant and trace id.
CREATE TABLE IF NOT EXISTS {{database}}.{{local otel_traces_trace_id_ts}}
(
    tenant LowCardinality(String),
    TraceId String,
    Start SimpleAggregateFunction(min, DateTime('UTC')),
    End SimpleAggregateFunction(max, DateTime('UTC'))
)
ENGINE = {{engine AggregatingMergeTree}}
PARTITION BY toDate(Start)
ORDER BY (tenant, TraceId)
TTL toDateTime64(Start, 0, 'UTC') + toIntervalDay({{retention spans_retention_days}})
SETTINGS
    ttl_only_drop_parts = 1,
    non_replicated_deduplication_window = 100000,
    replicated_deduplication_window = 100000,
    replicated_deduplication_window_seconds = 604800,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    vertical_merge_algorithm_min_columns_to_activate = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS {{database}}.otel_traces_trace_id_ts_mv
TO {{database}}.{{local otel_traces_trace_id_ts}}
AS SELECT
    tenant,
    lower(hex(trace_id_bytes)) AS TraceId,
    min(toDateTime(timestamp)) AS Start,
    max(toDateTime(timestamp)) AS End
FROM {{database}}.{{local spans}}
GROUP BY
    tenant,
    TraceId;
