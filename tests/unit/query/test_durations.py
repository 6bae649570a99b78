"""Durations are read exactly, and a bad one is refused by its name."""

from __future__ import annotations

import pytest

from app.errors import InvalidQuery
from app.query.durations import parse_duration


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("17", 17),
        ("250ms", 250_000_000),
        ("1.5s", 1_500_000_000),
        ("1m30s", 90_000_000_000),
        ("2h", 7_200_000_000_000),
        ("1d", 86_400_000_000_000),
        ("3us", 3_000),
        ("3\u00b5s", 3_000),
        ("3\u03bcs", 3_000),
        ("1.5ns", 1),
        ("0.000000001s", 1),
        ("9007199254740993ns", 9_007_199_254_740_993),
        (str(2**64 - 1), 2**64 - 1),
    ],
)
def test_durations_are_exact_nanoseconds(text: str, expected: int) -> None:
    """No float on the way; less than a nanosecond is nothing."""
    assert parse_duration(text, "min_duration") == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s",
        "-1s",
        "1 s",
        "1.5",
        "1e3ms",
        "1s;",
        "ms250",
        "1.5.5s",
        "1.0000000001s",
        "1S",
        "٣s",
        str(2**64),
        "999999999999h",
    ],
)
def test_garbage_is_refused_by_the_parameters_name(text: str) -> None:
    """P6: the refusal names the parameter."""
    with pytest.raises(InvalidQuery) as refused:
        parse_duration(text, "max_duration")
    assert refused.value.field == "max_duration"
    assert "max_duration" in str(refused.value)
