-- Data points under the names of the Collector's ClickHouse exporter, a view a type, for readers that know those: sorted as metrics is.
CREATE VIEW IF NOT EXISTS {{database}}.otel_metrics_gauge
AS SELECT
    resource_attributes AS ResourceAttributes,
    toString(resource_schema_url) AS ResourceSchemaUrl,
    toString(scope_name) AS ScopeName,
    toString(scope_version) AS ScopeVersion,
    scope_attributes AS ScopeAttributes,
    toUInt32(JSONExtractUInt(toString(residue), 'scope', 'droppedAttributesCount')) AS ScopeDroppedAttrCount,
    toString(scope_schema_url) AS ScopeSchemaUrl,
    service_name AS ServiceName,
    toString(metric_name) AS MetricName,
    toString(metric_description) AS MetricDescription,
    toString(metric_unit) AS MetricUnit,
    attributes_map AS Attributes,
    CAST(fromUnixTimestamp64Nano(reinterpretAsInt64(start_time_unix_nano)), 'DateTime64(9)') AS StartTimeUnix,
    CAST(timestamp, 'DateTime64(9)') AS TimeUnix,
    value AS Value,
    flags AS Flags,
    exemplars.attributes AS `Exemplars.FilteredAttributes`,
    arrayMap(
        t -> CAST(fromUnixTimestamp64Nano(reinterpretAsInt64(t)), 'DateTime64(9)'), exemplars.time_unix_nano
    ) AS `Exemplars.TimeUnix`,
    exemplars.value AS `Exemplars.Value`,
    exemplars.span_id AS `Exemplars.SpanId`,
    exemplars.trace_id AS `Exemplars.TraceId`,
    tenant,
    series_id,
    user_id,
    session_id,
    agent_name,
    value_int AS ValueInt,
    CAST(value_type, 'String') AS ValueType
FROM {{database}}.metrics
WHERE metric_type = 'GAUGE';

CREATE VIEW IF NOT EXISTS {{database}}.otel_metrics_sum
AS SELECT
    resource_attributes AS ResourceAttributes,
    toString(resource_schema_url) AS ResourceSchemaUrl,
    toString(scope_name) AS ScopeName,
    toString(scope_version) AS ScopeVersion,
    scope_attributes AS ScopeAttributes,
    toUInt32(JSONExtractUInt(toString(residue), 'scope', 'droppedAttributesCount')) AS ScopeDroppedAttrCount,
    toString(scope_schema_url) AS ScopeSchemaUrl,
    service_name AS ServiceName,
    toString(metric_name) AS MetricName,
    toString(metric_description) AS MetricDescription,
    toString(metric_unit) AS MetricUnit,
    attributes_map AS Attributes,
    CAST(fromUnixTimestamp64Nano(reinterpretAsInt64(start_time_unix_nano)), 'DateTime64(9)') AS StartTimeUnix,
    CAST(timestamp, 'DateTime64(9)') AS TimeUnix,
    value AS Value,
    flags AS Flags,
    exemplars.attributes AS `Exemplars.FilteredAttributes`,
    arrayMap(
        t -> CAST(fromUnixTimestamp64Nano(reinterpretAsInt64(t)), 'DateTime64(9)'), exemplars.time_unix_nano
    ) AS `Exemplars.TimeUnix`,
    exemplars.value AS `Exemplars.Value`,
    exemplars.span_id AS `Exemplars.SpanId`,
    exemplars.trace_id AS `Exemplars.TraceId`,
    toInt32(aggregation_temporality) AS AggregationTemporality,
    is_monotonic AS IsMonotonic,
    tenant,
    series_id,
    user_id,
    session_id,
    agent_name,
    value_int AS ValueInt,
    CAST(value_type, 'String') AS ValueType
FROM {{database}}.metrics
WHERE metric_type IN ('COUNTER', 'UP_DOWN_COUNTER');

