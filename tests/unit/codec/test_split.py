"""Piece by piece a body means what it means as a whole: the same rows in the same order, the same rejections, or a refusal."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from google.protobuf.descriptor import Descriptor
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.metrics.v1.metrics_pb2 import (
    AGGREGATION_TEMPORALITY_CUMULATIVE,
    ExponentialHistogram,
    ExponentialHistogramDataPoint,
    Gauge,
    Histogram,
    HistogramDataPoint,
    Metric,
    Sum,
    Summary,
    SummaryDataPoint,
)
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from app.codec import json_split, split, wire
from app.codec.bodies import decode_json, decode_message, decode_protobuf
from app.codec.contract import Bounds
from app.codec.export import dump, export
from app.codec.groups import REQUESTS, Request
from app.errors import TooLarge, Undecodable
from app.model import Chunk, Signal
from app.settings import LimitSettings
from tests.stored import stored_rows
from tests.strategies import requests
from tests.unit.codec.messages import (
    NOW,
    attributes,
    bounds,
    gauge,
    log,
    logs,
    metrics,
    point,
    signal_of,
    span,
    traces,
)

ANY_TIME = Bounds(LimitSettings(), received_unix_nano=5, oldest_unix_nano=0, newest_unix_nano=2**64)
WHOLE = 1 << 40
SIZES = st.sampled_from([2, 10, 40, 100, 300, 1000])


@contextmanager
def pieces_of(size: int) -> Iterator[None]:
    """Pieces so small that the smallest of requests is large."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (wire, split, json_split):
            patch.setattr(module, "PIECE_BYTES", size)
        yield


@pytest.fixture(params=[2, 40, 300], ids=lambda size: f"pieces of {size} bytes")
def pieces(request: pytest.FixtureRequest) -> Iterator[None]:
    with pieces_of(request.param):
        yield


def outcome(
    signal: Signal, body: bytes, large_bytes: int, *, is_json: bool = False, of: Bounds = ANY_TIME
) -> Chunk | str:
    decode = decode_json if is_json else decode_protobuf
    try:
        return decode(signal, body, of, large_bytes=large_bytes)
    except Undecodable:
        return "refused"


def assert_equal(signal: Signal, body: bytes, *, is_json: bool = False, of: Bounds = ANY_TIME) -> None:
    whole = outcome(signal, body, WHOLE, is_json=is_json, of=of)
    apart = outcome(signal, body, -1, is_json=is_json, of=of)
    assert repr(apart) == repr(whole)  # NaN is not equal to itself, but looks so


# -- Protobuf ----------------------------------------------------------------------------------------------------------


def varint(number: int) -> bytes:
    low, rest = number & 0x7F, number >> 7
    return bytes([low | 0x80]) + varint(rest) if rest else bytes([low])


def field(number: int, payload: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(payload)) + payload


def fields(data: bytes) -> Iterator[tuple[int, int, bytes, bytes]]:
    """Number, wire type, payload and all bytes of each field."""
    for number, wire_type, start, payload, end in wire.scan(data, 0, len(data), ""):
        yield number, wire_type, data[payload:end], data[start:end]


UNKNOWN = [
    field(2000, b"new"),
    varint(2001 << 3) + b"\x05",
    varint(2002 << 3 | 5) + b"abcd",
    varint(2003 << 3 | 3) + field(1, b"in a group") + varint(2003 << 3 | 3) + varint(2003 << 3 | 4) * 2,
    varint(1 << 3) + b"\x00",  # a number that is known, with another wire type
    varint(2 << 3 | 1) + b"\0" * 8,
]


