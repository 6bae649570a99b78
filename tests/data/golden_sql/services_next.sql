SELECT
    name,
    sum(spans) AS span_count,
    sum(errors) AS error_count,
    sum(logs) AS log_count,
    sum(points) AS data_point_count
FROM (
    SELECT
        s.service_name AS name,
        count() AS spans,
        countIf(s.status_code = 'ERROR') AS errors,
        0 AS logs,
        0 AS points
    FROM spans AS s
    WHERE s.tenant = {tenant:String}
  AND s.timestamp >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')
  AND s.timestamp <= fromUnixTimestamp64Nano({end:Int64}, 'UTC')
    GROUP BY s.service_name
    UNION ALL
    SELECT
        s.service_name AS name,
        0 AS spans,
        0 AS errors,
        count() AS logs,
        0 AS points
    FROM logs AS s
    WHERE s.tenant = {tenant:String}
  AND s.timestamp >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')
  AND s.timestamp <= fromUnixTimestamp64Nano({end:Int64}, 'UTC')
    GROUP BY s.service_name
    UNION ALL
    SELECT
        s.service_name AS name,
        0 AS spans,
        0 AS errors,
        0 AS logs,
        count() AS points
    FROM metrics AS s
    WHERE s.tenant = {tenant:String}
  AND s.timestamp >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')
  AND s.timestamp <= fromUnixTimestamp64Nano({end:Int64}, 'UTC')
    GROUP BY s.service_name
)
GROUP BY name
HAVING name > {after_name:String}
ORDER BY name
LIMIT {limit:UInt32}
