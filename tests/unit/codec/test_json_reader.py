"""OTLP/JSON is read as the specification's JSON rules (J1 to J8) say, and a refusal names the path of the offender."""

from __future__ import annotations

import base64
import json
import math
import random
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest
from google.protobuf import json_format
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import AnyValue
from opentelemetry.proto.logs.v1.logs_pb2 import LogRecord
from opentelemetry.proto.metrics.v1.metrics_pb2 import HistogramDataPoint, NumberDataPoint
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from app.codec.groups import Request
from app.codec.json_reader import MAX_DEPTH, read_request
from app.errors import Undecodable
from app.model import Signal
from tests.strategies import REQUESTS, requests

CORPUS = Path(__file__).parents[2] / "data" / "otlp"
NODE = sorted(path for path in (CORPUS / "node").glob("*s.json"))
IDS = ("traceId", "spanId", "parentSpanId")
SPAN_PATH = "resourceSpans[0].scopeSpans[0].spans[0]"
BODY_PATH = "resourceLogs[0].scopeLogs[0].logRecords[0].body"


def read_span(span: Any) -> Span:
    body = orjson.dumps({"resourceSpans": [{"scopeSpans": [{"spans": [span]}]}]})
    return read_request(Signal.TRACES, body).resource_spans[0].scope_spans[0].spans[0]  # type: ignore[union-attr]


def read_log(record: str) -> LogRecord:
    body = f'{{"resourceLogs":[{{"scopeLogs":[{{"logRecords":[{record}]}}]}}]}}'.encode()
    return read_request(Signal.LOGS, body).resource_logs[0].scope_logs[0].log_records[0]  # type: ignore[union-attr]


def read_value(text: str) -> AnyValue:
    return read_log(f'{{"body":{text}}}').body


def read_metric(metric: Any) -> Any:
    body = orjson.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]})
    return read_request(Signal.METRICS, body).resource_metrics[0].scope_metrics[0].metrics[0]  # type: ignore[union-attr]


def read_point(point: Any) -> NumberDataPoint:
    found: NumberDataPoint = read_metric({"gauge": {"dataPoints": [point]}}).gauge.data_points[0]
    return found


def read_histogram(point: Any) -> HistogramDataPoint:
    found: HistogramDataPoint = read_metric({"histogram": {"dataPoints": [point]}}).histogram.data_points[0]
    return found


def with_ids(tree: Any, turn: Any) -> Any:
    """A JSON tree with another notation of its ids: they are the one thing where OTLP/JSON is not proto3 JSON."""
    if isinstance(tree, dict):
        return {key: turn(value) if key in IDS else with_ids(value, turn) for key, value in tree.items()}
    return [with_ids(item, turn) for item in tree] if isinstance(tree, list) else tree


def hex_of(text: str) -> str:
    return base64.b64decode(text).hex()


def base64_of(text: str) -> str:
    return base64.b64encode(bytes.fromhex(text)).decode()


def exact(request: Request) -> bytes:
    return request.SerializeToString(deterministic=True)


@pytest.mark.parametrize("signal", Signal)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(data=st.data())
def test_what_the_official_library_writes_is_read_as_it_was_meant(signal: Signal, data: st.DataObject) -> None:
    """The independent judge: protobuf's own JSON of any request, its ids in hex."""
    request = data.draw(requests(signal))
    tree = with_ids(json_format.MessageToDict(request, use_integers_for_enums=True), hex_of)
    assert exact(read_request(signal, json.dumps(tree).encode())) == exact(request)


@pytest.mark.parametrize("path", NODE, ids=lambda path: path.name)
def test_what_javascript_writes_is_read_as_the_official_library_reads_it(path: Path) -> None:
    """Real payloads; null is written out as NaN for the judge, who does not know it."""
    signal = next(signal for signal in Signal if signal.value in path.name)
    body = path.read_bytes()
    tree = json.loads(body.replace(b'"doubleValue":null', b'"doubleValue":"NaN"'))
    judged = json_format.ParseDict(with_ids(tree, base64_of), REQUESTS[signal]())
    assert exact(read_request(signal, body)) == exact(judged)


