SELECT
    CAST([toString(s.service_name), leftPad(lower(hex(s.series_id)), 16, '0'), toString(s.metric_unit)], 'Array(String)') AS grp,
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
  AND s.metric_name = {name:String}
  AND s.metric_type = {type:String}
GROUP BY grp
ORDER BY grp
LIMIT {limit:UInt32}
