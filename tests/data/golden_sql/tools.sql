SELECT
    toString(s.service_name) AS service_name,
    toString(s.tool_name) AS tool_name,
    countMerge(s.execution_count) AS execution_count,
    countMerge(s.error_count) AS error_count,
    intDiv(sumMerge(s.duration_sum), countMerge(s.execution_count)) AS avg_duration_ns,
    quantilesTDigestMerge(0.5, 0.95, 0.99)(s.duration_quantiles) AS quantiles
FROM (
    SELECT
        s.service_name,
        s.tool_name,
        s.execution_count,
        s.error_count,
        s.duration_sum,
        s.duration_quantiles
    FROM tool_execution_summary_states AS s
    WHERE s.tenant = {tenant:String}
      AND s.hour >= toDateTime({first_hour:UInt32}, 'UTC')
      AND s.hour < toDateTime({end_hour:UInt32}, 'UTC')
  AND s.tool_name = {tool:String}
    UNION ALL
    SELECT
        s.service_name,
        s.tool_name,
        countState() AS execution_count,
        countStateIf(s.status_code = 'ERROR') AS error_count,
        sumState(s.duration_ns) AS duration_sum,
        quantilesTDigestState(0.5, 0.95, 0.99)(s.duration_ns) AS duration_quantiles
    FROM spans AS s
    WHERE s.tenant = {tenant:String}
      AND s.timestamp >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')
      AND s.timestamp <= fromUnixTimestamp64Nano({end:Int64}, 'UTC')
      AND NOT (
        s.timestamp >= toDateTime64({first_hour:UInt32}, 9, 'UTC')
        AND s.timestamp < toDateTime64({end_hour:UInt32}, 9, 'UTC')
      )
      AND s.operation_name = 'execute_tool' AND s.tool_name != ''
  AND s.tool_name = {tool:String}
    GROUP BY
        s.service_name,
        s.tool_name
) AS s
GROUP BY
    s.service_name,
        s.tool_name
ORDER BY
    s.service_name,
        s.tool_name
LIMIT {limit:UInt32}
