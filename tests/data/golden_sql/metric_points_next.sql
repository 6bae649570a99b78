SELECT
    s.metric_name AS metric_name,
    s.service_name AS service_name,
    s.series_id AS series_id,
    toUInt64(toUnixTimestamp64Nano(s.timestamp)) AS timestamp,
    s.start_time_unix_nano AS start_time_unix_nano,
    toInt16(s.metric_type) AS metric_type,
    s.metric_description AS metric_description,
    s.metric_unit AS metric_unit,
    s.metric_metadata AS metric_metadata,
    toInt16(s.aggregation_temporality) AS aggregation_temporality,
    s.is_monotonic AS is_monotonic,
    s.flags AS flags,
    toString(s.value) AS value,
    s.value_int AS value_int,
    toInt16(s.value_type) AS value_type,
    s.count AS count,
    toString(s.sum) AS sum,
    toString(s.min) AS min,
    toString(s.max) AS max,
    s.presence AS presence,
    s.bucket_counts AS bucket_counts,
    arrayMap(x -> toString(x), s.explicit_bounds) AS explicit_bounds,
    s.scale AS scale,
    s.zero_count AS zero_count,
    toString(s.zero_threshold) AS zero_threshold,
    s.positive_offset AS positive_offset,
    s.positive_bucket_counts AS positive_bucket_counts,
    s.negative_offset AS negative_offset,
    s.negative_bucket_counts AS negative_bucket_counts,
    arrayMap(x -> toString(x), s.`quantiles`.`quantile`) AS `quantiles.quantile`,
    arrayMap(x -> toString(x), s.`quantiles`.`value`) AS `quantiles.value`,
    s.`exemplars`.`time_unix_nano` AS `exemplars.time_unix_nano`,
    arrayMap(x -> toString(x), s.`exemplars`.`value`) AS `exemplars.value`,
    s.`exemplars`.`value_int` AS `exemplars.value_int`,
    arrayMap(x -> toInt16(x), s.`exemplars`.`value_type`) AS `exemplars.value_type`,
    s.`exemplars`.`trace_id` AS `exemplars.trace_id`,
    s.`exemplars`.`span_id` AS `exemplars.span_id`,
    arrayMap(x -> [mapKeys(x), mapValues(x)], s.`exemplars`.`attributes`) AS `exemplars.attributes`,
    s.`exemplars`.`attributes_types` AS `exemplars.attributes_types`,
    s.user_id AS user_id,
    s.session_id AS session_id,
    s.agent_name AS agent_name,
    [mapKeys(s.attributes_map), mapValues(s.attributes_map)] AS attributes_map,
    s.attributes_types AS attributes_types,
    s.resource AS resource,
    s.resource_schema_url AS resource_schema_url,
    s.scope_name AS scope_name,
    s.scope_version AS scope_version,
    s.scope AS scope,
    s.scope_schema_url AS scope_schema_url,
    s.residue AS residue,
    toString(s.batch) AS batch,
    s.row AS row
FROM metrics AS s
WHERE s.tenant = {tenant:String}
  AND s.timestamp >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')
  AND s.timestamp <= fromUnixTimestamp64Nano({end:Int64}, 'UTC')
  AND s.metric_name = {name:String}
  AND s.service_name = {service:String}
  AND s.agent_name = {agent:String}
  AND s.session_id = {session:String}
  AND s.user_id = {user:String}
  AND has(mapValues(s.attributes_map), {attribute_0_value:String})
  AND arrayExists((k, v) -> (k = {attribute_0_key:String}) AND (v = {attribute_0_value:String}), mapKeys(s.attributes_map), mapValues(s.attributes_map))
  AND s.resource IN (
    SELECT r.resource
    FROM (
        SELECT DISTINCT s.resource AS resource
        FROM metrics AS s
        WHERE s.tenant = {tenant:String}
  AND s.timestamp >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')
  AND s.timestamp <= fromUnixTimestamp64Nano({end:Int64}, 'UTC')
    ) AS r
    WHERE arrayExists(
        e -> (e.1 = {attribute_1_key:String}) AND (e.3 = {attribute_1_value:String}),
        JSONExtract(toString(r.resource), 'Array(Tuple(String, String, String))')
    )
  )
  AND (s.timestamp, s.batch, s.row) < (fromUnixTimestamp64Nano({after_time:Int64}, 'UTC'), {after_batch:UUID}, {after_row:UInt32})
  AND s.timestamp <= fromUnixTimestamp64Nano({after_time:Int64}, 'UTC')
ORDER BY
    s.timestamp DESC,
    s.batch DESC,
    s.row DESC
LIMIT {limit:UInt32}
