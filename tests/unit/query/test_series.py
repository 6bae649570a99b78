"""Options are understood or refused by name, numbers stay what they are, and a page never shows half a series."""

from __future__ import annotations

import math
from typing import Any

import pytest

from app.access import TenantId
from app.errors import InvalidQuery, QueryTooHeavy
from app.query.ask import Ask
from app.query.points import Aggregation
from app.query.series import MOST_POINTS, number, take_options, whole_series


def ask(**filters: list[str]) -> Ask:
    return Ask(TenantId("default"), filters)


def test_options_are_taken_out_of_the_filters() -> None:
    """What is left narrows the points."""
    options, rest = take_options(ask(step=["1m"], group_by=["a", "b"], aggregation=["SUM"], service=["shop"]))
    assert (options.step, options.group_by, options.aggregation) == ("1m", ("a", "b"), Aggregation.SUM)
    assert rest.filters == {"service": ["shop"]}


def test_an_empty_group_by_is_not_none() -> None:
    """One series of all, and each by itself."""
    assert take_options(ask(group_by=[""]))[0].group_by == ()
    assert take_options(ask())[0].group_by is None


def test_a_quantile_implies_its_aggregation() -> None:
    """Nothing else could be meant."""
    assert take_options(ask(quantile=["0.5"]))[0].aggregation is Aggregation.QUANTILE


@pytest.mark.parametrize(
    ("filters", "parameter"),
    [
        ({"group_by": ["a", ""]}, "group_by"),
        ({"group_by": ["resource."]}, "group_by"),
        ({"group_by": ["a"] * 17}, "group_by"),
        ({"step": ["1s", "2s"]}, "step"),
        ({"aggregation": ["p95"]}, "aggregation"),
        ({"aggregation": ["none"], "step": ["1s"]}, "step"),
        ({"aggregation": ["rate"], "quantile": ["0.5"]}, "quantile"),
        *(
            ({"quantile": [text]}, "quantile")
            for text in ("", "-0.1", "1.01", "nan", "1e-1", "0x1", "95", "½", "\u0660")
        ),
    ],
)
def test_an_option_that_does_not_fit_is_named(filters: dict[str, list[str]], parameter: str) -> None:
    """P6."""
    with pytest.raises(InvalidQuery) as caught:
        take_options(ask(**filters))
    assert caught.value.field == parameter


@pytest.mark.parametrize("text", ["0", "1", "1.0", "0.999", ".5", "0.000000001"])
def test_a_quantile_is_a_decimal_from_0_to_1(text: str) -> None:
    """Both ends belong to it."""
    assert take_options(ask(quantile=[text]))[0].quantile == float(text)


@pytest.mark.parametrize(
    ("exact", "rounded", "expected"),
    [
        ("9007199254740993", 0.0, 2**53 + 1),
        ("-9223372036854775808", 0.0, -(2**63)),
        ("18446744073709551615", 0.0, 2**64 - 1),
        ("18446744073709551616", 0.0, float(2**64)),  # JSON of 64 bits ends here
        ("", 1.5, 1.5),
        ("", math.inf, "Infinity"),
        ("", -math.inf, "-Infinity"),
        ("", math.nan, "NaN"),
    ],
)
def test_a_number_is_exact_as_far_as_64_bits_go(exact: str, rounded: float, expected: Any) -> None:
    """And what JSON has no number for is a word."""
    found = number(exact, rounded)
    assert (found, type(found)) == (expected, type(expected))


def rows(*keys: str) -> list[dict[str, Any]]:
    return [{"grp": [key]} for key in keys]


def test_a_series_that_may_have_been_cut_waits_for_the_next_page() -> None:
    """Points were read up to a bound, in order of series; `c` and `d` may have more."""
    steps: dict[tuple[str, ...], list[int]] = {("a",): [0] * 10, ("c",): [0] * MOST_POINTS}
    assert whole_series(rows("a", "b", "c", "d"), steps) == 2


def test_all_series_are_whole_within_the_bound() -> None:
    """Also those without a point."""
    assert whole_series(rows("a", "b", "c"), {("a",): [0] * MOST_POINTS}) == 3


def test_a_series_that_no_page_can_hold_is_refused() -> None:
    """Never half of it, never for ever the same page."""
    with pytest.raises(QueryTooHeavy, match="format=otlp"):
        whole_series(rows("a", "b"), {("a",): [0] * (MOST_POINTS + 1)})
