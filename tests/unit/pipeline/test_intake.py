"""What was answered with success is stored exactly once, whatever the store does meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from structlog.testing import capture_logs

from app.errors import (
    BufferFull,
    Draining,
    NotReady,
    StoreMisconfigured,
    StoreRefused,
    StoreUnavailable,
    Undecodable,
)
from app.model import Chunk, Signal
from app.pipeline.backoff import Backoff
from app.pipeline.intake import INLINE_BYTES, Pipeline
from app.settings import Settings
from app.telemetry.metrics import REGISTRY
from tests.polling import until
from tests.unit.pipeline.doubles import NOW_NANO, LineDecoder, ScriptedStore, request, words


def lines(first: int, count: int) -> str:
    """A body of so many records, each with a service of its own."""
    return " ".join(f"s{number}_" for number in range(first, first + count))


AWAY = StoreUnavailable("no answer")
SHORT = Backoff(first_seconds=0.001, most_seconds=0.004, alarm_seconds=0.002)
LARGE = lines(0, INLINE_BYTES // 6)  # so large that a thread decodes it
SPOOL = Path("never-written")


@asynccontextmanager
async def running(
    store: ScriptedStore,
    decoder: LineDecoder | None = None,
    *,
    is_ready: Callable[[], bool] = lambda: True,
    spool: Path = SPOOL,
    **server: Any,
) -> AsyncIterator[Pipeline]:
    """A pipeline over a scripted store; keywords are keys of `[server]`."""
    tree = {"server": {"batch_timeout_seconds": 0.005} | server, "spool": {"path": spool}}
    pipeline = Pipeline(
        Settings.model_validate(tree),
        store=store,
        decoder=decoder or LineDecoder(),
        is_ready=is_ready,
        backoff=SHORT,
    )
    with capture_logs():  # the tracebacks of faults on purpose
        async with pipeline:
            yield pipeline


def held(pipeline: Pipeline) -> int:
    """Bytes that the budget holds."""
    return sum(pipeline._budget.held_bytes(signal) for signal in Signal)


async def fill(pipeline: Pipeline, signal: Signal) -> tuple[int, BufferFull]:
    """Send until the buffer is full: how many records were taken, and the refusal."""
    taken = 0
    while True:
        try:
            await pipeline.accept(request(lines(taken, 50), signal))
        except BufferFull as refusal:
            return taken, refusal
        taken += 50


def sample(name: str, **labels: str) -> float:
    """A metric's value now."""
    return REGISTRY.get_sample_value(name, labels) or 0.0


async def test_accepted_records_are_stored() -> None:
    """One request in, its rows in one block, under the batch's id."""
    store = ScriptedStore()
    async with running(store) as pipeline:
        accepted = await pipeline.accept(request("s1_ s2_"))
        await until(lambda: bool(store.stored))
    assert (accepted.records, store.services()) == (2, ["s1_", "s2_"])


@pytest.mark.parametrize("signal", Signal)
async def test_each_signal_goes_to_its_own_table(signal: Signal) -> None:
    """With all the columns that an insert carries."""
    store = ScriptedStore()
    async with running(store) as pipeline:
        await pipeline.accept(request("s1_", signal))
        assert await pipeline.drain(5) == {}
    (call,) = store.attempts
    assert call.table == {Signal.TRACES: "spans", Signal.METRICS: "metrics", Signal.LOGS: "logs"}[signal]
    assert {"tenant", "batch", "row", "ingested_at", "service_name"} <= set(call.columns)


async def test_rejected_records_are_named_and_not_stored() -> None:
    """The rest of their request is."""
    store = ScriptedStore()
    async with running(store) as pipeline:
        accepted = await pipeline.accept(request("s1_ ! s2_ !"))
        await pipeline.drain(5)
    assert (accepted.records, accepted.rejections.counts) == (2, {"shouted": 2})
    assert store.services() == ["s1_", "s2_"]


@pytest.mark.parametrize("body", ["", "! !"], ids=["empty", "all-rejected"])
async def test_a_request_without_rows_holds_nothing(body: str) -> None:
    """Nothing is inserted, and no byte stays in the budget."""
    store = ScriptedStore()
    async with running(store) as pipeline:
        await pipeline.accept(request(body))
        assert held(pipeline) == 0
        await pipeline.drain(5)
    assert store.attempts == []