def disturbed(data: bytes, kind: Descriptor, chance: random.Random) -> bytes:
    """The same message in another way on the wire, or one nearly like it: another order, parts, unknown fields."""
    parts: list[bytes] = []
    for number, wire_type, payload, raw in fields(data):
        known = kind.fields_by_number.get(number)
        if known is None or known.message_type is None or wire_type != 2:
            parts.append(raw)
            continue
        inner = disturbed(payload, known.message_type, chance)
        if not known.is_repeated and chance.random() < 0.3:
            # Of a field that is not repeated, all occurrences are one message.
            cuts = [raw for *_, raw in fields(inner)]
            at = chance.randrange(len(cuts) + 1)
            parts += [field(number, b"".join(cuts[:at])), field(number, b"".join(cuts[at:]))]
        else:
            parts.append(field(number, inner))
    if chance.random() < 0.3:
        parts.append(chance.choice(UNKNOWN))
    if chance.random() < 0.5:
        chance.shuffle(parts)
    return b"".join(parts)


@pytest.mark.parametrize("signal", Signal)
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(data=st.data(), size=SIZES, chance=st.randoms(use_true_random=False))
def test_a_request_means_the_same(signal: Signal, data: st.DataObject, size: int, chance: random.Random) -> None:
    """Whatever it holds, in whatever order, in parts and with fields of the future."""
    request = data.draw(requests(signal))
    body = request.SerializeToString()
    with pieces_of(size):
        assert_equal(signal, body)
        assert_equal(signal, disturbed(body, REQUESTS[signal].DESCRIPTOR, chance))


GOOD = {
    Signal.TRACES: traces(
        span({"a": [1, {"b": None}], "c": b"x"}, events=[{"name": "e"}], links=[{"trace_state": "t"}], flags=3),
        span({"d": 1.5}, trace_id=b"short"),
        span({"e": "é"}),
        resource=Resource(attributes=attributes({"service.name": "shop"})),
        scope=InstrumentationScope(name="lib", attributes=attributes({"k": 1})),
    ),
    Signal.LOGS: logs(log({"a": [1, {"b": None}]}, event_name="e"), log(time_unix_nano=1), log({"d": 1.5})),
}


@pytest.mark.parametrize("signal", GOOD)
@settings(max_examples=400)
@given(size=SIZES, chance=st.randoms(use_true_random=False))
def test_a_mutilated_request_is_refused_or_means_the_same(signal: Signal, size: int, chance: random.Random) -> None:
    data = bytearray(GOOD[signal].SerializeToString())
    for _ in range(chance.randrange(1, 4)):
        data[chance.randrange(len(data))] = chance.randrange(256)
    with pieces_of(size):
        assert_equal(signal, bytes(data), of=bounds())


def test_of_a_metrics_alternatives_the_last_one_counts(pieces: None) -> None:
    """A gauge between two sums replaces the first of them; two sums that follow each other are one."""
    first = Metric(name="m", sum=Sum(data_points=[point({"n": 1})], is_monotonic=True)).SerializeToString()
    between = Metric(gauge=Gauge(data_points=[point({"n": 2})])).SerializeToString()
    last = Metric(
        sum=Sum(data_points=[point({"n": 3})], aggregation_temporality=AGGREGATION_TEMPORALITY_CUMULATIVE)
    ).SerializeToString()
    for data, numbers in (
        (first + between + last, ["3"]),
        (first + last, ["1", "3"]),
        (first + last + between, ["2"]),
        (last + between + first, ["1"]),
    ):
        body = field(1, field(2, field(2, data)))
        assert_equal(Signal.METRICS, body)
        chunk = decode_protobuf(Signal.METRICS, body, ANY_TIME, large_bytes=-1)
        assert [texts for _, texts in chunk.columns["attributes_map"]] == [[number] for number in numbers]


def test_unpacked_lists_are_lists(pieces: None) -> None:
    histogram = HistogramDataPoint(time_unix_nano=NOW, count=3).SerializeToString()
    counts = b"".join(varint(6 << 3 | 1) + number.to_bytes(8, "little") for number in (1, 2))
    limit = varint(7 << 3 | 1) + b"\0" * 8
    body = field(1, field(2, field(2, field(1, b"m") + field(9, field(1, histogram + counts + limit)))))
    assert_equal(Signal.METRICS, body)
    chunk = decode_protobuf(Signal.METRICS, body, ANY_TIME, large_bytes=-1)
    assert chunk.columns["bucket_counts"] == [[1, 2]]


