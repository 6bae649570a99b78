"""Wrong protobuf is refused with its place, and depth is held against our limit and not the runtime's."""

from __future__ import annotations

import random

import pytest
from google.protobuf.message import DecodeError, Message
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue

from app.codec.contract import Encoding
from app.codec.reference import ReferenceDecoder
from app.codec.wire import _fill, parse
from app.errors import Undecodable
from app.model import Signal
from tests.unit.codec.messages import any_value, bounds, span, traces


def varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def field(number: int, payload: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def arrays(depth: int, leaf: bytes) -> bytes:
    for _ in range(depth):
        leaf = field(5, field(1, leaf))
    return leaf


def kvlists(depth: int, leaf: bytes) -> bytes:
    for _ in range(depth):
        leaf = field(6, field(1, field(1, b"k") + field(2, leaf)))
    return leaf


LEAF = field(1, b"leaf")


def body(value: bytes) -> bytes:
    """A good span with one attribute."""
    attribute = field(9, field(1, b"key") + field(2, value))
    return field(1, field(2, field(2, span().SerializeToString() + attribute)))


def attribute_text(request: bytes, max_depth: int = 32) -> str:
    chunk = ReferenceDecoder().decode(Signal.TRACES, Encoding.PROTOBUF, request, bounds(max_depth=max_depth))
    (_, (text,)) = chunk.columns["attributes_map"][0]
    assert isinstance(text, str)
    return text


@pytest.mark.parametrize("nest", [arrays, kvlists])
@pytest.mark.parametrize("depth", [31, 32, 64])
def test_values_as_deep_as_the_limit_are_taken_whatever_the_runtime_takes(nest, depth: int) -> None:  # type: ignore[no-untyped-def] # a function above
    text = attribute_text(body(nest(depth, LEAF)), max_depth=depth)
    assert text.count("[") + text.count("{") == depth


@pytest.mark.parametrize("nest", [arrays, kvlists])
@pytest.mark.parametrize("depth", [33, 100, 3000])
def test_deeper_values_are_refused(nest, depth: int) -> None:  # type: ignore[no-untyped-def] # a function above
    with pytest.raises(Undecodable, match=r"nests? .* 33 deep or more, limits.max_depth is 32"):
        attribute_text(body(nest(depth, LEAF)))


WRONG: list[tuple[str, bytes, str, str]] = [
    ("garbage", b"this is no protobuf", "in its first level: wire type 4 at byte 0", ""),
    ("a truncated message", b"\x0a\x05ab", "in its first level: field 1 ends 3 bytes behind the end", ""),
    ("a truncated number", b"\x0a\xff", "in its first level: the number at byte 1 does not end", ""),
    ("a number too long", b"\x0a" + b"\xff" * 11, "in its first level: the number at byte 1 does not end", ""),
    ("no field number", b"\x02\x00", "0 at byte 0 is no field number", ""),
    (
        "a truncated span",
        field(1, field(2, field(2, b"\x0a\x10abc"))),
        "ends 13 bytes behind",
        "resourceSpans[0].scopeSpans[0].spans[0]",
    ),
    (
        "a name that is not UTF-8",
        field(1, field(2, field(2, b"") + field(2, field(5, b"\xff\xfe")))),
        "spans[1].name is not valid UTF-8",
        "resourceSpans[0].scopeSpans[0].spans[1].name",
    ),
    (
        "a key that is not UTF-8",
        field(1, field(1, field(1, field(1, b"ok")) + field(1, field(1, b"\xc3")))),
        "is not valid UTF-8",
        "resourceSpans[0].resource.attributes[1].key",
    ),
    (
        "a value that is not UTF-8",
        body(field(1, b"\xed\xa0\x80")),
        "is not valid UTF-8",
        "resourceSpans[0].scopeSpans[0].spans[0].attributes[0].value.stringValue",
    ),
]


@pytest.mark.parametrize(
    ("request_body", "message", "place"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG]
)
def test_a_wrong_body_is_refused_with_its_place(request_body: bytes, message: str, place: str) -> None:
    with pytest.raises(Undecodable) as caught:
        attribute_text(request_body)
    assert message in str(caught.value)
    assert caught.value.field == place


def test_unknown_fields_are_ignored() -> None:
    known = traces(span({"k": "v"})).SerializeToString()
    assert attribute_text(known + field(2000, b"new") + varint(2001 << 3) + b"\x05") == "v"


def test_unknown_fields_beside_deep_values_are_ignored() -> None:
    assert attribute_text(body(kvlists(32, LEAF)) + field(2000, b"new")).endswith('"leaf"' + "}" * 32)


def apart(message: Message, data: bytes) -> Message:
    """Parse as `parse` does where the runtime has failed."""
    _fill(message, data, 64, DecodeError())
    return message


ONE, TWO = field(5, field(1, field(1, b"1"))), field(5, field(1, field(1, b"2")))
REPEATED = [
    ("both parts of a message", ONE + TWO, ["1", "2"]),
    ("the last alternative, a message", field(1, b"s") + ONE, ["1"]),
    ("the last alternative, a scalar", ONE + field(1, b"s"), "s"),
    ("the last message after another alternative", ONE + field(1, b"s") + TWO, ["2"]),
    ("an empty message", field(6, b""), {}),
    ("an empty message, the last alternative", field(1, b"s") + field(6, b""), {}),
    ("the last of two messages", field(6, b"") + ONE, ["1"]),
    ("an alternative of a wrong wire type does not count", ONE + varint(1 << 3) + b"\x05", ["1"]),
]


@pytest.mark.parametrize(("data", "value"), [case[1:] for case in REPEATED], ids=[case[0] for case in REPEATED])
def test_of_repeated_alternatives_counts(data: bytes, value: object) -> None:
    taken, parsed = apart(AnyValue(), data), AnyValue.FromString(data)
    for message in (taken, parsed):
        message.DiscardUnknownFields()
    assert taken == parsed == any_value(value)


@given(st.randoms(use_true_random=False))
def test_taken_apart_a_body_means_the_same(chance: random.Random) -> None:
    """Messages and mutilated messages: either both ways refuse, or both give the same."""
    whole = traces(
        span({"a": [1, {"b": None}], "c": b"x"}, events=[{"name": "e"}], links=[{"trace_state": "t"}], flags=3),
        span({"d": 1.5}),
    ).SerializeToString()
    data = bytearray(whole)
    for _ in range(chance.randrange(4)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    try:
        expected = ExportTraceServiceRequest.FromString(bytes(data))
    except DecodeError:
        with pytest.raises(Undecodable):
            parse(ExportTraceServiceRequest, bytes(data), 32)
        return
    expected.DiscardUnknownFields()
    taken = apart(ExportTraceServiceRequest(), bytes(data))
    taken.DiscardUnknownFields()
    assert taken == expected


@given(st.binary(max_size=300))
def test_any_bytes_are_decoded_or_refused(data: bytes) -> None:
    for signal in Signal:
        try:
            ReferenceDecoder().decode(signal, Encoding.PROTOBUF, data, bounds())
        except Undecodable as refused:
            assert str(refused)  # noqa: PT017 - some bytes are decoded


def test_no_bytes_are_a_request_without_records() -> None:
    for signal in Signal:
        assert ReferenceDecoder().decode(signal, Encoding.PROTOBUF, b"", bounds()).rows == 0


def test_the_search_for_a_place_is_bounded() -> None:
    """The outermost of sixty levels would be parsed once, the innermost sixty times."""
    value = field(1, b"\xff")
    for _ in range(60):
        value = field(5, field(1, field(1, b"x" * 2**18)) + field(1, value))
    with pytest.raises(Undecodable, match="not protobuf"):
        parse(AnyValue, value, 64)
