"""The budget never hands out more than it has, and keeps a share for every lane."""

from __future__ import annotations

import pytest
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from app.errors import BufferFull, TooLarge
from app.model import Signal
from app.pipeline.budget import Budget, Holding
from app.telemetry.metrics import REGISTRY

LIMIT = 8000  # an eighth is 1000, one lane alone may hold 6000


class Clock:
    """Seconds that pass when told to."""

    def __init__(self) -> None:
        self.seconds = 100.0

    def __call__(self) -> float:
        return self.seconds


def test_what_is_reserved_is_held_until_the_context_is_left() -> None:
    """A reservation counts while it is open and not after."""
    budget = Budget(LIMIT)
    with budget.reserve(Signal.TRACES, 1000) as holding:
        holding.grow(500)
        assert budget.held_bytes(Signal.TRACES) == 1500
    assert budget.held_bytes(Signal.TRACES) == 0


def test_leaving_twice_gives_back_once() -> None:
    """Closing a reservation again changes nothing."""
    budget = Budget(LIMIT)
    holding = budget.reserve(Signal.TRACES, 1000)
    with holding:
        pass
    with holding:
        pass
    assert budget.held_bytes(Signal.TRACES) == 0


def test_one_lane_cannot_take_the_share_of_the_others() -> None:
    """A lane that takes all it can get leaves each other lane its eighth."""
    budget = Budget(LIMIT)
    budget.reserve(Signal.TRACES, budget.lane_limit_bytes)
    with pytest.raises(BufferFull):
        budget.reserve(Signal.TRACES, 1)
    budget.reserve(Signal.METRICS, LIMIT // 8)
    budget.reserve(Signal.LOGS, LIMIT // 8)
    with pytest.raises(BufferFull):
        budget.reserve(Signal.LOGS, 1)


def test_a_share_that_is_in_use_is_not_kept_free_again() -> None:
    """Once the other lanes hold their eighths, all the rest is for whoever asks."""
    budget = Budget(LIMIT)
    budget.reserve(Signal.METRICS, 1000)
    budget.reserve(Signal.LOGS, 1000)
    budget.reserve(Signal.TRACES, 6000)
    assert sum(budget.held_bytes(signal) for signal in Signal) == LIMIT


def test_a_body_that_can_never_fit_is_too_large_not_busy() -> None:
    """Coming back later cannot help such a sender, so it is not told to."""
    budget = Budget(LIMIT)
    with pytest.raises(TooLarge, match="6001 bytes can never fit"):
        budget.reserve(Signal.TRACES, 6001)


def test_a_body_that_grows_beyond_what_can_fit_is_too_large() -> None:
    """The sum of its pieces decides."""
    budget = Budget(LIMIT)
    with budget.reserve(Signal.TRACES, 6000) as holding, pytest.raises(TooLarge):
        holding.grow(1)


def test_a_refused_piece_is_not_held() -> None:
    """`grow` takes all of it or nothing."""
    budget = Budget(LIMIT)
    budget.reserve(Signal.TRACES, 4000)
    with budget.reserve(Signal.TRACES, 1000) as holding:
        with pytest.raises(BufferFull):
            holding.grow(1001)
        assert holding.size_bytes == 1000
    assert budget.held_bytes(Signal.TRACES) == 4000


def test_an_empty_lane_keeps_the_records_of_any_one_body() -> None:
    """Records are larger than the body they came in; alone they are let through, a second body is not."""
    budget = Budget(LIMIT)
    budget.keep(Signal.TRACES, 3 * LIMIT)
    with pytest.raises(BufferFull):
        budget.keep(Signal.TRACES, 1)
    budget.release(Signal.TRACES, 3 * LIMIT)
    budget.keep(Signal.TRACES, 1)


def test_a_lane_that_is_overdrawn_leaves_the_others_their_share() -> None:
    """One oversized body in a lane does not close the doors of another."""
    budget = Budget(LIMIT)
    budget.keep(Signal.TRACES, 3 * LIMIT)
    budget.reserve(Signal.LOGS, LIMIT // 8)
    with pytest.raises(BufferFull):
        budget.reserve(Signal.LOGS, 1)


def test_a_correction_that_does_not_fit_is_refused_and_keeps_the_estimate() -> None:
    """Records that turn out larger than estimated need room like any others."""
    budget = Budget(LIMIT)
    budget.keep(Signal.TRACES, 5000)
    budget.keep(Signal.TRACES, 500)
    with pytest.raises(BufferFull):
        budget.correct(Signal.TRACES, 500, 1001)
    assert budget.held_bytes(Signal.TRACES) == 5500
    budget.correct(Signal.TRACES, 500, 1000)
    assert budget.held_bytes(Signal.TRACES) == 6000


def test_the_delay_follows_the_speed_of_storing() -> None:
    """With 1000 bytes a second leaving, 5000 missing bytes take about five seconds."""
    clock = Clock()
    budget = Budget(LIMIT, now=clock)
    for _ in range(100):
        clock.seconds += 1
        budget.keep(Signal.TRACES, 1000)
        budget.release_stored(Signal.TRACES, 1000)
    assert budget.retry_after_seconds(5000) == pytest.approx(5, rel=0.1)


def test_the_delay_counts_only_what_is_missing() -> None:
    """A refused body waits for the part that has no room."""
    clock = Clock()
    budget = Budget(LIMIT, now=clock)
    for _ in range(100):
        clock.seconds += 1
        budget.keep(Signal.TRACES, 100)
        budget.release_stored(Signal.TRACES, 100)
    budget.reserve(Signal.TRACES, 5000)
    with pytest.raises(BufferFull) as refused:
        budget.reserve(Signal.TRACES, 2000)
    assert refused.value.retry_after_seconds == pytest.approx(10, rel=0.1)


@pytest.mark.parametrize(("size_bytes", "seconds"), [(1, 1.0), (10**12, 30.0)], ids=["little", "much"])
def test_the_delay_is_between_one_and_thirty_seconds(size_bytes: int, seconds: float) -> None:
    """Neither a busy loop nor a sender that never comes back."""
    clock = Clock()
    budget = Budget(LIMIT, now=clock)
    budget.keep(Signal.TRACES, 1000)
    budget.release_stored(Signal.TRACES, 1000)
    assert budget.retry_after_seconds(size_bytes) == seconds


def test_the_delay_grows_while_nothing_is_stored() -> None:
    """A store that has stopped does not look as fast as it was."""
    clock = Clock()
    budget = Budget(LIMIT, now=clock)
    budget.keep(Signal.TRACES, 10_000)
    budget.release_stored(Signal.TRACES, 10_000)
    before = budget.retry_after_seconds(2000)
    clock.seconds += 15
    assert budget.retry_after_seconds(2000) > 2 * before


def test_the_gauge_shows_what_is_held() -> None:
    """`ingest_buffer_size` is the budget's own number."""
    budget = Budget(LIMIT)
    budget.keep(Signal.LOGS, 77)
    assert REGISTRY.get_sample_value("ingest_buffer_size", {"signal": "logs"}) == 77


class BudgetMachine(RuleBasedStateMachine):
    """Any order of calls: held is what was taken and not given back, and no more than the limit, one body aside."""

    def __init__(self) -> None:
        super().__init__()
        self.budget = Budget(LIMIT)
        self.open: list[tuple[Signal, Holding]] = []
        self.kept: list[tuple[Signal, int]] = []

    @rule(signal=st.sampled_from(Signal), size=st.integers(0, 7000))
    def reserve(self, signal: Signal, size: int) -> None:
        before = self.budget.held_bytes(signal)
        try:
            self.open.append((signal, self.budget.reserve(signal, size)))
        except (BufferFull, TooLarge):
            assert self.budget.held_bytes(signal) == before

    @rule(at=st.integers(0, 99), size=st.integers(0, 3000))
    def grow(self, at: int, size: int) -> None:
        if self.open:
            _, holding = self.open[at % len(self.open)]
            before = holding.size_bytes
            try:
                holding.grow(size)
            except (BufferFull, TooLarge):
                assert holding.size_bytes == before

    @rule(at=st.integers(0, 99))
    def leave(self, at: int) -> None:
        if self.open:
            with self.open.pop(at % len(self.open))[1]:
                pass

    @rule(signal=st.sampled_from(Signal), size=st.integers(1, 7000))
    def keep(self, signal: Signal, size: int) -> None:
        try:
            self.budget.keep(signal, size)
        except BufferFull:
            assert any(kept is signal for kept, _ in self.kept), "an empty lane takes any one body"
        else:
            self.kept.append((signal, size))

    @rule(at=st.integers(0, 99), size=st.integers(0, 7000))
    def correct(self, at: int, size: int) -> None:
        if self.kept:
            at %= len(self.kept)
            signal, held = self.kept[at]
            try:
                self.budget.correct(signal, held, size)
            except BufferFull:
                assert size > held
            else:
                self.kept[at] = (signal, size)

    @rule(at=st.integers(0, 99), is_stored=st.booleans())
    def give_back(self, at: int, is_stored: bool) -> None:
        if self.kept:
            signal, size = self.kept.pop(at % len(self.kept))
            (self.budget.release_stored if is_stored else self.budget.release)(signal, size)

    @invariant()
    def held_is_taken_minus_given_back(self) -> None:
        for signal in Signal:
            taken = sum(holding.size_bytes for s, holding in self.open if s is signal)
            taken += sum(size for s, size in self.kept if s is signal)
            assert self.budget.held_bytes(signal) == taken

    @invariant()
    def overdrawn_by_one_body_a_lane_at_most(self) -> None:
        largest = sum(max((size for s, size in self.kept if s is signal), default=0) for signal in Signal)
        assert sum(self.budget.held_bytes(signal) for signal in Signal) <= LIMIT + largest


TestBudgetMachine = BudgetMachine.TestCase
TestBudgetMachine.settings = hypothesis_settings(max_examples=60, stateful_step_count=40, deadline=None)
