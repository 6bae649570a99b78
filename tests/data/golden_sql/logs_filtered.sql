SELECT
    s.service_name AS service_name,
    toUInt64(toUnixTimestamp64Nano(s.timestamp)) AS timestamp,
    s.time_unix_nano AS time_unix_nano,
    s.observed_time_unix_nano AS observed_time_unix_nano,
    lower(hex(s.trace_id_bytes)) AS trace_id_bytes,
    lower(hex(s.span_id_bytes)) AS span_id_bytes,
    s.flags AS flags,
    s.severity_number AS severity_number,
    s.severity_text AS severity_text,
    s.body AS body,
    s.body_type AS body_type,
    s.event_name AS event_name,
    s.invocation_id AS invocation_id,
    s.session_id AS session_id,
    s.user_id AS user_id,
    s.agent_name AS agent_name,
    s.llm_model AS llm_model,
    s.llm_system AS llm_system,
    s.tool_name AS tool_name,
    s.tool_call_id AS tool_call_id,
    [mapKeys(s.attributes_map), mapValues(s.attributes_map)] AS attributes_map,
    s.attributes_types AS attributes_types,
    s.dropped_attributes_count AS dropped_attributes_count,
    s.resource AS resource,
    s.resource_schema_url AS resource_schema_url,
    s.scope_name AS scope_name,
    s.scope_version AS scope_version,
    s.scope AS scope,
    s.scope_schema_url AS scope_schema_url,
    s.residue AS residue,
    toString(s.batch) AS batch,
    s.row AS row
FROM logs AS s
WHERE s.tenant = {tenant:String}
  AND s.timestamp >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')
  AND s.timestamp <= fromUnixTimestamp64Nano({end:Int64}, 'UTC')
  AND s.service_name = {service:String}
  AND s.agent_name = {agent:String}
  AND s.llm_model = {model:String}
  AND s.tool_name = {tool:String}
  AND s.session_id = {session:String}
  AND s.user_id = {user:String}
  AND s.trace_id = {trace_id:String}
  AND s.span_id = {span_id:String}
  AND ((s.severity_number >= {severity:UInt8}) OR (s.severity_number = 0 AND upper(s.severity_text) IN {severity_words:Array(String)}))
  AND positionCaseInsensitiveUTF8(s.body, {query_0:String}) > 0
  AND positionCaseInsensitiveUTF8(s.body, {query_1:String}) > 0
  AND has(mapValues(s.attributes_map), {attribute_0_value:String})
  AND arrayExists((k, v) -> (k = {attribute_0_key:String}) AND (v = {attribute_0_value:String}), mapKeys(s.attributes_map), mapValues(s.attributes_map))
  AND s.resource IN (
    SELECT r.resource
    FROM (
        SELECT DISTINCT s.resource AS resource
        FROM logs AS s
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
