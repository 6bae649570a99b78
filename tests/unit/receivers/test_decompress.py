"""A body comes out as it went in, or is refused by name, and never takes more memory than its limit and one piece."""

from __future__ import annotations

import gzip
import os
import struct
import tracemalloc
import zlib
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from app.errors import BufferFull, TooLarge, Undecodable, UnsupportedEncoding
from app.receivers.decompress import (
    MAX_PIECE_BYTES,
    MAX_STREAMS,
    ZSTD_MAX_WINDOW_BYTES,
    ContentEncoding,
    content_encoding,
    decompress,
    inflate,
)

LIMIT_BYTES = 64 << 20


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


def zstd_without_size(data: bytes) -> bytes:
    stream = zstandard.ZstdCompressor().compressobj()
    return stream.compress(data) + stream.flush()


COMPRESSORS: list[tuple[ContentEncoding, Callable[[bytes], bytes]]] = [
    (ContentEncoding.GZIP, gzip.compress),
    (ContentEncoding.DEFLATE, zlib.compress),
    (ContentEncoding.DEFLATE, raw_deflate),
    (ContentEncoding.ZSTD, zstandard.compress),
    (ContentEncoding.ZSTD, zstd_without_size),
]
IDS = ["gzip", "zlib", "raw deflate", "zstd", "zstd of unknown size"]
every_format = pytest.mark.parametrize(("encoding", "compress"), COMPRESSORS, ids=IDS)


def whole(encoding: ContentEncoding, body: bytes, limit_bytes: int = LIMIT_BYTES) -> bytes:
    return b"".join(inflate(encoding, body, limit_bytes))


@every_format
@given(data=st.binary(max_size=5000))
def test_what_was_compressed_comes_back(
    encoding: ContentEncoding, compress: Callable[[bytes], bytes], data: bytes
) -> None:
    assert whole(encoding, compress(data)) == data


@every_format
@pytest.mark.parametrize("size_bytes", [16_256, 16_257, 200_000, 3_000_000])
def test_bodies_longer_than_a_slice_come_back(
    encoding: ContentEncoding, compress: Callable[[bytes], bytes], size_bytes: int
) -> None:
    data = os.urandom(size_bytes)
    assert whole(encoding, compress(data)) == data


@every_format
@given(cut=st.floats(min_value=0, max_value=1, exclude_max=True))
def test_a_truncated_body_is_undecodable(
    encoding: ContentEncoding, compress: Callable[[bytes], bytes], cut: float
) -> None:
    body = compress(os.urandom(1000) + bytes(1000))
    with pytest.raises(Undecodable):
        whole(encoding, body[: int(len(body) * cut)])


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        (ContentEncoding.GZIP, gzip.compress(b"a" * 100)[:-8] + bytes(8)),
        (ContentEncoding.GZIP, b"this is no gzip body at all"),
        (ContentEncoding.DEFLATE, zlib.compress(b"a" * 100)[:-4] + bytes(4)),
        (ContentEncoding.DEFLATE, b"\xff" * 40),
        (ContentEncoding.ZSTD, zstandard.compress(b"a" * 100)[:8] + b"\xff" * 20),
        (ContentEncoding.ZSTD, b"this is no zstd body at all"),
    ],
    ids=["gzip checksum", "no gzip", "zlib checksum", "no deflate", "zstd block", "no zstd"],
)
def test_a_corrupt_body_is_undecodable(encoding: ContentEncoding, body: bytes) -> None:
    with pytest.raises(Undecodable):
        whole(encoding, body)


@every_format
def test_garbage_after_the_end_is_undecodable(encoding: ContentEncoding, compress: Callable[[bytes], bytes]) -> None:
    with pytest.raises(Undecodable):
        whole(encoding, compress(b"data") + b"trailing garbage")


@pytest.mark.parametrize(
    ("encoding", "compress"),
    [COMPRESSORS[0], COMPRESSORS[3], COMPRESSORS[4]],
    ids=["gzip", "zstd", "zstd of unknown size"],
)
def test_streams_after_each_other_are_one_body(encoding: ContentEncoding, compress: Callable[[bytes], bytes]) -> None:
    parts = [b"", b"one", b"two" * 20_000, b"", b"three"]
    assert whole(encoding, b"".join(map(compress, parts))) == b"".join(parts)


def test_a_skippable_zstd_frame_adds_nothing() -> None:
    skippable = b"\x50\x2a\x4d\x18" + struct.pack("<I", 3) + b"abc"
    assert whole(ContentEncoding.ZSTD, skippable + zstandard.compress(b"data")) == b"data"


def test_bodies_decompressed_at_once_do_not_mix() -> None:
    bodies = [os.urandom(20_000) for _ in range(50)]
    compressed = [zstandard.compress(body[:9_000]) + zstandard.compress(body[9_000:]) for body in bodies]
    with ThreadPoolExecutor(8) as threads:
        assert list(threads.map(lambda body: whole(ContentEncoding.ZSTD, body), compressed)) == bodies


def test_a_body_abandoned_in_mid_frame_does_no_harm_to_the_next() -> None:
    data = os.urandom(100_000)
    body = zstandard.compress(data)
    for damaged in (body[:50_000], body[:60_000] + bytes(1000)):
        with pytest.raises(Undecodable):
            whole(ContentEncoding.ZSTD, damaged)
    abandoned = inflate(ContentEncoding.ZSTD, zstandard.compress(bytes(50 << 20)), LIMIT_BYTES)
    next(abandoned)
    assert whole(ContentEncoding.ZSTD, body) == data


