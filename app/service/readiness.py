"""Whether the service can do its work now, and if not, why: the words behind `/ready` and `grpc.health.v1`."""

from __future__ import annotations

from collections.abc import Callable


class Readiness:
    """Named obstacles, and checks that are asked each time. Nothing in the way: ready. Reading it never waits."""

    def __init__(self) -> None:
        self._obstacles: dict[str, str] = {}
        self._checks: list[Callable[[], str]] = []

    @property
    def is_ready(self) -> bool:
        """True if nothing stands in the way."""
        return not self.reasons()

    def reasons(self) -> list[str]:
        """One sentence an obstacle, oldest first."""
        return [*self._obstacles.values(), *(sentence for check in self._checks if (sentence := check()))]

    def add(self, name: str, sentence: str) -> None:
        """State an obstacle, or say it in new words."""
        self._obstacles[name] = sentence

    def remove(self, name: str) -> None:
        """Take an obstacle away; nothing happens if it is not there."""
        self._obstacles.pop(name, None)

    def ask(self, check: Callable[[], str]) -> None:
        """Ask `check` from now on: it answers at once, with a sentence if it stands in the way, else with nothing."""
        self._checks.append(check)
