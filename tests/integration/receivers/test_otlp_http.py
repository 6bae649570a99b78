"""OTLP/HTTP over real sockets: the rules H1 to H22, and what a sender sees when something is wrong."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import zlib
from collections.abc import AsyncGenerator, Callable, Mapping

import pytest
import zstandard
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

from app.access import ANONYMOUS, Principal, TenantId
from app.codec.contract import Encoding
from app.errors import BufferFull, Draining, Forbidden, NotReady, StoreUnavailable, Unauthenticated, Undecodable
from app.model import Rejections, Signal
from app.receivers.asgi import Patience
from app.receivers.doors import DOORS, Door
from app.receivers.http import OtlpHttp
from app.settings import ServerSettings
from app.telemetry import metrics
from tests.integration.receivers.doubles import (
    CHUNKED,
    HttpDoor,
    MemoryIntake,
    Reply,
    chunk,
    counting,
    head,
    post,
    serving,
)
from tests.polling import until

SETTINGS = ServerSettings(max_request_bytes=4 << 20, max_decompressed_bytes=8 << 20)
HURRIED = Patience(piece_seconds=0.2, body_seconds=0.5, short_rest_seconds=0.2, long_rest_seconds=5)
JSON = "application/json"
PROTOBUF = "application/x-protobuf"

every_door = pytest.mark.parametrize("door", DOORS, ids=[door.signal.value for door in DOORS])
both_encodings = pytest.mark.parametrize("content_type", [PROTOBUF, JSON], ids=["protobuf", "json"])


@pytest.fixture
def intake() -> MemoryIntake:
    return MemoryIntake()


@pytest.fixture
async def http(intake: MemoryIntake) -> AsyncGenerator[HttpDoor]:
    async with serving(OtlpHttp(intake, SETTINGS, patience=HURRIED)) as door:
        yield door


def status_in(reply: Reply) -> status_pb2.Status:
    """The Status body, read as the answer's content type says; details without a known type would raise."""
    if reply.headers["content-type"] == PROTOBUF:
        return status_pb2.Status.FromString(reply.body)
    assert reply.headers["content-type"] == JSON
    return json_format.Parse(reply.body, status_pb2.Status())


# H1, H2, H8, H9


@every_door
@both_encodings
async def test_h1_each_signal_is_taken_in_both_encodings(
    http: HttpDoor, intake: MemoryIntake, door: Door, content_type: str
) -> None:
    reply = await http.post(door.path, b"any body", content_type=content_type)
    assert reply.status == 200
    [request] = intake.requests
    assert (request.signal, request.encoding, request.body) == (door.signal, Encoding(content_type), b"any body")


@pytest.mark.parametrize("content_type", ["application/json; charset=utf-8", "Application/JSON ;x=y"])
async def test_h1_parameters_and_case_of_the_content_type_do_not_matter(
    http: HttpDoor, intake: MemoryIntake, content_type: str
) -> None:
    reply = await http.post(body=b"{}", content_type=content_type)
    assert (reply.status, reply.headers["content-type"]) == (200, JSON)
    assert intake.requests[0].encoding is Encoding.JSON


@pytest.mark.parametrize(("content_type", "empty"), [(PROTOBUF, b""), (JSON, b"{}")], ids=["protobuf", "json"])
async def test_h8_full_success_leaves_partial_success_unset(http: HttpDoor, content_type: str, empty: bytes) -> None:
    reply = await http.post(body=b"body", content_type=content_type)
    assert (reply.headers["content-type"], reply.body) == (content_type, empty)


@both_encodings
async def test_h9_an_empty_request_is_taken(http: HttpDoor, content_type: str) -> None:
    assert (await http.post(content_type=content_type)).status == 200


async def test_h9_a_request_without_any_length_is_taken(http: HttpDoor) -> None:
    assert (await http.send(head("POST", "/v1/logs", {"content-type": PROTOBUF}))).status == 200


# H3, H4, H5, H21


