SELECT
    grp,
    arraySort(x -> x.1, groupArray((slot, exact, rounded))) AS points
FROM (
    SELECT
        CAST([toString(s.service_name), leftPad(lower(hex(s.series_id)), 16, '0'), toString(s.metric_unit)], 'Array(String)') AS grp,
        toUnixTimestamp64Nano(s.timestamp) AS slot,
        if(s.value_type = 'INT', toString(s.value_int), '') AS exact,
        s.value AS rounded
    FROM metrics AS s
    WHERE s.tenant = {tenant:String}
      AND s.timestamp >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')
      AND s.timestamp <= fromUnixTimestamp64Nano({end:Int64}, 'UTC')
      AND s.metric_name = {name:String}
      AND s.metric_type = {type:String}
      AND grp >= {first:Array(String)}
      AND grp <= {last:Array(String)}
      AND s.service_name >= {first_service:String}
      AND s.service_name <= {last_service:String}
      AND bitAnd(s.flags, 1) = 0
      AND s.value_type != 'NONE'
    ORDER BY
        grp,
        slot
    LIMIT {most_points:UInt32}
)
GROUP BY grp
ORDER BY grp
LIMIT {limit:UInt32}
