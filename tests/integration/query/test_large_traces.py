"""A large trace is read in runs, and nothing of that shows: all spans once, in order, wherever a run ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from typing_extensions import override

from app.access import ANONYMOUS
from app.model import Signal
from app.query.ask import Ask, Reader
from app.query.traces import LARGE_AT_ONCE, Trace, Traces
from app.settings import QuerySettings
from app.store.client import ClickHouse
from tests.integration.query import world
from tests.integration.query.serving import Door, Plot, client

TRACE_ID = f"{0x3000:032x}"
SPANS = 40
RUN = 7


@pytest.fixture(scope="module")
def large(plot: Plot) -> Plot:
    made = world.Spans()
    for number in range(SPANS):
        made.add("long", f"step {number}", 0x3000, number + 1, at=2900 + number // 3)  # some start at one moment
    plot.plant(Signal.TRACES, made.request)
    return plot


def names(rows: list[dict[str, Any]]) -> list[str]:
    return [row["span_name"] for row in rows]


async def read(plot: Plot, *, limit: int | None = None, cursor: str | None = None) -> Trace[list[str]]:
    async with client(plot.clickhouse, plot.clickhouse.logins.query, plot.database) as store:
        traces = Traces(Reader(store, QuerySettings()), run_spans=RUN)
        return await traces.whole(Ask(ANONYMOUS.tenant, {}, limit=limit, cursor=cursor), TRACE_ID, names)


async def test_all_runs_together_are_the_trace(large: Plot) -> None:
    trace = await read(large)
    assert [len(run) for run in trace.spans.items] == [RUN] * (SPANS // RUN) + [SPANS % RUN]
    assert [name for run in trace.spans.items for name in run] == [f"step {number}" for number in range(SPANS)]
    assert (trace.spans.truncated, trace.spans.next_cursor) == (False, None)


@pytest.mark.parametrize("limit", [1, RUN - 1, RUN, RUN + 1, 2 * RUN, SPANS - 1, SPANS, SPANS + 1])
async def test_pages_join_wherever_runs_end(large: Plot, limit: int) -> None:
    found: list[str] = []
    cursor = None
    while True:
        page = (await read(large, limit=limit, cursor=cursor)).spans
        shown = [name for run in page.items for name in run]
        assert len(shown) == min(limit, SPANS - len(found))
        found += shown
        cursor = page.next_cursor
        assert page.truncated == (cursor is not None)
        if cursor is None:
            break
    assert found == [f"step {number}" for number in range(SPANS)]


async def test_few_large_traces_are_read_at_once_and_all_are_answered(large: Plot) -> None:
    """What one of them holds in memory is bounded, so their number has to be as well."""
    reading = most = 0

    class Watched(Reader):
        @override
        async def fetch(self, statement: Any, *, rows: int) -> list[dict[str, Any]]:
            nonlocal reading, most
            is_further_run = "after_batch" in statement.parameters
            reading += is_further_run
            most = max(most, reading)
            try:
                return await super().fetch(statement, rows=rows)
            finally:
                reading -= is_further_run

    async def each(store: ClickHouse) -> list[Trace[list[str]]]:
        traces = Traces(Watched(store, QuerySettings()), run_spans=RUN)
        asks = [Ask(ANONYMOUS.tenant, {}) for _ in range(3 * LARGE_AT_ONCE)]
        return await asyncio.gather(*(traces.whole(ask, TRACE_ID, names) for ask in asks))

    async with client(large.clickhouse, large.clickhouse.logins.query, large.database) as store:
        read_traces = await each(store)
    assert {sum(map(len, trace.spans.items)) for trace in read_traces} == {SPANS}
    assert most == LARGE_AT_ONCE


def test_an_answer_of_many_bytes_is_whole_in_both_formats(plot: Plot, door: Door) -> None:
    """It is sent in pieces, whose lengths have to add up to what was announced."""
    made = world.Spans()
    expected = [f"{number} ".ljust(40_000, "x") for number in range(SPANS)]
    for number, name in enumerate(expected):
        made.add("wide", name, 0x3001, number + 1, at=2900 + number)
    plot.plant(Signal.TRACES, made.request)
    path = f"/api/v1/traces/{0x3001:032x}"
    answer = door.get(path)
    assert len(answer.body) == int(answer.headers["Content-Length"]) > 1 << 20
    assert [item["span_name"] for item in answer.tree["items"]] == expected
    groups = door.get(path, format="otlp").tree["resourceSpans"]
    assert [span["name"] for group in groups for scope in group["scopeSpans"] for span in scope["spans"]] == expected
    answer = door.get(path, format="otlp", limit=str(SPANS - 1))
    assert (len(answer.body) > 1 << 20, answer.headers["Link"].endswith('rel="next"')) == (True, True)
