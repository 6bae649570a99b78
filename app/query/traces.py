"""Traces: which ones match, what each is about, and one of them whole.

A trace matches if one of its spans, started within the window, has all that was asked for. Its place in the list is
the start of the first such span. `min_duration` and `max_duration` mean the trace, from its first start to its last
end, as the summary says it; they are judged by the spans that start up to an hour outside the window.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, TypeVar

from app.access import TenantId
from app.errors import NotFound
from app.model import SPANS
from app.query.ask import (
    BEHIND_CURSOR,
    IN_WINDOW,
    OLDEST_FIRST,
    ROW_KEY,
    Ask,
    Page,
    Reader,
    Statement,
    Turn,
    fill,
    place,
    row_key,
    within,
)
from app.query.cursor import Key
from app.query.filters import TRACE_FILTERS, narrow, parse_id
from app.query.genai import MODEL_CALLS
from app.query.records import SPAN_KINDS, STATUS_CODES
from app.query.rows import exact, select_rows
from app.query.window import HOUR_NS, LAST_UNIX_NANO, SECOND_NS, Window, format_time

MAX_SPANS = 100_000
"""Spans of one trace in one answer."""

RUN_SPANS = 5_000
"""Spans of a large trace that are in memory as rows: 100,000 at once take 700 MB, and hold up the loop for seconds."""

LARGE_AT_ONCE = 2
"""Answers of more than `RUN_SPANS` that are read at once."""

_QUICK_SPANS = 200

MOST_NAMES = "100"
"""Services, agents, models, … that a summary names."""

_ALL_TIME = Window(0, LAST_UNIX_NANO)

_CANDIDATES = """
SELECT
    lower(hex(s.trace_id_bytes)) AS trace_id,
    toUInt64(toUnixTimestamp64Nano(min(s.timestamp))) AS matched_unix_nano
FROM spans AS s
WHERE s.tenant = {tenant:String}$conditions
GROUP BY s.trace_id_bytes$having
ORDER BY
    matched_unix_nano DESC,
    trace_id DESC
LIMIT {limit:UInt32}
"""

_AFTER = "\nHAVING (matched_unix_nano, trace_id) < ({after_time:UInt64}, {after_trace:String})"

_LASTING = """s.trace_id_bytes IN (
    SELECT s.trace_id_bytes
    FROM spans AS s
    WHERE s.tenant = {tenant:String}
      AND s.timestamp >= fromUnixTimestamp64Nano({around_start:Int64}, 'UTC')
      AND s.timestamp <= fromUnixTimestamp64Nano({around_end:Int64}, 'UTC')
    GROUP BY s.trace_id_bytes
    HAVING max(toUInt64(toUnixTimestamp64Nano(s.timestamp)) + s.duration_ns)
        - min(toUInt64(toUnixTimestamp64Nano(s.timestamp))) BETWEEN {min_duration:UInt64} AND {max_duration:UInt64}
  )"""

_BOUNDS = """
SELECT
    toUInt32(min(c.Start)) AS first_second,
    toUInt32(max(c.End)) AS last_second,
    uniqExact(c.TraceId) AS traces
FROM otel_traces_trace_id_ts AS c
WHERE c.tenant = {tenant:String}
  AND c.TraceId IN {trace_ids:Array(String)}
"""

_SUMMARIES = """
SELECT
    lower(hex(s.trace_id_bytes)) AS trace_id,
    min(toUInt64(toUnixTimestamp64Nano(s.timestamp))) AS start_unix_nano,
    max(toUInt64(toUnixTimestamp64Nano(s.timestamp)) + s.duration_ns) AS end_unix_nano,
    count() AS span_count,
    countIf(s.status_code = 'ERROR') AS error_count,
    sumIf(s.llm_input_tokens, s.operation_name IN $calls) AS input_tokens,
    sumIf(s.llm_output_tokens, s.operation_name IN $calls) AS output_tokens,
    arraySort(groupUniqArray($names)(s.service_name)) AS services,
    arraySort(groupUniqArrayIf($names)(s.agent_name, s.agent_name != '')) AS agents,
    arraySort(groupUniqArrayIf($names)(s.llm_model, s.llm_model != '')) AS models,
    arraySort(groupUniqArrayIf($names)(s.tool_name, s.tool_name != '')) AS tools,
    arraySort(groupUniqArrayIf($names)(s.session_id, s.session_id != '')) AS sessions,
    argMin(
        tuple(
            lower(hex(s.span_id_bytes)),
            lower(hex(s.parent_span_id_bytes)),
            s.service_name,
            s.span_name,
            toInt16(s.span_kind),
            toInt16(s.status_code),
            s.status_message,
            s.duration_ns
        ),
        tuple(s.parent_span_id_bytes != toFixedString('', 8), s.timestamp, s.span_id_bytes)
    ) AS root
