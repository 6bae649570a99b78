-- Log records: what a service said in a time range, so by tenant, service and time; those of a trace by the filter.
CREATE TABLE IF NOT EXISTS {{database}}.{{local logs}}
(
    tenant LowCardinality(String),
    service_name LowCardinality(String),
    timestamp DateTime64(9, 'UTC'),
    time_unix_nano UInt64,
    observed_time_unix_nano UInt64,

    trace_id_bytes FixedString(16),
    span_id_bytes FixedString(8),
    trace_id String ALIAS if(empty(trace_id_bytes), '', lower(hex(trace_id_bytes))),
    span_id String ALIAS if(empty(span_id_bytes), '', lower(hex(span_id_bytes))),
    flags UInt32,

    severity_number UInt8,
    severity_text LowCardinality(String),
    body String,
    body_type LowCardinality(String),
    event_name LowCardinality(String),

    -- Promoted from attributes
    invocation_id String,
    session_id String,
    user_id String,
    agent_name LowCardinality(String),
    llm_model LowCardinality(String),
    llm_system LowCardinality(String),
    tool_name LowCardinality(String),
    tool_call_id String,

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
    dropped_attributes_count UInt32,

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
    ingested_at DateTime('UTC'),

    INDEX trace_id_bloom if(empty(trace_id_bytes), '', lower(hex(trace_id_bytes)))
        TYPE bloom_filter(0.001) GRANULARITY 1
)
ENGINE = {{engine MergeTree}}
PARTITION BY toDate(timestamp)
ORDER BY (tenant, service_name, timestamp)
TTL timestamp + toIntervalDay({{retention logs_retention_days}})
SETTINGS
    ttl_only_drop_parts = 1,
    non_replicated_deduplication_window = 100000,
    replicated_deduplication_window = 100000,
    replicated_deduplication_window_seconds = 604800,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    vertical_merge_algorithm_min_columns_to_activate = 1;