@pytest.mark.parametrize("notation", ["0123456789abcdef", "0123456789ABCDEF", "0123456789aBcDeF"])
def test_j1_ids_are_hexadecimal_in_either_case(notation: str) -> None:
    """Also in links."""
    span = read_span({"traceId": notation * 2, "parentSpanId": notation, "links": [{"spanId": notation}]})
    raw = bytes.fromhex("0123456789abcdef")
    assert (span.trace_id, span.parent_span_id, span.links[0].span_id) == (raw * 2, raw, raw)


def test_j1_ids_of_exemplars_are_hexadecimal() -> None:
    """As those of spans, links and log records."""
    [exemplar] = read_point({"exemplars": [{"traceId": "0a" * 16, "spanId": "0b" * 8}]}).exemplars
    assert (exemplar.trace_id, exemplar.span_id) == (b"\x0a" * 16, b"\x0b" * 8)


def test_j1_the_length_of_an_id_is_not_judged_here() -> None:
    """It costs one record, not the request."""
    assert read_span({"traceId": "0102"}).trace_id == b"\1\2"


@pytest.mark.parametrize("wrong", ["abc", "zz", "0x12", " 12", "1 2 ", "\u0661\u0662", "AAEC=", 12, ["12"], {}, True])
def test_j1_what_is_not_hexadecimal_refuses_the_request(wrong: Any) -> None:
    """And the path of the field is named."""
    with pytest.raises(Undecodable) as refusal:
        read_span({"traceId": wrong})
    assert refusal.value.field == f"{SPAN_PATH}.traceId"


@pytest.mark.parametrize("text", ["-_8=", "-_8", "+/8=", "+/8"], ids=lambda text: f"as {text}")
def test_j1_other_bytes_are_base64_of_either_alphabet(text: str) -> None:
    """Padded or not."""
    assert read_value(f'{{"bytesValue":"{text}"}}').bytes_value == b"\xfb\xff"


@pytest.mark.parametrize("wrong", ['"a"', '"ab!d"', '"ab cd"', '"YQ==YQ=="', '"é"', "12"])
def test_j1_what_is_not_base64_refuses_the_request(wrong: str) -> None:
    """Nothing is skipped in it."""
    with pytest.raises(Undecodable, match=r"bytesValue: .* is not base64"):
        read_value(f'{{"bytesValue":{wrong}}}')


@pytest.mark.parametrize("name", ["SPAN_KIND_SERVER", "2", "", "server"])
def test_j2_names_of_enums_refuse_the_request(name: str) -> None:
    """OTLP/JSON writes numbers only."""
    with pytest.raises(Undecodable, match="enums are written as integers") as refusal:
        read_span({"kind": name})
    assert refusal.value.field == f"{SPAN_PATH}.kind"


def test_j2_unknown_numbers_of_enums_are_kept() -> None:
    """A newer sender knows more of them."""
    assert read_span({"kind": 99, "status": {"code": -1}}) == Span(kind=99, status={"code": -1})  # type: ignore[arg-type]


def test_j3_keys_in_snake_case_are_unknown_fields() -> None:
    """They are not read as the field that they resemble."""
    assert read_span({"trace_id": "00" * 16, "start_time_unix_nano": "1", "TraceId": "zz"}) == Span()


@pytest.mark.parametrize("value", [None, 1, "x", [], {}, {"a": [{"traceId": "zz"}]}, [[[1]]]], ids=repr)
def test_j4_unknown_fields_are_ignored(value: Any) -> None:
    """Whatever they hold."""
    assert read_span({"name": "a", "novelty": value, "": value}) == Span(name="a")


def test_j4_unknown_fields_may_be_nested_deeper_than_values() -> None:
    """Nothing walks into them."""
    depth = 900
    assert read_log(f'{{"novelty":{"[" * depth}{"]" * depth},"eventName":"e"}}').event_name == "e"


