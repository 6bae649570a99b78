"""OTLP/gRPC over a real channel: the rules G1 to G6, health, and what happens before a message is read."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2_grpc import TraceServiceStub

from app.access import ANONYMOUS, Principal, TenantId
from app.codec.contract import Encoding
from app.errors import (
    BufferFull,
    Draining,
    Forbidden,
    NotReady,
    PortUnavailable,
    RateLimited,
    StoreUnavailable,
    TooLarge,
    Unauthenticated,
    Undecodable,
)
from app.model import Signal
from app.receivers.doors import DOORS, Door
from app.receivers.grpc import OtlpGrpc
from app.settings import ServerSettings
from app.telemetry import metrics
from tests.integration.receivers.doubles import MemoryIntake, counting
from tests.polling import until

LIMIT_BYTES = 4 << 20
SETTINGS = ServerSettings(max_request_bytes=LIMIT_BYTES, max_decompressed_bytes=LIMIT_BYTES)
TRACES = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
TIMEOUT_SECONDS = 20
RETRYABLE = {"CANCELLED", "DEADLINE_EXCEEDED", "ABORTED", "OUT_OF_RANGE", "UNAVAILABLE", "DATA_LOSS"}

every_door = pytest.mark.parametrize("door", DOORS, ids=[door.signal.value for door in DOORS])
every_compression = pytest.mark.parametrize(
    "compression",
    [grpc.Compression.NoCompression, grpc.Compression.Gzip, grpc.Compression.Deflate],
    ids=["none", "gzip", "deflate"],
)


@asynccontextmanager
async def opened(intake: MemoryIntake, settings: ServerSettings = SETTINGS, **options: Any) -> AsyncGenerator[Any]:
    """A channel to a running server."""
    async with OtlpGrpc(intake, settings, **options) as server:
        port = await server.start("127.0.0.1", 0)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield channel


@pytest.fixture
def intake() -> MemoryIntake:
    return MemoryIntake()


@pytest.fixture
async def channel(intake: MemoryIntake) -> AsyncGenerator[Any]:
    async with opened(intake) as channel:
        yield channel


async def export(channel: Any, body: bytes = b"body", method: str = TRACES, **options: Any) -> bytes:
    answer: bytes = await channel.unary_unary(method)(body, timeout=TIMEOUT_SECONDS, **options)
    return answer


async def refused(channel: Any, body: bytes = b"body", method: str = TRACES, **options: Any) -> Any:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await export(channel, body, method, **options)
    return caught.value


def details_of(error: Any) -> status_pb2.Status:
    trailers = dict(error.trailing_metadata())
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    assert (status.code, status.message) == (error.code().value[0], error.details())
    return status


def retry_seconds_of(error: Any) -> float | None:
    for detail in details_of(error).details:
        pause = error_details_pb2.RetryInfo()
        if detail.Unpack(pause):
            return float(pause.retry_delay.ToSeconds())
    return None


@every_door
@every_compression
async def test_g5_each_signal_is_taken_compressed_or_not(
    channel: Any, intake: MemoryIntake, door: Door, compression: Any
) -> None:
    assert await export(channel, b"x" * 5000, f"/{door.service}/Export", compression=compression) == b""
    [request] = intake.requests
    assert (request.signal, request.encoding, request.body) == (door.signal, Encoding.PROTOBUF, b"x" * 5000)


async def test_an_empty_message_is_taken(channel: Any, intake: MemoryIntake) -> None:
    assert await export(channel, b"") == b""
    assert intake.requests[0].body == b""


async def test_the_generated_client_is_served(channel: Any, intake: MemoryIntake) -> None:
    request = ExportTraceServiceRequest()
    request.resource_spans.add().schema_url = "a"
    response = await TraceServiceStub(channel).Export(request)  # type: ignore[no-untyped-call]
    assert not response.HasField("partial_success")
    assert intake.requests[0].body == request.SerializeToString()


@every_compression
async def test_g1_a_message_of_exactly_the_limit_is_taken(channel: Any, compression: Any) -> None:
    assert await export(channel, bytes(LIMIT_BYTES), compression=compression) == b""


@every_compression
async def test_g1_a_larger_message_is_refused_for_ever(channel: Any, intake: MemoryIntake, compression: Any) -> None:
    error = await refused(channel, bytes(LIMIT_BYTES + 1), compression=compression)
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert "grpc-status-details-bin" not in dict(error.trailing_metadata())
    await until(lambda: intake.open_reservations == 0)


@every_compression
async def test_g1_a_larger_message_is_counted_as_such(channel: Any, compression: Any) -> None:
    with counting(metrics.REQUESTS, signal="traces", transport="grpc", outcome="too_large") as grown:
        await refused(channel, bytes(LIMIT_BYTES + 1), compression=compression)
        await until(lambda: grown() == 1)


async def test_g1_the_default_limit_takes_64_mib_and_no_more(intake: MemoryIntake) -> None:
    async with opened(intake, ServerSettings()) as channel:
        await export(channel, bytes(64 << 20))
        error = await refused(channel, bytes(65 << 20))
        bomb = await refused(channel, bytes(128 << 20), compression=grpc.Compression.Gzip)
    assert {error.code(), bomb.code()} == {grpc.StatusCode.RESOURCE_EXHAUSTED}
    assert [len(request.body) for request in intake.requests] == [64 << 20]


@pytest.mark.parametrize(("sent", "decompressed"), [(1 << 20, 4 << 20), (4 << 20, 1 << 20)])
async def test_g1_the_smaller_of_the_two_limits_holds(intake: MemoryIntake, sent: int, decompressed: int) -> None:
    settings = ServerSettings(max_request_bytes=sent, max_decompressed_bytes=decompressed)
    async with opened(intake, settings) as channel:
        await export(channel, bytes(1 << 20))
        error = await refused(channel, bytes((1 << 20) + 1))
    assert error.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


REFUSALS: Mapping[str, tuple[Exception, str, float | None]] = {
    "undecodable": (Undecodable("no"), "INVALID_ARGUMENT", None),
    "too large": (TooLarge("no"), "RESOURCE_EXHAUSTED", None),
    "no credential": (Unauthenticated("no"), "UNAUTHENTICATED", None),
    "not allowed": (Forbidden("no"), "PERMISSION_DENIED", None),
    "buffer full": (BufferFull("no", retry_after_seconds=2.5), "RESOURCE_EXHAUSTED", 3),
    "rate limited": (RateLimited("no", retry_after_seconds=0.1), "RESOURCE_EXHAUSTED", 1),
    "draining": (Draining("no", retry_after_seconds=4), "UNAVAILABLE", 4),
    "not ready": (NotReady("no"), "UNAVAILABLE", 1),
    "store away": (StoreUnavailable("no"), "UNAVAILABLE", 5),
    "a bug": (KeyError("secret inside"), "UNAVAILABLE", 5),
}


@pytest.mark.parametrize(("error", "code", "retry_seconds"), REFUSALS.values(), ids=REFUSALS)
@pytest.mark.parametrize("place", ["refuse_admission", "refuse_body"])
async def test_g2_g3_g4_every_refusal_has_its_code(
    channel: Any, intake: MemoryIntake, error: Exception, code: str, retry_seconds: float | None, place: str
) -> None:
    setattr(intake, place, error)
    answer = await refused(channel)
    assert (answer.code().name, retry_seconds_of(answer)) == (code, retry_seconds)
    assert "secret" not in answer.details()
    assert (intake.open_reservations, intake.held_bytes) == (0, 0)


async def test_g4_a_refusal_names_the_field(channel: Any, intake: MemoryIntake) -> None:
    intake.refuse_body = Undecodable("wrong kind", field="resourceSpans[0]")
    request = error_details_pb2.BadRequest()
    assert details_of(await refused(channel)).details[0].Unpack(request)
    [violation] = request.field_violations
    assert (violation.field, violation.description) == ("resourceSpans[0]", "wrong kind")


async def test_g4_a_long_sentence_still_fits_into_the_trailers(channel: Any, intake: MemoryIntake) -> None:
    intake.refuse_body = Undecodable("ä\n" * 100_000, field="ö" * 100_000)
    answer = await refused(channel)
    assert answer.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert answer.details().startswith("ä\nä\n")
    assert details_of(answer).details


@every_door
async def test_h10_what_was_rejected_is_counted_in_the_signals_own_field(
    channel: Any, intake: MemoryIntake, door: Door
) -> None:
    intake.rejections.add("too_old", "year 1970")
    response = door.response.FromString(await export(channel, method=f"/{door.service}/Export"))
    partial = response.partial_success  # type: ignore[attr-defined]
    assert (getattr(partial, door.rejected_field), partial.error_message) == (1, "1 too_old: year 1970")


@pytest.mark.parametrize(
    "method",
    [
        "/opentelemetry.proto.collector.profiles.v1development.ProfilesService/Export",
        "/opentelemetry.proto.collector.trace.v1.TraceService/Import",
    ],
)
async def test_g6_an_unknown_method_is_unimplemented(channel: Any, method: str) -> None:
    assert (await refused(channel, method=method)).code() is grpc.StatusCode.UNIMPLEMENTED


async def test_a_refusal_comes_before_the_message(channel: Any, intake: MemoryIntake) -> None:
    """The sender never writes its message and is answered all the same."""
    intake.refuse_admission = BufferFull("no room")
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.stream_unary(TRACES)(_never(), timeout=TIMEOUT_SECONDS)
    assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def _never() -> AsyncIterator[bytes]:
    await asyncio.Event().wait()
    yield b""


async def _nothing() -> AsyncIterator[bytes]:
    for message in list[bytes]():
        yield message


async def test_a_message_that_stalls_is_retryable(intake: MemoryIntake) -> None:
    async with opened(intake, read_seconds=0.2) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.stream_unary(TRACES)(_never(), timeout=TIMEOUT_SECONDS)
    assert (caught.value.code(), retry_seconds_of(caught.value)) == (grpc.StatusCode.UNAVAILABLE, 1)
    assert intake.open_reservations == 0


async def test_a_request_without_a_message_is_invalid(channel: Any) -> None:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await channel.stream_unary(TRACES)(_nothing(), timeout=TIMEOUT_SECONDS)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT


async def test_the_messages_own_size_needs_room(channel: Any, intake: MemoryIntake) -> None:
    intake.capacity_bytes = 1000
    assert retry_seconds_of(await refused(channel, bytes(1001))) == 3
    assert await export(channel, bytes(1000)) == b""


async def test_a_sender_that_gives_up_leaves_nothing(channel: Any, intake: MemoryIntake) -> None:
    intake.gate = asyncio.Event()
    call = channel.unary_unary(TRACES)(b"x")
    await until(lambda: intake.running == 1)
    call.cancel()
    await until(lambda: intake.running == 0 and intake.open_reservations == 0)
    assert not intake.requests


async def test_two_hundred_requests_run_at_once(channel: Any, intake: MemoryIntake) -> None:
    intake.gate = asyncio.Event()
    calls = [asyncio.create_task(export(channel, b"%d" % number)) for number in range(200)]
    await until(lambda: intake.running == 200)
    intake.gate.set()
    assert await asyncio.gather(*calls) == [b""] * 200


async def test_requests_beyond_the_limit_in_flight_are_told_to_come_back(
    channel: Any, intake: MemoryIntake, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.receivers.grpc.MAX_IN_FLIGHT", 2)
    intake.gate = asyncio.Event()
    calls = [asyncio.create_task(export(channel)) for _ in range(2)]
    await until(lambda: intake.running == 2)
    error = await refused(channel)
    assert (error.code(), retry_seconds_of(error)) == (grpc.StatusCode.RESOURCE_EXHAUSTED, 1)
    intake.gate.set()
    await asyncio.gather(*calls)
    assert await export(channel) == b""


def _by_token(headers: Mapping[str, str]) -> Principal:
    if headers.get("authorization") != "Bearer writer":
        raise Unauthenticated("no credential")
    return Principal(TenantId("acme"), ANONYMOUS.roles)


async def test_the_tenant_comes_from_the_metadata(intake: MemoryIntake) -> None:
    async with opened(intake, authenticate=_by_token) as channel:
        assert (await refused(channel)).code() is grpc.StatusCode.UNAUTHENTICATED
        await export(channel, metadata=(("authorization", "Bearer writer"), ("x-bin", b"\xff")))
    assert [request.tenant for request in intake.requests] == ["acme"]


async def test_requests_are_counted_by_outcome(channel: Any, intake: MemoryIntake) -> None:
    labels = {"signal": Signal.TRACES.value, "transport": "grpc"}
    with counting(metrics.REQUESTS, **labels, outcome="ok") as taken:
        await export(channel)
        assert taken() == 1
    intake.refuse_body = BufferFull("full")
    with counting(metrics.REQUESTS, **labels, outcome="busy") as busy:
        await refused(channel)
        assert busy() == 1


# Starting, health, stopping


async def test_a_taken_port_is_one_clear_sentence(intake: MemoryIntake) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        with pytest.raises(PortUnavailable, match=rf"^server\.otlp_grpc_port: port {port} on 127\.0\.0\.1 is taken"):
            await OtlpGrpc(intake, SETTINGS).start("127.0.0.1", port)


async def test_two_servers_never_share_a_port(intake: MemoryIntake) -> None:
    async with OtlpGrpc(intake, SETTINGS) as first:
        port = await first.start("127.0.0.1", 0)
        with pytest.raises(PortUnavailable):
            await OtlpGrpc(intake, SETTINGS).start("127.0.0.1", port)


async def test_nobody_who_offers_to_share_gets_the_port(intake: MemoryIntake) -> None:
    async with OtlpGrpc(intake, SETTINGS) as server:
        port = await server.start("127.0.0.1", 0)
        with socket.socket() as other:
            other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            with pytest.raises(OSError, match="in use"):
                other.bind(("127.0.0.1", port))


async def test_an_address_that_is_not_ours_is_one_clear_sentence(intake: MemoryIntake) -> None:
    with pytest.raises(PortUnavailable, match=r"192\.0\.2\.1"):
        await OtlpGrpc(intake, SETTINGS).start("192.0.2.1", 0)


async def test_stopping_before_a_start_and_twice_does_nothing(intake: MemoryIntake) -> None:
    server = OtlpGrpc(intake, SETTINGS)
    await server.stop(grace_seconds=0)
    await server.start("127.0.0.1", 0)
    await server.stop(grace_seconds=0)
    await server.stop(grace_seconds=0)


@pytest.mark.parametrize("service", ["", DOORS[0].service])
async def test_health_says_what_was_reported(intake: MemoryIntake, service: str) -> None:
    states = health_pb2.HealthCheckResponse
    async with OtlpGrpc(intake, SETTINGS) as server:
        port = await server.start("127.0.0.1", 0)
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            health = health_pb2_grpc.HealthStub(channel)
            question = health_pb2.HealthCheckRequest(service=service)
            assert (await health.Check(question)).status == states.NOT_SERVING
            watch = health.Watch(question)
            assert (await watch.read()).status == states.NOT_SERVING
            await server.report_serving(is_serving=True)
            assert (await watch.read()).status == states.SERVING
            assert (await health.Check(question)).status == states.SERVING
            await server.report_serving(is_serving=False)
            assert (await health.Check(question)).status == states.NOT_SERVING


async def test_a_stop_lets_a_running_request_end(intake: MemoryIntake) -> None:
    intake.gate = asyncio.Event()
    server = OtlpGrpc(intake, SETTINGS)
    port = await server.start("127.0.0.1", 0)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = asyncio.create_task(export(channel))
        await until(lambda: intake.running == 1)
        stopping = asyncio.create_task(server.stop(grace_seconds=TIMEOUT_SECONDS))
        await until(lambda: server._server is None)
        intake.gate.set()
        assert await call == b""
        await stopping


async def test_a_stop_that_ends_a_request_is_retryable(intake: MemoryIntake) -> None:
    intake.gate = asyncio.Event()
    server = OtlpGrpc(intake, SETTINGS)
    port = await server.start("127.0.0.1", 0)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
        call = asyncio.create_task(refused(channel))
        await until(lambda: intake.running == 1)
        await server.stop(grace_seconds=0)
        assert (await call).code().name in RETRYABLE
    assert intake.open_reservations == 0
