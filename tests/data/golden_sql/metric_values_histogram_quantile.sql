SELECT
    grp,
    arraySort(x -> x.1, groupArray((slot, counts))) AS points
FROM (
    SELECT
        grp,
        slot,
        sumForEach(counts_more) AS counts
    FROM (
        SELECT
            grp,
            series,
            least(intDiv(t - {start:Int64}, {step:Int64}), {last_slot:UInt32}) AS slot,
            (started_before > 0) AND (started > started_before) AS is_later,
            if((started < t) AND (is_delta OR (started >= {from:Int64})), started, 0) AS origin,
            is_delta OR (t_before = 0) OR is_later OR ((whole < whole_before) OR arrayExists((n, b) -> n < b, counts, arrayResize(counts_before, length(counts)))) AS is_from_zero,
            greatest(origin, t_before) AS since,
            if(since > 0, t - since, 0) AS covered,
            arrayMap((n, b) -> toInt64(n) - if(is_from_zero, 0, toInt64(b)), counts, arrayResize(counts_before, length(counts))) AS counts_more
        FROM (
            SELECT
                CAST([toString(s.metric_unit), toString(s.explicit_bounds)], 'Array(String)') AS grp,
                s.series_id AS series,
                toUnixTimestamp64Nano(s.timestamp) AS t,
                toInt64(least(s.start_time_unix_nano, 9223372036854775807)) AS started,
                s.aggregation_temporality = 'DELTA' AS is_delta,
                s.count AS whole,
                s.bucket_counts AS counts,
                any(t) OVER before AS t_before,
                any(started) OVER before AS started_before,
                any(whole) OVER before AS whole_before,
                any(counts) OVER before AS counts_before
            FROM metrics AS s
            WHERE s.tenant = {tenant:String}
              AND s.timestamp >= fromUnixTimestamp64Nano({from:Int64}, 'UTC')
              AND s.timestamp <= fromUnixTimestamp64Nano({end:Int64}, 'UTC')
              AND s.metric_name = {name:String}
              AND s.metric_type = {type:String}
              AND grp >= {first:Array(String)}
              AND grp <= {last:Array(String)}
              AND bitAnd(s.flags, 1) = 0
              AND notEmpty(s.bucket_counts)
            WINDOW before AS (
                PARTITION BY
                    s.service_name,
                    s.series_id,
                    s.metric_unit,
                    s.aggregation_temporality,
                    s.explicit_bounds
                ORDER BY
                    s.timestamp,
                    s.batch,
                    s.row
                ROWS BETWEEN 1 PRECEDING AND 1 PRECEDING
            )
        )
        WHERE (t >= {start:Int64})
          AND (is_delta OR if(t_before = 0, origin > 0, NOT (is_later AND (started >= t))))
    )
    GROUP BY
        grp,
        slot
)
GROUP BY grp
ORDER BY grp
LIMIT {limit:UInt32}
