"""A series is the same whenever resource, scope and attributes are, in whatever order, and only then."""

from __future__ import annotations

import pytest
import xxhash
from opentelemetry.proto.common.v1.common_pb2 import InstrumentationScope
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from tests.unit.codec.messages import NOW, Pairs, attributes, decode, gauge, metrics, point, row

Values = dict[str, object] | Pairs


def series(values: Values, resource: Values | None = None, scope: InstrumentationScope | None = None) -> int:
    origin = None if resource is None else Resource(attributes=attributes(resource))
    series_id = row(metrics(gauge(point(values)), resource=origin, scope=scope))["series_id"]
    assert isinstance(series_id, int)
    return series_id


def test_the_id_is_xxh64_of_the_documented_text() -> None:
    scope = InstrumentationScope(name="lib", version="é", attributes=attributes({"s": True}))
    text = "1;1:ai1:1" + "3:lib" + "2:é" + "1;1:sb4:true" + "2;1:ks1:v2:éd3:1.0"
    assert series({"é": 1.0, "k": "v"}, {"a": 1}, scope) == xxhash.xxh64_intdigest(text.encode())


def test_order_does_not_matter() -> None:
    assert series({"a": 1, "b": 2}, {"c": 3, "d": 4}) == series({"b": 2, "a": 1}, {"d": 4, "c": 3})


def test_points_beside_each_other_do_not_change_each_others_series() -> None:
    chunk = decode(metrics(gauge(point({"a": 1}), point({"b": 1}), point({"a": 1}))))
    first, other, again = chunk.columns["series_id"]
    assert first == again == series({"a": 1}) != other


def test_an_absent_resource_is_an_empty_one() -> None:
    assert series({"a": 1}) == series({"a": 1}, {})


def test_neither_time_nor_value_nor_name_has_a_part_in_it() -> None:
    one = row(metrics(gauge(point({"a": 1}, as_int=1))))
    other = row(metrics(gauge(point({"a": 1}, as_double=2.0, time_unix_nano=NOW + 1), name="other", unit="s")))
    assert one["series_id"] == other["series_id"]


DIFFERENT: list[tuple[str, Values, Values]] = [
    ("another value", {"a": 1}, {"a": 2}),
    ("another kind", {"a": 1}, {"a": "1"}),
    ("another key", {"a": 1}, {"b": 1}),
    ("a value more", {"a": 1}, {"a": 1, "b": 1}),
    ("a key twice", {"a": 1}, Pairs([("a", 1), ("a", 1)])),
    ("text moved from key to value", {"as": "b"}, {"a": "sb"}),
]


@pytest.mark.parametrize(("one", "other"), [case[1:] for case in DIFFERENT], ids=[case[0] for case in DIFFERENT])
def test_what_differs_is_another_series(one: Values, other: Values) -> None:
    assert series(one) != series(other)


def test_an_attribute_of_the_resource_is_not_one_of_the_point() -> None:
    assert series({"a": 1}, {}) != series({}, {"a": 1})


@pytest.mark.parametrize(
    "scope",
    [
        InstrumentationScope(name="n"),
        InstrumentationScope(version="n"),
        InstrumentationScope(attributes=attributes({"n": 1})),
    ],
    ids=["name", "version", "attributes"],
)
def test_the_scope_has_a_part_in_it(scope: InstrumentationScope) -> None:
    assert series({}, {}, scope) != series({}, {}, InstrumentationScope())
