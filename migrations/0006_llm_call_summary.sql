-- How often, how long and for how many tokens each model was called, by the hour: by tenant, hour, service and model.
CREATE TABLE IF NOT EXISTS {{database}}.{{local llm_call_summary_states}}
(
    tenant LowCardinality(String),
    hour DateTime('UTC'),
    service_name LowCardinality(String),
    llm_system LowCardinality(String),
    llm_model LowCardinality(String),
    call_count AggregateFunction(count),
    duration_sum AggregateFunction(sum, UInt64),
    duration_quantiles AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), UInt64),
    error_count AggregateFunction(count),
    input_tokens AggregateFunction(sum, UInt64),
    output_tokens AggregateFunction(sum, UInt64),
    cached_tokens AggregateFunction(sum, UInt64),
    reasoning_tokens AggregateFunction(sum, UInt64),
    cpu_micros AggregateFunction(sum, UInt64),
    memory_bytes AggregateFunction(sum, UInt64)
)
ENGINE = {{engine AggregatingMergeTree}}
PARTITION BY toDate(hour)
ORDER BY (tenant, hour, service_name, llm_system, llm_model)
TTL toDateTime64(hour, 0, 'UTC') + toIntervalDay({{retention spans_retention_days}})
SETTINGS
    ttl_only_drop_parts = 1,
    non_replicated_deduplication_window = 100000,
    replicated_deduplication_window = 100000,
    replicated_deduplication_window_seconds = 604800,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    vertical_merge_algorithm_min_columns_to_activate = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS {{database}}.llm_call_summary_feed
TO {{database}}.{{local llm_call_summary_states}}
AS SELECT
    tenant,
    toStartOfHour(toDateTime(timestamp)) AS hour,
    service_name,
    llm_system,
    llm_model,
    countState() AS call_count,
    sumState(duration_ns) AS duration_sum,
    quantilesTDigestState(0.5, 0.95, 0.99)(duration_ns) AS duration_quantiles,
    countStateIf(status_code = 'ERROR') AS error_count,
    sumState(llm_input_tokens) AS input_tokens,
    sumState(llm_output_tokens) AS output_tokens,
    sumState(llm_cached_tokens) AS cached_tokens,
    sumState(llm_reasoning_tokens) AS reasoning_tokens,
    sumState(resource_cpu_micros) AS cpu_micros,
    sumState(resource_memory_bytes) AS memory_bytes
FROM {{database}}.{{local spans}}
WHERE operation_name IN ('chat', 'text_completion', 'generate_content', 'embeddings')
GROUP BY
    tenant,
    hour,
    service_name,
    llm_system,
    llm_model;

CREATE VIEW IF NOT EXISTS {{database}}.llm_call_summary
AS SELECT
    hour,
    service_name,
    llm_model,
    countMerge(states.call_count) AS call_count,
    sumMerge(states.duration_sum) / countMerge(states.call_count) / 1e9 AS avg_duration_seconds,
    sumMerge(states.cpu_micros) / 1e6 AS total_cpu_seconds,
    sumMerge(states.memory_bytes) / 1024 / 1024 AS total_memory_mb,
    tenant,
    llm_system,
    quantilesTDigestMerge(0.5, 0.95, 0.99)(states.duration_quantiles)[1] / 1e9 AS p50_duration,
    quantilesTDigestMerge(0.5, 0.95, 0.99)(states.duration_quantiles)[2] / 1e9 AS p95_duration,
    quantilesTDigestMerge(0.5, 0.95, 0.99)(states.duration_quantiles)[3] / 1e9 AS p99_duration,
    countMerge(states.error_count) AS error_count,
    sumMerge(states.input_tokens) AS input_tokens,
    sumMerge(states.output_tokens) AS output_tokens,
    sumMerge(states.cached_tokens) AS cached_tokens,
    sumMerge(states.reasoning_tokens) AS reasoning_tokens
FROM {{database}}.llm_call_summary_states AS states
GROUP BY
    tenant,
    hour,
    service_name,
    llm_system,
    llm_model;

-- Under the name of the first design, and in its grain: one row a model, whoever provides it.
CREATE VIEW IF NOT EXISTS {{database}}.llm_call_summary_mv
AS SELECT
    hour,
    service_name,
    llm_model,
    countMerge(states.call_count) AS call_count,
    sumMerge(states.duration_sum) / countMerge(states.call_count) / 1e9 AS avg_duration_seconds,
    sumMerge(states.cpu_micros) / 1e6 AS total_cpu_seconds,
    sumMerge(states.memory_bytes) / 1024 / 1024 AS total_memory_mb,
    tenant,
    quantilesTDigestMerge(0.5, 0.95, 0.99)(states.duration_quantiles)[1] / 1e9 AS p50_duration,
    quantilesTDigestMerge(0.5, 0.95, 0.99)(states.duration_quantiles)[2] / 1e9 AS p95_duration,
    quantilesTDigestMerge(0.5, 0.95, 0.99)(states.duration_quantiles)[3] / 1e9 AS p99_duration,
    countMerge(states.error_count) AS error_count,
    sumMerge(states.input_tokens) AS input_tokens,
    sumMerge(states.output_tokens) AS output_tokens,
    sumMerge(states.cached_tokens) AS cached_tokens,
    sumMerge(states.reasoning_tokens) AS reasoning_tokens
FROM {{database}}.llm_call_summary_states AS states
GROUP BY
    tenant,
    hour,
    service_name,
    llm_model;
