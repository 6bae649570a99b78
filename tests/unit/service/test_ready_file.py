"""The ready file appears whole, is private, and goes with the service."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest

from app.errors import StartupFailed
from app.service.ready_file import ready_file, remove_stale

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


def test_the_file_of_a_service_that_is_gone_is_removed(tmp_path: Path) -> None:
    """Before the next one is ready, its readers must not find the old addresses."""
    path = tmp_path / "ready.json"
    path.write_text("{}")
    remove_stale(path)
    assert not path.exists()


def test_the_file_of_a_running_service_stays(tmp_path: Path) -> None:
    """A second start with the same settings fails, and must not take the first one's file along."""
    path = tmp_path / "ready.json"
    with ready_file(path, FACTS):
        remove_stale(path)
        assert json.loads(path.read_text()) == FACTS


def test_a_successors_file_outlives_its_predecessor(tmp_path: Path) -> None:
    """Who stops late removes its own file only."""
    path = tmp_path / "ready.json"
    with ready_file(path, FACTS):
        path.rename(tmp_path / "old.json")
        path.write_text("{}")
    assert path.exists()


@pytest.mark.parametrize("make", [os.mkfifo, os.mkdir], ids=["fifo", "folder"])
def test_what_is_no_regular_file_is_left_alone(tmp_path: Path, make: Callable[[Path], None]) -> None:
    """A rename onto a device would take it away from the whole machine."""
    path = tmp_path / "there"
    make(path)
    before = path.stat()
    with pytest.raises(StartupFailed, match=r"server\.ready_file.*not a regular file"):
        remove_stale(path)
    with pytest.raises(StartupFailed, match=r"server\.ready_file.*not a regular file"), ready_file(path, FACTS):
        pass
    assert os.path.samestat(path.stat(), before)
    assert [each.name for each in tmp_path.iterdir()] == ["there"]


@pytest.mark.parametrize("path", ["", ".", "..", "a\0b"])
def test_a_path_that_names_no_file_is_refused(path: str) -> None:
    """With the key in the sentence, and before anything else is open."""
    with pytest.raises(StartupFailed, match=r"server\.ready_file"):
        remove_stale(Path(path))


def test_a_file_that_cannot_be_removed_does_not_hold_up_the_stop(tmp_path: Path) -> None:
    """Its folder may be gone."""
    path = tmp_path / "run" / "ready.json"
    with ready_file(path, FACTS):
        path.unlink()
        path.parent.rmdir()
        path.parent.write_text("in the way")


def test_without_a_path_nothing_happens(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default."""
    monkeypatch.chdir(tmp_path)
    remove_stale(None)
    with ready_file(None, FACTS):
        assert list(tmp_path.iterdir()) == []
