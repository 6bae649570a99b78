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
  AND positionCaseInsensitiveUTF8(s.metric_name, {name:String}) > 0
  AND s.service_name = {service:String}
  AND s.agent_name = {agent:String}
  AND s.session_id = {session:String}
  AND s.user_id = {user:String}
  AND s.metric_type = {type:String}
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
  AND s.metric_name >= {after_name:String}
GROUP BY
    s.metric_name,
    s.metric_type,
    s.metric_unit,
    s.aggregation_temporality
HAVING (name, type, unit, temporality) > (
    {after_name:String},
    {after_type:String},
    {after_unit:String},
    {after_temporality:String}
)
ORDER BY
    name,
    type,
    unit,
    temporality
LIMIT {limit:UInt32}
