"""Quantiles of histograms, and exponential histograms of different make merged into one.

Explicit buckets as Prometheus' `histogram_quantile` has it: linear within a bucket; the first bucket begins at 0 if its
bound is positive, else its bound is the answer; in the bucket without an upper bound the last bound is the answer.

Exponential buckets: within one, the logarithm of the value is linear, which is what the buckets themselves are; the
zero bucket is linear from -threshold to threshold, or from or to 0 if no value is on that side.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

_MOST_SHIFT = 32  # offsets have 32 bits: beyond it every bucket is one of the two around 1


@dataclass(frozen=True, slots=True)
class Exponential:
    """An exponential histogram; bucket i holds base^i < |value| <= base^(i+1), base = 2^(2^-scale).

    Attributes:
        scale: Resolution; one less makes two buckets into one.
        zero_threshold: Values up to this far from 0 are in the zero bucket.
        zero_count: How many those are.
        positive: Count by index of bucket.
        negative: Likewise, of values below 0.
    """

    scale: int
    zero_threshold: float
    zero_count: int
    positive: Mapping[int, int]
    negative: Mapping[int, int]


def explicit_quantile(quantile: float, bounds: Sequence[float], counts: Sequence[int]) -> float | None:
    """The quantile of a histogram with explicit buckets; None if it holds nothing.

    Args:
        quantile: 0 to 1.
        bounds: Upper bounds of all buckets but the last, rising.
        counts: One count more than bounds, none negative.
    """
    total = sum(counts)
    if total <= 0 or not bounds:
        return None
    place, rank = _bucket(quantile * total, counts)
    if place == len(bounds):
        return bounds[-1]
    if place == 0 and bounds[0] <= 0:
        return bounds[0]
    lower = bounds[place - 1] if place else 0.0
    return lower + (bounds[place] - lower) * (rank / counts[place])


def exponential_quantile(quantile: float, histogram: Exponential) -> float | None:
    """The quantile of an exponential histogram; None if it holds nothing.

    Args:
        quantile: 0 to 1.
        histogram: The counts; none negative.
    """
    negative = sorted(histogram.negative.items(), reverse=True)  # the smallest value is farthest from 0
    positive = sorted(histogram.positive.items())
    counts = [*(count for _, count in negative), histogram.zero_count, *(count for _, count in positive)]
    if sum(counts) <= 0:
        return None
    place, rank = _bucket(quantile * sum(counts), counts)
    within = rank / counts[place]
    if place < len(negative):
        index = negative[place][0]
        return -_in_bucket(index, histogram.scale, 1 - within)
    if place > len(negative):
        index = positive[place - len(negative) - 1][0]
        return _in_bucket(index, histogram.scale, within)
    lower = -histogram.zero_threshold if negative or not positive else 0.0
    upper = histogram.zero_threshold if positive or not negative else 0.0
    return lower + (upper - lower) * within


def merge(histograms: Iterable[Exponential]) -> Exponential:
    """One histogram of all values; at the lowest scale and the widest zero bucket among them.

    Counts may be negative in the parts: a difference of two states may have moved values to the zero bucket.
    """
    parts = list(histograms)
    scale = min(part.scale for part in parts)
    positive: dict[int, int] = {}
    negative: dict[int, int] = {}
    for part in parts:
        for into, counts in ((positive, part.positive), (negative, part.negative)):
            for index, count in counts.items():
                coarse = index >> min(part.scale - scale, _MOST_SHIFT)
                into[coarse] = into.get(coarse, 0) + count
    zero_count = sum(part.zero_count for part in parts)
    threshold = max(part.zero_threshold for part in parts)
    # The zero bucket takes whole buckets: it ends where the one ends that the threshold lies in.
    reached = [
        _bound(index + 1, scale) for side in (positive, negative) for index in side if _bound(index, scale) < threshold
    ]
    threshold = max([threshold, *reached])
    for side in (positive, negative):
        for index in [index for index in side if _bound(index + 1, scale) <= threshold]:
            zero_count += side.pop(index)
    return Exponential(scale, threshold, zero_count, _filled(positive), _filled(negative))


def _filled(counts: Mapping[int, int]) -> dict[int, int]:
    return {index: count for index, count in counts.items() if count > 0}


def _bucket(rank: float, counts: Sequence[int]) -> tuple[int, float]:
    """The bucket that holds this rank, and the rank within it; one bucket at least is filled."""
    filled = [(place, count) for place, count in enumerate(counts) if count]
    for place, count in filled:
        if rank <= count:
            return place, rank
        rank -= count
    place, count = filled[-1]  # sums of floats may end a hair above the last count
    return place, float(count)


def _bound(index: int, scale: int) -> float:
    """base^index, from 0 to infinity."""
    exponent = math.ldexp(index, -scale) if scale >= -_MOST_SHIFT else math.copysign(math.inf, index) if index else 0.0
    try:
        return math.pow(2.0, exponent)
    except OverflowError:
        return math.inf


def _in_bucket(index: int, scale: int, within: float) -> float:
    """The value that lies this far up in a bucket, 0 to 1 on the scale of logarithms."""
    lower, upper = _bound(index, scale), _bound(index + 1, scale)
    if lower == 0 or math.isinf(upper):
        # An end that no double can say: the other one is the best answer there is.
        return upper if lower == 0 else lower
    return float(lower * (upper / lower) ** within)
