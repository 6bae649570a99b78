"""What every topic shares: a question as it was asked, one page of its answer, and reading within bounds."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import Template
from typing import Any, Generic, TypeVar

import orjson

from app.access import TenantId
from app.errors import InvalidQuery
from app.query.cursor import Key, decode_cursor, encode_cursor
from app.query.window import Window, parse_time, parse_window
from app.settings import QuerySettings
from app.store.contract import Parameter, ReadLimits, Store

_Item = TypeVar("_Item")

DEFAULT_LIMIT = 100


@dataclass(frozen=True, slots=True)
class Ask:
    """One question, as it was sent.

    Attributes:
        tenant: Whose data it is about.
        filters: Texts by parameter, each in the order sent; what they may be is the topic's affair.
        start: First instant, RFC 3339 or integer nanoseconds; None: an hour before `end`.
        end: Last instant; None: now.
        limit: Largest number of items; None: 100.
        cursor: `next_cursor` of the page before; None: the first page.
    """

    tenant: TenantId
    filters: Mapping[str, Sequence[str]]
    start: str | None = None
    end: str | None = None
    limit: int | None = None
    cursor: str | None = None


@dataclass(frozen=True, slots=True)
class Statement:
    """One SELECT.

    Attributes:
        sql: Its text; values stand in it as `{name:Type}`.
        parameters: Those values; `tenant` is always among them.
    """

    sql: str
    parameters: dict[str, Parameter]


@dataclass(frozen=True, slots=True)
class Page(Generic[_Item]):
    """One page of an answer.

    Attributes:
        items: What was found, in order.
        window: The time range it was looked for in.
        next_cursor: Asks for the next page; None: this was the last.
        truncated: True if there is more than this page shows.
    """

    items: list[_Item]
    window: Window
    next_cursor: str | None = None
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Turn:
    """Which part of an answer to give now.

    Attributes:
        question: What the cursor belongs to, as one text.
        window: The resolved time range, the same on every page.
        limit: Items of this page, at least 1.
        after: Sort key that the last page ended with; None: the first page.
    """

    question: str
    window: Window
    limit: int
    after: Key | None

    def page(self, found: list[_Item], key: Callable[[_Item], Key]) -> Page[_Item]:
        """Make a page of up to `limit + 1` items; the one too many only says that there is more."""
        if len(found) <= self.limit:
            return Page(found, self.window)
        shown = found[: self.limit]
        return Page(shown, self.window, encode_cursor(self.question, self.window, key(shown[-1])), truncated=True)


class Reader:
    """Reads from the store within the bounds of `[query]`.

    Args:
        store: ClickHouse as a user who may only read.
        settings: The bounds.
        clock: Nanoseconds since 1970.
    """

    def __init__(self, store: Store, settings: QuerySettings, clock: Callable[[], int] = time.time_ns) -> None:
        self._store = store
        self._settings = settings
        self._clock = clock

    @property
    def max_rows(self) -> int:
        """The largest `limit` of a list."""
        return self._settings.max_result_rows

    def turn(
        self,
        ask: Ask,
        topic: str,
        key: Sequence[type[int | str]],
        *,
        default_limit: int = DEFAULT_LIMIT,
        max_limit: int | None = None,
        whole: bool = False,
    ) -> Turn:
        """Resolve window, limit and cursor.

        Args:
            ask: The question.
            topic: Which one; a cursor of another is refused.
            key: Types of the sort key's parts.
            default_limit: If none was sent.
            max_limit: Bound of `limit`; None: `query.max_result_rows`.
            whole: Without `start` all time is meant, not the last hour.

        Raises:
            InvalidQuery: Names `start`, `end`, `limit` or `cursor`.
        """
        bound = self.max_rows if max_limit is None else max_limit
        limit = min(default_limit, bound) if ask.limit is None else ask.limit
        if not 1 <= limit <= bound:
            raise InvalidQuery(f"limit = {limit} is not within 1 to {bound} (query.max_result_rows)", field="limit")
        question = orjson.dumps(
            [topic, ask.tenant, {name: list(texts) for name, texts in ask.filters.items()}], option=orjson.OPT_SORT_KEYS
        ).decode()
        start = "0" if whole and ask.start is None else ask.start
        if ask.cursor is None:
            return Turn(question, parse_window(start, ask.end, self._clock()), limit, None)
        window, after = decode_cursor(ask.cursor, question, key)
        sent = (("start", ask.start, window.start_unix_nano), ("end", ask.end, window.end_unix_nano))
        for parameter, text, fixed in sent:
            if text is not None and parse_time(text, parameter) != fixed:
                raise InvalidQuery(f"cursor belongs to a question with another {parameter}", field="cursor")
        return Turn(question, window, limit, after)

    async def fetch(self, statement: Statement, *, rows: int) -> list[dict[str, Any]]:
        """Run a statement that answers with at most `rows` rows.

        Raises:
            QueryTooHeavy: It went over a bound of `[query]`.
            StoreUnavailable: ClickHouse is away.
        """
        limits = ReadLimits(self._settings.max_query_time_seconds, self._settings.max_memory_bytes, rows)
        return await self._store.fetch(statement.sql, statement.parameters, limits=limits)


def fill(text: str, *, columns: Sequence[str] = (), conditions: Sequence[str] = (), **words: str) -> str:
    """Complete a statement's text: `$columns` a line each, `$conditions` each with an AND, other words as they are.

    Only fragments written in this package go in; values are parameters.
    """
    return Template(text.strip()).substitute(
        columns=",\n    ".join(columns), conditions="".join(f"\n  AND {condition}" for condition in conditions), **words
    )


IN_WINDOW = (
    "s.timestamp >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')",
    "s.timestamp <= fromUnixTimestamp64Nano({end:Int64}, 'UTC')",
)
"""Conditions of a time range on a table called `s`; `within` has their values."""


def within(window: Window) -> dict[str, Parameter]:
    """Values of `IN_WINDOW`."""
    return {"start": window.start_unix_nano, "end": window.end_unix_nano}


ROW_KEY = (int, str, int)
"""Types of the sort key of records: timestamp, batch, row."""

NEWEST_FIRST = "s.timestamp DESC,\n    s.batch DESC,\n    s.row DESC"
OLDEST_FIRST = "s.timestamp,\n    s.batch,\n    s.row"
_PLACE = "(fromUnixTimestamp64Nano({after_time:Int64}, 'UTC'), {after_batch:UUID}, {after_row:UInt32})"
BEFORE_CURSOR = f"(s.timestamp, s.batch, s.row) < {_PLACE}"
BEHIND_CURSOR = f"(s.timestamp, s.batch, s.row) > {_PLACE}"


def place(after: Key) -> dict[str, Parameter]:
    """Values of `BEFORE_CURSOR` and `BEHIND_CURSOR`."""
    time_unix_nano, batch, row = after
    return {"after_time": time_unix_nano, "after_batch": batch, "after_row": row}


def row_key(row: Mapping[str, Any]) -> Key:
    """Sort key of a record that was read with `app.query.rows.select_rows`."""
    return row["timestamp"], row["batch"], row["row"]
