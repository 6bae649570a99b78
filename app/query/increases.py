"""What happened in each step, of counters, histograms and summaries: SQL that knows temporality and resets.

A DELTA point says itself what happened since the one before. Any other says what happened since its start, so what
counts is the difference to the point before it in the same series, looked for up to five minutes before the window, and

* a point that is lower than the one before it, or that has a later start, began anew: it counts from zero;
* a point without one before it counts from zero if it says that it started within what is looked at, else not at all:
  it tells no more than where the counting is. Neither does a later start at the point's own time: that means "unknown".

An increase belongs to the step that its point lies in. It is never taken across two series, two temporalities, or two
sets of bounds.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from textwrap import indent

from app.query.ask import IN_WINDOW, fill
from app.query.points import (
    FINITE_OR_INFINITE,
    GROUPED,
    NUMBER_CELLS,
    NUMBERS,
    RECORDED,
    RECORDED_NUMBER,
    Aggregation,
    Question,
)

LOOK_BACK_NS = 300_000_000_000
"""How long before the window the point before its first one is looked for: Prometheus' five minutes."""

_FROM = "s.timestamp >= fromUnixTimestamp64Nano({from:Int64}, 'UTC')"

# `t_before` is 0 if there is none. Times are signed here: a start that no DateTime64 can say is cut.
_POINTS = """
SELECT
    $group AS grp,
    s.series_id AS series,
    toUnixTimestamp64Nano(s.timestamp) AS t,
    toInt64(least(s.start_time_unix_nano, 9223372036854775807)) AS started,
    s.aggregation_temporality = 'DELTA' AS is_delta,
    $columns,
    any(t) OVER before AS t_before,
    any(started) OVER before AS started_before,
    $before
FROM metrics AS s
WHERE s.tenant = {tenant:String}$conditions
WINDOW before AS (
    PARTITION BY
        $partition
    ORDER BY
        s.timestamp,
        s.batch,
        s.row
    ROWS BETWEEN 1 PRECEDING AND 1 PRECEDING
)
"""

# `origin`: where a point says that its counting began, 0 if that is no help. `covered`: how long an increase took.
_INCREASES = """
SELECT
    grp,
    series,
    least(intDiv(t - {start:Int64}, {step:Int64}), {last_slot:UInt32}) AS slot,
    (started_before > 0) AND (started > started_before) AS is_later,
    if((started < t) AND (is_delta OR (started >= {from:Int64})), started, 0) AS origin,
    is_delta OR (t_before = 0) OR is_later OR ($lower) AS is_from_zero,
    greatest(origin, t_before) AS since,
    if(since > 0, t - since, 0) AS covered,
    $columns
FROM (
$points
)
WHERE (t >= {start:Int64})
  AND (is_delta OR if(t_before = 0, origin > 0, NOT (is_later AND (started >= t))))
"""

_SAME_SERIES = ("s.service_name", "s.series_id", "s.metric_unit", "s.aggregation_temporality")


@dataclass(frozen=True, slots=True)
class _Measure:
    """What of a point grows.

    Attributes:
        columns: Of a point; each has its predecessor's beside it as `…_before`.
        lower: True of a point that must have begun anew.
        increase: Columns of an increase.
        partition: What a predecessor must share besides the series.
        conditions: Which points have it.
    """

    columns: Mapping[str, str]
    lower: str
    increase: Sequence[str]
    partition: Sequence[str] = ()
    conditions: Sequence[str] = (RECORDED,)


_WHOLE_AND_PART = (
    "is_whole AND (is_from_zero OR is_whole_before) AS is_exact",
    "whole - if(is_from_zero, toInt128(0), whole_before) AS whole_more",
    "part - if(is_from_zero, 0, part_before) AS part_more",
)
_COUNTER = _Measure(
    columns={"whole": "toInt128(s.value_int)", "part": "s.value", "is_whole": "s.value_type = 'INT'"},
    lower="if(is_whole AND is_whole_before, whole < whole_before, part < part_before)",
    increase=_WHOLE_AND_PART,
    conditions=(*RECORDED_NUMBER, FINITE_OR_INFINITE),
)
# The count tells a reset; a sum may fall where values are negative.
_COUNT = _Measure(
    columns={"whole": "toInt128(s.count)", "part": "s.sum", "is_whole": "true"},
    lower="whole < whole_before",
    increase=_WHOLE_AND_PART,
)
_SUM = _Measure(
    columns=_COUNT.columns,
    lower=_COUNT.lower,
    increase=_COUNT.increase,
    # A summary has no bit for its sum.
    conditions=(RECORDED, "((s.metric_type = 'SUMMARY') OR (bitAnd(s.presence, 1) != 0))", "NOT isNaN(s.sum)"),
)
# A first point has no counts before it: zeros then, so that lengths are equal.
_COUNTS_BEFORE = "arrayResize(counts_before, length(counts))"
_EXPLICIT = _Measure(
    columns={"whole": "s.count", "counts": "s.bucket_counts"},
    lower=f"(whole < whole_before) OR arrayExists((n, b) -> n < b, counts, {_COUNTS_BEFORE})",
    increase=(
        f"arrayMap((n, b) -> toInt64(n) - if(is_from_zero, 0, toInt64(b)), counts, {_COUNTS_BEFORE}) AS counts_more",
    ),
    partition=("s.explicit_bounds",),
    conditions=(RECORDED, "notEmpty(s.bucket_counts)"),
)