@pytest.mark.parametrize(
    ("body", "place"),
    [
        (field(1, field(2, field(2, b"") + field(2, field(5, b"\xff\xfe")))), "scopeSpans[0].spans[1].name"),
        (field(1, field(2, b"") + field(2, field(2, b"") * 3 + field(2, b"\x0a\x10abc"))), "scopeSpans[1].spans[3]"),
        (field(1, field(1, field(1, field(1, b"\xc3")))), "resource.attributes[0].key"),
    ],
    ids=["a name", "a span", "a resource"],
)
def test_what_is_wrong_is_refused_with_its_place(pieces: None, body: bytes, place: str) -> None:
    """The very place that parsing the whole names."""
    with pytest.raises(Undecodable) as whole:
        decode_protobuf(Signal.TRACES, field(1, b"") + body, ANY_TIME)
    with pytest.raises(Undecodable) as apart:
        decode_protobuf(Signal.TRACES, field(1, b"") + body, ANY_TIME, large_bytes=-1)
    assert apart.value.field == whole.value.field == f"resourceSpans[1].{place}"


@pytest.mark.parametrize("depth", [31, 32, 33, 100, 3000])
@pytest.mark.parametrize("pad", [0, 200], ids=["small", "large"])
def test_depth_is_held_against_the_limit(pieces: None, depth: int, pad: int) -> None:
    value = field(1, b"x" * pad)
    for _ in range(depth):
        value = field(6, field(1, field(1, b"k") + field(2, value)))
    body = field(1, field(2, field(2, span().SerializeToString() + field(9, field(1, b"key") + field(2, value)))))
    assert_equal(Signal.TRACES, body, of=bounds())
    assert (outcome(Signal.TRACES, body, -1, of=bounds()) == "refused") is (depth > 32)


# -- Limits ------------------------------------------------------------------------------------------------------------