@pytest.mark.parametrize("padding", ["", " " * INLINE_BYTES], ids=["inline", "in-a-thread"])
async def test_an_undecodable_body_holds_nothing(padding: str) -> None:
    """It is refused, and its estimate given back."""

    async with running(ScriptedStore()) as pipeline:
        with pytest.raises(Undecodable):
            await pipeline.accept(request("garbage" + padding))
        await until(lambda: held(pipeline) == 0)


async def test_bytes_stay_held_until_the_batch_is_stored() -> None:
    """Taking a batch out of the queue is not enough."""
    store = ScriptedStore()
    store.open.clear()
    async with running(store) as pipeline:
        await pipeline.accept(request("s1_"))
        await until(lambda: store.under_way == 1)
        assert held(pipeline) > 0
        store.open.set()
        await until(lambda: held(pipeline) == 0)


async def test_encoded_batches_hold_their_bodies_and_blocks() -> None:
    """The columns are gone once there are bytes."""
    store = ScriptedStore()
    store.open.clear()
    async with running(store) as pipeline:
        asked = request("s1_ s2_ s3_")
        await pipeline.accept(asked)
        await until(lambda: store.under_way == 1)
        assert held(pipeline) == len(asked.body) + len(store.attempts[0].block)
        store.open.set()


async def test_an_unanswered_insert_is_sent_again_with_the_same_bytes_and_token() -> None:
    """However often it takes."""
    store = ScriptedStore(script=[AWAY] * 7)
    async with running(store) as pipeline:
        await pipeline.accept(request("s1_ s2_"))
        assert await pipeline.drain(5) == {}
    assert len(store.attempts) == 8
    assert len(set(store.attempts)) == 1
    assert store.services() == ["s1_", "s2_"]


async def test_a_lost_answer_stores_once() -> None:
    """The second attempt has the token of the first."""
    store = ScriptedStore(answers=[AWAY, AWAY])
    async with running(store) as pipeline:
        await pipeline.accept(request("s1_"))
        assert await pipeline.drain(5) == {}
    assert len(store.attempts) == 3
    assert store.services() == ["s1_"]


async def test_batches_are_stored_in_order_through_failures() -> None:
    """A batch that waits is not overtaken."""
    store = ScriptedStore(script=[None, AWAY, AWAY, None, AWAY])
    async with running(store, batch_size=1) as pipeline:
        for number in range(20):
            await pipeline.accept(request(f"s{number}_"))
        assert await pipeline.drain(5) == {}
    assert store.services() == [f"s{number}_" for number in range(20)]
    assert store.most_under_way == 1


async def test_a_bug_in_the_store_neither_ends_the_lane_nor_loses_the_batch() -> None:
    """It is counted as a fault and the batch sent again."""
    before = sample("ingest_insert_attempts_total", signal="logs", outcome="fault")
    store = ScriptedStore(script=[ZeroDivisionError("a bug")])
    async with running(store) as pipeline:
        await pipeline.accept(request("s1_"))
        assert await pipeline.drain(5) == {}
    assert store.services() == ["s1_"]
    assert sample("ingest_insert_attempts_total", signal="logs", outcome="fault") == before + 1


async def test_a_wrong_setup_keeps_the_batch_until_it_is_mended() -> None:
    """Every batch would fail, so none is taken apart, and the alarm is raised once a minute, not each time."""
    store = ScriptedStore(script=[StoreMisconfigured("no such column", code=16)] * 5)
    async with running(store) as pipeline:
        with capture_logs() as logs:
            await pipeline.accept(request("s1_"))
            await pipeline.accept(request("s2_"))
            assert await pipeline.drain(5) == {}
    assert len({call.token for call in store.attempts}) == 1
    assert store.services() == ["s1_", "s2_"]
    assert [line["reason"] for line in logs if line["event"] == "store_misconfigured"] == ["no such column"]


async def test_the_wait_ends_when_the_store_is_back() -> None:
    """`retry_now` cuts a long pause short."""
    store = ScriptedStore(script=[StoreMisconfigured("no grant", code=497)])
    settings = Settings.model_validate({"server": {"batch_timeout_seconds": 0.001}})
    async with Pipeline(
        settings,
        store=store,
        decoder=LineDecoder(),
        is_ready=lambda: True,
        backoff=Backoff(alarm_seconds=3600),
    ) as pipeline:
        await pipeline.accept(request("s1_"))
        await until(lambda: len(store.attempts) == 1 and store.under_way == 0)

        def stored_after_a_nudge() -> bool:
            pipeline.retry_now()
            return bool(store.stored)

        await until(stored_after_a_nudge)


