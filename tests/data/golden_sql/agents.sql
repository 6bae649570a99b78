SELECT
    toString(s.service_name) AS service_name,
    toString(s.agent_name) AS agent_name,
    countMerge(s.execution_count) AS execution_count,
    countMerge(s.error_count) AS error_count,
    intDiv(sumMerge(s.duration_sum), countMerge(s.execution_count)) AS avg_duration_ns,
    quantilesTDigestMerge(0.5, 0.95, 0.99)(s.duration_quantiles) AS quantiles,
    sumMerge(s.input_tokens) AS input_tokens,
    sumMerge(s.output_tokens) AS output_tokens
FROM (
    SELECT
        s.service_name,
        s.agent_name,
        s.execution_count,
        s.error_count,
        s.duration_sum,
        s.duration_quantiles,
        s.input_tokens,
        s.output_tokens
    FROM agent_execution_summary_states AS s
    WHERE s.tenant = {tenant:String}
      AND s.hour >= toDateTime({first_hour:UInt32}, 'UTC')
      AND s.hour < toDateTime({end_hour:UInt32}, 'UTC')
    UNION ALL
    SELECT
        s.service_name,
        s.agent_name,
        countState() AS execution_count,
        countStateIf(s.status_code = 'ERROR') AS error_count,
        sumState(s.duration_ns) AS duration_sum,
        quantilesTDigestState(0.5, 0.95, 0.99)(s.duration_ns) AS duration_quantiles,
        sumState(s.llm_input_tokens) AS input_tokens,
        sumState(s.llm_output_tokens) AS output_tokens
    FROM spans AS s
    WHERE s.tenant = {tenant:String}
      AND s.timestamp >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')
      AND s.timestamp <= fromUnixTimestamp64Nano({end:Int64}, 'UTC')
      AND NOT (
        s.timestamp >= toDateTime64({first_hour:UInt32}, 9, 'UTC')
        AND s.timestamp < toDateTime64({end_hour:UInt32}, 9, 'UTC')
      )
      AND s.operation_name = 'invoke_agent'
    GROUP BY
        s.service_name,
        s.agent_name
) AS s
GROUP BY
    s.service_name,
        s.agent_name
ORDER BY
    s.service_name,
        s.agent_name
LIMIT {limit:UInt32}
