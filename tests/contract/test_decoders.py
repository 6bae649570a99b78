"""What every decoder promises: bytes in, columns or a refusal out, the same for both encodings."""

from __future__ import annotations

import pytest

from app.codec.contract import Bounds, Decoder, Encoding
from app.codec.reference import ReferenceDecoder
from app.errors import Undecodable
from app.model import Signal, table_of
from app.settings import LimitSettings

DECODERS: list[Decoder] = [ReferenceDecoder()]
BOUNDS = Bounds(LimitSettings(), received_unix_nano=5, oldest_unix_nano=0, newest_unix_nano=2**62)

# One log record: trace id, time 7, body "hi".
TRACE_ID = "ab" * 16
JSON = (
    b'{"resourceLogs":[{"scopeLogs":[{"scope":{},"logRecords":[{"timeUnixNano":"7","body":{"stringValue":"hi"},'
    b'"traceId":"' + TRACE_ID.encode() + b'"}]}]}]}'
)

pytestmark = pytest.mark.parametrize("decoder", DECODERS, ids=lambda decoder: type(decoder).__name__)


def message(number: int, payload: bytes) -> bytes:
    """A field of less than 128 bytes."""
    return bytes([number << 3 | 2, len(payload)]) + payload


def logs_body() -> bytes:
    record = b"\x09" + (7).to_bytes(8, "little") + message(5, message(1, b"hi")) + message(9, bytes.fromhex(TRACE_ID))
    return message(1, message(2, message(1, b"") + message(2, record)))


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize("encoding", Encoding)
def test_an_empty_body_is_a_request_without_records(decoder: Decoder, signal: Signal, encoding: Encoding) -> None:
    chunk = decoder.decode(signal, encoding, b"", BOUNDS)
    assert (chunk.signal, chunk.rows, chunk.rejections.total) == (signal, 0, 0)
    assert chunk.columns == {column.name: [] for column in table_of(signal).decoded}


@pytest.mark.parametrize("signal", Signal)
@pytest.mark.parametrize("encoding", Encoding)
@pytest.mark.parametrize("body", [b"\xff", b"rubbish", b"[]", b'{"', bytes(20)], ids=repr)
def test_rubbish_is_refused(decoder: Decoder, signal: Signal, encoding: Encoding, body: bytes) -> None:
    with pytest.raises(Undecodable):
        decoder.decode(signal, encoding, body, BOUNDS)


def test_both_encodings_of_a_request_give_the_same_columns(decoder: Decoder) -> None:
    protobuf = decoder.decode(Signal.LOGS, Encoding.PROTOBUF, logs_body(), BOUNDS)
    json = decoder.decode(Signal.LOGS, Encoding.JSON, JSON, BOUNDS)
    assert protobuf.rows == 1
    assert protobuf == json
    assert protobuf.columns["body"] == ["hi"]


def test_the_same_bytes_give_the_same_columns_again(decoder: Decoder) -> None:
    first, second = (decoder.decode(Signal.LOGS, Encoding.PROTOBUF, logs_body(), BOUNDS) for _ in range(2))
    assert first == second
    assert first.columns is not second.columns


def test_a_column_holds_one_value_a_row(decoder: Decoder) -> None:
    chunk = decoder.decode(Signal.LOGS, Encoding.PROTOBUF, logs_body() * 3, BOUNDS)
    assert {len(values) for values in chunk.columns.values()} == {chunk.rows} == {3}
