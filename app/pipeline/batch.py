"""From requests to the one Native block that a batch is.

A batch is an ordered run of requests. Its block is a function of its id and of those requests alone, so that the same
batch always gives the same bytes: rows are numbered in the order received and then sorted by the table's key, as an
insert of sorted rows costs ClickHouse a third less. After encoding, only the bodies are kept beside the block: a part
of a refused batch is decoded again from them.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, repeat
from typing import Any
from uuid import UUID

from app.codec.native import encode_block, row_order
from app.model import Chunk, Signal, table_of
from app.pipeline.contract import Request

_NANO = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Entry:
    """One request of a batch, and how many rows it gave."""

    request: Request
    rows: int


@dataclass(frozen=True, slots=True)
class Part:
    """Some requests of a batch that stand next to each other; usually all of them.

    Attributes:
        batch: Id of the batch (UUIDv7), also of its parts.
        signal: Whose rows they are.
        entries: The requests, in the order received.
        first_row: Number of the first row in the whole batch.
        is_whole: Whether these are all of the batch's requests.
    """

    batch: UUID
    signal: Signal
    entries: tuple[Entry, ...]
    first_row: int = 0
    is_whole: bool = True

    @property
    def rows(self) -> int:
        """How many rows they gave."""
        return sum(entry.rows for entry in self.entries)

    @property
    def body_bytes(self) -> int:
        """Length of the bodies."""
        return sum(len(entry.request.body) for entry in self.entries)

    @property
    def token(self) -> str:
        """Deduplication token: it names exactly these rows, in every attempt and after every split."""
        if self.is_whole:
            return str(self.batch)
        return f"{self.batch}/{self.first_row}-{self.first_row + self.rows - 1}"

    def halves(self) -> tuple[Part, Part]:
        """The earlier and the later half of the requests; there must be two of them."""
        middle = len(self.entries) // 2
        earlier = Part(self.batch, self.signal, self.entries[:middle], self.first_row, is_whole=False)
        later = Part(self.batch, self.signal, self.entries[middle:], self.first_row + earlier.rows, is_whole=False)
        return earlier, later


class OpenBatch:
    """Requests and their columns that gather for the next batch.

    Attributes:
        opened_at: When the first request came in, on the lane's clock in seconds.
        rows: How many rows it has.
        held_bytes: What the budget holds for it.
    """

    def __init__(self, opened_at: float) -> None:
        self.opened_at = opened_at
        self.rows = 0
        self.held_bytes = 0
        self._entries: list[Entry] = []
        self.chunks: list[Chunk] = []

    def append(self, request: Request, chunk: Chunk, held_bytes: int) -> None:
        """Take all rows of a request."""
        self._entries.append(Entry(request, chunk.rows))
        self.chunks.append(chunk)
        self.rows += chunk.rows
        self.held_bytes += held_bytes

    def seal(self, batch: UUID, signal: Signal) -> Part:
        """The batch as it is now, under its id."""
        return Part(batch, signal, tuple(self._entries))


def new_batch_id(unix_nano: int) -> UUID:
    """A UUIDv7: 48 bits of milliseconds, then chance, so that ids sort by time and never repeat."""
    return UUID(
        int=(unix_nano // 1_000_000 & (1 << 48) - 1) << 80
        | 0x7 << 76
        | secrets.randbits(12) << 64
        | 0b10 << 62
        | secrets.randbits(62)
    )


def encode_part(part: Part, chunks: Sequence[Chunk]) -> bytes:
    """Make the Native block of a part; `chunks` are its requests decoded, in its order.

    Raises:
        ValueError: A value does not fit its column; the message names column and row.
    """
    table = table_of(part.signal)
    rows = part.rows
    columns: dict[str, Sequence[Any]] = {
        column.name: list(chain.from_iterable(chunk.columns[column.name] for chunk in chunks))
        for column in table.decoded
    }
    columns["tenant"] = list(chain.from_iterable(repeat(entry.request.tenant, entry.rows) for entry in part.entries))
    columns["ingested_at"] = list(
        chain.from_iterable(repeat(entry.request.received_unix_nano // _NANO, entry.rows) for entry in part.entries)
    )
    columns["row"] = range(part.first_row, part.first_row + rows)
    columns["batch"] = [part.batch] * rows
    return encode_block(table.stored, columns, rows, row_order(table, columns))


def first_key(signal: Signal, chunk: Chunk) -> dict[str, Any]:
    """Key columns of a request's first row, to find its sender by."""
    return {name: chunk.columns[name][0] for name in table_of(signal).key if name in chunk.columns and chunk.rows}
