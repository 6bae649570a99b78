SELECT
    lower(hex(s.trace_id_bytes)) AS trace_id,
    toUInt64(toUnixTimestamp64Nano(min(s.timestamp))) AS matched_unix_nano
FROM spans AS s
WHERE s.tenant = {tenant:String}
  AND s.timestamp >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')
  AND s.timestamp <= fromUnixTimestamp64Nano({end:Int64}, 'UTC')
  AND s.service_name = {service:String}
  AND s.agent_name = {agent:String}
  AND s.llm_model = {model:String}
  AND s.tool_name = {tool:String}
  AND s.session_id = {session:String}
  AND s.user_id = {user:String}
  AND s.span_name = {span:String}
  AND s.span_kind = {kind:String}
  AND s.status_code = {status:String}
  AND has(mapValues(s.attributes_map), {attribute_0_value:String})
  AND arrayExists((k, v) -> (k = {attribute_0_key:String}) AND (v = {attribute_0_value:String}), mapKeys(s.attributes_map), mapValues(s.attributes_map))
  AND s.resource IN (
    SELECT r.resource
    FROM (
        SELECT DISTINCT s.resource AS resource
        FROM spans AS s
        WHERE s.tenant = {tenant:String}
  AND s.timestamp >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')
  AND s.timestamp <= fromUnixTimestamp64Nano({end:Int64}, 'UTC')
    ) AS r
    WHERE arrayExists(
        e -> (e.1 = {attribute_1_key:String}) AND (e.3 = {attribute_1_value:String}),
        JSONExtract(toString(r.resource), 'Array(Tuple(String, String, String))')
    )
  )
  AND s.trace_id_bytes IN (
    SELECT s.trace_id_bytes
    FROM spans AS s
    WHERE s.tenant = {tenant:String}
      AND s.timestamp >= fromUnixTimestamp64Nano({around_start:Int64}, 'UTC')
      AND s.timestamp <= fromUnixTimestamp64Nano({around_end:Int64}, 'UTC')
    GROUP BY s.trace_id_bytes
    HAVING max(toUInt64(toUnixTimestamp64Nano(s.timestamp)) + s.duration_ns)
        - min(toUInt64(toUnixTimestamp64Nano(s.timestamp))) BETWEEN {min_duration:UInt64} AND {max_duration:UInt64}
  )
  AND s.timestamp <= fromUnixTimestamp64Nano({after_time:Int64}, 'UTC')
GROUP BY s.trace_id_bytes
HAVING (matched_unix_nano, trace_id) < ({after_time:UInt64}, {after_trace:String})
ORDER BY
    matched_unix_nano DESC,
    trace_id DESC
LIMIT {limit:UInt32}
