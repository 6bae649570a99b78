"""Agents, model calls and tools, summed up over the window.

The hourly states answer for the whole hours within the window, the spans themselves for what is left at its two ends:
exact to the nanosecond, and cheap over months. Quantiles are t-digests, so approximate.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from app.query.ask import Ask, Page, Reader, Statement, Turn, fill
from app.query.durations import QUANTILES, with_quantiles
from app.query.filters import Filter, equals, narrow
from app.query.window import HOUR_NS

MODEL_OPERATIONS = ("chat", "text_completion", "generate_content", "embeddings")
"""Operations that are one call of a model: wrappers around them repeat their tokens and are not counted."""

MODEL_CALLS = str(MODEL_OPERATIONS)
"""The same as SQL."""

_SQL = """
SELECT
    $columns
FROM (
    SELECT
        $dimensions,
        $states
    FROM $table AS s
    WHERE s.tenant = {tenant:String}
      AND s.hour >= toDateTime({first_hour:UInt32}, 'UTC')
      AND s.hour < toDateTime({end_hour:UInt32}, 'UTC')$conditions
    UNION ALL
    SELECT
        $dimensions,
        $fresh
    FROM spans AS s
    WHERE s.tenant = {tenant:String}
      AND s.timestamp >= fromUnixTimestamp64Nano({start:Int64}, 'UTC')
      AND s.timestamp <= fromUnixTimestamp64Nano({end:Int64}, 'UTC')
      AND NOT (
        s.timestamp >= toDateTime64({first_hour:UInt32}, 9, 'UTC')
        AND s.timestamp < toDateTime64({end_hour:UInt32}, 9, 'UTC')
      )
      AND $operation$conditions
    GROUP BY
        $dimensions
) AS s
GROUP BY
    $dimensions$having
ORDER BY
    $dimensions
LIMIT {limit:UInt32}
"""

_LAST_HOUR = 2**32 // 3600 * 3600


@dataclass(frozen=True, slots=True)
class Summary:
    """One kind of step that is summed up by the hour.

    Attributes:
        topic: What the question is called.
        table: The hourly states.
        operation: Which spans feed them; the same condition as in the migration.
        dimensions: Columns that name an item; service first.
        count: Name of the number of steps.
        sums: State columns of sums, each with its column in `spans`.
        filters: What may be asked for.
    """

    topic: str
    table: str
    operation: str
    dimensions: tuple[str, ...]
    count: str
    sums: Mapping[str, str]
    filters: Sequence[Filter]


AGENTS = Summary(
    topic="agents",
    table="agent_execution_summary_states",
    operation="s.operation_name = 'invoke_agent'",
    dimensions=("service_name", "agent_name"),
    count="execution_count",
    sums={"input_tokens": "llm_input_tokens", "output_tokens": "llm_output_tokens"},
    filters=(equals("service", "service_name"), equals("agent", "agent_name")),
)
MODELS = Summary(
    topic="llm",
    table="llm_call_summary_states",
    operation=f"s.operation_name IN {MODEL_CALLS}",
    dimensions=("service_name", "llm_system", "llm_model"),
    count="call_count",
    sums={
        "input_tokens": "llm_input_tokens",
        "output_tokens": "llm_output_tokens",
        "cached_tokens": "llm_cached_tokens",
        "reasoning_tokens": "llm_reasoning_tokens",
        "cpu_micros": "resource_cpu_micros",
        "memory_bytes": "resource_memory_bytes",
    },
    filters=(equals("service", "service_name"), equals("model", "llm_model"), equals("provider", "llm_system")),
)
TOOLS = Summary(
    topic="tools",
    table="tool_execution_summary_states",
    operation="s.operation_name = 'execute_tool' AND s.tool_name != ''",
    dimensions=("service_name", "tool_name"),
    count="execution_count",
    sums={},
    filters=(equals("service", "service_name"), equals("tool", "tool_name")),
)


@dataclass(frozen=True, slots=True)
class GenAI:
    """Questions about agents, model calls and tools."""

    reader: Reader

    async def agents(self, ask: Ask) -> Page[dict[str, Any]]:
        """One item an agent and service."""
        return await self._summary(AGENTS, ask)

    async def models(self, ask: Ask) -> Page[dict[str, Any]]:
        """One item a model, provider and service."""
        return await self._summary(MODELS, ask)

    async def tools(self, ask: Ask) -> Page[dict[str, Any]]:
        """One item a tool and service."""
        return await self._summary(TOOLS, ask)

    async def _summary(self, summary: Summary, ask: Ask) -> Page[dict[str, Any]]:
        turn = self.reader.turn(ask, summary.topic, (str,) * len(summary.dimensions))
        found = await self.reader.fetch(statement(summary, ask, turn), rows=turn.limit + 1)
        return turn.page(
            [with_quantiles(row) for row in found], lambda item: tuple(item[name] for name in summary.dimensions)
        )


def statement(summary: Summary, ask: Ask, turn: Turn) -> Statement:
    """The SELECT behind a page of one summary."""
    where = narrow(summary.filters, ask.filters)
    start, end = turn.window.start_unix_nano, turn.window.end_unix_nano
    first_hour = min(-(-start // HOUR_NS) * 3600, _LAST_HOUR)
    # The end belongs to the window: the hour that it is the last nanosecond of is whole.
    end_hour = max(first_hour, min((end + 1) // HOUR_NS * 3600, _LAST_HOUR))
    parameters = where.parameters | {
        "tenant": ask.tenant,
        "start": start,
        "end": end,
        "first_hour": first_hour,
        "end_hour": end_hour,
        "limit": turn.limit + 1,
    }
    having = ""
    if turn.after:
        names = [f"after_{name}" for name in summary.dimensions]
        parameters |= dict(zip(names, turn.after, strict=True))
        keys = ", ".join(f"s.{name}" for name in summary.dimensions)
        having = f"\nHAVING ({keys}) > ({', '.join(f'{{{name}:String}}' for name in names)})"
    sql = fill(
        _SQL,
        columns=(
            *(f"toString(s.{name}) AS {name}" for name in summary.dimensions),
            f"countMerge(s.{summary.count}) AS {summary.count}",
            "countMerge(s.error_count) AS error_count",
            f"intDiv(sumMerge(s.duration_sum), countMerge(s.{summary.count})) AS avg_duration_ns",
            f"quantilesTDigestMerge({QUANTILES})(s.duration_quantiles) AS quantiles",
            *(f"sumMerge(s.{name}) AS {name}" for name in summary.sums),
        ),
        conditions=where.conditions,
        dimensions=",\n        ".join(f"s.{name}" for name in summary.dimensions),
        states=",\n        ".join(
            f"s.{name}" for name in (summary.count, "error_count", "duration_sum", "duration_quantiles", *summary.sums)
        ),
        fresh=",\n        ".join(
            (
                f"countState() AS {summary.count}",
                "countStateIf(s.status_code = 'ERROR') AS error_count",
                "sumState(s.duration_ns) AS duration_sum",
                f"quantilesTDigestState({QUANTILES})(s.duration_ns) AS duration_quantiles",
                *(f"sumState(s.{column}) AS {name}" for name, column in summary.sums.items()),
            )
        ),
        table=summary.table,
        operation=summary.operation,
        having=having,
    )
    return Statement(sql, parameters)