FROM spans AS s
WHERE s.tenant = {tenant:String}$conditions
  AND s.trace_id IN {trace_ids:Array(String)}
GROUP BY s.trace_id_bytes
LIMIT {limit:UInt32}
"""


_Written = TypeVar("_Written")


@dataclass(frozen=True, slots=True)
class Trace(Generic[_Written]):
    """One trace, or a page of it.

    Attributes:
        summary: As in the list of traces.
        spans: What was made of its spans, run by run, oldest first.
    """

    summary: dict[str, Any]
    spans: Page[_Written]


@dataclass(frozen=True, slots=True)
class Traces:
    """Questions about whole traces.

    Attributes:
        reader: Where answers come from.
        run_spans: Spans that are read at once.
        large: Who may read a second run and more of a trace.
    """

    reader: Reader
    run_spans: int = RUN_SPANS
    large: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(LARGE_AT_ONCE))

    async def search(self, ask: Ask) -> Page[dict[str, Any]]:
        """Find traces; one summary each, newest first.

        Raises:
            InvalidQuery: Names the parameter.
            QueryTooHeavy: Over a bound of `[query]`.
            StoreUnavailable: ClickHouse is away.
        """
        turn = self.reader.turn(ask, "traces", (int, str))
        found = await self.reader.fetch(candidates(ask, turn), rows=turn.limit + 1)
        page = turn.page(found, _candidate_key)
        ids = [candidate["trace_id"] for candidate in page.items]
        by_id = {summary["trace_id"]: summary for summary in await self.summaries(ask.tenant, ids)}
        # A trace can run out of its retention between the two statements.
        items = [by_id[trace_id] for trace_id in ids if trace_id in by_id]
        return Page(items, page.window, page.next_cursor, page.truncated)

    async def summaries(self, tenant: TenantId, trace_ids: Sequence[str]) -> list[dict[str, Any]]:
        """What each of these traces is about, in no order; unknown ids are left out."""
        if not trace_ids:
            return []
        window = await self._bounds(tenant, trace_ids)
        rows = await self.reader.fetch(summaries(tenant, trace_ids, window), rows=len(trace_ids))
        return [_summary(row) for row in rows]

    async def whole(
        self, ask: Ask, trace_id: str, write: Callable[[list[dict[str, Any]]], _Written]
    ) -> Trace[_Written]:
        """Read one trace, oldest span first; up to `MAX_SPANS` at once, whatever `query.max_result_rows` says.

        Args:
            ask: For tenant, limit and cursor.
            trace_id: 32 hexadecimal digits.
            write: Makes what is kept of a run of exact rows; may be called in a thread.

        Raises:
            InvalidQuery: The id or a parameter is none.
            NotFound: There is no such trace.
            QueryTooHeavy: Over a bound of `[query]`.
            StoreUnavailable: ClickHouse is away.
        """
        trace_id = parse_id(trace_id, "trace_id", 32)
        turn = self.reader.turn(
            ask, f"trace {trace_id}", ROW_KEY, default_limit=MAX_SPANS, max_limit=MAX_SPANS, whole=True
        )
        times = await self._bounds(ask.tenant, [trace_id])

        async def run_of(part: Turn) -> Page[dict[str, Any]]:
            found = await self.reader.fetch(whole(ask.tenant, trace_id, times, part), rows=part.limit + 1)
            return part.page(exact(SPANS, found), row_key)

        described, run = await asyncio.gather(
            self.reader.fetch(summaries(ask.tenant, [trace_id], times), rows=1),
            run_of(replace(turn, limit=min(turn.limit, self.run_spans))),
        )
        if not described:
            raise NotFound(f"there is no trace {trace_id}", field="trace_id")
        left = turn.limit - len(run.items)
        written = [await _written(write, run.items)]
        if run.truncated and left:
            async with self.large:
                while run.truncated and left:
                    run = await run_of(replace(turn, limit=min(left, self.run_spans), after=row_key(run.items[-1])))
                    left -= len(run.items)
                    written.append(await _written(write, run.items))
        ran = Window(described[0]["start_unix_nano"], described[0]["end_unix_nano"])
        return Trace(_summary(described[0]), Page(written, ran, run.next_cursor, run.truncated))

    async def _bounds(self, tenant: TenantId, trace_ids: Sequence[str]) -> Window:
        """When the spans of these traces start; all time if the companion table does not know them all."""
        (row,) = await self.reader.fetch(bounds(tenant, trace_ids), rows=1)
        if row["traces"] < len(trace_ids):
            return _ALL_TIME
        # The table keeps whole seconds, rounded down.
        return Window(row["first_second"] * SECOND_NS, (row["last_second"] + 1) * SECOND_NS)


async def _written(write: Callable[[list[dict[str, Any]]], _Written], rows: list[dict[str, Any]]) -> _Written:
    return write(rows) if len(rows) <= _QUICK_SPANS else await asyncio.to_thread(write, rows)


def candidates(ask: Ask, turn: Turn) -> Statement:
    """The SELECT that finds the traces of a page."""
    window = turn.window
    where = narrow(TRACE_FILTERS, ask.filters)
    conditions = where.conditions
    parameters = where.parameters | within(window) | {"tenant": ask.tenant, "limit": turn.limit + 1}
    if {"min_duration", "max_duration"} & where.parameters.keys():
        conditions.append(_LASTING)
        parameters.setdefault("min_duration", 0)
        parameters.setdefault("max_duration", 2**64 - 1)
        parameters["around_start"] = max(0, window.start_unix_nano - HOUR_NS)
        parameters["around_end"] = min(LAST_UNIX_NANO, window.end_unix_nano + HOUR_NS)
    having = ""
    if turn.after:
        # Spans after the last place only belong to traces that were shown, or to later spans of those to come.
        parameters["after_time"], parameters["after_trace"] = turn.after
        conditions.append("s.timestamp <= fromUnixTimestamp64Nano({after_time:Int64}, 'UTC')")
        having = _AFTER
    return Statement(fill(_CANDIDATES, conditions=[*IN_WINDOW, *conditions], having=having), parameters)


def bounds(tenant: TenantId, trace_ids: Sequence[str]) -> Statement:
    """The SELECT that says when traces ran, to the second."""
    return Statement(_BOUNDS.strip(), {"tenant": tenant, "trace_ids": list(trace_ids)})


def summaries(tenant: TenantId, trace_ids: Sequence[str], window: Window) -> Statement:
    """The SELECT that describes traces."""
    parameters = within(window) | {"tenant": tenant, "trace_ids": list(trace_ids), "limit": len(trace_ids)}
    return Statement(fill(_SUMMARIES, conditions=IN_WINDOW, calls=MODEL_CALLS, names=MOST_NAMES), parameters)


def whole(tenant: TenantId, trace_id: str, window: Window, turn: Turn) -> Statement:
    """The SELECT that reads one trace."""
    parameters = within(window) | {"tenant": tenant, "trace_id": trace_id, "limit": turn.limit + 1}
    conditions = list(IN_WINDOW)
    if turn.after:
        conditions.append(BEHIND_CURSOR)
        parameters |= place(turn.after)
    conditions.append("s.trace_id = {trace_id:String}")
    return Statement(select_rows(SPANS, conditions, order=OLDEST_FIRST), parameters)


def _candidate_key(candidate: dict[str, Any]) -> Key:
    return candidate["matched_unix_nano"], candidate["trace_id"]


def _summary(row: dict[str, Any]) -> dict[str, Any]:
    span_id, parent_span_id, service, name, kind, status, message, duration = row["root"]
    start, end = row["start_unix_nano"], row["end_unix_nano"]
    return {
        "trace_id": row["trace_id"],
        "root": {
            "span_id": span_id,
            "service_name": service,
            "span_name": name,
            "span_kind": SPAN_KINDS[kind],
            "status_code": STATUS_CODES[status],
            "status_message": message,
            "duration_ns": duration,
            # Without the real root the earliest span stands for it.
            "is_orphan": bool(parent_span_id.strip("0")),
        },
        "start": format_time(start),
        "start_unix_nano": start,
        "end": format_time(end),
        "end_unix_nano": end,
        "duration_ns": end - start,
        "span_count": row["span_count"],
        "error_count": row["error_count"],
        "input_tokens": row["input_tokens"],
        "output_tokens": row["output_tokens"],
        "services": row["services"],
        "agents": row["agents"],
        "models": row["models"],
        "tools": row["tools"],
        "sessions": row["sessions"],
    }
