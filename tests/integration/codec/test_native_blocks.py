"""Native blocks mean to ClickHouse what they mean to us: every value of every type, and the order of every table."""

from __future__ import annotations

import json
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from app.codec.native import encode_block, row_order
from app.model import LOGS, METRICS, SPANS, Column, Table
from app.store.embedded.server import EmbeddedServer
from tests.integration.clickhouse import ask, must

SIGNAL_TABLES = (SPANS, LOGS, METRICS)
TYPES = sorted({column.type for table in SIGNAL_TABLES for column in table.stored} | {"Array(Array(UInt8))"})
SLOW_ENGINE = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)

Run = Callable[..., str]


@pytest.fixture
def run(clickhouse: EmbeddedServer, database: str) -> Run:
    """Run one statement in a database of the test's own: the answer's text."""

    def run(sql: str, block: bytes | None = None) -> str:
        plain = {"database": database, "output_format_json_quote_64bit_integers": "0"}
        return must(ask(clickhouse.address, clickhouse.logins.migrate, sql, block, **plain))

    return run


def values_of(type_text: str) -> st.SearchStrategy[Any]:
    """All values of a type, the awkward ones often."""
    name, _, rest = type_text.partition("(")
    inner = rest.removesuffix(")")
    match name:
        case "String" | "LowCardinality":
            text = st.text(st.characters(codec="utf-8"), max_size=12)
            return st.one_of(text, st.sampled_from(["", "\0", "é" * 127, "x" * 128, "€" * 6000]))
        case "FixedString":
            return st.binary(min_size=int(inner), max_size=int(inner))
        case "Float64":
            return st.floats()
        case "Bool":
            return st.booleans()
        case "UUID":
            return st.one_of(st.uuids(), st.integers(0, 2**128 - 1))
        case "Enum8":
            return st.sampled_from([int(item.partition("=")[2]) for item in inner.split(",")])
        case "Array":
            return st.lists(values_of(inner), max_size=4)
        case "Map":
            pairs = st.lists(st.tuples(values_of("LowCardinality"), values_of("String")), max_size=4)
            return pairs.map(lambda items: ([key for key, _ in items], [value for _, value in items]))
    least, most = RANGES[name]
    return st.one_of(st.integers(least, most), st.sampled_from([least, most]))


RANGES = {
    "UInt8": (0, 2**8 - 1),
    "UInt32": (0, 2**32 - 1),
    "UInt64": (0, 2**64 - 1),
    "Int32": (-(2**31), 2**31 - 1),
    "Int64": (-(2**63), 2**63 - 1),
    "DateTime": (0, 2**32 - 1),
    "DateTime64": (0, 2**64 - 1),
}


def read_back(type_text: str, name: str) -> str:
    """The SQL that shows a value of a type exactly in JSON."""
    kind, _, rest = type_text.partition("(")
    match kind:
        case "FixedString":
            return f"hex({name})"
        case "Float64":
            return f"reinterpretAsUInt64({name})"
        case "DateTime":
            return f"toUnixTimestamp({name})"
        case "DateTime64":
            return f"reinterpretAsUInt64(toUnixTimestamp64Nano({name}))"
        case "Enum8":
            return f"CAST({name}, 'Int8')"
        case "Map":
            return f"tuple(mapKeys({name}), mapValues({name}))"
        case "Array":
            return f"arrayMap({name}_ -> {read_back(rest.removesuffix(')'), name + '_')}, {name})"
    return name


def shown(type_text: str, value: Any) -> Any:
    """What `read_back` answers for a value."""
    kind, _, rest = type_text.partition("(")
    match kind:
        case "FixedString":
            return value.hex().upper()
        case "Float64":
            return struct.unpack("<Q", struct.pack("<d", value))[0]
        case "UUID":
            return str(value if isinstance(value, UUID) else UUID(int=value))
        case "Map":
            return [list(value[0]), list(value[1])]
        case "Array":
            return [shown(rest.removesuffix(")"), item) for item in value]
    return value


COLUMNS = (Column("place", "UInt32", "Row."), *(Column(f"c{n}", text, text) for n, text in enumerate(TYPES)))
ROW = st.tuples(*(values_of(text) for text in TYPES))


def rows_as_columns(rows: Sequence[Sequence[Any]]) -> dict[str, list[Any]]:
    data: dict[str, list[Any]] = {"place": list(range(len(rows)))}
    for place, column in enumerate(COLUMNS[1:]):
        data[column.name] = [row[place] for row in rows]
    return data


def definition(columns: Sequence[Column]) -> str:
    return ", ".join(f"`{column.name}` {column.type}" for column in columns)


