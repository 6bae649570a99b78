"""The notation of values: one letter and one text, from which the value can be had back exactly."""

from __future__ import annotations

import json
import math

import pytest
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue

from app.codec.reasons import RecordRejected
from app.codec.values import AttributeTexts, ValueReader, double_text, entries_text
from app.errors import Undecodable
from app.settings import LimitSettings
from tests.unit.codec.messages import Pairs, any_value, key_values

SCALARS = [
    ("a string", "text", "s", "text"),
    ("an empty string", "", "s", ""),
    ("NUL and emoji", "a\x00😀", "s", "a\x00😀"),
    ("an integer", 42, "i", "42"),
    ("the least integer", -(2**63), "i", "-9223372036854775808"),
    ("the greatest integer", 2**63 - 1, "i", "9223372036854775807"),
    ("zero", 0, "i", "0"),
    ("an integral double", 1.0, "d", "1.0"),
    ("a large double", 1e22, "d", "1e+22"),
    ("a small double", 1.5e-7, "d", "1.5e-07"),
    ("the last positional double", 1e15, "d", "1000000000000000.0"),
    ("the first double with an exponent", 1e16, "d", "1e+16"),
    ("the least positional double", 1e-4, "d", "0.0001"),
    ("a subnormal double", 5e-324, "d", "5e-324"),
    ("negative zero", -0.0, "d", "-0.0"),
    ("not a number", math.nan, "d", "NaN"),
    ("infinity", math.inf, "d", "Infinity"),
    ("negative infinity", -math.inf, "d", "-Infinity"),
    ("true", True, "b", "true"),
    ("false", False, "b", "false"),
    ("bytes", b"\x00\xff\xfe", "y", "AP/+"),
    ("no bytes", b"", "y", ""),
    ("no value", None, "e", ""),
]

CONTAINERS = [
    ("an empty array", [], "a", "[]"),
    ("an empty kvlist", {}, "m", "{}"),
    ("a mixed array", ["x", 1, 1.0, True, False], "a", '["x",1,1.0,true,false]'),
    ("a kvlist in the order received", {"b": 1, "a": 2}, "m", '{"b":1,"a":2}'),
    ("nested containers", {"a": [{"b": []}]}, "m", '{"a":[{"b":[]}]}'),
    ("escapes", ['"\\\b\f\n\r\t\x00\x1f\x7f/é'], "a", '["\\"\\\\\\b\\f\\n\\r\\t\\u0000\\u001f\x7f/é"]'),
    ("an escaped key", {"\n": 1}, "m", '{"\\n":1}'),
    ("bytes in an array", [b"\x01\x02"], "A", '{"arrayValue":{"values":[{"bytesValue":"AQI="}]}}'),
    ("an empty value in an array", ["a", None], "A", '{"arrayValue":{"values":[{"stringValue":"a"},{}]}}'),
    ("NaN in an array", [1.0, math.nan], "A", '{"arrayValue":{"values":[{"doubleValue":1.0},{"doubleValue":"NaN"}]}}'),
    (
        "infinity deep down",
        [[-math.inf]],
        "A",
        '{"arrayValue":{"values":[{"arrayValue":{"values":[{"doubleValue":"-Infinity"}]}}]}}',
    ),
    (
        "a doubled key",
        Pairs([("k", 1), ("k", True)]),
        "M",
        '{"kvlistValue":{"values":[{"key":"k","value":{"intValue":"1"}},{"key":"k","value":{"boolValue":true}}]}}',
    ),
    ("an empty value in a kvlist", {"k": None}, "M", '{"kvlistValue":{"values":[{"key":"k","value":{}}]}}'),
    (
        "empty containers beside what is lost",
        [[], {}, None],
        "A",
        '{"arrayValue":{"values":[{"arrayValue":{"values":[]}},{"kvlistValue":{"values":[]}},{}]}}',
    ),
]


def read(value: object, **limits: int) -> tuple[str, str]:
    return ValueReader(LimitSettings(**limits)).value(any_value(value), "body")


def read_attribute(value: object, **limits: int) -> tuple[str, str]:
    texts = ValueReader(LimitSettings(**limits)).attributes(key_values(("k", value)), "attributes")
    return texts.letters, texts.texts[0]


@pytest.mark.parametrize(
    ("value", "letter", "text"),
    [case[1:] for case in SCALARS + CONTAINERS],
    ids=[case[0] for case in SCALARS + CONTAINERS],
)
def test_a_value_is_written_as(value: object, letter: str, text: str) -> None:
    assert read(value) == (letter, text)


@pytest.mark.parametrize(
    ("value", "letter", "text"),
    [case[1:] for case in SCALARS + CONTAINERS],
    ids=[case[0] for case in SCALARS + CONTAINERS],
)
def test_an_attribute_is_written_as_a_body_is(value: object, letter: str, text: str) -> None:
    assert read_attribute(value) == (letter, text)


@pytest.mark.parametrize("case", [case for case in CONTAINERS if case[2] in "am"], ids=lambda case: case[0])
def test_plain_json_is_json(case: tuple[str, object, str, str]) -> None:
    assert json.loads(case[3]) == case[1]


def test_a_key_without_a_value_is_an_empty_value() -> None:
    texts = ValueReader(LimitSettings()).attributes([KeyValue(key="k")], "attributes")
    assert texts == AttributeTexts(["k"], [""], "e")


