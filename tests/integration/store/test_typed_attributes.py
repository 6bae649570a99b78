"""Columns that are computed when they are read: typed attributes as JSON, resources and scopes as maps, ids as text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from app.model import LOGS, METRICS, SPANS, Table
from app.store.embedded.server import EmbeddedServer
from tests.integration.store.schema import Schema, migrated
from tests.integration.store.spans import NOW, span

ATTRIBUTES = [
    ("text", "s", 'a "quoted" \\ word'),
    ("tokens", "i", "9007199254740993"),
    ("ratio", "d", "0.25"),
    ("tiny", "d", "5e-324"),
    ("cached", "b", "true"),
    ("raw", "y", "AAECAw=="),
    ("nothing", "e", ""),
    ("list", "a", '["x",1,true]'),
    ("tree", "m", '{"a":{"b":2}}'),
    ("bytes inside", "A", '{"arrayValue":{"values":[{"bytesValue":"AA=="}]}}'),
    ("doubled inside", "M", '{"kvlistValue":{"values":[]}}'),
    ("no number", "d", "NaN"),
    ("no end", "d", "-Infinity"),
    ("looks like a number", "s", "17"),
    ("doubled", "s", "first"),
    ("doubled", "s", "second"),
    ("with\0nul", "s", "with\0nul"),
    ("é😀", "s", "line\nbreak\t\x7f"),
    ("", "s", ""),
]
# As JSON is read with objects as lists of their members, so that order and doubles show.
EXPECTED = [
    ("text", 'a "quoted" \\ word'),
    ("tokens", 9007199254740993),
    ("ratio", 0.25),
    ("tiny", 5e-324),
    ("cached", True),
    ("raw", "AAECAw=="),
    ("nothing", None),
    ("list", ["x", 1, True]),
    ("tree", [("a", [("b", 2)])]),
    ("bytes inside", [("arrayValue", [("values", [[("bytesValue", "AA==")]])])]),
    ("doubled inside", [("kvlistValue", [("values", [])])]),
    ("no number", "NaN"),
    ("no end", "-Infinity"),
    ("looks like a number", "17"),
    ("doubled", "first"),
    ("doubled", "second"),
    ("with\0nul", "with\0nul"),
    ("é😀", "line\nbreak\t\x7f"),
    ("", ""),
]
RESOURCE = [["service.name", "s", "shop"], ["process.pid", "i", "17"], ["k", "s", "first"], ["k", "s", "second"]]
TYPED: dict[str, Any] = {
    "attributes_map": ([key for key, _, _ in ATTRIBUTES], [value for _, _, value in ATTRIBUTES]),
    "attributes_types": "".join(letter for _, letter, _ in ATTRIBUTES),
    "resource": json.dumps(RESOURCE),
    "scope": json.dumps([["é\0", "s", "\0"]]),
}
HISTOGRAM = {"metric_name": "h", "timestamp": NOW, "bucket_counts": [1, 2, 3], "explicit_bounds": [0.5, 5.0]}
SIGNAL_TABLES = pytest.mark.parametrize("table", [SPANS, LOGS, METRICS], ids=lambda table: table.name)


@pytest.fixture(scope="module")
def schema(clickhouse: EmbeddedServer) -> Iterator[Schema]:
    """A row of each signal with every kind of attribute, and one with none."""
    with migrated(clickhouse) as made:
        made.plant(SPANS, [span(1, 1, **TYPED), span(2, 2)])
        made.plant(LOGS, [{"timestamp": NOW, "severity_number": 9, **TYPED}, {"timestamp": NOW}])
        made.plant(METRICS, [{"timestamp": NOW, **TYPED}, {"timestamp": NOW}, HISTOGRAM])
        yield made


@SIGNAL_TABLES
def test_attributes_are_one_json_object_in_order_and_type(schema: Schema, table: Table) -> None:
    text = schema.value(f"SELECT attributes FROM {table.name} WHERE attributes_types != ''")
    assert json.loads(text, object_pairs_hook=list) == EXPECTED


@SIGNAL_TABLES
def test_no_attributes_are_an_empty_object(schema: Schema, table: Table) -> None:
    assert schema.value(f"SELECT DISTINCT attributes FROM {table.name} WHERE attributes_types = ''") == "{}"


@pytest.mark.parametrize(
    ("sql", "value"),
    [
        ("JSONExtractInt(attributes, 'tokens')", 9007199254740993),
        ("JSONExtractFloat(attributes, 'ratio')", 0.25),
        ("JSONExtractString(attributes, 'text')", 'a "quoted" \\ word'),
        ("JSONExtractBool(attributes, 'cached')", True),
        ("JSONExtractInt(attributes, 'tree', 'a', 'b')", 2),
        ("JSONExtract(attributes, 'list', 'Array(String)')", ["x", "1", "true"]),
        ("JSONExtractString(attributes, 'no number')", "NaN"),
        ("JSONType(attributes, 'nothing')", "Null"),
        ("JSONType(attributes, 'looks like a number')", "String"),
        ("JSONExtractInt(attributes, 'absent')", 0),
        ("JSONExtractString(attributes, 'with\\0nul')", "with\0nul"),
    ],
)
def test_the_functions_for_json_work_on_attributes(schema: Schema, sql: str, value: Any) -> None:
    assert schema.value(f"SELECT {sql} FROM spans WHERE attributes_types != ''") == value


@SIGNAL_TABLES
def test_a_resource_is_a_map_in_order_with_doubled_keys(schema: Schema, table: Table) -> None:
    sql = f"SELECT mapKeys(resource_attributes) AS k, mapValues(resource_attributes) AS v FROM {table.name} WHERE resource != ''"
    found = schema.row(sql)
    assert [found["k"], found["v"]] == [[key for key, _, _ in RESOURCE], [value for _, _, value in RESOURCE]]


@SIGNAL_TABLES
def test_an_attribute_of_a_resource_is_found_by_its_key(schema: Schema, table: Table) -> None:
    assert schema.value(f"SELECT count() FROM {table.name} WHERE resource_attributes['process.pid'] = '17'") == 1


@SIGNAL_TABLES
def test_a_scope_is_a_map(schema: Schema, table: Table) -> None:
    sql = f"SELECT mapKeys(scope_attributes) AS k, mapValues(scope_attributes) AS v FROM {table.name} WHERE scope != ''"
    assert schema.row(sql) == {"k": ["é\0"], "v": ["\0"]}


@SIGNAL_TABLES
def test_absent_resources_and_scopes_are_empty_maps(schema: Schema, table: Table) -> None:
    sql = (
        f"SELECT DISTINCT length(resource_attributes) + length(scope_attributes) FROM {table.name} WHERE resource = ''"
    )
    assert schema.value(sql) == 0


def test_ids_of_spans_are_lowercase_hex_and_a_root_has_no_parent(schema: Schema) -> None:
    found = schema.row(
        "SELECT trace_id, span_id, parent_span_id FROM spans WHERE span_id_bytes = unhex('0000000000000001')"
    )
    assert found == {"trace_id": f"{1:032x}", "span_id": f"{1:016x}", "parent_span_id": ""}


def test_a_log_without_a_trace_has_empty_ids(schema: Schema) -> None:
    assert schema.row("SELECT DISTINCT trace_id, span_id FROM logs") == {"trace_id": "", "span_id": ""}


def test_buckets_of_a_histogram_end_at_infinity(schema: Schema) -> None:
    sql = "SELECT buckets.upper_bound AS b, buckets.count AS c FROM metrics WHERE metric_name = 'h'"
    assert schema.row(sql) == {"b": [0.5, 5.0, "inf"], "c": [1, 2, 3]}


def test_buckets_of_other_points_are_empty(schema: Schema) -> None:
    sql = "SELECT DISTINCT buckets.upper_bound AS b, buckets.count AS c FROM metrics WHERE metric_name = ''"
    assert schema.row(sql) == {"b": [], "c": []}


def test_labels_are_the_attributes_of_a_point(schema: Schema) -> None:
    assert schema.value("SELECT labels['tokens'] FROM metrics WHERE attributes_types != ''") == "9007199254740993"
