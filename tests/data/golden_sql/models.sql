SELECT
    toString(s.service_name) AS service_name,
    toString(s.llm_system) AS llm_system,
    toString(s.llm_model) AS llm_model,
    countMerge(s.call_count) AS call_count,
    countMerge(s.error_count) AS error_count,
    intDiv(sumMerge(s.duration_sum), countMerge(s.call_count)) AS avg_duration_ns,
    quantilesTDigestMerge(0.5, 0.95, 0.99)(s.duration_quantiles) AS quantiles,
    sumMerge(s.input_tokens) AS input_tokens,
    sumMerge(s.output_tokens) AS output_tokens,
    sumMerge(s.cached_tokens) AS cached_tokens,
    sumMerge(s.reasoning_tokens) AS reasoning_tokens,
    sumMerge(s.cpu_micros) AS cpu_micros,
    sumMerge(s.memory_bytes) AS memory_bytes
FROM (
    SELECT
        s.service_name,
        s.llm_system,
        s.llm_model,
        s.call_count,
        s.error_count,
        s.duration_sum,
        s.duration_quantiles,
        s.input_tokens,
        s.output_tokens,
        s.cached_tokens,
        s.reasoning_tokens,
        s.cpu_micros,
        s.memory_bytes
    FROM llm_call_summary_states AS s
    WHERE s.tenant = {tenant:String}
      AND s.hour >= toDateTime({first_hour:UInt32}, 'UTC')
      AND s.hour < toDateTime({end_hour:UInt32}, 'UTC')
  AND s.llm_model = {model:String}
  AND s.llm_system = {provider:String}
    UNION ALL
    SELECT
        s.service_name,
        s.llm_system,
        s.llm_model,
        countState() AS call_count,
        countStateIf(s.status_code = 'ERROR') AS error_count,
        sumState(s.duration_ns) AS duration_sum,
        quantilesTDigestState(0.5, 0.95, 0.99)(s.duration_ns) AS duration_quantiles,
        sumState(s.llm_input_tokens) AS input_tokens,
        sumState(s.llm_output_tokens) AS output_tokens,
        sumState(s.llm_cached_tokens) AS cached_tokens,
        sumState(s.llm_reasoning_tokens) AS reasoning_tokens,
        sumState(s.resource_cpu_micros) AS cpu_micros,
        sumState(s.resource_memory_bytes) AS memory_bytes
    FROM spans AS s
    WHERE s.tenant = {tenant:String}
      AND s.timestamp >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')
      AND s.timestamp <= fromUnixTimestamp64Nano({end:Int64}, 'UTC')
      AND NOT (
        s.timestamp >= toDateTime64({first_hour:UInt32}, 9, 'UTC')
        AND s.timestamp < toDateTime64({end_hour:UInt32}, 9, 'UTC')
      )
      AND s.operation_name IN ('chat', 'text_completion', 'generate_content', 'embeddings')
  AND s.llm_model = {model:String}
  AND s.llm_system = {provider:String}
    GROUP BY
        s.service_name,
        s.llm_system,
        s.llm_model
) AS s
GROUP BY
    s.service_name,
        s.llm_system,
        s.llm_model
ORDER BY
    s.service_name,
        s.llm_system,
        s.llm_model
LIMIT {limit:UInt32}