def parsed(answer: str) -> list[Any]:
    """The rows of an answer in JSONCompactEachRow; strings in it may hold any other line separator."""
    return [json.loads(line) for line in answer.split("\n") if line]


@pytest.fixture
def every_type(run: Run) -> Iterator[Run]:
    """A table with one column of each type."""
    run(f"CREATE TABLE every_type ({definition(COLUMNS)}) ENGINE = MergeTree ORDER BY tuple()")
    yield run
    run("DROP TABLE every_type")


@SLOW_ENGINE
@given(rows=st.lists(ROW, min_size=1, max_size=5))
def test_every_value_of_every_type_comes_back_equal(every_type: Run, rows: list[tuple[Any, ...]]) -> None:
    """ClickHouse reads exactly what was encoded: limits, NaN, NUL, doubled keys, empty and nested lists."""
    every_type("TRUNCATE TABLE every_type")
    every_type("INSERT INTO every_type FORMAT Native", encode_block(COLUMNS, rows_as_columns(rows), len(rows)))

    expressions = ", ".join(read_back(column.type, column.name) for column in COLUMNS[1:])
    answer = every_type(f"SELECT {expressions} FROM every_type ORDER BY place FORMAT JSONCompactEachRow")

    expected = [[shown(text, value) for text, value in zip(TYPES, row, strict=True)] for row in rows]
    assert parsed(answer) == expected


def test_a_block_without_rows_is_taken(every_type: Run) -> None:
    """Nothing is a block too."""
    every_type("INSERT INTO every_type FORMAT Native", encode_block(COLUMNS, rows_as_columns([]), 0))
    assert every_type("SELECT count() FROM every_type") == "0\n"


@pytest.mark.parametrize("different", [1, 256, 257, 65_536, 65_537], ids=lambda count: f"{count} different texts")
def test_dictionaries_of_any_size_are_read(run: Run, different: int) -> None:
    """The width of the indexes grows with the dictionary."""
    column = Column("word", "LowCardinality(String)", "")
    words = [f"w{n % different}" for n in range(different + 3)]
    run("CREATE TABLE words (word LowCardinality(String)) ENGINE = MergeTree ORDER BY tuple()")
    run("INSERT INTO words FORMAT Native", encode_block([column], {"word": words}, len(words)))

    assert run("SELECT word FROM words FORMAT TSV").split() == words


def key_rows(table: Table) -> st.SearchStrategy[list[tuple[Any, ...]]]:
    """Rows of a table's key columns, with many ties."""
    texts = st.sampled_from(["", "a", "a\0", "b", "é", "z", "\U0001f600", "\uffff"])
    numbers = st.sampled_from([0, 1, 2**63 - 1, 2**63, 2**64 - 1])
    of_type = {"LowCardinality(String)": texts}
    return st.lists(st.tuples(*(of_type.get(table.column(name).type, numbers) for name in table.key)), max_size=30)


@SLOW_ENGINE
@pytest.mark.parametrize("table", SIGNAL_TABLES, ids=lambda table: table.name)
@given(data=st.data())
def test_rows_are_ordered_as_the_table_orders_them(run: Run, table: Table, data: st.DataObject) -> None:
    """`row_order` is ORDER BY the key, and equal keys stay in the order received."""
    rows = data.draw(key_rows(table))
    columns = [*(table.column(name) for name in table.key), Column("place", "UInt32", "Row.")]
    values = {name: [row[place] for row in rows] for place, name in enumerate(table.key)}
    values["place"] = list(range(len(rows)))
    run(f"CREATE TABLE IF NOT EXISTS ordered ({definition(columns)}) ENGINE = MergeTree ORDER BY tuple()")
    run("TRUNCATE TABLE ordered")
    run("INSERT INTO ordered FORMAT Native", encode_block(columns, values, len(rows)))

    answer = run(f"SELECT place FROM ordered ORDER BY {', '.join(table.key)}, place FORMAT TSV")

    assert row_order(table, values) == [int(line) for line in answer.split()]


def test_an_order_given_is_the_order_of_the_block(run: Run) -> None:
    """The first place of `order` names the first row stored."""
    columns = [Column("number", "UInt32", ""), Column("texts", "Array(String)", "")]
    values: dict[str, list[Any]] = {"number": [10, 11, 12], "texts": [["a"], [], ["b", "c"]]}
    run(f"CREATE TABLE given ({definition(columns)}) ENGINE = MergeTree ORDER BY tuple()")
    run("INSERT INTO given FORMAT Native", encode_block(columns, values, 3, order=[2, 0, 1]))

    answer = run("SELECT number, texts FROM given FORMAT JSONCompactEachRow")

    assert parsed(answer) == [[12, ["b", "c"]], [10, ["a"]], [11, []]]
