"""The file that tells a supervisor or a test where the doors are.

Its owner holds a lock (flock) on it for as long as it is true. A service that was killed could not remove its own; the
kernel has let go of the lock then, by which the next one knows that nobody stands behind the file.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from app.errors import StartupFailed


def remove_stale(path: Path | None) -> None:
    """Remove the file of a service that is gone, so that nobody reads old addresses while this one starts.

    Raises:
        StartupFailed: This is no place for a file; better said before everything else is open.
    """
    if path is None:
        return
    with _sentence(path):
        _check(path)
        with contextlib.suppress(FileNotFoundError):
            descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                path.unlink()
            except BlockingIOError:
                return  # a running service's
            finally:
                os.close(descriptor)


@contextlib.contextmanager
def ready_file(path: Path | None, facts: Mapping[str, Any]) -> Generator[None]:
    """Hold a JSON file with `facts` while the context is open; it appears whole, readable by its owner only.

    Raises:
        StartupFailed: It cannot be written.
    """
    if path is None:
        yield
        return
    descriptor = _write(path, facts)
    try:
        yield
    finally:
        # Whoever took the place since then, or made it impossible to remove it, does not hold up the stop.
        with contextlib.suppress(OSError):
            if os.path.samestat(path.stat(), os.fstat(descriptor)):
                path.unlink()
        os.close(descriptor)


def _write(path: Path, facts: Mapping[str, Any]) -> int:
    """Write the file; the descriptor that holds its lock."""
    with _sentence(path):
        _check(path)
        draft = path.with_name(f".{path.name}.{os.getpid()}")
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.unlink(missing_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            with os.fdopen(descriptor, "w", encoding="utf-8", closefd=False) as file:
                json.dump(facts, file)
            draft.replace(path)
        except BaseException:
            os.close(descriptor)
            draft.unlink(missing_ok=True)
            raise
        return descriptor


def _check(path: Path) -> None:
    """A rename onto a device would take it away from the whole machine."""
    if path.name in ("", ".."):
        raise StartupFailed(f"server.ready_file: {str(path)!r} names no file")
    with contextlib.suppress(FileNotFoundError):
        if not stat.S_ISREG(path.stat().st_mode):
            raise StartupFailed(f"server.ready_file: {path} is there and is not a regular file")


@contextlib.contextmanager
def _sentence(path: Path) -> Generator[None]:
    try:
        yield
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise StartupFailed(f"server.ready_file: {path} cannot be written: {reason}") from error
