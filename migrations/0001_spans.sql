-- Spans: what a service did in a time range, so by tenant, service and time; one trace by the bloom filter on its id.
CREATE TABLE IF NOT EXISTS {{database}}.{{local spans}}
(
    tenant LowCardinality(String),
    service_name LowCardinality(String),
    timestamp DateTime64(9, 'UTC'),
    duration_ns UInt64,

    trace_id_bytes FixedString(16),
    span_id_bytes FixedString(8),
    parent_span_id_bytes FixedString(8),
    trace_id String ALIAS lower(hex(trace_id_bytes)),
    span_id String ALIAS lower(hex(span_id_bytes)),
    parent_span_id String ALIAS if(empty(parent_span_id_bytes), '', lower(hex(parent_span_id_bytes))),

    trace_state LowCardinality(String),
    flags UInt32,
    span_name LowCardinality(String),
    span_kind Enum8(
        'UNSPECIFIED' = 0,
        'INTERNAL' = 1,
        'SERVER' = 2,
        'CLIENT' = 3,
        'PRODUCER' = 4,
        'CONSUMER' = 5
    ),
    status_code Enum8('UNSET' = 0, 'OK' = 1, 'ERROR' = 2),
    status_message String,

    -- Promoted from attributes
    invocation_id String,
    session_id String,
    user_id String,
    agent_name LowCardinality(String),
    agent_type LowCardinality(String),
    operation_name LowCardinality(String),
    llm_model LowCardinality(String),
    llm_system LowCardinality(String),
    tool_name LowCardinality(String),
    tool_call_id String,
    llm_input_tokens UInt64,
    llm_output_tokens UInt64,
    llm_cached_tokens UInt64,
    llm_reasoning_tokens UInt64,
    resource_cpu_micros UInt64,
    resource_memory_bytes UInt64,
    resource_memory_peak UInt64,

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

    `events.timestamp` Array(DateTime64(9, 'UTC')),
    `events.name` Array(LowCardinality(String)),
    `events.attributes` Array(Map(LowCardinality(String), String)),
    `events.attributes_types` Array(LowCardinality(String)),
    `events.dropped_attributes_count` Array(UInt32),
    dropped_events_count UInt32,

    `links.trace_id` Array(String),
    `links.span_id` Array(String),
    `links.trace_state` Array(String),
    `links.flags` Array(UInt32),
    `links.attributes` Array(Map(LowCardinality(String), String)),
    `links.attributes_types` Array(LowCardinality(String)),
    `links.dropped_attributes_count` Array(UInt32),
    dropped_links_count UInt32,

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

    INDEX trace_id_bloom lower(hex(trace_id_bytes)) TYPE bloom_filter(0.001) GRANULARITY 1,
    INDEX session_id_bloom session_id TYPE bloom_filter(0.01) GRANULARITY 1
)
ENGINE = {{engine MergeTree}}
PARTITION BY toDate(timestamp)
ORDER BY (tenant, service_name, timestamp)
TTL timestamp + toIntervalDay({{retention spans_retention_days}})
SETTINGS
    ttl_only_drop_parts = 1,
    non_replicated_deduplication_window = 100000,
    replicated_deduplication_window = 100000,
    replicated_deduplication_window_seconds = 604800,
    fsync_after_insert = 1,
    fsync_part_directory = 1,
    vertical_merge_algorithm_min_columns_to_activate = 1;
