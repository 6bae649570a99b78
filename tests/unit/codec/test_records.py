"""What all records of a resource and scope share: their columns, their residue, their limits."""

from __future__ import annotations

import json

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.common.v1.common_pb2 import EntityRef, InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from app.errors import Undecodable
from tests.unit.codec.messages import (
    Pairs,
    attributes,
    decode,
    gauge,
    log,
    logs,
    metrics,
    point,
    rejected,
    row,
    span,
    traces,
)


def resource(values: dict[str, object] | Pairs | None = None) -> Resource:
    return Resource(attributes=attributes(values))


@pytest.mark.parametrize(
    "make",
    [lambda **k: traces(span(), **k), lambda **k: logs(log(), **k), lambda **k: metrics(gauge(point()), **k)],
    ids=["traces", "logs", "metrics"],
)
def test_resource_and_scope_stand_in_the_columns_of_every_signal(make) -> None:  # type: ignore[no-untyped-def] # three signatures
    scope = InstrumentationScope(name="lib", version="1", attributes=attributes({"k": 1}))
    stored = row(make(resource=resource({"service.name": "shop", "n": 1.0}), scope=scope))
    columns = ("service_name", "resource", "scope_name", "scope_version", "scope", "residue")
    assert tuple(stored[column] for column in columns) == (
        "shop",
        '[["service.name","s","shop"],["n","d","1.0"]]',
        "lib",
        "1",
        '[["k","i","1"]]',
        "",
    )


def test_schema_urls_are_kept_apart() -> None:
    stored = row(traces(span(), resource_url="r", scope_url="s"))
    assert (stored["resource_schema_url"], stored["scope_schema_url"]) == ("r", "s")


def test_a_message_that_was_not_sent_is_told_from_an_empty_one() -> None:
    absent, empty = row(traces(span())), row(traces(span(), resource=Resource(), scope=InstrumentationScope()))
    assert (absent["resource"], absent["scope"], empty["resource"], empty["scope"]) == ("", "", "[]", "[]")


SERVICES: list[tuple[str, dict[str, object] | Pairs, str]] = [
    ("a string", {"service.name": "shop"}, "shop"),
    ("not there", {"service": "shop"}, ""),
    ("an integer", {"service.name": 1}, ""),
    ("twice: the first", Pairs([("service.name", "a"), ("service.name", "b")]), "a"),
    ("twice: the first, also if it is no string", Pairs([("service.name", 1), ("service.name", "b")]), ""),
]


@pytest.mark.parametrize(("values", "name"), [case[1:] for case in SERVICES], ids=[case[0] for case in SERVICES])
def test_the_service_name_is_the_resource_attribute(values: dict[str, object] | Pairs, name: str) -> None:
    assert row(traces(span(), resource=resource(values)))["service_name"] == name


def test_dropped_counts_of_resource_and_scope_are_residue() -> None:
    stored = row(
        traces(
            span(),
            resource=Resource(dropped_attributes_count=3),
            scope=InstrumentationScope(dropped_attributes_count=4),
        )
    )
    assert stored["residue"] == '{"resource":{"droppedAttributesCount":3},"scope":{"droppedAttributesCount":4}}'


def test_entity_references_are_residue() -> None:
    references = [EntityRef(schema_url="u", type="host", id_keys=["a", "b"], description_keys=["c"]), EntityRef()]
    stored = row(traces(span(), resource=Resource(entity_refs=references)))
    assert json.loads(stored["residue"]) == {
        "resource": {
            "entityRefs": [{"schemaUrl": "u", "type": "host", "idKeys": ["a", "b"], "descriptionKeys": ["c"]}, {}]
        }
    }


def test_residue_of_record_and_origin_stand_together() -> None:
    stored = row(traces(span(status=None), resource=Resource(dropped_attributes_count=3)))
    assert stored["residue"] == '{"resource":{"droppedAttributesCount":3},"status":null}'


def test_entity_references_of_excessive_length_reject_their_records() -> None:
    reason, example = rejected(traces(span(), resource=Resource(entity_refs=[EntityRef(type="x" * 5000)])))
    assert reason == "value_too_long"
    assert example == 'span "GET /": resource.entityRefs is 5028 bytes as stored, limits.max_key_bytes is 4096'


def test_a_resource_over_a_limit_rejects_all_of_its_records() -> None:
    chunk = decode(traces(span(), span(), resource=resource({"a": 1, "b": 2})), max_attributes=1)
    assert chunk.rejections.message == (
        '2 too_many_attributes: span "GET /": resource.attributes holds 2 entries, limits.max_attributes is 1; '
        'the first one over it is "b"'
    )


def test_a_resource_over_a_limit_rejects_data_points_too() -> None:
    request = metrics(gauge(point()), resource=resource({"a": 1, "b": 2}))
    assert rejected(request, max_attributes=1)[0] == "too_many_attributes"


def test_a_scope_over_a_limit_rejects_all_of_its_records() -> None:
    scope = InstrumentationScope(attributes=attributes({"long": 1}))
    assert rejected(logs(log(), scope=scope), max_key_bytes=3) == (
        "key_too_long",
        'log record 0: key "long" in scope.attributes is 4 bytes, limits.max_key_bytes is 3',
    )


def test_the_resource_is_named_before_the_scope_and_the_record() -> None:
    scope = InstrumentationScope(attributes=attributes({"a": 1, "b": 2}))
    request = traces(span(trace_id=b"x"), resource=resource({"long": 1}), scope=scope)
    assert rejected(request, max_attributes=1, max_key_bytes=3)[0] == "key_too_long"


def test_a_good_resource_beside_a_bad_one_keeps_its_records() -> None:
    groups = [
        *traces(span()).resource_spans,
        *traces(span(), resource=resource({"a": 1, "b": 2})).resource_spans,
    ]
    chunk = decode(ExportTraceServiceRequest(resource_spans=groups), max_attributes=1)
    assert (chunk.rows, chunk.rejections.total) == (1, 1)


@pytest.mark.parametrize("place", ["resource", "scope"])
def test_a_deep_value_refuses_the_request_also_where_no_record_stands_by_it(place: str) -> None:
    deep = attributes({"k": [[1]]})
    request = (
        traces(resource=Resource(attributes=deep))
        if place == "resource"
        else traces(scope=InstrumentationScope(attributes=deep))
    )
    with pytest.raises(Undecodable, match=f'"k" in {place}.attributes nests'):
        decode(request, max_depth=1)


def test_a_deep_value_in_a_resource_over_another_limit_refuses_the_request() -> None:
    with pytest.raises(Undecodable, match=r"limits.max_depth is 1"):
        decode(traces(span(), resource=resource({"a": 1, "b": [[1]]})), max_attributes=1, max_depth=1)
