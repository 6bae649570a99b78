"""Native blocks refuse what does not fit, by column and row. That ClickHouse reads them is shown with the real engine."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from app.codec.native import encode_block, row_order
from app.model import METRICS, SPANS, TABLES, Column

GOOD: dict[str, Any] = {
    "String": "a",
    "LowCardinality(String)": "a",
    "FixedString(8)": bytes(8),
    "UInt8": 255,
    "UInt32": 2**32 - 1,
    "UInt64": 2**64 - 1,
    "Int32": -(2**31),
    "Int64": -(2**63),
    "Float64": 0.5,
    "Bool": True,
    "DateTime('UTC')": 0,
    "DateTime64(9, 'UTC')": 2**64 - 1,
    "UUID": UUID(int=1),
    "Enum8('A' = 1, 'B' = -2)": -2,
    "Array(UInt64)": [1],
    "Map(LowCardinality(String), String)": (["a"], ["b"]),
}

WRONG = [
    ("String", None),
    ("String", b"a"),
    ("String", "\ud800"),
    ("LowCardinality(String)", None),
    ("LowCardinality(String)", []),
    ("LowCardinality(String)", "\ud800"),
    ("FixedString(8)", bytes(7)),
    ("FixedString(8)", "12345678"),
    ("UInt8", 256),
    ("UInt8", -1),
    ("UInt32", 2**32),
    ("UInt64", 2**64),
    ("UInt64", 1.0),
    ("UInt64", "1"),
    ("Int32", 2**31),
    ("Int64", 2**63),
    ("Float64", "1"),
    ("Float64", None),
    ("Bool", 2),
    ("Bool", None),
    ("DateTime('UTC')", -1),
    ("DateTime('UTC')", 2**32),
    ("DateTime64(9, 'UTC')", 2**64),
    ("DateTime64(9, 'UTC')", -1),
    ("UUID", 2**128),
    ("UUID", "00000000-0000-0000-0000-000000000001"),
    ("Enum8('A' = 1, 'B' = -2)", 0),
    ("Enum8('A' = 1, 'B' = -2)", "A"),
    ("Array(UInt64)", 1),
    ("Array(UInt64)", ["1"]),
    ("Array(UInt64)", None),
    ("Map(LowCardinality(String), String)", (["a"], [])),
    ("Map(LowCardinality(String), String)", (["a"], [1])),
    ("Map(LowCardinality(String), String)", None),
    ("Map(LowCardinality(String), String)", {"a": "b"}),
]


@pytest.mark.parametrize(("type_text", "wrong"), WRONG, ids=lambda value: str(value)[:40])
def test_a_value_that_does_not_fit_is_named_by_column_and_row(type_text: str, wrong: Any) -> None:
    """Among good ones, whatever is wrong with it."""
    column = Column("thing", type_text, "")
    good = GOOD[type_text]
    encode_block([column], {"thing": [good, good, good, good]}, 4)
    with pytest.raises(ValueError, match=r"column thing .* row 2: .* does not fit"):
        encode_block([column], {"thing": [good, good, wrong, good]}, 4)


def test_the_row_named_is_the_one_of_the_columns_and_not_of_the_block() -> None:
    """Whatever order the block has."""
    with pytest.raises(ValueError, match="row 2: -1 does not fit"):
        encode_block([Column("n", "UInt8", "")], {"n": [1, 2, -1]}, 3, order=[2, 1, 0])


@pytest.mark.parametrize("values", [[], [1], [1, 2, 3]], ids=len)
def test_a_column_of_another_length_is_refused(values: list[int]) -> None:
    """All columns have the block's rows."""
    with pytest.raises(ValueError, match=f"column n has {len(values)} values for 2 rows"):
        encode_block([Column("n", "UInt8", "")], {"n": values}, 2)


@pytest.mark.parametrize("type_text", ["Date", "DateTime64(3)", "LowCardinality(UInt8)", "Nullable(String)", ""])
def test_a_type_that_nobody_can_write_is_refused(type_text: str) -> None:
    """Rather than written as one that looks like it."""
    with pytest.raises(ValueError, match="no encoder for the type"):
        encode_block([Column("n", type_text, "")], {"n": [1]}, 1)


def test_every_column_of_every_signal_can_be_written() -> None:
    """No type of the model was forgotten."""
    for table in TABLES:
        if table.signal is not None:
            encode_block(table.stored, {column.name: [] for column in table.stored}, 0)


def test_the_layout_is_the_one_that_clickhouse_describes() -> None:
    """Columns, rows, then name, type and data of each; the version of the dictionary first."""
    columns = [Column("n", "UInt8", ""), Column("w", "LowCardinality(String)", "")]
    block = encode_block(columns, {"n": [7, 8], "w": ["x", "x"]}, 2)
    dictionary = b"\1\0\0\0\0\0\0\0\0\6\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1x\2\0\0\0\0\0\0\0\0\0"
    assert block == b"\2\2\1n\5UInt8\7\x08\1w\x16LowCardinality(String)" + dictionary


def test_the_same_rows_give_the_same_bytes() -> None:
    """A retry sends what was sent before."""
    column = Column("w", "LowCardinality(String)", "")
    words = [f"word {n % 7}" for n in range(100)]
    assert encode_block([column], {"w": words}, 100) == encode_block([column], {"w": list(words)}, 100)


def test_rows_are_ordered_by_tenant_service_and_time() -> None:
    """The columns of the key, one after the other."""
    data: dict[str, list[Any]] = {
        "tenant": ["b", "a", "a", "a"],
        "service_name": ["x", "y", "x", "x"],
        "timestamp": [1, 1, 2, 1],
    }
    assert row_order(SPANS, data) == [3, 2, 1, 0]


def test_rows_without_a_tenant_are_ordered_by_the_rest() -> None:
    """A decoder does not know it; it is the same for all rows of a request."""
    assert row_order(SPANS, {"service_name": ["x", "x", "a"], "timestamp": [2, 1, 3]}) == [2, 1, 0]


def test_times_beyond_signed_come_first() -> None:
    """ClickHouse holds them as negative numbers."""
    assert row_order(SPANS, {"service_name": ["x"] * 3, "timestamp": [5, 2**64 - 1, 2**63]}) == [2, 1, 0]


def test_equal_keys_stay_in_the_order_received() -> None:
    """So that a block is determined by its requests."""
    data: dict[str, list[Any]] = {
        "metric_name": ["m"] * 4,
        "service_name": ["s"] * 4,
        "series_id": [1, 0, 1, 0],
        "timestamp": [9] * 4,
    }
    assert row_order(METRICS, data) == [1, 3, 0, 2]