def test_a_reference_into_a_profile_dictionary_is_no_value() -> None:
    assert read(AnyValue(string_value_strindex=3)) == ("e", "")


def test_attributes_keep_order_and_doubled_keys() -> None:
    texts = ValueReader(LimitSettings()).attributes(key_values(("b", 1), ("a", "x"), ("b", 2.0)), "attributes")
    assert texts == AttributeTexts(["b", "a", "b"], ["1", "x", "2.0"], "isd")


def test_entries_are_a_json_array_of_key_letter_and_text() -> None:
    assert (
        entries_text(AttributeTexts(['"k"', "é\x00"], ["1", "[]"], "ia"))
        == '[["\\"k\\"","i","1"],["é\\u0000","a","[]"]]'
    )


def test_no_entries_are_an_empty_array() -> None:
    assert entries_text(AttributeTexts([], [], "")) == "[]"


def nested(depth: int, leaf: object = 1, *, kvlist: bool = False) -> object:
    value = leaf
    for _ in range(depth):
        value = {"k": value} if kvlist else [value]
    return value


@pytest.mark.parametrize("kvlist", [False, True], ids=["arrays", "kvlists"])
@pytest.mark.parametrize("leaf", [1, None], ids=["plain", "exact"])
def test_a_value_may_be_as_deep_as_the_limit(leaf: object, kvlist: bool) -> None:
    assert read(nested(4, leaf, kvlist=kvlist), max_depth=4)[0] in "aAmM"


@pytest.mark.parametrize("kvlist", [False, True], ids=["arrays", "kvlists"])
@pytest.mark.parametrize("leaf", [1, None], ids=["plain", "exact"])
def test_a_deeper_value_is_refused(leaf: object, kvlist: bool) -> None:
    with pytest.raises(Undecodable, match=r"5 deep or more, limits.max_depth is 4"):
        read(nested(5, leaf, kvlist=kvlist), max_depth=4)


def test_an_empty_container_counts_as_a_level() -> None:
    with pytest.raises(Undecodable):
        read([[]], max_depth=1)


def test_a_lossy_neighbour_does_not_hide_a_deep_value() -> None:
    with pytest.raises(Undecodable):
        read([None, nested(3)], max_depth=3)


def test_the_refusal_of_a_deep_value_names_its_key_and_place() -> None:
    with pytest.raises(Undecodable, match='"k" in attributes') as caught:
        read_attribute([[1]], max_depth=1)
    assert caught.value.field == "attributes"


def test_as_many_attributes_as_the_limit_are_taken() -> None:
    texts = ValueReader(LimitSettings(max_attributes=2)).attributes(key_values(("a", 1), ("b", 2)), "attributes")
    assert texts.keys == ["a", "b"]


def test_more_attributes_are_rejected_with_number_limit_and_first_key_over_it() -> None:
    reader = ValueReader(LimitSettings(max_attributes=2))
    with pytest.raises(RecordRejected) as caught:
        reader.attributes(key_values(("a", 1), ("b", 2), ("c", 3)), "links.attributes")
    assert caught.value.reason == "too_many_attributes"
    assert caught.value.detail == (
        'links.attributes holds 3 entries, limits.max_attributes is 2; the first one over it is "c"'
    )


@pytest.mark.parametrize(
    ("key", "fits"), [("aaaa", True), ("aaaaa", False), ("éé", True), ("ééa", False), ("😀", True)]
)
def test_the_length_of_a_key_is_counted_in_bytes(key: str, fits: bool) -> None:
    reader = ValueReader(LimitSettings(max_key_bytes=4))
    if fits:
        assert reader.attributes(key_values((key, 1)), "attributes").keys == [key]
    else:
        with pytest.raises(RecordRejected, match=r"is 5 bytes, limits.max_key_bytes is 4") as caught:
            reader.attributes(key_values((key, 1)), "attributes")
        assert caught.value.reason == "key_too_long"


@pytest.mark.parametrize(
    ("value", "fits"),
    [
        ("aaaa", True),
        ("aaaaa", False),
        ("ééa", False),
        (12345, False),
        ([1, 2], False),
        (b"123", True),
        (b"1234", False),
    ],
)
def test_the_length_of_a_value_is_counted_in_bytes_as_stored(value: object, fits: bool) -> None:
    if fits:
        assert len(read_attribute(value, max_value_bytes=4)[1]) == 4
    else:
        with pytest.raises(
            RecordRejected, match=r'^"k" in attributes is [58] bytes as stored, limits.max_value_bytes is 4'
        ) as caught:
            read_attribute(value, max_value_bytes=4)
        assert caught.value.reason == "value_too_long"


def test_a_long_body_is_rejected_too() -> None:
    with pytest.raises(RecordRejected, match=r"^body is 5 bytes"):
        read("aaaaa", max_value_bytes=4)


def test_the_example_of_a_long_key_is_cut() -> None:
    with pytest.raises(RecordRejected) as caught:
        ValueReader(LimitSettings()).attributes(key_values(("k" * 5000, 1)), "attributes")
    assert len(caught.value.detail) < 200


@pytest.mark.parametrize("value", [0.1, 1 / 3, 2.0**53, 1.7976931348623157e308, 123456789.125])
def test_the_text_of_a_double_reads_back_as_the_same_double(value: float) -> None:
    assert float(double_text(value)) == value
