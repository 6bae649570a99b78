"""What there is to ask for: services and their operations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from app.query.ask import IN_WINDOW, Ask, Page, Reader, Statement, Turn, fill, within
from app.query.durations import QUANTILES, with_quantiles
from app.query.filters import narrow

_SERVICES = """
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
    WHERE s.tenant = {tenant:String}$conditions
    GROUP BY s.service_name
    UNION ALL
    SELECT
        s.service_name AS name,
        0 AS spans,
        0 AS errors,
        count() AS logs,
        0 AS points
    FROM logs AS s
    WHERE s.tenant = {tenant:String}$conditions
    GROUP BY s.service_name
    UNION ALL
    SELECT
        s.service_name AS name,
        0 AS spans,
        0 AS errors,
        0 AS logs,
        count() AS points
    FROM metrics AS s
    WHERE s.tenant = {tenant:String}$conditions
    GROUP BY s.service_name
)
GROUP BY name$having
ORDER BY name
LIMIT {limit:UInt32}
"""

_OPERATIONS = """
SELECT
    toString(s.span_name) AS span_name,
    toString(s.span_kind) AS span_kind,
    count() AS span_count,
    countIf(s.status_code = 'ERROR') AS error_count,
    toUInt64(intDiv(sum(toUInt128(s.duration_ns)), count())) AS avg_duration_ns,
    quantilesTDigest($quantiles)(s.duration_ns) AS quantiles,
    max(s.duration_ns) AS max_duration_ns
FROM spans AS s
WHERE s.tenant = {tenant:String}$conditions
  AND s.service_name = {service:String}
GROUP BY
    s.span_name,
    s.span_kind$having
ORDER BY
    span_name,
    span_kind
LIMIT {limit:UInt32}
"""


@dataclass(frozen=True, slots=True)
class Services:
    """Questions about what sends telemetry."""

    reader: Reader

    async def names(self, ask: Ask) -> Page[dict[str, Any]]:
        """Services with what they sent in the window, by name.

        Raises:
            InvalidQuery: Names the parameter.
            QueryTooHeavy: Over a bound of `[query]`.
            StoreUnavailable: ClickHouse is away.
        """
        turn = self.reader.turn(ask, "services", (str,))
        narrow((), ask.filters)
        found = await self.reader.fetch(services(ask, turn), rows=turn.limit + 1)
        return turn.page(found, lambda item: (item["name"],))

    async def operations(self, ask: Ask, service: str) -> Page[dict[str, Any]]:
        """Operations of one service in the window, by span name and kind; none for a service nobody heard of.

        Raises:
            InvalidQuery: Names the parameter.
            QueryTooHeavy: Over a bound of `[query]`.
            StoreUnavailable: ClickHouse is away.
        """
        turn = self.reader.turn(ask, f"operations {service}", (str, str))
        narrow((), ask.filters)
        found = await self.reader.fetch(operations(ask, turn, service), rows=turn.limit + 1)
        return turn.page([with_quantiles(row) for row in found], lambda item: (item["span_name"], item["span_kind"]))


def services(ask: Ask, turn: Turn) -> Statement:
    """The SELECT behind the list of services."""
    parameters = within(turn.window) | {"tenant": ask.tenant, "limit": turn.limit + 1}
    having = ""
    if turn.after:
        having = "\nHAVING name > {after_name:String}"
        parameters["after_name"] = turn.after[0]
    return Statement(fill(_SERVICES, conditions=IN_WINDOW, having=having), parameters)


def operations(ask: Ask, turn: Turn, service: str) -> Statement:
    """The SELECT behind the list of a service's operations."""
    parameters = within(turn.window) | {"tenant": ask.tenant, "service": service, "limit": turn.limit + 1}
    having = ""
    if turn.after:
        having = "\nHAVING (span_name, span_kind) > ({after_name:String}, {after_kind:String})"
        parameters["after_name"], parameters["after_kind"] = turn.after
    return Statement(fill(_OPERATIONS, conditions=IN_WINDOW, having=having, quantiles=QUANTILES), parameters)
