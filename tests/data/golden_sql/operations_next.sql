SELECT
    toString(s.span_name) AS span_name,
    toString(s.span_kind) AS span_kind,
    count() AS span_count,
    countIf(s.status_code = 'ERROR') AS error_count,
    toUInt64(intDiv(sum(toUInt128(s.duration_ns)), count())) AS avg_duration_ns,
    quantilesTDigest(0.5, 0.95, 0.99)(s.duration_ns) AS quantiles,
    max(s.duration_ns) AS max_duration_ns
FROM spans AS s
WHERE s.tenant = {tenant:String}
  AND s.timestamp >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')
  AND s.timestamp <= fromUnixTimestamp64Nano({end:Int64}, 'UTC')
  AND s.service_name = {service:String}
GROUP BY
    s.span_name,
    s.span_kind
HAVING (span_name, span_kind) > ({after_name:String}, {after_kind:String})
ORDER BY
    span_name,
    span_kind
LIMIT {limit:UInt32}