@pytest.mark.parametrize("content_type", ["", "text/plain", "application/protobuf", "application/json,x"])
async def test_h3_another_content_type_is_415(http: HttpDoor, intake: MemoryIntake, content_type: str) -> None:
    reply = await http.post(body=b"x", content_type=content_type)
    assert reply.status == 415
    assert "application/x-protobuf, application/json" in status_in(reply).message
    assert not intake.requests


async def test_h3_a_415_is_json_if_the_sender_accepts_json(http: HttpDoor) -> None:
    reply = await http.post(body=b"x", content_type="text/plain", accept="application/json")
    assert (reply.status, reply.headers["content-type"]) == (415, JSON)


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "OPTIONS", "PATCH"])
async def test_h4_another_method_is_405_with_allow(http: HttpDoor, method: str) -> None:
    async with http.connect() as client:
        await client.write(head(method, "/v1/traces", {}))
        if method == "HEAD":
            await client.write(post())
            raw = await client._reader.readuntil(b"\r\n\r\n")
            assert b" 405 " in raw
            return
        reply = await client.read_reply()
    assert (reply.status, reply.headers["allow"]) == (405, "POST")


async def test_h22_no_answer_allows_another_origin(http: HttpDoor) -> None:
    preflight = head("OPTIONS", "/v1/traces", {"origin": "http://x", "access-control-request-method": "POST"})
    for reply in (await http.send(preflight), await http.post(origin="http://x")):
        assert not [name for name in reply.headers if name.startswith("access-control")]


COMPRESSORS: dict[str, Callable[[bytes], bytes]] = {
    "identity": bytes,
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
    "deflate": zlib.compress,
}


@pytest.mark.parametrize("encoding", COMPRESSORS)
async def test_h5_a_compressed_body_is_taken(http: HttpDoor, intake: MemoryIntake, encoding: str) -> None:
    data = os.urandom(100_000) + bytes(1_000_000)
    reply = await http.post(body=COMPRESSORS[encoding](data), content_encoding=encoding)
    assert reply.status == 200
    assert intake.requests[0].body == data


@pytest.mark.parametrize("encoding", ["br", "snappy", "gzip, gzip"])
@both_encodings
async def test_h5_an_unknown_content_encoding_is_415(http: HttpDoor, encoding: str, content_type: str) -> None:
    reply = await http.post(body=b"x", content_encoding=encoding, content_type=content_type)
    assert (reply.status, reply.headers["content-type"]) == (415, content_type)
    assert "gzip" in status_in(reply).message


@pytest.mark.parametrize("path", ["/", "/v1/trace", "/v1/traces/", "/V1/traces", "/v1/traces/x", "//v1/traces"])
async def test_h21_an_unknown_path_is_404(http: HttpDoor, path: str) -> None:
    reply = await http.send(head("GET", path, {}))
    assert (reply.status, reply.headers["content-type"]) == (404, "text/plain; charset=utf-8")
    assert b"/v1/traces, /v1/metrics, /v1/logs" in reply.body
    assert status_in(await http.post(path, b"x")).message


@pytest.mark.parametrize("path", ["/v1development/profiles", "/v1/profiles"])
async def test_h21_profiles_are_404_and_the_answer_says_why(http: HttpDoor, path: str) -> None:
    reply = await http.post(path, b"x")
    assert (reply.status, status_in(reply).message) == (404, "profiles are not taken by this version")


# H6, H7


@pytest.mark.parametrize("encoding", COMPRESSORS)
async def test_h6_a_chunked_body_is_taken(http: HttpDoor, intake: MemoryIntake, encoding: str) -> None:
    data = os.urandom(300_000)
    body = COMPRESSORS[encoding](data)
    fields = {"content-type": PROTOBUF, "transfer-encoding": "chunked", "content-encoding": encoding}
    pieces = [body[start : start + 10_000] for start in range(0, len(body), 10_000)]
    reply = await http.send(head("POST", "/v1/traces", fields) + b"".join(map(chunk, [*pieces, b""])))
    assert reply.status == 200
    assert intake.requests[0].body == data


