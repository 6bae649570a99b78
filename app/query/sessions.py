"""One session as a story: what its agents, models and tools did, step by step, with what was logged on the way.

To a session belong the spans that name it, and the spans of the same traces that name none: instrumentation often puts
the id on the outermost span only. A span that names another session does not belong, whatever its trace.
Without `start` all that is kept is looked at.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from app.access import TenantId
from app.errors import NotFound
from app.model import LOGS, SPANS
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
from app.query.filters import narrow
from app.query.genai import MODEL_CALLS, MODEL_OPERATIONS
from app.query.rows import exact, select_rows
from app.query.traces import MOST_NAMES
from app.query.window import HOUR_NS, LAST_UNIX_NANO, Window, format_time

_TRACES = """(
    SELECT s.trace_id_bytes
    FROM spans AS s
    WHERE s.tenant = {tenant:String}
      AND s.session_id = {session:String}
      AND s.timestamp >= fromUnixTimestamp64Nano({session_start:Int64}, 'UTC')
      AND s.timestamp <= fromUnixTimestamp64Nano({session_end:Int64}, 'UTC')
  )"""

_BELONGS = f"(s.session_id = {{session:String}} OR (s.session_id = '' AND s.trace_id_bytes IN {_TRACES}))"

_EXTENT = """
SELECT
    count() AS spans,
    toUInt64(toUnixTimestamp64Nano(min(s.timestamp))) AS first_unix_nano,
    toUInt64(toUnixTimestamp64Nano(max(s.timestamp))) AS last_unix_nano
FROM $table AS s
WHERE s.tenant = {tenant:String}$conditions
  AND s.session_id = {session:String}
"""

_SUMMARY = """
SELECT
    min(toUInt64(toUnixTimestamp64Nano(s.timestamp))) AS start_unix_nano,
    max(toUInt64(toUnixTimestamp64Nano(s.timestamp)) + s.duration_ns) AS end_unix_nano,
    uniqExact(s.trace_id_bytes) AS trace_count,
    count() AS span_count,
    countIf(s.status_code = 'ERROR') AS error_count,
    countIf(s.operation_name IN $calls) AS model_call_count,
    countIf(s.operation_name = 'execute_tool') AS tool_call_count,
    sumIf(s.llm_input_tokens, s.operation_name IN $calls) AS input_tokens,
    sumIf(s.llm_output_tokens, s.operation_name IN $calls) AS output_tokens,
    arraySort(groupUniqArray($names)(s.service_name)) AS services,
    arraySort(groupUniqArrayIf($names)(s.agent_name, s.agent_name != '')) AS agents,
    arraySort(groupUniqArrayIf($names)(s.llm_model, s.llm_model != '')) AS models,
    arraySort(groupUniqArrayIf($names)(s.tool_name, s.tool_name != '')) AS tools,
    arraySort(groupUniqArrayIf($names)(s.user_id, s.user_id != '')) AS users
