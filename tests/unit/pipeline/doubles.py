"""A Store that answers by script, and a Decoder whose bodies say how many records they are."""

from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from app.access import TenantId
from app.codec.contract import Bounds, Encoding
from app.errors import Undecodable
from app.model import Chunk, Rejections, Signal, table_of
from app.pipeline.contract import Request
from app.settings import LimitSettings
from app.store.contract import Parameter, ReadLimits

NOW_NANO = 1_790_000_000_000_000_000

_DEFAULTS: tuple[tuple[str, Callable[[], Any]], ...] = (
    ("Map", lambda: ([], [])),
    ("Array", list),
    ("FixedString(16)", lambda: bytes(16)),
    ("FixedString(8)", lambda: bytes(8)),
    ("LowCardinality", str),
    ("String", str),
    ("Float", float),
    ("Bool", bool),
    ("Enum8('COUNTER'", lambda: 1),
)


def default_of(type_text: str) -> Any:
    """A value of a ClickHouse type, in the notation of chunks."""
    return next((make() for prefix, make in _DEFAULTS if type_text.startswith(prefix)), 0)


@dataclass
class LineDecoder:
    """Each line of a body is a record whose service is that line; `!` is rejected, `garbage` refuses the body.

    Attributes:
        gate: While it is cleared, decoding stands still.
        spoil: What is done to each chunk.
    """

    gate: threading.Event = field(default_factory=threading.Event)
    spoil: Callable[[Chunk], None] = lambda chunk: None

    def __post_init__(self) -> None:
        self.gate.set()

    def decode(self, signal: Signal, encoding: Encoding, body: bytes, bounds: Bounds) -> Chunk:
        assert self.gate.wait(30)
        if body.strip() == b"garbage":
            raise Undecodable("the body is not lines")
        rejections = Rejections()
        lines = body.decode().split()
        for line in lines:
            if line == "!":
                rejections.add("shouted", "it shouts")
        services = [line for line in lines if line != "!"]
        columns = {column.name: [default_of(column.type) for _ in services] for column in table_of(signal).decoded}
        columns["service_name"] = list(services)
        columns["timestamp"] = [bounds.received_unix_nano] * len(services)
        chunk = Chunk(signal, len(services), columns, rejections)
        self.spoil(chunk)
        return chunk


@dataclass(frozen=True)
class Inserted:
    """One call of `insert`."""

    table: str
    columns: tuple[str, ...]
    block: bytes
    token: str


@dataclass
class ScriptedStore:
    """Keeps what it is given, once a token, after doing what its script says.

    Attributes:
        script: What the next calls do before storing: raise an exception, or nothing (None). When it is empty: nothing.
        answers: What the next calls do after storing: raise (the answer was lost), or nothing.
        refuse: Which blocks are refused, and with what.
        open: While it is cleared, calls stand still.
    """

    script: list[Exception | None] = field(default_factory=list)
    answers: list[Exception | None] = field(default_factory=list)
    refuse: Callable[[bytes], Exception | None] = lambda block: None
    open: asyncio.Event = field(default_factory=asyncio.Event)
    attempts: list[Inserted] = field(default_factory=list)
    stored: dict[str, Inserted] = field(default_factory=dict)
    under_way: int = 0
    most_under_way: int = 0

    def __post_init__(self) -> None:
        self.open.set()

    async def insert(self, table: str, columns: Sequence[str], block: bytes, *, token: str) -> None:
        call = Inserted(table, tuple(columns), block, token)
        self.attempts.append(call)
        self.under_way += 1
        self.most_under_way = max(self.most_under_way, self.under_way)
        try:
            await self.open.wait()
            await asyncio.sleep(0)
            failure = self.script.pop(0) if self.script else None
            failure = failure or self.refuse(block)
            if failure:
                raise failure
            self.stored.setdefault(token, call)
            lost = self.answers.pop(0) if self.answers else None
            if lost:
                raise lost
        finally:
            self.under_way -= 1

    async def fetch(self, sql: str, parameters: Mapping[str, Parameter], *, limits: ReadLimits) -> list[dict[str, Any]]:
        raise NotImplementedError

    async def execute(self, sql: str, parameters: Mapping[str, Parameter] | None = None) -> None:
        raise NotImplementedError

    async def ping(self) -> None:
        raise NotImplementedError

    def services(self, table: str = "logs") -> list[str]:
        """Words of the stored blocks, block by block in the order stored; a block's are sorted."""
        return [word for call in self.stored.values() if call.table == table for word in words(call.block)]


def words(block: bytes) -> list[str]:
    """Names like `s17_` in a block: the services that LineDecoder put there.

    Each has its length in front, as Native strings do: the bytes of an id may look like a name.
    """
    found = re.finditer(rb"(?s)(.)(s\d+_)", block)
    return [match[2].decode() for match in found if match[1][0] == len(match[2])]


def request(body: str | bytes, signal: Signal = Signal.LOGS, tenant: str = "acme") -> Request:
    """A request of lines."""
    raw = body.encode() if isinstance(body, str) else body
    return Request(TenantId(tenant), signal, Encoding.PROTOBUF, raw, NOW_NANO)


def chunk_of_lines(asked: Request) -> Chunk:
    """What LineDecoder makes of a request."""
    bounds = Bounds(LimitSettings(), asked.received_unix_nano, 0, 2 * NOW_NANO)
    return LineDecoder().decode(asked.signal, asked.encoding, asked.body, bounds)


@asynccontextmanager
async def tasks(*coroutines: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """Run coroutines beside the block, and end them with it."""
    async with asyncio.TaskGroup() as group:
        running = [group.create_task(coroutine) for coroutine in coroutines]
        try:
            yield
        finally:
            for task in running:
                task.cancel()
