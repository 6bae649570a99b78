"""When a batch is closed, on a clock that only moves when told to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from app.model import Signal
from app.pipeline.backoff import Backoff
from app.pipeline.batch import OpenBatch
from app.pipeline.budget import Budget
from app.pipeline.lane import Lane, SealBounds
from app.pipeline.quarantine import Quarantine
from app.telemetry.metrics import REGISTRY
from tests.polling import until
from tests.unit.pipeline.doubles import ScriptedStore, chunk_of_lines, request, tasks, words


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def __call__(self) -> float:
        return self.seconds


def opened(clock: Clock, *bodies: str, held_bytes: int = 100) -> OpenBatch:
    """An open batch with these requests."""
    batch = OpenBatch(clock())
    for body in bodies:
        batch.append(request(body), chunk_of_lines(request(body)), held_bytes)
    return batch


@pytest.mark.parametrize(
    ("bodies", "is_full"),
    [(("s1_",), False), (("s1_", "s2_"), False), (("s1_ s2_", "s3_"), True), (("s1_ s2_ s3_ s4_",), True)],
    ids=["one-row", "one-row-less", "all-rows", "one-request-with-more"],
)
def test_rows_close_a_batch(bodies: tuple[str, ...], is_full: bool) -> None:
    """At three rows and not before; a larger request stays whole."""
    bounds = SealBounds(rows=3, held_bytes=10**6, seconds=1)
    assert bounds.is_full(opened(Clock(), *bodies)) is is_full


@pytest.mark.parametrize(("held_bytes", "is_full"), [(249, False), (250, True)], ids=["below", "at"])
def test_bytes_close_a_batch(held_bytes: int, is_full: bool) -> None:
    """What the budget holds for it counts."""
    bounds = SealBounds(rows=100, held_bytes=500, seconds=1)
    assert bounds.is_full(opened(Clock(), "s1_", "s2_", held_bytes=held_bytes)) is is_full


def test_the_first_row_starts_the_clock() -> None:
    """Later rows do not put the end off."""
    clock = Clock()
    bounds = SealBounds(rows=100, held_bytes=10**6, seconds=1.5)
    batch = opened(clock, "s1_")
    clock.seconds += 1
    batch.append(request("s2_"), chunk_of_lines(request("s2_")), 100)
    assert bounds.seconds_left(batch, clock()) == 0.5


def test_backoff_doubles_up_to_its_bound_and_never_passes_it() -> None:
    """A tenth, two, four … ten seconds, whatever the number of failures."""
    backoff = Backoff()
    bounds = [backoff.bound_seconds(failures) for failures in range(1, 10)]
    assert bounds == [0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10, 10]
    assert backoff.bound_seconds(10**9) == 10
    assert all(0 <= backoff.wait_seconds(failures) <= backoff.bound_seconds(failures) for failures in range(1, 2000))


def test_backoff_spreads_over_the_whole_bound() -> None:
    """Instances that failed together do not come back together."""
    waits = [Backoff().wait_seconds(5) for _ in range(500)]
    assert min(waits) < 0.4 < 1.2 < max(waits)


@asynccontextmanager
async def running(store: ScriptedStore, clock: Clock, folder: Path, bounds: SealBounds) -> AsyncIterator[Lane]:
    """A lane with its tasks."""
    with ThreadPoolExecutor(2) as threads:
        lane = Lane(
            Signal.LOGS,
            store=store,
            budget=Budget(10**6, now=clock),
            decode=chunk_of_lines,
            threads=threads,
            quarantine=Quarantine(folder, 10**6),
            bounds=bounds,
            backoff=Backoff(0.001, 0.002, 0.001),
            now=clock,
        )
        async with tasks(lane.encode(), lane.flush()):
            try:
                yield lane
            finally:
                lane.close()


def add(lane: Lane, body: str) -> None:
    """Append one request."""
    lane.append(request(body), chunk_of_lines(request(body)), 0)


async def test_age_closes_a_batch(tmp_path: Path) -> None:
    """A lonely row is stored without company once its time has come."""
    store, clock = ScriptedStore(), Clock()
    async with running(store, clock, tmp_path, SealBounds(100, 10**6, 0.01)) as lane:
        add(lane, "s1_")
        clock.seconds += 1
        await until(lambda: store.services() == ["s1_"])


async def test_while_the_store_stands_still_batches_grow_instead_of_queueing(tmp_path: Path) -> None:
    """One in flight, one behind it; what comes later gathers in a single batch whatever its age."""
    store, clock, now = ScriptedStore(), Clock(), asyncio.get_running_loop().time
    store.open.clear()
    async with running(store, clock, tmp_path, SealBounds(100, 10**6, 0.001)) as lane:
        for number in range(10):
            add(lane, f"s{number}_")
            clock.seconds += 1
            timer = lane._timer
            await until(lambda due=timer: due is None or due.cancelled() or due.when() + 0.01 < now())  # type: ignore[misc]
        store.open.set()
        await until(lambda: len(store.services()) == 10)
    assert [words(call.block) for call in store.stored.values()] == [
        ["s0_"],
        ["s1_"],
        [f"s{number}_" for number in range(2, 10)],
    ]


async def test_the_gauges_show_what_waits(tmp_path: Path) -> None:
    """Age of the oldest row and number of sealed batches, back to nothing when stored."""
    store, clock = ScriptedStore(), Clock()
    store.open.clear()

    def gauges() -> tuple[float | None, float | None]:
        label = {"signal": "logs"}
        return (
            REGISTRY.get_sample_value("ingest_oldest_unstored_seconds", label),
            REGISTRY.get_sample_value("ingest_batches_waiting", label),
        )

    async with running(store, clock, tmp_path, SealBounds(2, 10**6, 600)) as lane:
        add(lane, "s1_ s2_")
        clock.seconds += 5
        add(lane, "s3_")
        clock.seconds += 2
        assert gauges() == (7, 1)
        assert lane.rows_waiting == 3
        store.open.set()
        await until(lambda: gauges() == (2, 0))
        lane.seal()
        await lane.drained()
        assert gauges() == (0, 0)
        assert lane.rows_waiting == 0
