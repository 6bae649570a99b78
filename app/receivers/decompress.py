"""Bodies as sent to bodies as meant, bounded on both sides.

The codecs' own limits on output are of little use: isal copies the whole rest of its input on every limited call, and
zstandard's reader with a limit cannot tell a whole frame from a truncated one. So the input is fed in slices so
short that, at the format's highest possible expansion, a slice gives at most `MAX_PIECE_BYTES`; the sum is looked at
after each.
"""

from __future__ import annotations

import asyncio
import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Protocol, cast

import zstandard
from isal import isal_zlib

from app.errors import TooLarge, Undecodable, UnsupportedEncoding

MAX_PIECE_BYTES = 16 << 20
MAX_STREAMS = 4_096
"""Members of a gzip or frames of a zstd body: each costs a set-up, however short it is."""

ZSTD_MAX_WINDOW_BYTES = 8 << 20
"""What RFC 9659 allows a sender of HTTP content."""

# Deflate: a symbol of 2 bits repeats 258 bytes. Zstandard: a block of 4 bytes repeats one byte 128 KiB times.
_DEFLATE_SLICE_BYTES = MAX_PIECE_BYTES // 1_032
_ZSTD_SLICE_BYTES = MAX_PIECE_BYTES // 32_768

_ZSTD_HEADER_BYTES = 18

# isal's stubs declare its error as an instance.
_CORRUPT = (cast("type[Exception]", isal_zlib.error), zstandard.ZstdError)

_INLINE_BYTES = 64 << 10
_BURST_BYTES = 1 << 20


class ContentEncoding(StrEnum):
    """How a body is compressed."""

    IDENTITY = "identity"
    GZIP = "gzip"
    ZSTD = "zstd"
    DEFLATE = "deflate"


_ALIASES = {"x-gzip": "gzip", "zlib": "deflate"}
_TAKEN = ", ".join(ContentEncoding)


def content_encoding(header: str) -> ContentEncoding:
    """Read a Content-Encoding header; empty means identity.

    Raises:
        UnsupportedEncoding: An unknown word, or several compressions on top of each other.
    """
    words = [word.strip().lower() for word in header.split(",")]
    named = [_ALIASES.get(word, word) for word in words if word and word != ContentEncoding.IDENTITY]
    if not named:
        return ContentEncoding.IDENTITY
    if len(named) > 1:
        raise UnsupportedEncoding(f"Content-Encoding names {len(named)} compressions; one is taken: {_TAKEN}")
    try:
        return ContentEncoding(named[0])
    except ValueError as error:
        raise UnsupportedEncoding(f"Content-Encoding {named[0][:64]!r} is not taken; taken are {_TAKEN}") from error


class _Stream(Protocol):
    @property
    def eof(self) -> bool: ...
    @property
    def unused_data(self) -> bytes: ...
    def decompress(self, data: memoryview, /) -> bytes: ...


@dataclass(frozen=True, slots=True)
class _Codec:
    """One format.

    Attributes:
        open: Makes the decompressor of the stream that begins with these bytes.
        slice_bytes: Longest input that cannot expand beyond `MAX_PIECE_BYTES`.
        max_streams: How many streams may follow each other in one body.
    """

    open: Callable[[memoryview], _Stream]
    slice_bytes: int
    max_streams: int


class _ZstdFrame:
    """One frame, on a context that is used again if the frame ends well.

    A context with its window is large enough for the allocator to hand it back to the kernel each time: the page faults
    of a new one cost 500 us a body of 266 KB, twice what its decompression does.
    """

    __slots__ = ("_context", "_stream")

    def __init__(self) -> None:
        try:
            self._context = _idle_contexts.pop()
        except IndexError:
            self._context = zstandard.ZstdDecompressor(max_window_size=ZSTD_MAX_WINDOW_BYTES)
        self._stream = self._context.decompressobj()

    @property
    def eof(self) -> bool:
        return self._stream.eof

    @property
    def unused_data(self) -> bytes:
        return self._stream.unused_data

    def decompress(self, data: memoryview, /) -> bytes:
        out = self._stream.decompress(data)
        # From here on nothing touches the context: a finished stream only remembers.
        if self._stream.eof and len(_idle_contexts) < _MAX_IDLE_CONTEXTS:
            _idle_contexts.append(self._context)
        return out


_MAX_IDLE_CONTEXTS = 4
_idle_contexts: list[zstandard.ZstdDecompressor] = []  # pop and append are atomic, which the threads rely on


def _open_gzip(start: memoryview) -> _Stream:  # noqa: ARG001 - the shape of _Codec.open
    return isal_zlib.decompressobj(wbits=16 + zlib.MAX_WBITS)


