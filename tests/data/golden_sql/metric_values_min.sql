SELECT
    grp,
    arraySort(x -> x.1, groupArray((slot, exact, rounded))) AS points
FROM (
    SELECT
        CAST([toString(s.metric_unit)], 'Array(String)') AS grp,
        least(intDiv(toUnixTimestamp64Nano(s.timestamp) - {start:Int64}, {step:Int64}), {last_slot:UInt32}) AS slot,
        if(min(s.value_type = 'INT'), toString(min(s.value_int)), '') AS exact,
        min(s.value) AS rounded
    FROM metrics AS s
    WHERE s.tenant = {tenant:String}
      AND s.timestamp >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')
      AND s.timestamp <= fromUnixTimestamp64Nano({end:Int64}, 'UTC')
      AND s.metric_name = {name:String}
      AND s.metric_type = {type:String}
      AND grp >= {first:Array(String)}
      AND grp <= {last:Array(String)}
      AND bitAnd(s.flags, 1) = 0
      AND s.value_type != 'NONE'
      AND NOT isNaN(s.value)
    GROUP BY
        grp,
        slot
)
GROUP BY grp
ORDER BY grp
LIMIT {limit:UInt32}
