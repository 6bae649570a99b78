"""The rows of one request, as columns: what a decoder gives and a batch is made of."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from app.model.signals import Signal

Attributes = tuple[list[str], list[str]]
"""Keys and value texts of one attribute list, in the order received, doubles kept."""


@dataclass(slots=True)
class Rejections:
    """Records that were left out, counted by reason, and the first of each in words.

    Attributes:
        counts: Records by reason; the reasons are a closed set (`app.codec.reasons`).
        examples: For each reason the first offender: rule, limit, value seen, key.
    """

    counts: Counter[str] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)

    def add(self, reason: str, example: str) -> None:
        """Count one record."""
        self.counts[reason] += 1
        self.examples.setdefault(reason, example)

    @property
    def total(self) -> int:
        """All records left out."""
        return sum(self.counts.values())

    @property
    def message(self) -> str:
        """One English sentence a reason, for `partial_success`; empty if nothing was left out."""
        return "; ".join(f"{count} {reason}: {self.examples[reason]}" for reason, count in self.counts.items())


@dataclass(slots=True)
class Chunk:
    """One request's accepted records, column by column, in the order received.

    The columns are those of the signal's table that a decoder fills (`Table.decoded`). Values by ClickHouse type:

        String, LowCardinality(String)    str
        FixedString(n)                    bytes of length n
        UInt*, Int*, Enum8                int (an enum's number)
        Float64                           float
        Bool                              bool
        DateTime64(9)                     int: nanoseconds since 1970, any unsigned 64-bit number
        Map(LowCardinality(String), String)  Attributes
        Array(T)                          list of the values of T

    Attributes:
        signal: Whose rows they are.
        rows: How many.
        columns: Lists of length `rows`, by column name.
        rejections: What was left out.
    """

    signal: Signal
    rows: int
    columns: dict[str, list[Any]]
    rejections: Rejections = field(default_factory=Rejections)
