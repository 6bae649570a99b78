-- Data points of all five types: the series of one metric over time, so by tenant, metric, service, series and time.
CREATE TABLE IF NOT EXISTS {{database}}.{{local metrics}}
(
    tenant LowCardinality(String),
    metric_name LowCardinality(String),
    service_name LowCardinality(String),
    series_id UInt64,
    timestamp DateTime64(9, 'UTC'),
    start_time_unix_nano UInt64,

    metric_type Enum8(
        'COUNTER' = 1,
        'GAUGE' = 2,
        'HISTOGRAM' = 3,
        'SUMMARY' = 4,
        'EXPONENTIAL_HISTOGRAM' = 5,
        'UP_DOWN_COUNTER' = 6
    ),
    metric_description LowCardinality(String),
    metric_unit LowCardinality(String),
    metric_metadata LowCardinality(String),
    aggregation_temporality Enum8('UNSPECIFIED' = 0, 'DELTA' = 1, 'CUMULATIVE' = 2),
    is_monotonic Bool,
    flags UInt32,

    -- Gauges and sums
    value Float64,
    value_int Int64,
    value_type Enum8('NONE' = 0, 'DOUBLE' = 1, 'INT' = 2),

    -- Histograms and summaries
    count UInt64,
    sum Float64,
    min Float64,
    max Float64,
    presence UInt8,

    bucket_counts Array(UInt64),
    explicit_bounds Array(Float64),
    `buckets.upper_bound` Array(Float64) ALIAS if(empty(bucket_counts), [], arrayPushBack(explicit_bounds, inf)),
    `buckets.count` Array(UInt64) ALIAS bucket_counts,

    -- Exponential histograms
    scale Int32,
    zero_count UInt64,
    zero_threshold Float64,
    positive_offset Int32,
    positive_bucket_counts Array(UInt64),
    negative_offset Int32,
    negative_bucket_counts Array(UInt64),

    -- Summaries
    `quantiles.quantile` Array(Float64),
    `quantiles.value` Array(Float64),

    `exemplars.time_unix_nano` Array(UInt64),
    `exemplars.value` Array(Float64),
    `exemplars.value_int` Array(Int64),
    `exemplars.value_type` Array(Enum8('NONE' = 0, 'DOUBLE' = 1, 'INT' = 2)),
    `exemplars.trace_id` Array(String),
    `exemplars.span_id` Array(String),
    `exemplars.attributes` Array(Map(LowCardinality(String), String)),
    `exemplars.attributes_types` Array(LowCardinality(String)),

    -- Promoted from attributes
    user_id String,
    session_id String,
    agent_name LowCardinality(String),

    -- Attributes: texts in the order received, and one letter of type a key
    attributes_map Map(LowCardinality(String), String),
    attributes_types LowCardinality(String),
    attributes String ALIAS concat(
        '{',
        arrayStringConcat(
            arrayMap(
                (k, v, t) -> concat(
                    toJSONString(toString(k)),
                    ':',
                    multiIf(
                        t IN ('i', 'b', 'a', 'm', 'A', 'M'), v,
                        t = 'e', 'null',
                        (t = 'd') AND (v NOT IN ('NaN', 'Infinity', '-Infinity')), v,
                        toJSONString(v)
                    )
                ),
                mapKeys(attributes_map),
                mapValues(attributes_map),
                splitByString('', toString(attributes_types))
            ),
            ','
        ),
        '}'
    ),
    labels Map(LowCardinality(String), String) ALIAS attributes_map,

    -- Where it comes from
    resource LowCardinality(String),
    resource_schema_url LowCardinality(String),
    resource_attributes Map(LowCardinality(String), String) ALIAS CAST(
        (
            arrayMap(e -> e.1, JSONExtract(toString(resource), 'Array(Tuple(String, String, String))')),
            arrayMap(e -> e.3, JSONExtract(toString(resource), 'Array(Tuple(String, String, String))'))
        ),
        'Map(LowCardinality(String), String)'
    ),
    scope_name LowCardinality(String),
    scope_version LowCardinality(String),
    scope LowCardinality(String),
    scope_schema_url LowCardinality(String),
    scope_attributes Map(LowCardinality(String), String) ALIAS CAST(
        (
            arrayMap(e -> e.1, JSONExtract(toString(scope), 'Array(Tuple(String, String, String))')),
            arrayMap(e -> e.3, JSONExtract(toString(scope), 'Array(Tuple(String, String, String))'))
        ),
        'Map(LowCardinality(String), String)'
    ),
    residue LowCardinality(String),

    -- Its address: the batch, and the place in it
    batch UUID,
    row UInt32,
    ingested_at DateTime('UTC')
)
ENGINE = {{engine MergeTree}}
PARTITION BY toDate(timestamp)
ORDER BY (tenant, metric_name, service_name, series_id, timestamp)
TTL timestamp + toIntervalDay({{retention metrics_retention_days}})
SETTINGS
    ttl_only_drop_parts = 1,
    non_replicated_deduplication_window = 100000,
    replicated_deduplication_window = 100000,
    replicated_deduplication_window_seconds = 604800,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    vertical_merge_algorithm_min_columns_to_activate = 1;
