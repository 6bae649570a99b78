-- How often, how long and how well each agent ran, by the hour: by tenant, hour, service and agent.
CREATE TABLE IF NOT EXISTS {{database}}.{{local agent_execution_summary_states}}
(
    tenant LowCardinality(String),
    hour DateTime('UTC'),
    service_name LowCardinality(String),
    agent_name LowCardinality(String),
    execution_count AggregateFunction(count),
    duration_sum AggregateFunction(sum, UInt64),
    duration_quantiles AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), UInt64),
    error_count AggregateFunction(count),
    input_tokens AggregateFunction(sum, UInt64),
    output_tokens AggregateFunction(sum, UInt64)
)
ENGINE = {{engine AggregatingMergeTree}}
PARTITION BY toDate(hour)
ORDER BY (tenant, hour, service_name, agent_name)
TTL toDateTime64(hour, 0, 'UTC') + toIntervalDay({{retention spans_retention_days}})
SETTINGS
    ttl_only_drop_parts = 1,
    non_replicated_deduplication_window = 100000,
    replicated_deduplication_window = 100000,
    replicated_deduplication_window_seconds = 604800,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    vertical_merge_algorithm_min_columns_to_activate = 1;

CREATE MATERIALIZED VIEW IF NOT EXISTS {{database}}.agent_execution_summary_feed
TO {{database}}.{{local agent_execution_summary_states}}
AS SELECT
    tenant,
    toStartOfHour(toDateTime(timestamp)) AS hour,
    service_name,
    agent_name,
    countState() AS execution_count,
    sumState(duration_ns) AS duration_sum,
    quantilesTDigestState(0.5, 0.95, 0.99)(duration_ns) AS duration_quantiles,
    countStateIf(status_code = 'ERROR') AS error_count,
    sumState(llm_input_tokens) AS input_tokens,
    sumState(llm_output_tokens) AS output_tokens
FROM {{database}}.{{local spans}}
WHERE operation_name = 'invoke_agent'
GROUP BY
    tenant,
    hour,
    service_name,
    agent_name;

CREATE VIEW IF NOT EXISTS {{database}}.agent_execution_summary
AS SELECT
    hour,
    service_name,
    agent_name,
    countMerge(states.execution_count) AS execution_count,
    sumMerge(states.duration_sum) / countMerge(states.execution_count) / 1e9 AS avg_duration_seconds,
    quantilesTDigestMerge(0.5, 0.95, 0.99)(states.duration_quantiles)[1] / 1e9 AS p50_duration,
    quantilesTDigestMerge(0.5, 0.95, 0.99)(states.duration_quantiles)[2] / 1e9 AS p95_duration,
    quantilesTDigestMerge(0.5, 0.95, 0.99)(states.duration_quantiles)[3] / 1e9 AS p99_duration,
    countMerge(states.error_count) AS error_count,
    tenant,
    sumMerge(states.input_tokens) AS input_tokens,
    sumMerge(states.output_tokens) AS output_tokens
FROM {{database}}.agent_execution_summary_states AS states
GROUP BY
    tenant,
    hour,
    service_name,
    agent_name;

-- The same under the name of the first design.
CREATE VIEW IF NOT EXISTS {{database}}.agent_execution_summary_mv
AS SELECT
    hour,
    service_name,
    agent_name,
    countMerge(states.execution_count) AS execution_count,
    sumMerge(states.duration_sum) / countMerge(states.execution_count) / 1e9 AS avg_duration_seconds,
    quantilesTDigestMerge(0.5, 0.95, 0.99)(states.duration_quantiles)[1] / 1e9 AS p50_duration,
    quantilesTDigestMerge(0.5, 0.95, 0.99)(states.duration_quantiles)[2] / 1e9 AS p95_duration,
    quantilesTDigestMerge(0.5, 0.95, 0.99)(states.duration_quantiles)[3] / 1e9 AS p99_duration,
    countMerge(states.error_count) AS error_count,
    tenant,
    sumMerge(states.input_tokens) AS input_tokens,
    sumMerge(states.output_tokens) AS output_tokens
FROM {{database}}.agent_execution_summary_states AS states
GROUP BY
    tenant,
    hour,
    service_name,
    agent_name;
