"""The steps of a series: a window cut into equal spans of time, the first of which begins where the window does.

A point belongs to the step that it lies in, beginnings included; one at the very end of the window to the last step.
The last step may be shorter than the others.
"""

from __future__ import annotations

from dataclasses import dataclass

from app.errors import InvalidQuery
from app.query.durations import parse_duration
from app.query.window import HOUR_NS, SECOND_NS, Window

MOST_STEPS = 11_000
"""Steps of one series, as in Prometheus."""

_USUAL_STEPS = 300
_MINUTE_NS = 60 * SECOND_NS
_DAY_NS = 24 * HOUR_NS
_ROUND_NS = (
    *(seconds * SECOND_NS for seconds in (1, 2, 5, 10, 15, 20, 30)),
    *(minutes * _MINUTE_NS for minutes in (1, 2, 5, 10, 15, 20, 30)),
    *(hours * HOUR_NS for hours in (1, 2, 3, 6, 12)),
)
_LONGEST_NS = 2**63 - 1


@dataclass(frozen=True, slots=True)
class Grid:
    """A window in steps.

    Attributes:
        window: The time range.
        step_ns: Length of a step in nanoseconds.
    """

    window: Window
    step_ns: int

    @property
    def steps(self) -> int:
        """How many there are, at least 1."""
        return max(1, -(-(self.window.end_unix_nano - self.window.start_unix_nano) // self.step_ns))

    def time(self, slot: int) -> int:
        """When a step begins, in nanoseconds since 1970."""
        return self.window.start_unix_nano + slot * self.step_ns


def grid_of(window: Window, step: str | None) -> Grid:
    """Cut a window into steps of this length; None: a round length that gives at most 300 of them.

    Raises:
        InvalidQuery: `step` is no duration, is 0, or gives more than 11,000 steps.
    """
    if step is None:
        least = -(-(window.end_unix_nano - window.start_unix_nano) // _USUAL_STEPS)
        whole_days = -(-least // _DAY_NS) * _DAY_NS
        return Grid(window, next((length for length in _ROUND_NS if length >= least), whole_days))
    step_ns = min(parse_duration(step, "step"), _LONGEST_NS)
    if step_ns == 0:
        raise InvalidQuery(f"step = {step[:80]!r} is nothing", field="step")
    grid = Grid(window, step_ns)
    if grid.steps > MOST_STEPS:
        raise InvalidQuery(
            f"step = {step[:80]!r} cuts the window into {grid.steps} steps, more than {MOST_STEPS}", field="step"
        )
    return grid