PAD = "x" * 400
HISTOGRAM = HistogramDataPoint(time_unix_nano=NOW, bucket_counts=[1] * 40, explicit_bounds=list(range(39)))
EXPONENTIAL_HISTOGRAM = ExponentialHistogramDataPoint(
    time_unix_nano=NOW, positive=ExponentialHistogramDataPoint.Buckets(bucket_counts=[1, 300] * 200)
)
SUMMARY = SummaryDataPoint(time_unix_nano=NOW, quantile_values=[SummaryDataPoint.ValueAtQuantile(value=1.5)] * 40)
OVER: list[tuple[str, Request, dict[str, int], str, str]] = [
    (
        "attributes",
        traces(span({"a": 1, "b": PAD})),
        {"max_attributes": 1},
        "too_many_attributes",
        'span "GET /": attributes holds more than 1 entries, limits.max_attributes is 1',
    ),
    (
        "events",
        traces(span(events=[{"name": PAD}] * 2)),
        {"max_events": 1},
        "too_many_events",
        'span "GET /": more than 1 events, limits.max_events is 1',
    ),
    ("links", traces(span(links=[{"trace_state": PAD}] * 2)), {"max_links": 1}, "too_many_links", "more than 1 links"),
    (
        "attributes of an event",
        traces(span(events=[{"attributes": attributes({"a": 1, "b": PAD})}])),
        {"max_attributes": 1},
        "too_many_attributes",
        "events.attributes holds more than 1 entries",
    ),
    (
        "an attribute of a span",
        traces(span({"k": PAD})),
        {"max_value_bytes": 300},
        "value_too_long",
        '"k" in attributes is 400 bytes as stored, limits.max_value_bytes is 300',
    ),
    (
        "a body",
        logs(log({"k": "v"}, body={"string_value": PAD})),
        {"max_value_bytes": 300},
        "value_too_long",
        "log record 0: body is 400 bytes as stored",
    ),
    (
        "bytes",
        traces(span({"k": PAD.encode()})),
        {"max_value_bytes": 500},
        "value_too_long",
        '"k" in attributes is 536 bytes as stored',
    ),
    (
        "a resource",
        traces(span(), resource=Resource(attributes=attributes({"a": 1, "b": PAD}))),
        {"max_attributes": 1},
        "too_many_attributes",
        'span "GET /": resource.attributes holds more than 1 entries',
    ),
    (
        "a scope",
        traces(span(), scope=InstrumentationScope(attributes=attributes({"a": 1, "b": PAD}))),
        {"max_attributes": 1},
        "too_many_attributes",
        'span "GET /": scope.attributes holds more than 1 entries',
    ),
    (
        "metadata",
        metrics(gauge(point(), metadata=attributes({"a": 1, "b": PAD}))),
        {"max_attributes": 1},
        "too_many_attributes",
        'data point of metric "load": metadata holds more than 1 entries',
    ),
    (
        "exemplars",
        metrics(gauge(point(exemplars=[{"filtered_attributes": attributes({"a": PAD})}] * 2))),
        {"max_events": 1},
        "too_many_exemplars",
        "more than 1 exemplars, limits.max_events is 1",
    ),
    (
        "buckets",
        metrics(Metric(name="h", histogram=Histogram(data_points=[HISTOGRAM]))),
        {"max_buckets": 39},
        "too_many_buckets",
        "bucket_counts holds more than 39 entries, limits.max_buckets is 39",
    ),
    (
        "packed buckets of an exponential histogram",
        metrics(Metric(exponential_histogram=ExponentialHistogram(data_points=[EXPONENTIAL_HISTOGRAM]))),
        {"max_buckets": 399},
        "too_many_buckets",
        "positive.bucket_counts holds more than 399 entries",
    ),
    (
        "quantiles",
        metrics(Metric(summary=Summary(data_points=[SUMMARY]))),
        {"max_buckets": 39},
        "too_many_buckets",
        "quantile_values holds more than 39 entries",
    ),
]


@pytest.mark.parametrize(
    ("request_", "limits", "reason", "detail"), [case[1:] for case in OVER], ids=[case[0] for case in OVER]
)
def test_a_large_record_over_a_limit_is_rejected_by_the_name_it_has_in_a_small_one(
    request_: Request, limits: dict[str, int], reason: str, detail: str
) -> None:
    """Without being parsed, and so without a count of what is beyond the limit."""
    body, signal = request_.SerializeToString(), signal_of(request_)
    whole = decode_protobuf(signal, body, bounds(**limits), large_bytes=WHOLE)
    with pieces_of(200):
        apart = decode_protobuf(signal, body, bounds(**limits), large_bytes=-1)
        within = {name: 600 if name == "max_value_bytes" else most + 1 for name, most in limits.items()}
        taken = decode_protobuf(signal, body, bounds(**within), large_bytes=-1)
    assert apart.rejections.counts == whole.rejections.counts == {reason: 1}
    assert detail in apart.rejections.examples[reason]
    assert (taken.rows, taken.rejections.message) == (1, "")


def test_ids_and_times_are_judged_before_sizes() -> None:
    """As in a small record; its neighbours stay."""
    large = {"a": "x" * (200 << 10), "b": 1}
    request = traces(span(), span(large, trace_id=b"short"), span(large, start_time_unix_nano=1), span(large), span())
    chunk = decode_protobuf(Signal.TRACES, request.SerializeToString(), bounds(max_attributes=1), large_bytes=-1)
    assert chunk.rows == 2
    assert chunk.rejections.counts == {"invalid_trace_id": 1, "too_old": 1, "too_many_attributes": 1}


