SELECT
    min(toUInt64(toUnixTimestamp64Nano(s.timestamp))) AS start_unix_nano,
    max(toUInt64(toUnixTimestamp64Nano(s.timestamp)) + s.duration_ns) AS end_unix_nano,
    uniqExact(s.trace_id_bytes) AS trace_count,
    count() AS span_count,
    countIf(s.status_code = 'ERROR') AS error_count,
    countIf(s.operation_name IN ('chat', 'text_completion', 'generate_content', 'embeddings')) AS model_call_count,
    countIf(s.operation_name = 'execute_tool') AS tool_call_count,
    sumIf(s.llm_input_tokens, s.operation_name IN ('chat', 'text_completion', 'generate_content', 'embeddings')) AS input_tokens,
    sumIf(s.llm_output_tokens, s.operation_name IN ('chat', 'text_completion', 'generate_content', 'embeddings')) AS output_tokens,
    arraySort(groupUniqArray(100)(s.service_name)) AS services,
    arraySort(groupUniqArrayIf(100)(s.agent_name, s.agent_name != '')) AS agents,
    arraySort(groupUniqArrayIf(100)(s.llm_model, s.llm_model != '')) AS models,
    arraySort(groupUniqArrayIf(100)(s.tool_name, s.tool_name != '')) AS tools,
    arraySort(groupUniqArrayIf(100)(s.user_id, s.user_id != '')) AS users
FROM spans AS s
WHERE s.tenant = {tenant:String}
  AND s.timestamp >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')
  AND s.timestamp <= fromUnixTimestamp64Nano({end:Int64}, 'UTC')
  AND (s.session_id = {session:String} OR (s.session_id = '' AND s.trace_id_bytes IN (
    SELECT s.trace_id_bytes
    FROM spans AS s
    WHERE s.tenant = {tenant:String}
      AND s.session_id = {session:String}
      AND s.timestamp >= fromUnixTimestamp64Nano({session_start:Int64}, 'UTC')
      AND s.timestamp <= fromUnixTimestamp64Nano({session_end:Int64}, 'UTC')
  )))
