SELECT
    lower(hex(s.trace_id_bytes)) AS trace_id,
    toUInt64(toUnixTimestamp64Nano(min(s.timestamp))) AS matched_unix_nano
FROM spans AS s
WHERE s.tenant = {tenant:String}
  AND s.timestamp >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')
  AND s.timestamp <= fromUnixTimestamp64Nano({end:Int64}, 'UTC')
GROUP BY s.trace_id_bytes
ORDER BY
    matched_unix_nano DESC,
    trace_id DESC
LIMIT {limit:UInt32}
