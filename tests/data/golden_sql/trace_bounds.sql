SELECT
    toUInt32(min(c.Start)) AS first_second,
    toUInt32(max(c.End)) AS last_second,
    uniqExact(c.TraceId) AS traces
FROM otel_traces_trace_id_ts AS c
WHERE c.tenant = {tenant:String}
  AND c.TraceId IN {trace_ids:Array(String)}