def _open_deflate(start: memoryview) -> _Stream:
    """HTTP's deflate is the zlib format; some clients send it without wrapper, which its two checked bytes reveal."""
    has_wrapper = len(start) >= 2 and start[0] & 0x0F == zlib.DEFLATED and (start[0] << 8 | start[1]) % 31 == 0
    return isal_zlib.decompressobj(wbits=zlib.MAX_WBITS if has_wrapper else -zlib.MAX_WBITS)


def _open_zstd(start: memoryview) -> _Stream:
    window_bytes = zstandard.get_frame_parameters(start[:_ZSTD_HEADER_BYTES]).window_size
    if window_bytes > ZSTD_MAX_WINDOW_BYTES:
        raise TooLarge(f"the zstd window is {window_bytes} bytes; the limit is {ZSTD_MAX_WINDOW_BYTES} (RFC 9659)")
    return _ZstdFrame()


_CODECS = {
    ContentEncoding.GZIP: _Codec(_open_gzip, _DEFLATE_SLICE_BYTES, MAX_STREAMS),
    ContentEncoding.DEFLATE: _Codec(_open_deflate, _DEFLATE_SLICE_BYTES, 1),
    ContentEncoding.ZSTD: _Codec(_open_zstd, _ZSTD_SLICE_BYTES, MAX_STREAMS),
}


def inflate(encoding: ContentEncoding, body: bytes, limit_bytes: int) -> Iterator[bytes]:
    """Give the decompressed body in pieces of at most `MAX_PIECE_BYTES`, stopping once they exceed the limit.

    Raises:
        TooLarge: More than `limit_bytes` come out, or the zstd window is over its limit.
        Undecodable: Corrupt, truncated, or followed by something else.
    """
    codec = _CODECS[encoding]
    rest = memoryview(body)
    total = 0
    for _ in range(codec.max_streams):
        stream = _open(encoding, codec, rest)
        while not stream.eof:
            if not rest:
                raise Undecodable(f"the {encoding.value} body is truncated after {len(body)} bytes")
            piece = rest[: codec.slice_bytes]
            try:
                out = stream.decompress(piece)
            except _CORRUPT as error:
                raise Undecodable(f"the {encoding.value} body is corrupt: {error}") from error
            rest = rest[len(piece) - len(stream.unused_data) :]
            total += len(out)
            if total > limit_bytes:
                raise _over(limit_bytes)
            if out:
                yield out
        if not rest:
            return
    raise Undecodable(f"the {encoding.value} body goes on after {codec.max_streams} compressed stream(s)")


def _open(encoding: ContentEncoding, codec: _Codec, rest: memoryview) -> _Stream:
    try:
        return codec.open(rest)
    except zstandard.ZstdError as error:
        raise Undecodable(f"the {encoding.value} body is corrupt: {error}") from error


def _over(limit_bytes: int) -> TooLarge:
    return TooLarge(
        f"the body is larger than {limit_bytes} bytes after decompression, the limit server.max_decompressed_bytes"
    )


async def decompress(encoding: ContentEncoding, body: bytes, limit_bytes: int, hold: Callable[[int], None]) -> bytes:
    """Decompress a body: a small one here and now, a large or expanding one in a thread.

    Args:
        encoding: How it is compressed.
        body: As sent.
        limit_bytes: Largest size after decompression.
        hold: Called on the event loop with the size of what came out, in steps; may refuse by raising.

    Raises:
        TooLarge: More than `limit_bytes` come out, or the zstd window is over its limit.
        Undecodable: Corrupt, truncated, or followed by something else.
    """
    if encoding is ContentEncoding.IDENTITY:
        if len(body) > limit_bytes:
            raise _over(limit_bytes)
        return body
    pieces = inflate(encoding, body, limit_bytes)
    is_inline = len(body) <= _INLINE_BYTES
    burst = _burst(pieces) if is_inline else await asyncio.to_thread(_burst, pieces)
    hold(len(burst))
    if len(burst) < _BURST_BYTES:
        return burst
    out = io.BytesIO()
    while burst:
        out.write(burst)
        burst = await asyncio.to_thread(_burst, pieces)
        hold(len(burst))
    return out.getvalue()


def _burst(pieces: Iterator[bytes]) -> bytes:
    """Take pieces until they are at least `_BURST_BYTES`; fewer only at the end."""
    taken = []
    size_bytes = 0
    for piece in pieces:
        taken.append(piece)
        size_bytes += len(piece)
        if size_bytes >= _BURST_BYTES:
            break
    return taken[0] if len(taken) == 1 else b"".join(taken)