def _indexes(side: str, moment: str) -> str:
    """Indexes of a side's buckets at the scale `coarse`: one step of scale less halves them."""
    return (
        f"arrayMap(i -> bitShiftRight(toInt64({side}_offset{moment}) + i, least(scale{moment} - coarse, 32)), "
        f"range(length({side}{moment})))"
    )


def _side(side: str) -> tuple[str, str]:
    """Both states of a side as one list: what is taken away has a minus, and `sumMap` adds up by index."""
    indexes = f"arrayConcat({_indexes(side, '')}, if(is_from_zero, [], {_indexes(side, '_before')}))"
    more = f"arrayMap(c -> toInt64(c), {side})"
    less = f"arrayMap(c -> -toInt64(c), {side}_before)"
    return f"{indexes} AS {side}_indexes", f"arrayConcat({more}, if(is_from_zero, [], {less})) AS {side}_more"


_EXPONENTIAL = _Measure(
    columns={
        "whole": "s.count",
        "scale": "toInt64(s.scale)",
        "zeros": "toInt64(s.zero_count)",
        "threshold": "s.zero_threshold",
        "above_offset": "s.positive_offset",
        "above": "s.positive_bucket_counts",
        "below_offset": "s.negative_offset",
        "below": "s.negative_bucket_counts",
    },
    lower="whole < whole_before",
    increase=(
        "least(scale, if(is_from_zero, scale, scale_before)) AS coarse",
        "threshold",
        "zeros - if(is_from_zero, 0, zeros_before) AS zeros_more",
        *_side("above"),
        *_side("below"),
    ),
)

_BY_SERIES = (
    "count() AS intervals",
    "sum(covered) AS time",
    "min(is_exact) AS is_all_exact",
    "sum(whole_more) AS whole_sum",
    "sum(part_more) AS part_sum",
)
_WHOLE_STEP = "greatest(1, least({step:Int64}, {end:Int64} - {start:Int64} - toInt64(slot) * {step:Int64}))"
# A tenth more than an interval, since intervals are not equal to the nanosecond.
_PER_SECOND = (
    "sum(if(is_all_exact, toFloat64(whole_sum), part_sum) * 1e9 "
    f"/ if(time + 1.1 * time / intervals >= {_WHOLE_STEP}, time, {_WHOLE_STEP}))"
)


def increases(question: Question, group: str, conditions: Sequence[str]) -> tuple[str, Sequence[str]]:
    """The SELECT of what happened in the steps of each group, and the names of a step's cells.

    Args:
        question: What is asked; besides its own parameters the text needs `start`, `end`, `from`, `step`, `last_slot`.
        group: Expression of a group's key.
        conditions: Which points count, besides the window.
    """
    if question.has_buckets and question.type == "HISTOGRAM":
        rows = _rows(_EXPLICIT, group, conditions)
        return _grouped(rows, ("grp", "slot"), ("sumForEach(counts_more) AS counts",)), ("slot", "counts")
    if question.has_buckets:
        cells = ("slot", "coarse", "threshold", "zeros", "above", "below")
        merged = (
            "sum(zeros_more) AS zeros",
            "sumMap(above_indexes, above_more) AS above",
            "sumMap(below_indexes, below_more) AS below",
        )
        rows = _rows(_EXPONENTIAL, group, conditions)
        return _grouped(rows, ("grp", "slot", "coarse", "threshold"), merged), cells
    measure = _COUNTER if question.type in NUMBERS else _COUNT
    columns = ("if(min(is_all_exact), toString(sum(whole_sum)), '') AS exact", "sum(part_sum) AS rounded")
    having = ""
    match question.aggregation:
        case Aggregation.RATE:
            columns = ("'' AS exact", f"{_PER_SECOND} AS rounded")
        case Aggregation.SUM:
            measure = _SUM
            columns = ("'' AS exact", "sum(part_sum) AS rounded")
        case Aggregation.AVG:
            measure = _SUM
            columns = ("'' AS exact", "sum(part_sum) / sum(whole_sum) AS rounded")
            having = "\nHAVING sum(whole_sum) > 0"
    by_series = _grouped(_rows(measure, group, conditions), ("grp", "series", "slot"), _BY_SERIES)
    return _grouped(by_series, ("grp", "slot"), columns, having), NUMBER_CELLS


def _rows(measure: _Measure, group: str, conditions: Sequence[str]) -> str:
    points = fill(
        _POINTS,
        group=group,
        columns=[f"{expression} AS {name}" for name, expression in measure.columns.items()],
        before=",\n    ".join(f"any({name}) OVER before AS {name}_before" for name in measure.columns),
        partition=",\n        ".join((*_SAME_SERIES, *measure.partition)),
        conditions=[_FROM, IN_WINDOW[1], *conditions, *measure.conditions],
    )
    return fill(_INCREASES, lower=measure.lower, columns=measure.increase, points=indent(points, "    "))


def _grouped(rows: str, keys: Sequence[str], columns: Sequence[str], having: str = "") -> str:
    return fill(GROUPED, columns=(*keys, *columns), rows=indent(rows, "    "), keys=",\n    ".join(keys), having=having)