@pytest.mark.parametrize("number", [0, 1, -1, 2**53 + 1, 2**63 - 1, -(2**63)])
def test_j5_integers_are_numbers_or_strings(number: int) -> None:
    """Both exact to 64 bits."""
    assert read_value(f'{{"intValue":{number}}}').int_value == number
    assert read_value(f'{{"intValue":"{number}"}}').int_value == number


def test_j5_unsigned_integers_reach_their_end() -> None:
    """Times and counts are unsigned."""
    most = 2**64 - 1
    point = read_histogram({"timeUnixNano": str(most), "count": most, "bucketCounts": [most, str(most), "1"]})
    assert (point.time_unix_nano, point.count, list(point.bucket_counts)) == (most, most, [most, most, 1])
    assert read_histogram({"count": 1e19}).count == 10**19


@pytest.mark.parametrize("text", ["1.0", "1e3", "1E+3", "-2.50e1", "9007199254740992.0"])
def test_j5_integral_numbers_may_have_fraction_and_exponent(text: str) -> None:
    """As proto3 JSON reads them."""
    assert read_value(f'{{"intValue":{text}}}').int_value == int(float(text))


@pytest.mark.parametrize(
    "text",
    ["1.5", "1e-1", "9223372036854775808", "-9223372036854775809", "1e19", "1e300", "true", "[]", "{}"]
    + [f'"{text}"' for text in ("", "1.0", "1e3", " 1", "1 ", "+1", "1_0", "0x1", "\u0661", "--1", "-", "9" * 5000)]
    + ['"9223372036854775808"', '"-9223372036854775809"', '"NaN"'],
)
def test_j5_what_does_not_fit_an_integer_refuses_the_request(text: str) -> None:
    """Nothing is rounded, cut or guessed."""
    with pytest.raises(Undecodable, match="is not an integer between -9223372036854775808 and") as refusal:
        read_value(f'{{"intValue":{text}}}')
    assert refusal.value.field == f"{BODY_PATH}.intValue"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("startTimeUnixNano", -1),
        ("startTimeUnixNano", 2**64),
        ("startTimeUnixNano", 2.0**64),
        ("flags", -1.0),
        ("flags", 2**32),
        ("flags", -1),
        ("kind", 2**31),
    ],
)
def test_j5_each_width_has_its_range(field: str, value: int) -> None:
    """Unsigned, 32 bits and enums."""
    with pytest.raises(Undecodable, match="is not an integer between"):
        read_span({field: str(value) if value == 2**64 and isinstance(value, int) else value})


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("34", 34.0),
        ("-0.0", -0.0),
        ('"1.5"', 1.5),
        ('"-2e3"', -2000.0),
        ('"Infinity"', math.inf),
        ('"-Infinity"', -math.inf),
        ("18446744073709551616", 2.0**64),
        ("5e-324", 5e-324),
        ("1e-400", 0.0),
    ],
)
def test_j6_doubles_are_numbers_or_strings(text: str, number: float) -> None:
    """Integers among them."""
    found = read_value(f'{{"doubleValue":{text}}}').double_value
    assert (found, math.copysign(1, found)) == (number, math.copysign(1, number))


def test_j6_nan_is_a_string() -> None:
    """JSON has no number for it."""
    assert math.isnan(read_value('{"doubleValue":"NaN"}').double_value)


@pytest.mark.parametrize("text", ['""', '"nan"', '"inf"', '"+1"', '".5"', '"1."', '"0x1p3"', '"1e400"', "true", "[1]"])
def test_j6_what_is_no_double_refuses_the_request(text: str) -> None:
    """Python reads more than JSON does."""
    with pytest.raises(Undecodable, match=r"doubleValue: .* is not"):
        read_value(f'{{"doubleValue":{text}}}')


def test_j7_a_double_value_of_null_is_nan() -> None:
    """JavaScript writes NaN so."""
    value = read_value('{"doubleValue":null}')
    assert value.WhichOneof("value") == "double_value"
    assert math.isnan(value.double_value)