@pytest.mark.parametrize(
    ("encoding", "empty"),
    [(ContentEncoding.GZIP, gzip.compress(b"")), (ContentEncoding.ZSTD, zstandard.compress(b""))],
    ids=["gzip", "zstd"],
)
def test_the_number_of_streams_is_bounded(encoding: ContentEncoding, empty: bytes) -> None:
    assert whole(encoding, empty * MAX_STREAMS) == b""
    with pytest.raises(Undecodable, match=str(MAX_STREAMS)):
        whole(encoding, empty * (MAX_STREAMS + 1))


@every_format
def test_the_limit_is_exact(encoding: ContentEncoding, compress: Callable[[bytes], bytes]) -> None:
    body = compress(b"x" * 100_000)
    assert len(whole(encoding, body, 100_000)) == 100_000
    with pytest.raises(TooLarge, match=r"99999 bytes after decompression.*max_decompressed_bytes"):
        whole(encoding, body, 99_999)


def rle_bomb() -> bytes:
    """Zstandard at its highest expansion: blocks of 4 bytes that stand for 128 KiB each."""
    block = struct.pack("<I", (131_072 << 3) | (1 << 1))[:3] + b"A"
    end = struct.pack("<I", 1)[:3]
    return b"\x28\xb5\x2f\xfd\x00\x58" + block * 8192 + end  # 1 GiB from 32 KiB


@pytest.mark.parametrize(
    ("encoding", "make"),
    [
        (ContentEncoding.GZIP, lambda: gzip.compress(bytes(128 << 20), 1)),
        (ContentEncoding.DEFLATE, lambda: zlib.compress(bytes(128 << 20), 9)),
        (ContentEncoding.ZSTD, lambda: zstandard.compress(bytes(128 << 20))),
        (ContentEncoding.ZSTD, rle_bomb),
    ],
    ids=["gzip", "deflate", "zstd", "zstd of repeated bytes"],
)
async def test_a_bomb_costs_little_memory(encoding: ContentEncoding, make: Callable[[], bytes]) -> None:
    limit_bytes = 4 << 20
    body = make()
    tracemalloc.start()
    try:
        with pytest.raises(TooLarge):
            await decompress(encoding, body, limit_bytes, lambda size: None)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    # The library joins what one slice gave from blocks of its own, so a piece is there twice for a moment.
    assert peak_bytes < 2 * limit_bytes + 2 * MAX_PIECE_BYTES + (1 << 20)


@pytest.mark.parametrize(
    ("encoding", "make"),
    [(ContentEncoding.GZIP, lambda: gzip.compress(bytes(64 << 20), 9)), (ContentEncoding.ZSTD, rle_bomb)],
    ids=["deflate", "zstd"],
)
def test_no_piece_is_larger_than_promised(encoding: ContentEncoding, make: Callable[[], bytes]) -> None:
    largest = max(len(piece) for piece in inflate(encoding, make(), 2 << 30))
    assert (1 << 20) < largest <= MAX_PIECE_BYTES


def test_a_zstd_window_above_the_limit_is_too_large() -> None:
    settings = zstandard.ZstdCompressionParameters(window_log=24)
    stream = zstandard.ZstdCompressor(compression_params=settings).compressobj()
    body = stream.compress(b"x" * 1000) + stream.flush()
    with pytest.raises(TooLarge, match=str(ZSTD_MAX_WINDOW_BYTES)):
        whole(ContentEncoding.ZSTD, body)


async def test_an_identity_body_is_held_to_the_same_limit() -> None:
    assert await decompress(ContentEncoding.IDENTITY, b"12345", 5, lambda size: None) == b"12345"
    with pytest.raises(TooLarge):
        await decompress(ContentEncoding.IDENTITY, b"123456", 5, lambda size: None)


async def test_what_comes_out_is_held_piece_by_piece() -> None:
    held: list[int] = []
    data = os.urandom(5 << 20)
    assert await decompress(ContentEncoding.GZIP, gzip.compress(data), LIMIT_BYTES, held.append) == data
    assert sum(held) == len(data)
    assert max(held) < 2 << 20


async def test_a_refusal_to_hold_ends_the_work() -> None:
    def refuse(size_bytes: int) -> None:
        raise BufferFull("no room")

    with pytest.raises(BufferFull):
        await decompress(ContentEncoding.GZIP, gzip.compress(bytes(8 << 20)), LIMIT_BYTES, refuse)


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", ContentEncoding.IDENTITY),
        ("identity", ContentEncoding.IDENTITY),
        ("gzip", ContentEncoding.GZIP),
        (" GZip ", ContentEncoding.GZIP),
        ("x-gzip", ContentEncoding.GZIP),
        ("identity, gzip", ContentEncoding.GZIP),
        ("zstd", ContentEncoding.ZSTD),
        ("deflate", ContentEncoding.DEFLATE),
        ("zlib", ContentEncoding.DEFLATE),
    ],
)
def test_an_encoding_is_known_by_its_names(header: str, expected: ContentEncoding) -> None:
    assert content_encoding(header) is expected


@pytest.mark.parametrize("header", ["br", "snappy", "gzip, gzip", "gzip, zstd", "gzip;q=1", "x" * 5000])
def test_another_encoding_is_refused_with_the_ones_that_are_taken(header: str) -> None:
    with pytest.raises(UnsupportedEncoding, match="identity, gzip, zstd, deflate") as caught:
        content_encoding(header)
    assert len(str(caught.value)) < 300
