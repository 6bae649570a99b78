"""Whether the service can do its work now, and if not, why: the words behind `/ready` and `grpc.health.v1`."""

from __future__ import annotations


class Readiness:
    """A set of named obstacles. No obstacle: ready. Reading it never waits."""

    def __init__(self) -> None:
        self._obstacles: dict[str, str] = {}

    @property
    def is_ready(self) -> bool:
        """True if nothing stands in the way."""
        return not self._obstacles

    def reasons(self) -> list[str]:
        """One sentence an obstacle, oldest first."""
        return list(self._obstacles.values())

    def add(self, name: str, sentence: str) -> None:
        """State an obstacle, or say it in new words."""
        self._obstacles[name] = sentence

    def remove(self, name: str) -> None:
        """Take an obstacle away; nothing happens if it is not there."""
        self._obstacles.pop(name, None)
