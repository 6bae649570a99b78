"""Spans and log records as lists: newest first, page by page, each row once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from app.model import LOGS, SPANS, Table
from app.query.ask import (
    BEFORE_CURSOR,
    IN_WINDOW,
    NEWEST_FIRST,
    ROW_KEY,
    Ask,
    Page,
    Reader,
    Statement,
    Turn,
    place,
    row_key,
    within,
)
from app.query.filters import LOG_FILTERS, SPAN_FILTERS, Filter, narrow
from app.query.rows import exact, select_rows


@dataclass(frozen=True, slots=True)
class Listing:
    """The rows of one table of records."""

    reader: Reader
    table: Table
    filters: Sequence[Filter]

    async def page(self, ask: Ask) -> Page[dict[str, Any]]:
        """Find records; rows are exact (`app.query.rows`).

        Raises:
            InvalidQuery: Names the parameter.
            QueryTooHeavy: Over a bound of `[query]`.
            StoreUnavailable: ClickHouse is away.
        """
        turn = self.reader.turn(ask, self.table.name, ROW_KEY)
        found = await self.reader.fetch(self.statement(ask, turn), rows=turn.limit + 1)
        return turn.page(exact(self.table, found), row_key)

    def statement(self, ask: Ask, turn: Turn) -> Statement:
        """The SELECT behind a page."""
        where = narrow(self.filters, ask.filters)
        conditions = [*IN_WINDOW, *where.conditions]
        parameters = where.parameters | within(turn.window) | {"tenant": ask.tenant, "limit": turn.limit + 1}
        if turn.after:
            conditions += [BEFORE_CURSOR, "s.timestamp <= fromUnixTimestamp64Nano({after_time:Int64}, 'UTC')"]
            parameters |= place(turn.after)
        return Statement(select_rows(self.table, conditions, order=NEWEST_FIRST), parameters)


def spans(reader: Reader) -> Listing:
    """Spans by the filters of `SPAN_FILTERS`."""
    return Listing(reader, SPANS, SPAN_FILTERS)


def logs(reader: Reader) -> Listing:
    """Log records by the filters of `LOG_FILTERS`."""
    return Listing(reader, LOGS, LOG_FILTERS)
