"""Metrics: which there are, their stored points, and their series over time.

A name may stand for several metrics: senders may disagree on type, unit or temporality. Each combination is an item of
its own in the list of metrics; what a series is made of is one type at a time (`app.query.series`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from app.model import METRICS
from app.query.ask import IN_WINDOW, Ask, Page, Reader, Statement, Turn, fill, within
from app.query.cursor import Key
from app.query.filters import METRIC_FILTERS, POINT_FILTERS, equals, narrow
from app.query.listing import Listing
from app.query.series import Answer, read_series
from app.query.window import format_time

MOST_NAMES = "100"
"""Services and label keys that an item names."""

_NAMES = """
SELECT
    toString(s.metric_name) AS name,
    toString(s.metric_type) AS type,
    toString(s.metric_unit) AS unit,
    toString(s.aggregation_temporality) AS temporality,
    toString(argMax(s.metric_description, s.timestamp)) AS description,
    max(s.is_monotonic) AS is_monotonic,
    arraySort(groupUniqArray($names)(s.service_name)) AS services,
    arraySort(groupUniqArrayArray($names)(mapKeys(s.attributes_map))) AS label_keys,
    uniqExact(s.series_id) AS series_count,
    count() AS data_point_count,
    min(toUInt64(toUnixTimestamp64Nano(s.timestamp))) AS first_unix_nano,
    max(toUInt64(toUnixTimestamp64Nano(s.timestamp))) AS last_unix_nano
FROM metrics AS s
WHERE s.tenant = {tenant:String}$conditions
GROUP BY
    s.metric_name,
    s.metric_type,
    s.metric_unit,
    s.aggregation_temporality$having
ORDER BY
    name,
    type,
    unit,
    temporality
LIMIT {limit:UInt32}
"""

_NAMES_KEY = (str, str, str, str)

_AFTER = """
HAVING (name, type, unit, temporality) > (
    {after_name:String},
    {after_type:String},
    {after_unit:String},
    {after_temporality:String}
)"""


@dataclass(frozen=True, slots=True)
class Metrics:
    """Questions about metrics."""

    reader: Reader

    async def names(self, ask: Ask) -> Page[dict[str, Any]]:
        """Metrics with points in the window, by name, type, unit and temporality.

        Raises:
            InvalidQuery: Names the parameter.
            QueryTooHeavy: Over a bound of `[query]`.
            StoreUnavailable: ClickHouse is away.
        """
        turn = self.reader.turn(ask, "metrics", _NAMES_KEY)
        found = await self.reader.fetch(names(ask, turn), rows=turn.limit + 1)
        return turn.page([_named(row) for row in found], _names_key)

    async def points(self, ask: Ask, name: str) -> Page[dict[str, Any]]:
        """The stored data points of one metric, newest first; rows are exact (`app.query.rows`).

        Raises:
            InvalidQuery: Names the parameter.
            QueryTooHeavy: Over a bound of `[query]`.
            StoreUnavailable: ClickHouse is away.
        """
        return await points(self.reader).page(of_name(ask, name))

    async def series(self, ask: Ask, name: str) -> Answer:
        """The series of one metric (`app.query.series`).

        Raises:
            InvalidQuery: Names the parameter.
            QueryTooHeavy: Over a bound of `[query]`, or one series has more points than an answer.
            StoreUnavailable: ClickHouse is away.
        """
        return await read_series(self.reader, ask, name)


def names(ask: Ask, turn: Turn) -> Statement:
    """The SELECT behind the list of metrics."""
    where = narrow(METRIC_FILTERS, ask.filters)
    conditions = [*IN_WINDOW, *where.conditions]
    parameters = where.parameters | within(turn.window) | {"tenant": ask.tenant, "limit": turn.limit + 1}
    having = ""
    if turn.after:
        having = _AFTER
        # The key of the table: what was shown is not read again.
        conditions.append("s.metric_name >= {after_name:String}")
        parameters |= dict(
            zip(("after_name", "after_type", "after_unit", "after_temporality"), turn.after, strict=True)
        )
    return Statement(fill(_NAMES, conditions=conditions, having=having, names=MOST_NAMES), parameters)


def points(reader: Reader) -> Listing:
    """Data points by the filters of `POINT_FILTERS`; `of_name` says of which metric."""
    return Listing(reader, METRICS, (equals("name", "metric_name"), *POINT_FILTERS))


def of_name(ask: Ask, name: str) -> Ask:
    """The question, about one metric."""
    return replace(ask, filters={"name": [name], **ask.filters})


def _names_key(item: dict[str, Any]) -> Key:
    return item["name"], item["type"], item["unit"], item["temporality"]


def _named(row: dict[str, Any]) -> dict[str, Any]:
    first, last = row.pop("first_unix_nano"), row.pop("last_unix_nano")
    return row | {
        "first": format_time(first),
        "first_unix_nano": first,
        "last": format_time(last),
        "last_unix_nano": last,
    }