def refusing(word: bytes) -> Callable[[bytes], Exception | None]:
    """Refuse blocks with a word in them."""
    return lambda block: StoreRefused(f"cannot parse {word!r}", code=27) if word in block else None


async def test_only_the_request_at_fault_is_set_aside(tmp_path: Path) -> None:
    """The others of its batch are stored, and so is what comes after."""
    store = ScriptedStore(refuse=refusing(b"s5_"))
    before = sample("ingest_records_quarantined_total", signal="logs")
    async with running(store, spool=tmp_path, batch_size=9) as pipeline:
        for number in range(9):
            await pipeline.accept(request(f"s{number}_"))
        await pipeline.accept(request("s9_"))
        assert await pipeline.drain(5) == {}
        assert held(pipeline) == 0
    assert sorted(store.services()) == [f"s{number}_" for number in range(10) if number != 5]
    assert sample("ingest_records_quarantined_total", signal="logs") == before + 1


async def test_a_quarantined_request_can_be_posted_again(tmp_path: Path) -> None:
    """Its body is kept as received; the note says whose it is and why it lies there."""
    store = ScriptedStore(refuse=refusing(b"s5_"))
    async with running(store, spool=tmp_path) as pipeline:
        await pipeline.accept(request("s5_ s6_", tenant="umbrella"))
        await pipeline.drain(5)
    (body,) = (tmp_path / "quarantine").glob("*.body")
    note = json.loads(body.with_suffix(".json").read_bytes())
    assert body.read_bytes() == b"s5_ s6_"
    assert note | {"batch": "", "reason": ""} == {
        "signal": "logs",
        "tenant": "umbrella",
        "content_type": "application/x-protobuf",
        "received_unix_nano": NOW_NANO,
        "rows": 2,
        "batch": "",
        "first_row": 0,
        "reason": "",
        "first_key": {"service_name": "s5_", "timestamp": str(NOW_NANO)},
    }
    assert "cannot parse" in note["reason"]


async def test_a_full_quarantine_keeps_the_request_waiting(tmp_path: Path) -> None:
    """What was accepted is not thrown away because a folder cannot be written."""
    (tmp_path / "quarantine").write_text("a file where the folder should be")
    store = ScriptedStore(refuse=refusing(b"s5_"))
    async with running(store, spool=tmp_path) as pipeline:
        await pipeline.accept(request("s5_"))
        assert await pipeline.drain(0.1) == {Signal.LOGS: 1}
        (tmp_path / "quarantine").unlink()
        assert await pipeline.drain(5) == {}
    assert len(list((tmp_path / "quarantine").glob("*.body"))) == 1


async def test_parts_of_a_refused_batch_are_retried_under_their_own_token(tmp_path: Path) -> None:
    """The same part has the same name and bytes in each attempt."""
    store = ScriptedStore(script=[None, AWAY, None, AWAY, AWAY], refuse=refusing(b"s3_"), answers=[AWAY])
    async with running(store, spool=tmp_path, batch_size=4) as pipeline:
        for number in range(4):
            await pipeline.accept(request(f"s{number}_"))
        assert await pipeline.drain(5) == {}
    assert sorted(store.services()) == ["s0_", "s1_", "s2_"]
    assert len({call.token for call in store.attempts}) == len(set(store.attempts))


async def test_a_request_that_cannot_be_encoded_is_set_aside(tmp_path: Path) -> None:
    """A decoder that gives a wrong value stops neither its batch nor its lane."""

    def spoil(chunk: Chunk) -> None:
        if "s2_" in chunk.columns["service_name"]:
            chunk.columns["severity_number"][0] = "high"

    store = ScriptedStore()
    async with running(store, LineDecoder(spoil=spoil), spool=tmp_path, batch_size=3) as pipeline:
        for number in range(3):
            await pipeline.accept(request(f"s{number + 1}_"))
        assert await pipeline.drain(5) == {}
    assert sorted(store.services()) == ["s1_", "s3_"]
    (note,) = (tmp_path / "quarantine").glob("*.json")
    assert "severity_number" in json.loads(note.read_bytes())["reason"]


