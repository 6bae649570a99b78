SELECT
    lower(hex(s.trace_id_bytes)) AS trace_id,
    min(toUInt64(toUnixTimestamp64Nano(s.timestamp))) AS start_unix_nano,
    max(toUInt64(toUnixTimestamp64Nano(s.timestamp)) + s.duration_ns) AS end_unix_nano,
    count() AS span_count,
    countIf(s.status_code = 'ERROR') AS error_count,
    sumIf(s.llm_input_tokens, s.operation_name IN ('chat', 'text_completion', 'generate_content', 'embeddings')) AS input_tokens,
    sumIf(s.llm_output_tokens, s.operation_name IN ('chat', 'text_completion', 'generate_content', 'embeddings')) AS output_tokens,
    arraySort(groupUniqArray(100)(s.service_name)) AS services,
    arraySort(groupUniqArrayIf(100)(s.agent_name, s.agent_name != '')) AS agents,
    arraySort(groupUniqArrayIf(100)(s.llm_model, s.llm_model != '')) AS models,
    arraySort(groupUniqArrayIf(100)(s.tool_name, s.tool_name != '')) AS tools,
    arraySort(groupUniqArrayIf(100)(s.session_id, s.session_id != '')) AS sessions,
    argMin(
        tuple(
            lower(hex(s.span_id_bytes)),
            lower(hex(s.parent_span_id_bytes)),
            s.service_name,
            s.span_name,
            toInt16(s.span_kind),
            toInt16(s.status_code),
            s.status_message,
            s.duration_ns
        ),
        tuple(s.parent_span_id_bytes != toFixedString('', 8), s.timestamp, s.span_id_bytes)
    ) AS root
FROM spans AS s
WHERE s.tenant = {tenant:String}
  AND s.timestamp >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')
  AND s.timestamp <= fromUnixTimestamp64Nano({end:Int64}, 'UTC')
  AND s.trace_id IN {trace_ids:Array(String)}
GROUP BY s.trace_id_bytes
LIMIT {limit:UInt32}