CREATE VIEW IF NOT EXISTS {{database}}.otel_metrics_histogram
AS SELECT
    resource_attributes AS ResourceAttributes,
    toString(resource_schema_url) AS ResourceSchemaUrl,
    toString(scope_name) AS ScopeName,
    toString(scope_version) AS ScopeVersion,
    scope_attributes AS ScopeAttributes,
    toUInt32(JSONExtractUInt(toString(residue), 'scope', 'droppedAttributesCount')) AS ScopeDroppedAttrCount,
    toString(scope_schema_url) AS ScopeSchemaUrl,
    service_name AS ServiceName,
    toString(metric_name) AS MetricName,
    toString(metric_description) AS MetricDescription,
    toString(metric_unit) AS MetricUnit,
    attributes_map AS Attributes,
    CAST(fromUnixTimestamp64Nano(reinterpretAsInt64(start_time_unix_nano)), 'DateTime64(9)') AS StartTimeUnix,
    CAST(timestamp, 'DateTime64(9)') AS TimeUnix,
    count AS Count,
    sum AS Sum,
    bucket_counts AS BucketCounts,
    explicit_bounds AS ExplicitBounds,
    exemplars.attributes AS `Exemplars.FilteredAttributes`,
    arrayMap(
        t -> CAST(fromUnixTimestamp64Nano(reinterpretAsInt64(t)), 'DateTime64(9)'), exemplars.time_unix_nano
    ) AS `Exemplars.TimeUnix`,
    exemplars.value AS `Exemplars.Value`,
    exemplars.span_id AS `Exemplars.SpanId`,
    exemplars.trace_id AS `Exemplars.TraceId`,
    flags AS Flags,
    min AS Min,
    max AS Max,
    toInt32(aggregation_temporality) AS AggregationTemporality,
    tenant,
    series_id,
    user_id,
    session_id,
    agent_name
FROM {{database}}.metrics
WHERE metric_type = 'HISTOGRAM';

-- The exporter's default name; its documentation and other readers call it otel_metrics_exponential_histogram.
CREATE VIEW IF NOT EXISTS {{database}}.otel_metrics_exp_histogram
AS SELECT
    resource_attributes AS ResourceAttributes,
    toString(resource_schema_url) AS ResourceSchemaUrl,
    toString(scope_name) AS ScopeName,
    toString(scope_version) AS ScopeVersion,
    scope_attributes AS ScopeAttributes,
    toUInt32(JSONExtractUInt(toString(residue), 'scope', 'droppedAttributesCount')) AS ScopeDroppedAttrCount,
    toString(scope_schema_url) AS ScopeSchemaUrl,
    service_name AS ServiceName,
    toString(metric_name) AS MetricName,
    toString(metric_description) AS MetricDescription,
    toString(metric_unit) AS MetricUnit,
    attributes_map AS Attributes,
    CAST(fromUnixTimestamp64Nano(reinterpretAsInt64(start_time_unix_nano)), 'DateTime64(9)') AS StartTimeUnix,
    CAST(timestamp, 'DateTime64(9)') AS TimeUnix,
    count AS Count,
    sum AS Sum,
    scale AS Scale,
    zero_count AS ZeroCount,
    positive_offset AS PositiveOffset,
    positive_bucket_counts AS PositiveBucketCounts,
    negative_offset AS NegativeOffset,
    negative_bucket_counts AS NegativeBucketCounts,
    exemplars.attributes AS `Exemplars.FilteredAttributes`,
    arrayMap(
        t -> CAST(fromUnixTimestamp64Nano(reinterpretAsInt64(t)), 'DateTime64(9)'), exemplars.time_unix_nano
    ) AS `Exemplars.TimeUnix`,
    exemplars.value AS `Exemplars.Value`,
    exemplars.span_id AS `Exemplars.SpanId`,
    exemplars.trace_id AS `Exemplars.TraceId`,
    flags AS Flags,
    min AS Min,
    max AS Max,
    toInt32(aggregation_temporality) AS AggregationTemporality,
    tenant,
    series_id,
    user_id,
    session_id,
    agent_name