async def test_a_full_buffer_refuses_with_a_delay_and_takes_nothing() -> None:
    """All or nothing, and the sender is told when to come back."""
    store = ScriptedStore()
    store.open.clear()
    async with running(store, max_buffer_bytes=1 << 20) as pipeline:
        taken, refusal = await fill(pipeline, Signal.LOGS)
        assert 1 <= refusal.retry_after_seconds <= 30
        assert sum(pipeline.rows_waiting().values()) == taken
        store.open.set()
        assert await pipeline.drain(10) == {}
    assert len(store.services()) == taken


async def test_a_full_lane_leaves_room_for_the_others() -> None:
    """A flood of spans does not keep a log record out."""
    store = ScriptedStore()
    store.open.clear()
    async with running(store, max_buffer_bytes=1 << 20) as pipeline:
        await fill(pipeline, Signal.TRACES)
        with pipeline.admit(Signal.LOGS, 1000):
            await pipeline.accept(request("s2_ " * 20))
        store.open.set()


async def test_a_batch_is_sealed_at_its_share_of_the_buffer() -> None:
    """Rows too fat to wait for the row count are sent before they take all memory."""
    store = ScriptedStore()
    async with running(store, max_buffer_bytes=1 << 20, batch_timeout_seconds=600) as pipeline:
        for _ in range(20):
            await pipeline.accept(request("s1_ " * 10))
        await until(lambda: bool(store.stored))


async def test_nothing_is_admitted_while_the_store_is_away() -> None:
    """But what was accepted before is kept and sent."""
    store, is_up = ScriptedStore(), True
    store.open.clear()
    async with running(store, is_ready=lambda: is_up) as pipeline:
        await pipeline.accept(request("s1_"))
        is_up = False
        with pytest.raises(NotReady):
            pipeline.admit(Signal.LOGS, 10)
        store.open.set()
        await until(lambda: store.services() == ["s1_"])
        is_up = True
        with pipeline.admit(Signal.LOGS, 10):
            assert held(pipeline) == 10


async def test_a_drain_stores_all_that_was_answered() -> None:
    """Under load from 200 senders at once, with a store that fails now and then."""
    store = ScriptedStore(script=[AWAY, None] * 20)
    answered: list[str] = []

    async def send(pipeline: Pipeline, number: int) -> None:
        signal = list(Signal)[number % 3]
        for again in range(1000):
            word = f"s{number * 1000 + again}_"
            try:
                await pipeline.accept(request(word if again else f"{word} " + " " * INLINE_BYTES, signal))
            except Draining:
                return
            answered.append(word)
            await asyncio.sleep(0)

    async with running(store, batch_size=100) as pipeline, asyncio.TaskGroup() as senders:
        for number in range(200):
            senders.create_task(send(pipeline, number))
        await until(lambda: len(answered) > 500)
        assert await pipeline.drain(20) == {}
    stored = [word for table in ("spans", "metrics", "logs") for word in store.services(table)]
    assert sorted(stored) == sorted(answered)


async def test_a_drain_refuses_new_work() -> None:
    """At both doors of the pipeline."""
    async with running(ScriptedStore()) as pipeline:
        await pipeline.drain(0)
        with pytest.raises(Draining):
            pipeline.admit(Signal.LOGS, 1)
        with pytest.raises(Draining):
            await pipeline.accept(request("s1_"))


async def test_a_drain_that_runs_out_of_time_says_what_is_left() -> None:
    """By signal, in rows."""
    store = ScriptedStore()
    store.open.clear()
    async with running(store) as pipeline:
        await pipeline.accept(request("s1_ s2_"))
        await pipeline.accept(request("s3_", Signal.TRACES))
        assert await pipeline.drain(0.05) == {Signal.LOGS: 2, Signal.TRACES: 1}


async def test_a_drain_waits_for_bodies_that_are_being_decoded() -> None:
    """A request that was begun is finished and stored."""
    store, decoder = ScriptedStore(), LineDecoder()
    decoder.gate.clear()
    async with running(store, decoder) as pipeline, asyncio.TaskGroup() as group:
        accepting = group.create_task(pipeline.accept(request(LARGE)))
        await until(lambda: held(pipeline) > 0)
        draining = group.create_task(pipeline.drain(10))
        await until(lambda: pipeline._is_draining)
        decoder.gate.set()
        assert await draining == {}
        assert (await accepting).records == len(store.services())


