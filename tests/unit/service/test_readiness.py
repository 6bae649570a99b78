"""Readiness: no obstacle and no objecting check means ready."""

from __future__ import annotations

from app.service.readiness import Readiness


def test_obstacles_come_and_go_by_name() -> None:
    """The newest words of an obstacle count, and taking away what is not there is fine."""
    readiness = Readiness()
    readiness.add("a", "one")
    readiness.add("a", "two")
    assert (readiness.is_ready, readiness.reasons()) == (False, ["two"])
    readiness.remove("a")
    readiness.remove("b")
    assert (readiness.is_ready, readiness.reasons()) == (True, [])


def test_checks_are_asked_each_time() -> None:
    """A check has no memory of its own."""
    readiness = Readiness()
    answer = ["down"]
    readiness.ask(lambda: answer[0])
    assert readiness.reasons() == ["down"]
    answer[0] = ""
    assert readiness.is_ready
