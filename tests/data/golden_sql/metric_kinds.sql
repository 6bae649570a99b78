SELECT
    toString(s.metric_type) AS type,
    toString(s.aggregation_temporality) AS temporality,
    arraySort(groupUniqArrayArray(100)(s.`quantiles.quantile`)) AS quantiles
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
GROUP BY
    s.metric_type,
    s.aggregation_temporality
ORDER BY
    type,
    temporality
LIMIT {limit:UInt32}