FROM {{database}}.metrics
WHERE metric_type = 'EXPONENTIAL_HISTOGRAM';

CREATE VIEW IF NOT EXISTS {{database}}.otel_metrics_exponential_histogram
AS SELECT
    resource_attributes AS ResourceAttributes,
    toString(resource_schema_url) AS ResourceSchemaUrl,
    toString(scope_name) AS ScopeName,
    toString(scope_version) AS ScopeVersion,
    scope_attributes AS ScopeAttributes,
    toUInt32(JSONExtractUInt(toString(residue), 'scope', 'droppedAttributesCount')) AS ScopeDroppedAttrCount,
    toString(scope_schema_url) AS ScopeSchemaUrl,
    service_name AS ServiceName,
    toString(metric_name) AS MetricName,
    toString(metric_description) AS MetricDescription,
    toString(metric_unit) AS MetricUnit,
    attributes_map AS Attributes,
    CAST(fromUnixTimestamp64Nano(reinterpretAsInt64(start_time_unix_nano)), 'DateTime64(9)') AS StartTimeUnix,
    CAST(timestamp, 'DateTime64(9)') AS TimeUnix,
    count AS Count,
    sum AS Sum,
    scale AS Scale,
    zero_count AS ZeroCount,
    positive_offset AS PositiveOffset,
    positive_bucket_counts AS PositiveBucketCounts,
    negative_offset AS NegativeOffset,
    negative_bucket_counts AS NegativeBucketCounts,
    exemplars.attributes AS `Exemplars.FilteredAttributes`,
    arrayMap(
        t -> CAST(fromUnixTimestamp64Nano(reinterpretAsInt64(t)), 'DateTime64(9)'), exemplars.time_unix_nano
    ) AS `Exemplars.TimeUnix`,
    exemplars.value AS `Exemplars.Value`,
    exemplars.span_id AS `Exemplars.SpanId`,
    exemplars.trace_id AS `Exemplars.TraceId`,
    flags AS Flags,
    min AS Min,
    max AS Max,
    toInt32(aggregation_temporality) AS AggregationTemporality,
    tenant,
    series_id,
    user_id,
    session_id,
    agent_name
FROM {{database}}.metrics
WHERE metric_type = 'EXPONENTIAL_HISTOGRAM';

CREATE VIEW IF NOT EXISTS {{database}}.otel_metrics_summary
AS SELECT
    resource_attributes AS ResourceAttributes,
    toString(resource_schema_url) AS ResourceSchemaUrl,
    toString(scope_name) AS ScopeName,
    toString(scope_version) AS ScopeVersion,
    scope_attributes AS ScopeAttributes,
    toUInt32(JSONExtractUInt(toString(residue), 'scope', 'droppedAttributesCount')) AS ScopeDroppedAttrCount,
    toString(scope_schema_url) AS ScopeSchemaUrl,
    service_name AS ServiceName,
    toString(metric_name) AS MetricName,
    toString(metric_description) AS MetricDescription,
    toString(metric_unit) AS MetricUnit,
    attributes_map AS Attributes,
    CAST(fromUnixTimestamp64Nano(reinterpretAsInt64(start_time_unix_nano)), 'DateTime64(9)') AS StartTimeUnix,
    CAST(timestamp, 'DateTime64(9)') AS TimeUnix,
    count AS Count,
    sum AS Sum,
    quantiles.quantile AS `ValueAtQuantiles.Quantile`,
    quantiles.value AS `ValueAtQuantiles.Value`,
    flags AS Flags,
    tenant,
    series_id,
    user_id,
    session_id,
    agent_name
FROM {{database}}.metrics
WHERE metric_type = 'SUMMARY';