async def test_closing_during_a_decode_answers_draining() -> None:
    """Success is never said for records that no lane will send."""
    store, decoder = ScriptedStore(), LineDecoder()
    decoder.gate.clear()
    async with asyncio.TaskGroup() as group:
        async with running(store, decoder) as pipeline:
            accepting = group.create_task(_outcome(pipeline.accept(request(LARGE))))
            await until(lambda: held(pipeline) > 0)
            group.create_task(_open_when_closed(pipeline, decoder))
        assert isinstance(await accepting, Draining)
    assert held(pipeline) == 0


async def _outcome(awaitable: Any) -> Any:
    try:
        return await awaitable
    except Draining as error:
        return error


async def _open_when_closed(pipeline: Pipeline, decoder: LineDecoder) -> None:
    await until(lambda: pipeline._is_closed)
    decoder.gate.set()


async def test_a_cancelled_accept_takes_nothing_and_gives_its_bytes_back() -> None:
    """But only when the thread that decodes has let go of them."""
    store, decoder = ScriptedStore(), LineDecoder()
    decoder.gate.clear()
    async with running(store, decoder) as pipeline:
        accepting = asyncio.ensure_future(pipeline.accept(request(LARGE)))
        await until(lambda: held(pipeline) > 0)
        accepting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await accepting
        assert held(pipeline) > 0
        decoder.gate.set()
        await until(lambda: held(pipeline) == 0)
        assert await pipeline.drain(5) == {}
    assert store.attempts == []


async def test_closing_under_load_leaves_no_task_behind() -> None:
    """Also in the middle of an insert that hangs."""
    store = ScriptedStore()
    store.open.clear()
    before = asyncio.all_tasks()
    async with running(store) as pipeline:
        await pipeline.accept(request("s1_"))
        await until(lambda: store.under_way == 1)
    assert store.under_way == 0
    assert asyncio.all_tasks() == before


async def test_the_counters_follow_the_records() -> None:
    """Received are accepted and rejected ones, stored what ClickHouse confirmed."""
    names = ("received", "stored")
    before = [sample(f"ingest_records_{name}_total", signal="traces") for name in names]
    spans = sample("ingest_spans_received_total")
    shouted = sample("ingest_records_rejected_total", signal="traces", reason="shouted")
    async with running(ScriptedStore()) as pipeline:
        await pipeline.accept(request("s1_ s2_ !", Signal.TRACES))
        await pipeline.drain(5)
    after = [sample(f"ingest_records_{name}_total", signal="traces") for name in names]
    assert [new - old for new, old in zip(after, before, strict=True)] == [3, 2]
    assert sample("ingest_spans_received_total") == spans + 2
    assert sample("ingest_records_rejected_total", signal="traces", reason="shouted") == shouted + 1


_FAILURES = st.sampled_from([None, AWAY, StoreMisconfigured("no grant", code=497), RuntimeError("a bug")])


@given(
    script=st.lists(_FAILURES, max_size=12),
    answers=st.lists(st.sampled_from([None, AWAY]), max_size=12),
    sizes=st.lists(st.integers(1, 6), min_size=1, max_size=20),
    batch_size=st.integers(1, 30),
    bad=st.sets(st.integers(0, 19), max_size=3),
)
@hypothesis_settings(max_examples=60, deadline=None)
async def test_whatever_the_store_does_each_row_is_stored_or_set_aside_once(
    tmp_path_factory: pytest.TempPathFactory,
    script: list[Exception | None],
    answers: list[Exception | None],
    sizes: list[int],
    batch_size: int,
    bad: set[int],
) -> None:
    """Any mixture of outages, lost answers, wrong setups, bugs and refused requests."""
    folder = tmp_path_factory.mktemp("spool")
    poisoned = [f"s{number}00_".encode() for number in bad]

    def refuse(block: bytes) -> Exception | None:
        return StoreRefused("bad", code=27) if any(word in words_of(block) for word in poisoned) else None

    def words_of(block: bytes) -> set[bytes]:
        return {word.encode() for word in words(block)}

    store = ScriptedStore(script=list(script), answers=list(answers), refuse=refuse)
    async with running(store, spool=folder, batch_size=batch_size) as pipeline:
        for number, size in enumerate(sizes):
            await pipeline.accept(request(" ".join(f"s{number}{place:02}_" for place in range(size))))
        assert await pipeline.drain(20) == {}
        assert held(pipeline) == 0
    expected = [f"s{n}{place:02}_" for n, size in enumerate(sizes) if n not in bad for place in range(size)]
    assert sorted(store.services()) == sorted(expected)
    assert len(list(folder.glob("quarantine/*.body"))) == len([n for n in bad if n < len(sizes)])
