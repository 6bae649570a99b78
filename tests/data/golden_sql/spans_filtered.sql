SELECT
    s.service_name AS service_name,
    toUInt64(toUnixTimestamp64Nano(s.timestamp)) AS timestamp,
    s.duration_ns AS duration_ns,
    lower(hex(s.trace_id_bytes)) AS trace_id_bytes,
    lower(hex(s.span_id_bytes)) AS span_id_bytes,
    lower(hex(s.parent_span_id_bytes)) AS parent_span_id_bytes,
    s.trace_state AS trace_state,
    s.flags AS flags,
    s.span_name AS span_name,
    toInt16(s.span_kind) AS span_kind,
    toInt16(s.status_code) AS status_code,
    s.status_message AS status_message,
    s.invocation_id AS invocation_id,
    s.session_id AS session_id,
    s.user_id AS user_id,
    s.agent_name AS agent_name,
    s.agent_type AS agent_type,
    s.operation_name AS operation_name,
    s.llm_model AS llm_model,
    s.llm_system AS llm_system,
    s.tool_name AS tool_name,
    s.tool_call_id AS tool_call_id,
    s.llm_input_tokens AS llm_input_tokens,
    s.llm_output_tokens AS llm_output_tokens,
    s.llm_cached_tokens AS llm_cached_tokens,
    s.llm_reasoning_tokens AS llm_reasoning_tokens,
    s.resource_cpu_micros AS resource_cpu_micros,
    s.resource_memory_bytes AS resource_memory_bytes,
    s.resource_memory_peak AS resource_memory_peak,
    [mapKeys(s.attributes_map), mapValues(s.attributes_map)] AS attributes_map,
    s.attributes_types AS attributes_types,
    s.dropped_attributes_count AS dropped_attributes_count,
    arrayMap(x -> toUInt64(toUnixTimestamp64Nano(x)), s.`events`.`timestamp`) AS `events.timestamp`,
    s.`events`.`name` AS `events.name`,
    arrayMap(x -> [mapKeys(x), mapValues(x)], s.`events`.`attributes`) AS `events.attributes`,
    s.`events`.`attributes_types` AS `events.attributes_types`,
    s.`events`.`dropped_attributes_count` AS `events.dropped_attributes_count`,
    s.dropped_events_count AS dropped_events_count,
    s.`links`.`trace_id` AS `links.trace_id`,
    s.`links`.`span_id` AS `links.span_id`,
    s.`links`.`trace_state` AS `links.trace_state`,
    s.`links`.`flags` AS `links.flags`,
    arrayMap(x -> [mapKeys(x), mapValues(x)], s.`links`.`attributes`) AS `links.attributes`,
    s.`links`.`attributes_types` AS `links.attributes_types`,
    s.`links`.`dropped_attributes_count` AS `links.dropped_attributes_count`,
    s.dropped_links_count AS dropped_links_count,
    s.resource AS resource,
    s.resource_schema_url AS resource_schema_url,
    s.scope_name AS scope_name,
    s.scope_version AS scope_version,
    s.scope AS scope,
    s.scope_schema_url AS scope_schema_url,
    s.residue AS residue,
    toString(s.batch) AS batch,
    s.row AS row
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
  AND s.duration_ns >= {min_duration:UInt64}
  AND s.duration_ns <= {max_duration:UInt64}
  AND s.trace_id = {trace_id:String}
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
  AND (s.timestamp, s.batch, s.row) < (fromUnixTimestamp64Nano({after_time:Int64}, 'UTC'), {after_batch:UUID}, {after_row:UInt32})
  AND s.timestamp <= fromUnixTimestamp64Nano({after_time:Int64}, 'UTC')
ORDER BY
    s.timestamp DESC,
    s.batch DESC,
    s.row DESC
LIMIT {limit:UInt32}
