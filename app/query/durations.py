"""Lengths of time: as people write them (`250ms`, `1m30s`, integer nanoseconds), and as summaries show them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from app.errors import InvalidQuery

_UNITS_NS = {
    "ns": 1,
    "us": 1_000,
    "µs": 1_000,  # U+00B5, the micro sign
    "μs": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}
_PART = re.compile(r"([0-9]{1,20}(?:\.[0-9]{1,9})?)(ns|us|µs|μs|ms|s|m|h|d)")
_LARGEST_NS = 2**64 - 1

_RANKS = (50, 95, 99)
QUANTILES = ", ".join(f"{rank / 100:g}" for rank in _RANKS)
"""Which quantiles a summary has, as SQL; the states of the hourly summaries are made for these."""


def with_quantiles(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row of a summary whose column `quantiles` has become `p50_duration_ns` and so on, in whole nanoseconds."""
    rest = {name: value for name, value in row.items() if name != "quantiles"}
    return rest | {f"p{rank}_duration_ns": round(at) for rank, at in zip(_RANKS, row["quantiles"], strict=True)}


def parse_duration(text: str, parameter: str) -> int:
    """Read a length of time as nanoseconds, 0 to 2^64-1; parts of a nanosecond are cut off.

    Raises:
        InvalidQuery: It is not one, or longer than 584 years.
    """
    if re.fullmatch("[0-9]{1,20}", text):
        nanoseconds = int(text)
    elif text and _PART.sub("", text) == "":
        nanoseconds = int(sum(Decimal(number) * _UNITS_NS[unit] for number, unit in _PART.findall(text)))
    else:
        raise InvalidQuery(
            f"{parameter} = {text[:80]!r} is not a duration: write 250ms, 1.5s, 1m30s or integer nanoseconds",
            field=parameter,
        )
    if nanoseconds > _LARGEST_NS:
        raise InvalidQuery(f"{parameter} = {text[:80]!r} is longer than 584 years", field=parameter)
    return nanoseconds
