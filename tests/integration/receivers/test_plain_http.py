"""What a connection may send and how long it may take before a handler hears of it, and what it cannot hold up."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator

import pytest

from app.receivers.http import OtlpHttp
from app.receivers.plain_http import MAX_HEAD_BYTES, PlainHttpProtocol
from app.settings import ServerSettings
from tests.integration.receivers.doubles import (
    CHUNKED,
    DEADLINE_SECONDS,
    HttpDoor,
    MemoryIntake,
    RawClient,
    chunk,
    head,
    post,
    serving,
)


class _Hurried(PlainHttpProtocol):
    head_seconds = 0.2


@pytest.fixture
def intake() -> MemoryIntake:
    return MemoryIntake()


@pytest.fixture
async def http(intake: MemoryIntake) -> AsyncGenerator[HttpDoor]:
    async with serving(OtlpHttp(intake, ServerSettings()), protocol=_Hurried, keep_alive_seconds=1) as door:
        yield door


async def _write_until_refused(client: RawClient, piece: bytes) -> int:
    """Write more than any buffer on the way holds; the status that ends it."""
    reply = asyncio.create_task(client.read_reply())
    try:
        for _ in range(64):
            await client.write(piece)
            if reply.done():
                break
    except ConnectionError:
        pass
    return (await reply).status


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"POST /v1/traces HTTP/1.1\r\nx: ", b"a" * MAX_HEAD_BYTES),
        (b"POST /v1/traces HTTP/1.1\r\n", b"x: y\r\n" * (MAX_HEAD_BYTES // 6)),
        (CHUNKED + chunk(b"body") + b"0\r\nx: ", b"a" * MAX_HEAD_BYTES),
        (CHUNKED + chunk(b"body") + b"0\r\n", b"x: y\r\n" * (MAX_HEAD_BYTES // 6)),
    ],
    ids=["one long header", "many headers", "one long trailer", "many trailers"],
)
async def test_a_head_and_trailers_are_bounded(http: HttpDoor, start: bytes, piece: bytes) -> None:
    async with http.connect() as client:
        await client.write(start)
        assert await _write_until_refused(client, piece) == 431


async def test_a_head_of_usual_size_in_small_pieces_is_taken(http: HttpDoor, intake: MemoryIntake) -> None:
    request = post(body=b"body", x_long="a" * 30_000)
    async with http.connect() as client:
        for start in range(0, len(request), 1_000):
            await client.write(request[start : start + 1_000])
        assert (await client.read_reply()).status == 200
    assert [each.body for each in intake.requests] == [b"body"]


async def test_bodies_on_one_connection_are_not_taken_for_a_head(http: HttpDoor, intake: MemoryIntake) -> None:
    body = bytes(MAX_HEAD_BYTES // 2)
    async with http.connect() as client:
        for _ in range(4):
            await client.write(CHUNKED + chunk(body) + chunk(b""))
            assert (await client.read_reply()).status == 200
    assert {len(each.body) for each in intake.requests} == {len(body)}


@pytest.mark.parametrize(
    "start",
    [b"", b"POST /v1/traces HT", head("POST", "/v1/traces", {"content-type": "a/b"})[:-2]],
    ids=["nothing", "half a line", "no end"],
)
async def test_a_connection_without_a_whole_head_is_closed(http: HttpDoor, start: bytes) -> None:
    async with http.connect() as client:
        if start:
            await client.write(start)
        assert await client.is_closed(within_seconds=DEADLINE_SECONDS)


async def test_a_head_that_dribbles_gains_no_time(http: HttpDoor) -> None:
    async def dribble(client: RawClient) -> None:
        await client.write(b"POST /v1/traces HTTP/1.1\r\nx: ")
        while True:
            await client.write(b"a")
            await asyncio.sleep(_Hurried.head_seconds / 10)

    async with http.connect() as client:
        dribbling = asyncio.create_task(dribble(client))
        try:
            assert await client.is_closed(within_seconds=DEADLINE_SECONDS)
        finally:
            dribbling.cancel()


async def test_a_body_may_take_longer_than_a_head(http: HttpDoor, intake: MemoryIntake) -> None:
    async with http.connect() as client:
        await client.write(post(content_length="4"))
        patience_ends = asyncio.get_running_loop().time() + 2 * _Hurried.head_seconds
        while asyncio.get_running_loop().time() < patience_ends:
            await asyncio.sleep(0.02)
        await client.write(b"body")
        assert (await client.read_reply()).status == 200
    assert [each.body for each in intake.requests] == [b"body"]
