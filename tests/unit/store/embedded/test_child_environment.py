"""What the engine's process gets to see of our environment."""

from __future__ import annotations

import pytest

from app.store.embedded import server


def test_nothing_of_ours_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """What somebody put there may be a secret."""
    monkeypatch.delenv("LD_LIBRARY_PATH", raising=False)
    monkeypatch.setenv("SOME_SECRET", "x")
    assert set(server._environment()) == {"PATH", "LC_ALL", "PYTHONPATH"}


def test_the_way_to_pythons_own_library_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """A Python built as a shared library may not start without it."""
    monkeypatch.setenv("LD_LIBRARY_PATH", "/opt/python/lib")
    assert server._environment()["LD_LIBRARY_PATH"] == "/opt/python/lib"