async def test_h6_a_chunked_body_that_comes_byte_by_byte_is_taken(http: HttpDoor, intake: MemoryIntake) -> None:
    async with http.connect() as client:
        await client.write(CHUNKED)
        for byte in b"slow":
            await client.write(chunk(bytes([byte])))
        await client.write(chunk(b""))
        assert (await client.read_reply()).status == 200
    assert intake.requests[0].body == b"slow"


@both_encodings
async def test_h7_a_declared_length_over_the_limit_is_413_before_the_body(
    http: HttpDoor, intake: MemoryIntake, content_type: str
) -> None:
    async with http.connect() as client:
        await client.write(post(content_type=content_type, content_length=str((4 << 20) + 1)))
        reply = await client.read_reply()
    assert (reply.status, reply.headers["content-type"]) == (413, content_type)
    assert "server.max_request_bytes" in status_in(reply).message
    assert intake.most_held_bytes == 0


async def test_h7_a_body_of_exactly_the_limit_is_taken(http: HttpDoor, intake: MemoryIntake) -> None:
    assert (await http.post(body=bytes(4 << 20))).status == 200
    assert len(intake.requests[0].body) == 4 << 20


async def test_h7_a_chunked_body_over_the_limit_is_413(http: HttpDoor, intake: MemoryIntake) -> None:
    async with http.connect() as client:
        await client.write(CHUNKED)
        for _ in range(80):
            await client.write(chunk(bytes(65_536)))
        reply = await client.read_reply()
    assert (reply.status, reply.headers["connection"]) == (413, "close")
    assert intake.most_held_bytes <= (4 << 20) + (1 << 20)
    await until(lambda: intake.open_reservations == 0)


async def test_h7_a_sender_that_writes_everything_first_still_sees_the_413(http: HttpDoor) -> None:
    reply = await http.post(body=bytes(32 << 20))
    assert reply.status == 413


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "deflate"])
async def test_h7_a_bomb_is_413(http: HttpDoor, intake: MemoryIntake, encoding: str) -> None:
    reply = await http.post(body=COMPRESSORS[encoding](bytes(64 << 20)), content_encoding=encoding)
    assert reply.status == 413
    assert "server.max_decompressed_bytes" in status_in(reply).message
    assert intake.held_bytes == 0


# H10, H11, H16


@every_door
@both_encodings
async def test_h10_what_was_rejected_is_counted_in_the_signals_own_field(
    http: HttpDoor, intake: MemoryIntake, door: Door, content_type: str
) -> None:
    intake.rejections.add("bad_trace_id", "trace id of 3 bytes; it has 16")
    intake.rejections.add("bad_trace_id", "another")
    reply = await http.post(door.path, b"x", content_type=content_type)
    assert reply.status == 200
    response = (
        door.response.FromString(reply.body)
        if content_type == PROTOBUF
        else json_format.Parse(reply.body, door.response())
    )
    partial = response.partial_success  # type: ignore[attr-defined]
    assert getattr(partial, door.rejected_field) == 2
    assert partial.error_message == "2 bad_trace_id: trace id of 3 bytes; it has 16"


async def test_h11_a_warning_alone_has_zero_rejected(http: HttpDoor, intake: MemoryIntake) -> None:
    intake.rejections = _Warning()
    response = ExportTraceServiceResponse.FromString((await http.post(body=b"x")).body)
    assert (response.partial_success.rejected_spans, response.partial_success.error_message) == (0, "look out")


class _Warning(Rejections):
    @property
    def message(self) -> str:  # type: ignore[explicit-override]
        return "look out"


async def test_h16_a_long_message_is_cut(http: HttpDoor, intake: MemoryIntake) -> None:
    intake.rejections.add("long", "ä" * (5 << 20))
    reply = await http.post(body=b"x")
    message = ExportTraceServiceResponse.FromString(reply.body).partial_success.error_message
    assert len(reply.body) < 20_000
    assert message.endswith("ä…")


# H12 to H15


