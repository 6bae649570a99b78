"""Where requests go that ClickHouse refuses for their data: a folder, a file a request, and a note beside it.

`<batch>-<first row>.body` is the body as it was received and decompressed, so it can be posted again by hand;
`<batch>-<first row>.json` says whose it is and why it lies there. The folder is bounded; when it is full or cannot be
written, the request stays where it was and its lane waits: nothing that was accepted is thrown away.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path
from typing import Any

import orjson

from app.pipeline.batch import Part


class Quarantine:
    """A bounded folder; its methods block and belong in a thread.

    Attributes:
        folder: Where; made when it is first needed.
        max_bytes: What the bodies in it may take together.
    """

    def __init__(self, folder: Path, max_bytes: int) -> None:
        self.folder = folder
        self.max_bytes = max_bytes

    def put(self, part: Part, reason: str, first_key: dict[str, Any]) -> Path:
        """Write the one request of a part durably; putting it twice changes nothing.

        Returns:
            The note's path.

        Raises:
            OSError: The folder is full or cannot be written.
        """
        (entry,) = part.entries
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        request = entry.request
        stem = f"{part.batch}-{part.first_row}"
        held = sum(file.stat().st_size for file in self.folder.glob("*.body") if file.stem != stem)
        if held + len(request.body) > self.max_bytes:
            raise OSError(
                errno.ENOSPC, f"{self.folder} holds {held} bytes; with {len(request.body)} more it would pass its bound"
            )
        note = {
            "signal": part.signal,
            "tenant": request.tenant,
            "content_type": request.encoding,
            "received_unix_nano": request.received_unix_nano,
            "rows": entry.rows,
            "batch": str(part.batch),
            "first_row": part.first_row,
            "reason": reason,
            "first_key": {name: _text(value) for name, value in first_key.items()},
        }
        self._write(f"{stem}.body", request.body)
        return self._write(f"{stem}.json", orjson.dumps(note, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))

    def _write(self, name: str, content: bytes) -> Path:
        path = self.folder / name
        unfinished = path.with_name(f".{name}")
        with unfinished.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
        folder = os.open(self.folder, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
        return path


def _text(value: Any) -> str:
    return value.hex() if isinstance(value, bytes) else str(value)