def test_a_large_record_of_too_many_fields_is_rejected_by_name() -> None:
    many: dict[str, object] = {"a": [[]] * (40 << 10)}
    for request, name in ((traces(span(many), span()), 'span "GET /"'), (logs(log(many), log()), "log record 0")):
        body = request.SerializeToString()
        chunk = decode_protobuf(signal_of(request), body, bounds(max_fields=60_000), large_bytes=-1)
        assert chunk.rows == 1
        assert chunk.rejections.examples["too_many_fields"] == (
            f"{name}: it holds more than 60000 fields, limits.max_fields is 60000"
        )
        assert decode_protobuf(signal_of(request), body, bounds(), large_bytes=-1).rows == 2


@pytest.mark.parametrize("large_bytes", [-1, WHOLE], ids=["large", "small"])
@pytest.mark.parametrize(
    ("request_", "noun"),
    [
        (traces(*[span()] * 4), "spans"),
        (logs(*[log()] * 4), "log records"),
        (metrics(*[gauge(point(), point())] * 2), "data points"),
    ],
    ids=["spans", "log records", "data points"],
)
def test_more_records_than_the_limit_refuse_the_request(request_: Request, noun: str, large_bytes: int) -> None:
    """In either encoding; as many as the limit are taken."""
    signal = signal_of(request_)
    body, text = request_.SerializeToString(), as_json(request_)
    message = f"the request holds more than 3 {noun}, limits.max_records is 3"
    for decode, data in ((decode_protobuf, body), (decode_json, text)):
        with pytest.raises(TooLarge, match=message):
            decode(signal, data, bounds(max_records=3), large_bytes=large_bytes)
        assert decode(signal, data, bounds(max_records=4), large_bytes=large_bytes).rows == 4


@pytest.mark.parametrize("body", [field(1, b"") * 4, field(1, field(2, b"") * 4)], ids=["resources", "scopes"])
def test_what_records_stand_in_is_counted_too(body: bytes) -> None:
    with pytest.raises(TooLarge, match=r"more than 3 (resources|scopes), limits.max_records is 3"):
        decode_protobuf(Signal.TRACES, body, bounds(max_records=3), large_bytes=-1)


def test_fields_beside_records_are_counted() -> None:
    body = UNKNOWN[0] * 1001
    with pytest.raises(TooLarge, match="more than 1000 fields beside its spans"):
        decode_protobuf(Signal.TRACES, body, bounds(max_fields=1000), large_bytes=-1)


def test_a_request_whose_rows_grow_too_large_is_refused() -> None:
    """Ten thousand empty attributes are 20 kB on the wire and take 640 kB."""
    request = traces(*[span() for _ in range(3)])
    for scope in request.resource_spans[0].scope_spans:
        for one in scope.spans:
            for _ in range(10_000):
                one.attributes.add()
    body = request.SerializeToString()
    with (
        pieces_of(25_000),
        pytest.raises(TooLarge, match="the first 2 spans of the request take 1280000 bytes in memory"),
    ):
        decode_protobuf(Signal.TRACES, body, bounds(max_decoded_bytes=1 << 20), large_bytes=-1)


# -- JSON --------------------------------------------------------------------------------------------------------------


def as_json(request: Any) -> bytes:
    rows = stored_rows(decode_message(request, ANY_TIME))
    return dump(export(signal_of(request), rows))


@pytest.mark.parametrize("signal", Signal)
@settings(suppress_health_check=[HealthCheck.too_slow], max_examples=60)
@given(data=st.data(), size=SIZES)
def test_a_json_request_means_the_same(signal: Signal, data: st.DataObject, size: int) -> None:
    """With and without blanks."""
    body = as_json(data.draw(requests(signal)))
    with pieces_of(size):
        assert_equal(signal, body, is_json=True)
        assert_equal(signal, json.dumps(json.loads(body), indent=1).encode(), is_json=True)


@pytest.mark.parametrize("signal", GOOD)
@settings(max_examples=400)
@given(size=SIZES, chance=st.randoms(use_true_random=False))
def test_a_mutilated_json_request_is_refused_or_means_the_same(
    signal: Signal, size: int, chance: random.Random
) -> None:
    data = bytearray(as_json(GOOD[signal]))
    for _ in range(chance.randrange(1, 3)):
        data[chance.randrange(len(data))] = chance.choice(b'{}[]",:\\ a0\xff\n-')
    with pieces_of(size):
        assert_equal(signal, bytes(data), is_json=True, of=bounds())


