SELECT
    toString(s.metric_name) AS name,
    toString(s.metric_type) AS type,
    toString(s.metric_unit) AS unit,
    toString(s.aggregation_temporality) AS temporality,
    toString(argMax(s.metric_description, s.timestamp)) AS description,
    max(s.is_monotonic) AS is_monotonic,
    arraySort(groupUniqArray(100)(s.service_name)) AS services,
    arraySort(groupUniqArrayArray(100)(mapKeys(s.attributes_map))) AS label_keys,
    uniqExact(s.series_id) AS series_count,
    count() AS data_point_count,
    min(toUInt64(toUnixTimestamp64Nano(s.timestamp))) AS first_unix_nano,
    max(toUInt64(toUnixTimestamp64Nano(s.timestamp))) AS last_unix_nano
FROM metrics AS s
WHERE s.tenant = {tenant:String}
  AND s.timestamp >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')
  AND s.timestamp <= fromUnixTimestamp64Nano({end:Int64}, 'UTC')
GROUP BY
    s.metric_name,
    s.metric_type,
    s.metric_unit,
    s.aggregation_temporality
ORDER BY
    name,
    type,
    unit,
    temporality
LIMIT {limit:UInt32}
