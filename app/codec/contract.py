"""What every decoder takes and gives. Decoders are pure functions: bytes in, columns or a refusal out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol

from app.model import Chunk, Signal
from app.settings import LimitSettings


class Encoding(StrEnum):
    """How an OTLP body is written; the value is its content type."""

    PROTOBUF = "application/x-protobuf"
    JSON = "application/json"


@dataclass(frozen=True, slots=True)
class Bounds:
    """What a decoder needs to know besides the body; with the body it determines the rows.

    Attributes:
        limits: Bounds of one record.
        received_unix_nano: When the request came in; the last resort for the time of a log record.
        oldest_unix_nano: Records before it are rejected as `too_old`.
        newest_unix_nano: Records after it are rejected as `too_new`.
    """

    limits: LimitSettings
    received_unix_nano: int
    oldest_unix_nano: int
    newest_unix_nano: int


class Decoder(Protocol):
    """From one request body to columns."""

    def decode(self, signal: Signal, encoding: Encoding, body: bytes, bounds: Bounds) -> Chunk:
        """Decode a whole body: bad bytes refuse it, bad records are left out by name.

        Raises:
            Undecodable: The body is not OTLP of this encoding, or nests deeper than `limits.max_depth`.
            TooLarge: It holds more than `limits.max_records`, or would take more memory than
                `limits.max_decoded_bytes`.
        """
