"""Quantiles lie where the values lay, and merged histograms say what one histogram of all values says."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.query.histograms import Exponential, explicit_quantile, exponential_quantile, merge

QUANTILES = st.floats(0, 1)
VALUES = st.lists(st.floats(-1e6, 1e6).filter(lambda value: value == 0 or abs(value) > 1e-6), min_size=1, max_size=30)


@pytest.mark.parametrize(
    ("quantile", "bounds", "counts", "expected"),
    [
        (0.5, [1, 2, 4], [0, 10, 0, 0], 1.5),
        (0.0, [1, 2, 4], [0, 10, 0, 0], 1.0),
        (1.0, [1, 2, 4], [0, 10, 0, 0], 2.0),
        (0.5, [1, 2, 4], [10, 0, 0, 0], 0.5),  # the first bucket begins at 0
        (0.5, [-2, 4], [10, 0, 0], -2),  # unless its bound is not above it
        (0.5, [0, 4], [10, 0, 0], 0),
        (0.9, [1, 2, 4], [5, 0, 0, 5], 4),  # nobody knows how far the last bucket reaches
        (0.75, [1, 2, 4], [1, 1, 2, 0], 3),
        (0.5, [1, 2, 4], [0, 0, 0, 0], None),
        (0.5, [], [3], None),  # one bucket of everything says nothing
    ],
)
def test_an_explicit_quantile(
    quantile: float, bounds: Sequence[float], counts: Sequence[int], expected: float | None
) -> None:
    """Linear within a bucket; the edges as Prometheus has them."""
    assert explicit_quantile(quantile, bounds, counts) == expected


@given(QUANTILES, st.lists(st.integers(0, 100), min_size=2, max_size=8).filter(any))
def test_an_explicit_quantile_is_in_the_bucket_that_holds_it(quantile: float, counts: list[int]) -> None:
    """The rank of the answer is the rank that was asked for."""
    bounds = [float(2**place) for place in range(len(counts) - 1)]
    found = explicit_quantile(quantile, bounds, counts)
    assert found is not None
    rank = quantile * sum(counts)
    below = sum(count for bound, count in zip(bounds, counts, strict=False) if bound < found)
    up_to = sum(count for bound, count in zip([0.0, *bounds], counts, strict=True) if bound <= found)
    assert below <= rank * (1 + 1e-9) + 1e-9
    assert rank <= up_to * (1 + 1e-9) + 1e-9


@given(st.lists(st.integers(0, 100), min_size=2, max_size=8).filter(any), QUANTILES, QUANTILES)
def test_quantiles_rise(counts: list[int], one: float, other: float) -> None:
    """A higher quantile is no lower a value."""
    bounds = [float(place) for place in range(1, len(counts))]
    low, high = (explicit_quantile(quantile, bounds, counts) for quantile in sorted((one, other)))
    assert low is not None
    assert high is not None
    assert low <= high + 1e-9


def index_of(value: float, scale: int) -> int:
    """Bucket of a value above 0: base^i < value <= base^(i+1)."""
    return math.ceil(math.log2(value) * 2.0**scale) - 1


def exponential(values: Sequence[float], scale: int, threshold: float = 0.0) -> Exponential:
    """What a sender would make of these values."""
    return Exponential(
        scale,
        threshold,
        sum(abs(value) <= threshold for value in values),
        Counter(index_of(value, scale) for value in values if value > threshold),
        Counter(index_of(-value, scale) for value in values if value < -threshold),
    )


@given(VALUES, VALUES, st.integers(-4, 8), st.integers(0, 6))
def test_merging_is_as_if_one_had_counted_all_at_the_lower_scale(
    some: list[float], others: list[float], scale: int, finer: int
) -> None:
    """Bringing the finer one down loses nothing else."""
    merged = merge([exponential(some, scale + finer), exponential(others, scale)])
    direct = merge([exponential(some, scale), exponential(others, scale)])
    # A value on a bound may be off by a bucket through the logarithm: compare what was counted, not how.
    assert merged.scale == direct.scale == scale
    assert merged.zero_count == direct.zero_count
    assert sum(merged.positive.values()) == sum(direct.positive.values())
    exact = Counter({index >> finer: 0 for index in exponential(some, scale + finer).positive})
    for index, count in exponential(some, scale + finer).positive.items():
        exact[index >> finer] += count
    assert Counter(merged.positive) == exact + Counter(exponential(others, scale).positive)


@given(st.permutations([2, 0, -3]), VALUES)
def test_the_order_of_merging_does_not_matter(scales: list[int], values: list[float]) -> None:
    """Nor that it is done in parts."""
    parts = [exponential(values, scale) for scale in scales]
    whole = merge(parts)
    assert merge([merge(parts[:2]), parts[2]]) == whole == merge(reversed(parts))


@given(VALUES, st.integers(-2, 8), QUANTILES)
def test_an_exponential_quantile_is_within_a_bucket_of_the_truth(
    values: list[float], scale: int, quantile: float
) -> None:
    """That is what the scale promises."""
    found = exponential_quantile(quantile, exponential(values, scale))
    assert found is not None
    ranked = sorted(values)
    rank = quantile * len(values)
    candidates = {ranked[min(max(0, math.ceil(rank + shift) - 1), len(values) - 1)] for shift in (-1e-6, 0, 1e-6)}
    base = 2.0 ** (2.0**-scale) * (1 + 1e-6)
    assert any(
        abs(found) <= 1e-300
        if value == 0
        else value / found <= base and found / value <= base
        if found * value > 0
        else False
        for value in candidates
    )


def test_the_widest_zero_bucket_takes_whole_buckets() -> None:
    """Of (1, 2] and (2, 4], a threshold of 1.5 takes the first, and then ends at 2."""
    narrow = Exponential(0, 0.0, 1, {0: 5, 1: 7}, {0: 2})
    wide = Exponential(0, 1.5, 10, {1: 1}, {})
    assert merge([narrow, wide]) == Exponential(0, 2.0, 18, {1: 8}, {})


def test_values_that_moved_to_the_zero_bucket_are_counted_once() -> None:
    """A later state with a wider zero bucket, less the one before it."""
    later = Exponential(0, 2.0, 5 + 1, {1: 1}, {})
    less_earlier = Exponential(0, 2.0, 0, {0: -5}, {})
    assert merge([later, less_earlier]) == Exponential(0, 2.0, 1, {1: 1}, {})


@pytest.mark.parametrize(
    ("positive", "negative", "quantile", "expected"),
    [
        ({}, {}, 0.5, 0.0),
        ({1: 10}, {}, 0.25, 0.5),  # from 0 to the threshold
        ({}, {1: 10}, 1.0, 0.0),
        ({1: 10}, {1: 10}, 0.5, 0.0),
    ],
)
def test_the_zero_bucket_reaches_to_where_values_are(
    positive: dict[int, int], negative: dict[int, int], quantile: float, expected: float
) -> None:
    """And not to the side where there is none."""
    assert exponential_quantile(quantile, Exponential(0, 1.0, 10, positive, negative)) == pytest.approx(expected)


def test_nothing_has_no_quantile() -> None:
    """A gap, no number."""
    assert exponential_quantile(0.5, Exponential(0, 0.0, 0, {}, {})) is None


@pytest.mark.parametrize("scale", [-(2**31), -1074, -11, 0, 20, 2**31 - 1])
@pytest.mark.parametrize("index", [-(2**31), -1, 0, 1, 2**31 - 1])
def test_no_scale_and_no_index_is_too_much(scale: int, index: int) -> None:
    """They are whatever 32 bits can say."""
    found = exponential_quantile(0.5, Exponential(scale, 0.0, 0, {index: 1}, {index: 1}))
    assert found is not None
    assert not math.isnan(found)
    merged = merge([Exponential(scale, 0.0, 0, {index: 1}, {}), Exponential(-(2**31), 0.0, 0, {}, {index: 1})])
    # Below the smallest double there is only 0.
    assert merged.zero_count + sum(merged.positive.values()) + sum(merged.negative.values()) == 2
