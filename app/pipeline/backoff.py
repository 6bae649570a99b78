"""How long a batch waits before it is sent again."""

from __future__ import annotations

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Backoff:
    """Waits that double from `first_seconds` to `most_seconds`, each drawn anew between nothing and its bound.

    The full spread keeps several instances from coming back in step after an outage.

    Attributes:
        first_seconds: Bound of the wait after the first attempt that failed.
        most_seconds: Bound of every later one.
        alarm_seconds: The fixed wait when somebody must repair the setup first.
    """

    first_seconds: float = 0.1
    most_seconds: float = 10.0
    alarm_seconds: float = 30.0

    def bound_seconds(self, failures: int) -> float:
        """The longest wait after so many attempts in a row that failed, from 1."""
        doublings = min(failures - 1, 32)  # beyond, only the float grows
        return min(self.most_seconds, self.first_seconds * 2.0**doublings)

    def wait_seconds(self, failures: int) -> float:
        """The wait after so many attempts in a row that failed, from 1."""
        return random.uniform(0, self.bound_seconds(failures))  # noqa: S311 - it spreads, it hides nothing
