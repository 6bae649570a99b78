"""The ready file appears whole, is private, and goes with the service."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from app.errors import StartupFailed
from app.service.ready_file import ready_file

FACTS = {"pid": 1, "clickhouse": {"password": "s"}}


def test_it_is_whole_and_private_while_open_and_gone_after(tmp_path: Path) -> None:
    """Mode 0600, JSON, no draft left beside it."""
    path = tmp_path / "run" / "ready.json"
    with ready_file(path, FACTS):
        assert json.loads(path.read_text()) == FACTS
        assert path.stat().st_mode & 0o777 == 0o600
        assert [each.name for each in path.parent.iterdir()] == ["ready.json"]
    assert not path.exists()


def test_a_stale_file_is_replaced(tmp_path: Path) -> None:
    """A service that was killed leaves its file behind, maybe readable by others."""
    path = tmp_path / "ready.json"
    path.write_text("{}")
    path.chmod(0o644)
    with ready_file(path, FACTS):
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_place_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The sentence holds the key and the path."""
    (tmp_path / "file").write_text("")
    with pytest.raises(StartupFailed, match=r"server\.ready_file.*file"), ready_file(tmp_path / "file" / "x", FACTS):
        pass


def test_without_a_path_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default."""
    monkeypatch.chdir(tmp_path)
    with ready_file(None, FACTS):
        assert list(tmp_path.iterdir()) == []