def test_j7_a_point_whose_double_is_null_is_nan() -> None:
    """For the same reason."""
    point = read_point({"asDouble": None})
    assert point.WhichOneof("value") == "as_double"
    assert math.isnan(point.as_double)


def test_j7_an_empty_value_is_there_and_empty() -> None:
    """It is not the same as no body."""
    record = read_log('{"body":{}}')
    assert record.HasField("body")
    assert record.body.WhichOneof("value") is None


def test_j7_other_kinds_of_value_are_empty_if_null() -> None:
    """Null is the default of a field, and a value without a kind is empty."""
    for kind in ("stringValue", "intValue", "boolValue", "bytesValue", "arrayValue", "kvlistValue"):
        assert read_value(f'{{"{kind}":null}}').WhichOneof("value") is None
        [attribute] = read_span({"attributes": [{"key": "k", "value": {kind: None}}]}).attributes
        assert (attribute.key, attribute.value.WhichOneof("value")) == ("k", None)


def test_j8_null_fields_are_their_defaults() -> None:
    """Scalars, lists and messages alike; optional fields are absent."""
    names = (*IDS, "name", "kind", "startTimeUnixNano", "attributes", "events", "status", "flags", "traceState")
    assert read_span(dict.fromkeys(names)) == Span()
    assert read_histogram(dict.fromkeys(("sum", "min", "max", "bucketCounts"))) == HistogramDataPoint()


def test_j8_null_in_a_list_of_messages_is_an_empty_message() -> None:
    """The place in the list is kept."""
    assert [
        value.WhichOneof("value")
        for value in read_value('{"arrayValue":{"values":[null,{"intValue":1}]}}').array_value.values
    ] == [None, "int_value"]


def test_j8_null_in_a_list_of_numbers_refuses_the_request() -> None:
    """A bound that nobody knows cannot be guessed."""
    with pytest.raises(Undecodable) as refusal:
        read_histogram({"explicitBounds": [1, None]})
    assert refusal.value.field.endswith(".dataPoints[0].explicitBounds[1]")


def test_empty_messages_are_present() -> None:
    """A status without fields is a status."""
    assert read_span({"status": {}}).HasField("status")
    assert not read_span({}).HasField("status")


def test_of_several_alternatives_the_last_counts() -> None:
    """As on the wire."""
    assert read_value('{"stringValue":"a","intValue":1}') == AnyValue(int_value=1)
    assert read_value('{"intValue":1,"stringValue":"a"}') == AnyValue(string_value="a")


def test_of_equal_keys_the_last_counts() -> None:
    """JSON leaves it open."""
    assert read_log('{"eventName":"a","eventName":"b"}').event_name == "b"


@pytest.mark.parametrize("text", ["é\U0001f600", "\0", "\u2028", "\x7f", "\uffff"])
def test_any_unicode_text_is_taken(text: str) -> None:
    """NUL too."""
    assert read_span({"name": text}).name == text


@pytest.mark.parametrize(
    "body",
    [b"[]", b"null", b"1", b'"x"', b"true", b"[{}]"],
    ids=lambda body: body.decode(),
)
def test_the_top_is_an_object(body: bytes) -> None:
    """Nothing else is a request."""
    with pytest.raises(Undecodable, match="The body"):
        read_request(Signal.TRACES, body)


@pytest.mark.parametrize(
    "body",
    [
        b" ",
        b"{",
        b"{}x",
        b"{'a':1}",
        b'{"a":NaN}',
        b'{"a":1e400}',
        b'{"a":"\\ud800"}',
        b'{"a":"\xff"}',
        b"\xef\xbb\xbf{}",
        b"\x0a\x00",
        b'{"a":01}',
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":"\xed\xa0\x80"}',
    ],
    ids=lambda body: repr(body[:16]),
)
def test_what_is_not_json_refuses_the_request(body: bytes) -> None:
    """Lone surrogates, invalid UTF-8, numbers beyond the doubles and endless nesting among it."""
    with pytest.raises(Undecodable, match="The body is not valid JSON"):
        read_request(Signal.LOGS, body)


