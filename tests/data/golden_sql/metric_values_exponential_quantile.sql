SELECT
    grp,
    arraySort(x -> x.1, groupArray((slot, coarse, threshold, zeros, above, below))) AS points
FROM (
    SELECT
        grp,
        slot,
        coarse,
        threshold,
        sum(zeros_more) AS zeros,
        sumMap(above_indexes, above_more) AS above,
        sumMap(below_indexes, below_more) AS below
    FROM (
        SELECT
            grp,
            series,
            least(intDiv(t - {start:Int64}, {step:Int64}), {last_slot:UInt32}) AS slot,
            (started_before > 0) AND (started > started_before) AS is_later,
            if((started < t) AND (is_delta OR (started >= {from:Int64})), started, 0) AS origin,
            is_delta OR (t_before = 0) OR is_later OR (whole < whole_before) AS is_from_zero,
            greatest(origin, t_before) AS since,
            if(since > 0, t - since, 0) AS covered,
            least(scale, if(is_from_zero, scale, scale_before)) AS coarse,
            threshold,
            zeros - if(is_from_zero, 0, zeros_before) AS zeros_more,
            arrayConcat(arrayMap(i -> bitShiftRight(toInt64(above_offset) + i, least(scale - coarse, 32)), range(length(above))), if(is_from_zero, [], arrayMap(i -> bitShiftRight(toInt64(above_offset_before) + i, least(scale_before - coarse, 32)), range(length(above_before))))) AS above_indexes,
            arrayConcat(arrayMap(c -> toInt64(c), above), if(is_from_zero, [], arrayMap(c -> -toInt64(c), above_before))) AS above_more,
            arrayConcat(arrayMap(i -> bitShiftRight(toInt64(below_offset) + i, least(scale - coarse, 32)), range(length(below))), if(is_from_zero, [], arrayMap(i -> bitShiftRight(toInt64(below_offset_before) + i, least(scale_before - coarse, 32)), range(length(below_before))))) AS below_indexes,
            arrayConcat(arrayMap(c -> toInt64(c), below), if(is_from_zero, [], arrayMap(c -> -toInt64(c), below_before))) AS below_more
        FROM (
            SELECT
                CAST([toString(s.metric_unit)], 'Array(String)') AS grp,
                s.series_id AS series,
                toUnixTimestamp64Nano(s.timestamp) AS t,
                toInt64(least(s.start_time_unix_nano, 9223372036854775807)) AS started,
                s.aggregation_temporality = 'DELTA' AS is_delta,
                s.count AS whole,
                toInt64(s.scale) AS scale,
                toInt64(s.zero_count) AS zeros,
                s.zero_threshold AS threshold,
                s.positive_offset AS above_offset,
                s.positive_bucket_counts AS above,
                s.negative_offset AS below_offset,
                s.negative_bucket_counts AS below,
                any(t) OVER before AS t_before,
                any(started) OVER before AS started_before,
                any(whole) OVER before AS whole_before,
                any(scale) OVER before AS scale_before,
                any(zeros) OVER before AS zeros_before,
                any(threshold) OVER before AS threshold_before,
                any(above_offset) OVER before AS above_offset_before,
                any(above) OVER before AS above_before,
                any(below_offset) OVER before AS below_offset_before,
                any(below) OVER before AS below_before
            FROM metrics AS s
            WHERE s.tenant = {tenant:String}
              AND s.timestamp >= fromUnixTimestamp64Nano({from:Int64}, 'UTC')
              AND s.timestamp <= fromUnixTimestamp64Nano({end:Int64}, 'UTC')
              AND s.metric_name = {name:String}
              AND s.metric_type = {type:String}
              AND grp >= {first:Array(String)}
              AND grp <= {last:Array(String)}
              AND bitAnd(s.flags, 1) = 0
            WINDOW before AS (
                PARTITION BY
                    s.service_name,
                    s.series_id,
                    s.metric_unit,
                    s.aggregation_temporality
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
        slot,
        coarse,
        threshold
)
GROUP BY grp
ORDER BY grp
LIMIT {limit:UInt32}