FROM spans AS s
WHERE s.tenant = {tenant:String}$conditions
"""


@dataclass(frozen=True, slots=True)
class Story:
    """One session, or a page of it.

    Attributes:
        summary: The whole session in numbers and names.
        steps: Exact rows of its spans, oldest first.
        logs: Exact rows of the page's log records, oldest first.
        logs_truncated: True if there were more log records than may be shown.
    """

    summary: dict[str, Any]
    steps: Page[dict[str, Any]]
    logs: list[dict[str, Any]]
    logs_truncated: bool

    def logs_by_step(self) -> tuple[dict[tuple[str, str], list[dict[str, Any]]], list[dict[str, Any]]]:
        """The log records of each step by (trace id, span id), and those of no step on this page."""
        known = {(row["trace_id_bytes"], row["span_id_bytes"]) for row in self.steps.items}
        of_steps: dict[tuple[str, str], list[dict[str, Any]]] = defaultdict(list)
        others: list[dict[str, Any]] = []
        for row in self.logs:
            step = (row["trace_id_bytes"], row["span_id_bytes"])
            (of_steps[step] if step in known else others).append(row)
        return of_steps, others


@dataclass(frozen=True, slots=True)
class Sessions:
    """Questions about sessions."""

    reader: Reader

    async def story(self, ask: Ask, session: str) -> Story:
        """Read one session, oldest step first.

        Raises:
            InvalidQuery: Names the parameter.
            NotFound: No span and no log record names the session.
            QueryTooHeavy: Over a bound of `[query]`.
            StoreUnavailable: ClickHouse is away.
        """
        narrow((), ask.filters)
        turn = self.reader.turn(ask, f"session {session}", ROW_KEY, whole=True)
        named = await self._extent(ask.tenant, session, turn.window)
        scope = scope_of(ask.tenant, session, named, turn.window)
        described = await self.reader.fetch(summary(scope), rows=1)
        found = await self.reader.fetch(steps(scope, turn), rows=turn.limit + 1)
        page = turn.page(exact(SPANS, found), row_key)
        span = _span_of_logs(scope, turn, page, found)
        logged = await self.reader.fetch(logs(scope, span, self.reader.max_rows + 1), rows=self.reader.max_rows + 1)
        return Story(
            _described(session, described[0], named),
            page,
            exact(LOGS, logged[: self.reader.max_rows]),
            logs_truncated=len(logged) > self.reader.max_rows,
        )

    async def _extent(self, tenant: TenantId, session: str, window: Window) -> Window:
        """From the first to the last record that names the session."""
        times: list[int] = []
        table: Literal["spans", "logs"]
        for table in ("spans", "logs"):
            (row,) = await self.reader.fetch(extent(table, tenant, session, window), rows=1)
            if row["spans"]:
                times += [row["first_unix_nano"], row["last_unix_nano"]]
        if not times or not session:
            raise NotFound(f"there is no session {session!r} in this window", field="session_id")
        return Window(min(times), max(times))


@dataclass(frozen=True, slots=True)
class Scope:
    """What belongs to a session: when it ran, and where its unnamed spans may lie."""

    parameters: dict[str, Any]
    window: Window


def scope_of(tenant: TenantId, session: str, extent: Window, asked: Window) -> Scope:
    """What belongs to a session that is named between the two ends of `extent`."""
    # Spans that do not name the session may begin before and end after those that do; an hour is generous.
    start = max(asked.start_unix_nano, extent.start_unix_nano - HOUR_NS)
    end = min(asked.end_unix_nano, extent.end_unix_nano + HOUR_NS, LAST_UNIX_NANO)
    return Scope(
        {
            "tenant": tenant,
            "session": session,
            "session_start": extent.start_unix_nano,
            "session_end": extent.end_unix_nano,
        },
        Window(start, end),
    )


def extent(table: Literal["spans", "logs"], tenant: TenantId, session: str, window: Window) -> Statement:
    """The SELECT that says when records named a session."""
    parameters = within(window) | {"tenant": tenant, "session": session}
    return Statement(fill(_EXTENT, table=table, conditions=IN_WINDOW), parameters)


def summary(scope: Scope) -> Statement:
    """The SELECT that sums up a session."""
    return Statement(
        fill(_SUMMARY, conditions=[*IN_WINDOW, _BELONGS], calls=MODEL_CALLS, names=MOST_NAMES),
        scope.parameters | within(scope.window),
    )


def steps(scope: Scope, turn: Turn) -> Statement:
    """The SELECT that reads a page of its spans."""
    parameters = scope.parameters | within(scope.window) | {"limit": turn.limit + 1}
    conditions = [*IN_WINDOW, _BELONGS]
    if turn.after:
        conditions.append(BEHIND_CURSOR)
        parameters |= place(turn.after)
    return Statement(select_rows(SPANS, conditions, order=OLDEST_FIRST), parameters)


def logs(scope: Scope, window: Window, limit: int) -> Statement:
    """The SELECT that reads its log records in a part of the story."""
    parameters = scope.parameters | within(window) | {"limit": limit}
    return Statement(select_rows(LOGS, [*IN_WINDOW, _BELONGS], order=OLDEST_FIRST), parameters)


def _span_of_logs(scope: Scope, turn: Turn, page: Page[dict[str, Any]], found: list[dict[str, Any]]) -> Window:
    """The time between this page's first step and the next page's: each log record is on one page."""
    start = page.items[0]["timestamp"] if turn.after and page.items else scope.window.start_unix_nano
    end = scope.window.end_unix_nano
    if page.next_cursor:
        end = max(start, found[-1]["timestamp"] - 1)
    return Window(start, end)


def _described(session: str, row: Mapping[str, Any], extent: Window) -> dict[str, Any]:
    start, end = row["start_unix_nano"], row["end_unix_nano"]
    if not row["span_count"]:  # only logs name it
        start, end = extent.start_unix_nano, extent.end_unix_nano
    rest = {name: value for name, value in row.items() if name not in ("start_unix_nano", "end_unix_nano")}
    return {
        "session_id": session,
        "start": format_time(start),
        "start_unix_nano": start,
        "end": format_time(end),
        "end_unix_nano": end,
        "duration_ns": end - start,
        **rest,
    }


_STEPS = {
    "invoke_agent": "agent",
    "create_agent": "agent",
    "invoke_workflow": "agent",
    "execute_tool": "tool",
    **dict.fromkeys(MODEL_OPERATIONS, "model_call"),
}


def step_of(row: Mapping[str, Any]) -> str:
    """What a span is in the story: agent, model_call, tool, or other."""
    return _STEPS.get(row["operation_name"], "other")
