"""What the rest of the service may ask of ClickHouse. Nobody else speaks to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pydantic import SecretStr

Parameter = str | int | float | Sequence[str] | Sequence[int]
"""A server-side query parameter: fills `{name:Type}`, never formatted into the text."""


@dataclass(frozen=True, slots=True)
class Login:
    """A ClickHouse user; the password never appears in a repr."""

    user: str
    password: SecretStr


@dataclass(frozen=True, slots=True)
class ReadLimits:
    """Bounds of one read inside ClickHouse.

    Attributes:
        seconds: Time after which it is ended.
        memory_bytes: Memory it may take.
        rows: Rows it may answer with; more is an error, so statements carry a LIMIT below it.
    """

    seconds: float
    memory_bytes: int
    rows: int


class Store(Protocol):
    """One ClickHouse, as one user of it."""

    async def insert(self, table: str, columns: Sequence[str], block: bytes, *, token: str) -> None:
        """Insert one Native block, once: the same token with the same block is stored once however often it is sent.

        Args:
            table: Name of the table.
            columns: The block's columns, in its order.
            block: One Native block, uncompressed.
            token: `insert_deduplication_token`.

        Raises:
            StoreUnavailable: It may or may not have been stored: send the same again.
            StoreRefused: Refused for the data's sake before anything was stored.
            StoreMisconfigured: The schema or a grant is wrong.
        """

    async def fetch(self, sql: str, parameters: Mapping[str, Parameter], *, limits: ReadLimits) -> list[dict[str, Any]]:
        """Run one SELECT and return its rows; 64-bit integers are exact, NaN and infinities are floats.

        Args:
            sql: One statement without FORMAT; values stand in it as `{name:Type}`.
            parameters: Those values.
            limits: Bounds that ClickHouse enforces.

        Raises:
            QueryTooHeavy: A limit was hit.
            StoreUnavailable: ClickHouse is away.
            StoreMisconfigured: The statement does not fit the schema or the grants.
        """

    async def execute(self, sql: str, parameters: Mapping[str, Parameter] | None = None) -> None:
        """Run one statement that returns nothing (DDL, repairs).

        Raises:
            StoreError: As above.
        """

    async def ping(self) -> None:
        """Ask for a sign of life, briefly.

        Raises:
            StoreUnavailable: There was none.
        """