@both_encodings
async def test_h12_an_undecodable_body_is_400_with_the_field(
    http: HttpDoor, intake: MemoryIntake, content_type: str
) -> None:
    intake.refuse_body = Undecodable("kind is text", field="resourceSpans[0].scopeSpans[0].spans[3].kind")
    reply = await http.post(body=b"x", content_type=content_type)
    assert (reply.status, reply.headers["content-type"]) == (400, content_type)
    status = status_in(reply)
    request = error_details_pb2.BadRequest()
    assert status.details[0].Unpack(request)
    [violation] = request.field_violations
    assert (status.code, status.message, violation.field) == (
        3,
        "kind is text",
        "resourceSpans[0].scopeSpans[0].spans[3].kind",
    )


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "deflate"])
@pytest.mark.parametrize(
    "damage", [lambda body: body[:-3], lambda body: b"\xfe\xfe" + body[2:]], ids=["cut", "corrupt"]
)
async def test_h12_a_damaged_compressed_body_is_400(
    http: HttpDoor, intake: MemoryIntake, encoding: str, damage: Callable[[bytes], bytes]
) -> None:
    reply = await http.post(body=damage(COMPRESSORS[encoding](b"data" * 100)), content_encoding=encoding)
    assert reply.status == 400
    assert encoding in status_in(reply).message
    assert not intake.requests


async def test_h13_a_json_status_is_plain_json(http: HttpDoor, intake: MemoryIntake) -> None:
    intake.refuse_body = Undecodable("no", field="a.b")
    reply = await http.post(body=b"x", content_type=JSON)
    assert json.loads(reply.body) == {
        "code": 3,
        "message": "no",
        "details": [
            {
                "@type": "type.googleapis.com/google.rpc.BadRequest",
                "fieldViolations": [{"field": "a.b", "description": "no"}],
            }
        ],
    }


REFUSALS: Mapping[str, tuple[Exception, int, str]] = {
    "buffer full": (BufferFull("full", retry_after_seconds=2.1), 429, "3"),
    "draining": (Draining("stopping", retry_after_seconds=0), 503, "1"),
    "not ready": (NotReady("store away", retry_after_seconds=7), 503, "7"),
    "store away": (StoreUnavailable("gone"), 503, "5"),
    "a bug": (KeyError("secret inside"), 503, "5"),
}


@pytest.mark.parametrize(("error", "status", "retry_after"), REFUSALS.values(), ids=REFUSALS)
@pytest.mark.parametrize("place", ["refuse_admission", "refuse_body"])
@both_encodings
async def test_h14_h15_what_may_pass_is_retryable_and_says_when(
    http: HttpDoor, intake: MemoryIntake, error: Exception, status: int, retry_after: str, place: str, content_type: str
) -> None:
    setattr(intake, place, error)
    reply = await http.post(body=b"x", content_type=content_type)
    assert (reply.status, reply.headers["retry-after"]) == (status, retry_after)
    assert "secret" not in status_in(reply).message


async def test_h14_a_body_that_stalls_is_retryable(http: HttpDoor, intake: MemoryIntake) -> None:
    async with http.connect() as client:
        await client.write(post(content_length="100") + b"only this")
        reply = await client.read_reply()
    assert reply.status == 503
    assert "after 9 bytes" in status_in(reply).message
    assert intake.open_reservations == 0


async def test_h14_a_body_that_trickles_has_an_end(http: HttpDoor) -> None:
    async with http.connect() as client:
        await client.write(CHUNKED)

        async def trickle() -> None:
            while True:
                await client.write(chunk(b"x"))
                await asyncio.sleep(0.05)

        trickling = asyncio.create_task(trickle())
        reply = await client.read_reply()
        trickling.cancel()
    assert reply.status == 503


# Room, credentials, connections


async def test_room_is_asked_for_before_the_body_is_read(http: HttpDoor, intake: MemoryIntake) -> None:
    intake.capacity_bytes = 1000
    async with http.connect() as client:
        await client.write(post(content_length="2000000"))
        reply = await client.read_reply()
    assert (reply.status, reply.headers["retry-after"]) == (429, "3")


async def test_a_chunked_body_asks_for_room_as_it_comes(http: HttpDoor, intake: MemoryIntake) -> None:
    intake.capacity_bytes = 100_000
    pieces = b"".join(chunk(bytes(10_000)) for _ in range(20)) + chunk(b"")
    assert (await http.send(CHUNKED + pieces)).status == 429
    assert (intake.open_reservations, intake.held_bytes) == (0, 0)


