SELECT
    count() AS spans,
    toUInt64(toUnixTimestamp64Nano(min(s.timestamp))) AS first_unix_nano,
    toUInt64(toUnixTimestamp64Nano(max(s.timestamp))) AS last_unix_nano
FROM spans AS s
WHERE s.tenant = {tenant:String}
  AND s.timestamp >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')
  AND s.timestamp <= fromUnixTimestamp64Nano({end:Int64}, 'UTC')
  AND s.session_id = {session:String}