SPAN = {"traceId": "ab" * 16, "spanId": "cd" * 8, "name": "s", "startTimeUnixNano": str(NOW)}
ODD: list[tuple[str, Any]] = [
    ("nothing", {}),
    ("null lists", {"resourceSpans": None}),
    ("null in lists", {"resourceSpans": [None, {"scopeSpans": [None, {"spans": [None, SPAN, None]}]}]}),
    ("no list", {"resourceSpans": {}}),
    ("no object", {"resourceSpans": [{"scopeSpans": [7]}]}),
    ("no span", {"resourceSpans": [{"scopeSpans": [{"spans": [SPAN, 7]}]}]}),
    ("no spans", {"resourceSpans": [{"scopeSpans": [{"spans": "x"}]}]}),
    ("empty lists", {"resourceSpans": [{"scopeSpans": [{"spans": []}, {}]}, {"scopeSpans": []}]}),
    ("unknown fields", {"x": [1, {"y": "}"}], "resourceSpans": [{"z": 1, "scopeSpans": [{"spans": [SPAN], "u": []}]}]}),
    ("another case", {"resource_spans": [{"scopeSpans": [{"spans": [SPAN]}]}]}),
    ("brackets in texts", {"resourceSpans": [{"scopeSpans": [{"spans": [SPAN | {"name": '}]"\\"{['}]}]}]}),
    ("heads behind", {"resourceSpans": [{"scopeSpans": [{"spans": [SPAN], "scope": {"name": "a"}}], "resource": {}}]}),
    ("deep values", {"resourceSpans": [{"scopeSpans": [{"spans": [SPAN | {"u": json.loads("[" * 40 + "]" * 40)}]}]}]}),
]
RAW: list[tuple[str, bytes]] = [
    *((name, json.dumps(tree).encode()) for name, tree in ODD),
    ("a doubled key", b'{"resourceSpans":[{}],"resourceSpans":[{"scopeSpans":[{"spans":[],"spans":[null]}]}]}'),
    ("a doubled key, null at last", b'{"resourceSpans":[{"scopeSpans":[{"spans":[null],"spans":null}]}]}'),
    ("an escaped key", b'{"resource\\u0053pans":[{"scopeSpans":[{"spans":[null]}]}]}'),
    ("a key that is not UTF-8", b'{"\xff":1}'),
    ("a list", b"[]"),
    ("null", b"null"),
    ("a text", b'"x"'),
    ("nothing behind a comma", b'{"resourceSpans":[{},]}'),
    ("no comma", b'{"resourceSpans":[{}{}]}'),
    ("no colon", b'{"resourceSpans"[{}]}'),
    ("no end", b'{"resourceSpans":[{}'),
    ("no end of a text", b'{"resourceSpans":[{"a'),
    ("something behind the end", b'{"resourceSpans":[{}]}x'),
    ("a wrong bracket", b'{"resourceSpans":[{"scopeSpans":[{"spans":[{]]}]}]}'),
    ("NaN", b'{"resourceSpans":[{"scopeSpans":[{"spans":[{"x":NaN}]}]}]}'),
    ("an empty key", b'{"":1}'),
    ("blanks", b' {\n"resourceSpans" : [\t{ } , { "scopeSpans" : [ ] } ]\r} '),
]


@pytest.mark.parametrize("body", [case[1] for case in RAW], ids=[case[0] for case in RAW])
def test_odd_json_means_the_same(pieces: None, body: bytes) -> None:
    assert_equal(Signal.TRACES, body, is_json=True, of=bounds())