async def test_what_decompression_gives_needs_room_too(http: HttpDoor, intake: MemoryIntake) -> None:
    intake.capacity_bytes = 3 << 20
    assert (await http.post(body=gzip.compress(bytes(6 << 20)), content_encoding="gzip")).status == 429


async def test_room_is_given_back_after_every_end(http: HttpDoor, intake: MemoryIntake) -> None:
    await http.post(body=b"x")
    intake.refuse_body = Undecodable("no")
    await http.post(body=b"x")
    assert (intake.open_reservations, intake.held_bytes) == (0, 0)


async def test_a_sender_that_leaves_in_mid_body_leaves_nothing(http: HttpDoor, intake: MemoryIntake) -> None:
    with counting(metrics.REQUESTS, signal="traces", transport="http", outcome="disconnected") as grown:
        async with http.connect() as client:
            await client.write(post(content_length="1000") + b"half")
            await until(lambda: intake.open_reservations == 1)
            client.abort()
        await until(lambda: intake.open_reservations == 0)
        assert not intake.requests
        await until(lambda: grown() == 1)


@pytest.mark.parametrize(
    "refused",
    [post("/v1/nowhere", b"x" * 100_000), post(body=b"x" * 100_000, content_type="a/b"), CHUNKED.replace(b"traces", b"no") + chunk(b"x" * 1000) + chunk(b"")],
    ids=["404", "415", "chunked 404"],
)  # fmt: skip
async def test_the_connection_goes_on_after_a_refusal(http: HttpDoor, refused: bytes) -> None:
    async with http.connect() as client:
        await client.write(refused)
        assert (await client.read_reply()).status in (404, 415)
        await client.write(post(body=b"next"))
        assert (await client.read_reply()).status == 200


async def test_pipelined_requests_are_answered_in_order(http: HttpDoor, intake: MemoryIntake) -> None:
    async with http.connect() as client:
        await client.write(post(body=b"1") + post("/no", b"2") + post(body=b"3"))
        assert [(await client.read_reply()).status for _ in range(3)] == [200, 404, 200]
    assert [request.body for request in intake.requests] == [b"1", b"3"]


async def test_expect_100_continue_is_answered_before_the_body(http: HttpDoor) -> None:
    async with http.connect() as client:
        await client.write(post(content_length="4", expect="100-continue"))
        assert (await client.read_reply()).status == 100
        await client.write(b"body")
        assert (await client.read_reply()).status == 200


async def test_a_refusal_takes_the_place_of_100_continue(http: HttpDoor) -> None:
    async with http.connect() as client:
        await client.write(post(content_type="a/b", content_length="4", expect="100-continue"))
        reply = await client.read_reply()
        assert (reply.status, reply.headers["connection"]) == (415, "close")
        assert await client.is_closed(within_seconds=HURRIED.long_rest_seconds / 2)


OFFER = {
    "connection": "Upgrade, HTTP2-Settings",
    "upgrade": "h2c",
    "http2-settings": "AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA",
}


@pytest.mark.parametrize("is_split", [False, True], ids=["in one piece", "in two pieces"])
@pytest.mark.parametrize("is_chunked", [False, True], ids=["with length", "chunked"])
async def test_an_offer_to_upgrade_is_not_taken_up(
    http: HttpDoor, intake: MemoryIntake, is_split: bool, is_chunked: bool
) -> None:
    length = {"transfer-encoding": "chunked"} if is_chunked else {"content-length": "4"}
    start = head("POST", "/v1/traces", {"content-type": PROTOBUF, **length, **OFFER})
    body = chunk(b"body") + chunk(b"") if is_chunked else b"body"
    async with http.connect() as client:
        for _ in range(2):
            if is_split:
                await client.write(start[:40])
                await client.write(start[40:])
                await client.write(body)
            else:
                await client.write(start + body)
            assert (await client.read_reply()).status == 200
        await client.write(post(body=b"next"))
        assert (await client.read_reply()).status == 200
    assert [request.body for request in intake.requests] == [b"body", b"body", b"next"]


