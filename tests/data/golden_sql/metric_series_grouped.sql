SELECT
    CAST([toString(s.service_name), toString(s.agent_name), s.session_id, s.user_id, s.attributes_map[{group_4:String}], arrayFirst(e -> e.1 = {group_5:String}, JSONExtract(toString(s.resource), 'Array(Tuple(String, String, String))')).3, toString(s.metric_unit)], 'Array(String)') AS grp,
    any(toString(s.metric_unit)) AS unit,
    uniqExact(s.series_id) AS series_count,
    groupUniqArray(2)(toString(s.service_name)) AS services,
    arraySort(groupUniqArray(3)(toString(s.aggregation_temporality))) AS temporalities,
    any(s.explicit_bounds) AS explicit_bounds,
    any(
        tuple(
            [mapKeys(s.attributes_map), mapValues(s.attributes_map)],
            toString(s.attributes_types),
            toString(s.resource),
            toString(s.scope_name),
            toString(s.scope_version),
            toString(s.scope)
        )
    ) AS origin
FROM metrics AS s
WHERE s.tenant = {tenant:String}
  AND s.timestamp >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')
  AND s.timestamp <= fromUnixTimestamp64Nano({end:Int64}, 'UTC')
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
  AND s.metric_name = {name:String}
  AND s.metric_type = {type:String}
  AND grp > {after:Array(String)}
GROUP BY grp
ORDER BY grp
LIMIT {limit:UInt32}