def test_of_alternatives_in_json_the_last_one_counts(pieces: None) -> None:
    def data(number: int) -> dict[str, object]:
        return {"dataPoints": [{"asInt": number, "timeUnixNano": NOW}]}

    alternatives: list[dict[str, object]] = [
        {"gauge": data(1), "sum": data(2)},
        {"sum": data(1), "gauge": data(2), "name": "m"},
        {"sum": data(1), "gauge": None},
        {"sum": data(1), "gauge": {}},
        {"sum": {"dataPoints": None, "isMonotonic": True}},
        {"sum": 7},
        {"gauge": {"dataPoints": [None, {}, 7]}},
    ]
    for metric in alternatives:
        body = json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric, metric]}]}]}).encode()
        assert_equal(Signal.METRICS, body, is_json=True)


@pytest.mark.parametrize(
    ("path", "wrong"),
    [
        ("resourceSpans[1].scopeSpans[0].spans[2].traceId", {"traceId": "x"}),
        ("resourceSpans[1].scopeSpans[0].spans[2].kind", {"kind": "CLIENT"}),
    ],
)
def test_what_is_wrong_in_json_is_refused_with_its_place(pieces: None, path: str, wrong: dict[str, str]) -> None:
    tree = {"resourceSpans": [{}, {"scopeSpans": [{"spans": [SPAN, SPAN, SPAN | wrong]}]}]}
    with pytest.raises(Undecodable) as refused:
        decode_json(Signal.TRACES, json.dumps(tree).encode(), ANY_TIME, large_bytes=-1)
    assert refused.value.field == path


JSON_OVER: list[tuple[str, dict[str, object], dict[str, int], str]] = [
    (
        "attributes",
        {"attributes": [{"key": "k", "value": {"stringValue": PAD}}] * 2},
        {"max_attributes": 1},
        "attributes holds more than 1 entries",
    ),
    ("events", {"events": [{"name": PAD}] * 2}, {"max_events": 1}, "more than 1 events"),
    ("links", {"links": [{"traceState": PAD}] * 2}, {"max_links": 1}, "more than 1 links"),
    ("name", {"name": PAD}, {"max_value_bytes": 300}, "name is 400 bytes as stored"),
]


@pytest.mark.parametrize(
    ("fields_", "limits", "detail"), [case[1:] for case in JSON_OVER], ids=[case[0] for case in JSON_OVER]
)
def test_a_large_json_record_over_a_limit_is_rejected_by_name(
    fields_: dict[str, object], limits: dict[str, int], detail: str
) -> None:
    tree = {"resourceSpans": [{"scopeSpans": [{"spans": [SPAN, SPAN | fields_, SPAN]}]}]}
    with pieces_of(200):
        chunk = decode_json(Signal.TRACES, json.dumps(tree).encode(), bounds(**limits), large_bytes=-1)
    assert (chunk.rows, chunk.rejections.total) == (2, 1)
    assert detail in chunk.rejections.message


def test_a_large_json_record_of_too_many_fields_is_rejected_by_name() -> None:
    """What stands in texts does not count."""
    values = [{"key": "k", "value": {"arrayValue": {"values": [{}] * 100_000}}}]
    texts = [{"key": "k", "value": {"stringValue": "{,[" * 100_000}}]
    spans = [SPAN | {"attributes": values}, SPAN | {"attributes": texts}, SPAN | {"unknown": ["x,"] * 100_000}]
    tree = {"resourceSpans": [{"scopeSpans": [{"spans": spans}]}]}
    chunk = decode_json(Signal.TRACES, json.dumps(tree).encode(), bounds(max_fields=150_000), large_bytes=-1)
    assert (chunk.rows, dict(chunk.rejections.counts)) == (2, {"too_many_fields": 1})


def test_brackets_that_never_end_are_refused() -> None:
    for text in (b"[" * 100_000, b"[" * 2_000 + b"]" * 2_000, b'{"a":' * 2_000):
        with pytest.raises(Undecodable):
            decode_json(Signal.LOGS, b'{"x":%b}' % text, bounds(), large_bytes=-1)