@pytest.mark.parametrize("body", [b"", b"{}", b'{"resourceLogs":[]}', b'{"resourceLogs":null}', b'{"x":1}'])
def test_a_request_without_data_is_a_request(body: bytes) -> None:
    """No bytes at all too."""
    assert not read_request(Signal.LOGS, body).ListFields()


@pytest.mark.parametrize(
    ("span", "path"),
    [
        ({"name": 1}, ".name"),
        ({"name": True}, ".name"),
        ({"name": ["a"]}, ".name"),
        ({"attributes": {}}, ".attributes"),
        ({"attributes": "x"}, ".attributes"),
        ({"attributes": [{"key": "a"}, 1]}, ".attributes[1]"),
        ({"attributes": [{"key": 1, "value": {}}]}, ".attributes[0].key"),
        ({"attributes": [{"key": "a", "value": "b"}]}, ".attributes[0].value"),
        ({"attributes": [{"key": "a", "value": {"boolValue": 1}}]}, ".attributes[0].value.boolValue"),
        ({"attributes": [{"key": "a", "value": {"intValue": "x"}}]}, ".attributes[0].value.intValue"),
        ({"events": [{}, {"timeUnixNano": "x"}]}, ".events[1].timeUnixNano"),
        ({"status": []}, ".status"),
        ({"status": {"message": {}}}, ".status.message"),
    ],
)
def test_wrong_types_are_named_by_their_path(span: Any, path: str) -> None:
    """In the sentence and in the field of the error."""
    with pytest.raises(Undecodable) as refusal:
        read_span(span)
    assert refusal.value.field == SPAN_PATH + path
    assert str(refusal.value).startswith(f"{SPAN_PATH}{path}: ")


def test_a_long_offender_is_not_repeated_in_full() -> None:
    """Answers stay small, however deep or long it is."""
    with pytest.raises(Undecodable) as refusal:
        read_log(f'{{"traceId":"{"z" * 100_000}"}}')
    assert len(str(refusal.value)) < 300
    with pytest.raises(Undecodable, match="a list is not a string"):
        read_log(f'{{"eventName":{"[" * 1000}{"]" * 1000}}}')


@pytest.mark.parametrize(
    ("opening", "closing"),
    [('{"arrayValue":{"values":[', "]}}"), ('{"kvlistValue":{"values":[{"key":"k","value":', "}]}}")],
    ids=["arrays", "kvlists"],
)
def test_values_are_walked_to_a_bound_and_refused_beyond(opening: str, closing: str) -> None:
    """One more than the greatest `limits.max_depth` of containers is read, so that its rule can speak."""
    inside = MAX_DEPTH - 1
    assert read_value(f'{opening * inside}{{"intValue":1}}{closing * inside}').ByteSize() > inside
    with pytest.raises(Undecodable, match="values are nested deeper than 66 levels"):
        read_value(f'{opening * MAX_DEPTH}{{"intValue":1}}{closing * MAX_DEPTH}')


def test_the_deepest_values_need_little_of_the_stack() -> None:
    """A caller may stand 500 frames deep itself."""
    inside = MAX_DEPTH - 1
    kvlist = '{"kvlistValue":{"values":[{"key":"k","value":'

    def below(frames: int) -> AnyValue:
        return below(frames - 1) if frames else read_value(f"{kvlist * inside}{{}}{'}]}}' * inside}")

    assert sys.getrecursionlimit() >= 1000
    assert below(500).ByteSize()


def test_bytes_from_anywhere_are_read_or_refused() -> None:
    """Nothing but Undecodable is ever raised: real payloads with some of their bytes changed."""
    chance = random.Random(7)
    [path] = [path for path in NODE if "logs" in path.name]
    body = path.read_bytes()
    refused = 0
    for _ in range(400):
        broken = bytearray(body)
        for _ in range(3):
            broken[chance.randrange(len(broken))] = chance.choice(b'{}[]",:0aZ\x00\xff-.e')
        try:
            read_request(Signal.LOGS, bytes(broken))
        except Undecodable:
            refused += 1
    assert 0 < refused < 400
