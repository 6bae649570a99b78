"""With the decoder behind the doors: what is wrong with a body is said in the words of the protocol."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator
from dataclasses import dataclass
from typing import Any

import grpc
import orjson
import pytest
from google.protobuf import json_format
from google.rpc import status_pb2
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)
from typing_extensions import override

from app.codec.contract import Bounds, Encoding
from app.codec.reference import ReferenceDecoder
from app.pipeline.contract import Accepted, Request
from app.receivers.doors import DOORS, Door
from app.receivers.grpc import OtlpGrpc
from app.receivers.http import OtlpHttp
from app.settings import LimitSettings, ServerSettings
from tests.integration.receivers.doubles import HttpDoor, MemoryIntake, serving

every_door = pytest.mark.parametrize("door", DOORS, ids=[door.signal.value for door in DOORS])


@dataclass
class DecodingIntake(MemoryIntake):
    """Decodes and forgets."""

    @override
    async def accept(self, request: Request) -> Accepted:
        bounds = Bounds(
            limits=LimitSettings(),
            received_unix_nano=request.received_unix_nano,
            oldest_unix_nano=0,
            newest_unix_nano=1 << 63,
        )
        chunk = ReferenceDecoder().decode(request.signal, request.encoding, request.body, bounds)
        self.requests.append(request)
        return Accepted(chunk.rows, chunk.rejections)


@pytest.fixture
async def http() -> AsyncGenerator[HttpDoor]:
    async with serving(OtlpHttp(DecodingIntake(), ServerSettings())) as door:
        yield door


def request_of(*, trace_id: bytes = b"t" * 16, depth: int = 0) -> ExportTraceServiceRequest:
    request = ExportTraceServiceRequest()
    span = request.resource_spans.add().scope_spans.add().spans.add()
    span.trace_id, span.span_id, span.name = trace_id, b"s" * 8, "work"
    span.start_time_unix_nano = time.time_ns()
    value = span.attributes.add(key="nested").value
    for _ in range(depth):
        value = value.array_value.values.add()
    value.int_value = 1
    return request


GARBAGE = {
    "no protobuf": (Encoding.PROTOBUF, b"\xff\xff\xff\xff this is no protobuf"),
    "truncated protobuf": (Encoding.PROTOBUF, request_of().SerializeToString()[:-3]),
    "invalid UTF-8": (Encoding.PROTOBUF, request_of().SerializeToString().replace(b"work", b"w\xff\xffk")),
    "too deep protobuf": (Encoding.PROTOBUF, request_of(depth=40).SerializeToString()),
    "no JSON": (Encoding.JSON, b"{"),
    "not an object": (Encoding.JSON, b"[1, 2]"),
    "invalid UTF-8 in JSON": (Encoding.JSON, b'{"resourceSpans": [{"schemaUrl": "\xff"}]}'),
    "text where a list is": (Encoding.JSON, b'{"resourceSpans": "many"}'),
    "an enum by name": (
        Encoding.JSON,
        b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"kind": "SPAN_KIND_SERVER"}]}]}]}',
    ),
    "too deep JSON": (Encoding.JSON, b'{"resourceSpans":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
}


@pytest.mark.parametrize(("encoding", "body"), GARBAGE.values(), ids=GARBAGE)
async def test_h12_garbage_is_400_in_the_requests_encoding(http: HttpDoor, encoding: Encoding, body: bytes) -> None:
    reply = await http.post(body=body, content_type=encoding.value)
    assert (reply.status, reply.headers["content-type"]) == (400, encoding.value)
    status = (
        status_pb2.Status.FromString(reply.body)
        if encoding is Encoding.PROTOBUF
        else json_format.Parse(reply.body, status_pb2.Status())
    )
    assert (status.code, bool(status.message)) == (3, True)


@every_door
async def test_h9_an_empty_request_of_each_signal_is_taken(http: HttpDoor, door: Door) -> None:
    assert (await http.post(door.path, b"")).body == b""
    assert (await http.post(door.path, b"{}", content_type=Encoding.JSON.value)).body == b"{}"


async def test_h10_a_bad_record_is_counted_and_its_neighbour_taken(http: HttpDoor) -> None:
    request = request_of()
    request.MergeFrom(request_of(trace_id=b"short"))
    reply = await http.post(body=request.SerializeToString())
    partial = ExportTraceServiceResponse.FromString(reply.body).partial_success
    assert (reply.status, partial.rejected_spans) == (200, 1)
    assert "invalid_trace_id" in partial.error_message


async def test_h13_json_senders_are_told_in_json_what_was_rejected(http: HttpDoor) -> None:
    body = b'{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "0102", "spanId": "0102030405060708"}]}]}]}'
    reply = await http.post(body=body, content_type=Encoding.JSON.value)
    assert orjson.loads(reply.body)["partialSuccess"]["rejectedSpans"] == "1"


GRPC_GARBAGE = {name: body for name, (encoding, body) in GARBAGE.items() if encoding is Encoding.PROTOBUF}


@pytest.mark.parametrize("body", GRPC_GARBAGE.values(), ids=GRPC_GARBAGE)
async def test_g4_garbage_is_invalid_argument(body: bytes) -> None:
    async with OtlpGrpc(DecodingIntake(), ServerSettings()) as server:
        port = await server.start("127.0.0.1", 0)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            call: Any = channel.unary_unary(f"/{DOORS[0].service}/Export")
            with pytest.raises(grpc.aio.AioRpcError) as caught:
                await call(body, timeout=10)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
