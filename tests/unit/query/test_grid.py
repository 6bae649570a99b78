"""A window in steps: as many as fit, never too many, round if nobody chose."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.errors import InvalidQuery
from app.query.grid import MOST_STEPS, Grid, grid_of
from app.query.window import HOUR_NS, LAST_UNIX_NANO, SECOND_NS, Window

DAY_NS = 24 * HOUR_NS


@pytest.mark.parametrize(
    ("length_ns", "step_ns"),
    [
        (0, SECOND_NS),
        (SECOND_NS, SECOND_NS),
        (300 * SECOND_NS, SECOND_NS),
        (301 * SECOND_NS, 2 * SECOND_NS),
        (HOUR_NS, 15 * SECOND_NS),
        (DAY_NS, 5 * 60 * SECOND_NS),
        (30 * DAY_NS, 3 * HOUR_NS),
        (365 * DAY_NS, 2 * DAY_NS),
    ],
)
def test_a_step_that_nobody_chose_is_round(length_ns: int, step_ns: int) -> None:
    """The shortest round one that gives at most 300 of them."""
    grid = grid_of(Window(7, 7 + length_ns), None)
    assert grid.step_ns == step_ns
    assert 1 <= grid.steps <= 300


@given(st.integers(0, LAST_UNIX_NANO), st.integers(0, LAST_UNIX_NANO))
def test_there_are_never_too_many_steps(one: int, other: int) -> None:
    """Whatever the window, up to all time."""
    grid = grid_of(Window(min(one, other), max(one, other)), None)
    assert 1 <= grid.steps <= 300


@given(st.integers(1, 10**12), st.integers(0, 10**12), st.integers(0, 10**12))
def test_every_instant_of_the_window_has_one_step(step_ns: int, start: int, length: int) -> None:
    """The first begins with the window, the last ends it."""
    grid = Grid(Window(start, start + length), step_ns)
    assert grid.time(0) == start
    assert grid.time(grid.steps - 1) <= start + length <= grid.time(grid.steps)


def test_a_chosen_step_is_taken() -> None:
    """As a duration or nanoseconds."""
    window = Window(0, HOUR_NS)
    assert grid_of(window, "1m30s").step_ns == 90 * SECOND_NS
    assert grid_of(window, str(HOUR_NS)).steps == 1
    assert grid_of(window, "9h").steps == 1


@pytest.mark.parametrize("step", ["0", "0s", "", "-1s", "1 s", "soon"])
def test_a_step_that_is_none_is_refused(step: str) -> None:
    """P6."""
    with pytest.raises(InvalidQuery) as caught:
        grid_of(Window(0, HOUR_NS), step)
    assert caught.value.field == "step"


def test_the_bound_of_steps_is_named() -> None:
    """The bound itself is allowed."""
    assert grid_of(Window(0, MOST_STEPS * 1000), "1000").steps == MOST_STEPS
    with pytest.raises(InvalidQuery, match="11001 steps, more than 11000"):
        grid_of(Window(0, MOST_STEPS * 1000 + 1), "1000")
