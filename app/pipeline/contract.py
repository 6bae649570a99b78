"""What the telemetry doors may ask of the pipeline: room first, then the decision about a body."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol, Self

from app.access import TenantId
from app.codec.contract import Encoding
from app.model import Rejections, Signal


@dataclass(frozen=True, slots=True)
class Request:
    """One authenticated, decompressed request body.

    Attributes:
        tenant: Whose records they are.
        signal: Which kind.
        encoding: How the body is written.
        body: The bytes after decompression.
        received_unix_nano: When the request came in.
    """

    tenant: TenantId
    signal: Signal
    encoding: Encoding
    body: bytes
    received_unix_nano: int


@dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a body.

    Attributes:
        records: How many were accepted.
        rejections: How many were left out, why, with an example each.
    """

    records: int
    rejections: Rejections


class Reservation(Protocol):
    """Memory held for a body while it is read; leaving the context gives it back."""

    def grow(self, size_bytes: int) -> None:
        """Hold `size_bytes` more.

        Raises:
            BufferFull: There is no room; what is held stays held until the context is left.
            TooLarge: The whole body could never fit.
        """

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...


class Intake(Protocol):
    """The entrance of the write path."""

    def admit(self, signal: Signal, size_bytes: int) -> Reservation:
        """Hold room for a body before it is read.

        Args:
            signal: Which lane it is for.
            size_bytes: Its Content-Length, or 0 if unknown: the holder grows it piece by piece.

        Raises:
            BufferFull: No room now.
            TooLarge: There never will be.
            Draining: The service is stopping.
            NotReady: The store is away.
        """

    async def accept(self, request: Request) -> Accepted:
        """Decode a body and take charge of its records. When it returns, the sender may be told success.

        Raises:
            Undecodable: The body is not OTLP.
            TooLarge: It holds more records than one request may.
            BufferFull: No room for its records; nothing was taken.
            Draining: The service is stopping; nothing was taken.
        """