async def test_pipelined_offers_to_upgrade_are_not_taken_up(http: HttpDoor, intake: MemoryIntake) -> None:
    start = head("POST", "/v1/traces", {"content-type": PROTOBUF, "content-length": "1", **OFFER})
    async with http.connect() as client:
        await client.write(start + b"1" + start + b"2" + post(body=b"3"))
        assert [(await client.read_reply()).status for _ in range(3)] == [200, 200, 200]
    assert [request.body for request in intake.requests] == [b"1", b"2", b"3"]


@pytest.mark.parametrize(
    "start",
    [
        b"\x16\x03\x01 this is TLS\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"CONNECT host:443 HTTP/1.1\r\nhost: host:443\r\n\r\n",
        b"POST /v1/traces HTTP/1.1\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
        b"POST /v1/traces HTTP/1.1\r\ncontent-length: -1\r\n\r\n",
        b"POST /v1/traces HTTP/1.1\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    ],
    ids=["TLS", "HTTP/2", "CONNECT", "two lengths", "negative length", "length and chunked"],
)
async def test_what_is_not_http_is_400_and_harms_nobody_else(http: HttpDoor, start: bytes) -> None:
    async with http.connect() as client:
        await client.write(start)
        assert (await client.read_reply()).status == 400
    assert (await http.post(body=b"x")).status == 200


async def test_fifty_requests_run_at_once(http: HttpDoor, intake: MemoryIntake) -> None:
    intake.gate = asyncio.Event()
    replies = [asyncio.create_task(http.post(body=b"%d" % number)) for number in range(50)]
    await until(lambda: intake.running == 50)
    intake.gate.set()
    assert {reply.status for reply in await asyncio.gather(*replies)} == {200}
    assert len({request.body for request in intake.requests}) == 50


async def test_a_large_body_does_not_hold_up_a_small_one(http: HttpDoor, intake: MemoryIntake) -> None:
    large = zlib.compress(os.urandom(1 << 20) + bytes(6 << 20))
    replies = await asyncio.gather(
        *(http.post(body=large, content_encoding="deflate") for _ in range(8)), http.post(body=b"small")
    )
    assert {reply.status for reply in replies} == {200}


def _by_token(headers: Mapping[str, str]) -> Principal:
    match headers.get("authorization", ""):
        case "Bearer writer":
            return Principal(TenantId("acme"), ANONYMOUS.roles)
        case "Bearer reader":
            return Principal(TenantId("acme"), frozenset())
        case "Bearer stranger":
            raise Forbidden("not this tenant")
        case _:
            raise Unauthenticated("no credential")


@pytest.mark.parametrize(
    ("token", "status"), [("", 401), ("Bearer stranger", 403), ("Bearer reader", 403), ("Bearer writer", 200)]
)
async def test_the_tenant_comes_from_the_credential(intake: MemoryIntake, token: str, status: int) -> None:
    async with serving(OtlpHttp(intake, SETTINGS, authenticate=_by_token)) as door:
        assert (await door.post(body=b"x", authorization=token)).status == status
    assert [request.tenant for request in intake.requests] == ["acme"] * (status == 200)
    assert intake.most_held_bytes == (status == 200)


async def test_a_stop_that_ends_a_request_says_503(intake: MemoryIntake) -> None:
    intake.gate = asyncio.Event()
    async with serving(OtlpHttp(intake, SETTINGS)) as door:
        reply = asyncio.create_task(door.post(body=b"x"))
        await until(lambda: intake.running == 1)
    assert (await reply).status == 503


@pytest.mark.parametrize(
    ("outcome", "request_bytes"),
    [
        ("ok", post(body=b"x")),
        ("too_large", post(content_length="99999999")),
        ("unsupported", post(content_type="a/b")),
    ],
)
async def test_requests_are_counted_by_outcome(http: HttpDoor, outcome: str, request_bytes: bytes) -> None:
    with counting(metrics.REQUESTS, signal=Signal.TRACES.value, transport="http", outcome=outcome) as grown:
        await http.send(request_bytes)
        assert grown() == 1
