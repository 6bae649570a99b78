"""What may be asked of a metric's points, and which points count."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from app.query.ask import Ask
from app.query.grid import Grid


class Aggregation(StrEnum):
    """What becomes of the points of a step."""

    AVG = "avg"
    SUM = "sum"
    MIN = "min"
    MAX = "max"
    COUNT = "count"
    LAST = "last"
    RATE = "rate"
    INCREASE = "increase"
    QUANTILE = "quantile"
    NONE = "none"


NUMBERS = frozenset({"COUNTER", "UP_DOWN_COUNTER", "GAUGE"})
"""Types whose points are one number; a point of the others describes many measurements."""

_BUCKETS = frozenset({"HISTOGRAM", "EXPONENTIAL_HISTOGRAM"})


@dataclass(frozen=True, slots=True)
class Question:
    """A question about the series of one metric, understood.

    Attributes:
        ask: As it was sent, with the filters only.
        name: Of the metric.
        type: Of the metric, a word of `metric_type`.
        aggregation: What becomes of the points.
        quantile: Which one, if that is the aggregation.
        group_by: Keys; None: each series by itself; empty: all as one.
        grid: Window and steps.
    """

    ask: Ask
    name: str
    type: str
    aggregation: Aggregation
    quantile: float
    group_by: tuple[str, ...] | None
    grid: Grid

    @property
    def has_buckets(self) -> bool:
        """True if the answer is made of whole histograms."""
        return self.aggregation is Aggregation.QUANTILE and self.type in _BUCKETS


RECORDED = "bitAnd(s.flags, 1) = 0"
"""Condition: not a point that says that nothing was recorded."""

RECORDED_NUMBER = (RECORDED, "s.value_type != 'NONE'")
"""Conditions: a point that holds a number."""

FINITE_OR_INFINITE = "NOT isNaN(s.value)"
"""Condition: that number is one."""

NUMBER_CELLS = ("slot", "exact", "rounded")
"""Columns of a step that holds a number: its exact text where it is an integer, else empty; and as a Float64."""

GROUPED = """
SELECT
    $columns
FROM (
$rows
)
GROUP BY
    $keys$having
"""
"""A step of an aggregation in several steps."""
