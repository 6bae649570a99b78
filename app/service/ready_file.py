"""The file that tells a supervisor or a test where the doors are."""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

from app.errors import StartupFailed


@contextlib.contextmanager
def ready_file(path: Path | None, facts: Mapping[str, Any]) -> Generator[None]:
    """Hold a JSON file with `facts` while the context is open; it appears whole, readable by its owner only.

    Raises:
        StartupFailed: It cannot be written.
    """
    if path is None:
        yield
        return
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            json.dump(facts, file)
        draft.replace(path)
    except OSError as error:
        raise StartupFailed(f"server.ready_file: {path} cannot be written: {error.strerror}") from error
    try:
        yield
    finally:
        with contextlib.suppress(FileNotFoundError):
            path.unlink()
