"""ClickHouse computes the ids of series as the decoder does, by the statement that documents them."""

from __future__ import annotations

import json
from textwrap import dedent

from hypothesis import HealthCheck, given, settings

from app.codec import series
from app.codec.bodies import decode_message
from app.codec.contract import Bounds
from app.codec.groups import Request
from app.codec.native import encode_block
from app.model import METRICS, Signal
from app.settings import LimitSettings
from app.store.embedded.server import EmbeddedServer
from tests.integration.clickhouse import ask, must
from tests.strategies import requests

ANY_TIME = Bounds(LimitSettings(), received_unix_nano=1, oldest_unix_nano=0, newest_unix_nano=2**64 - 1)
COLUMNS = [
    METRICS.column(name)
    for name in ("series_id", "resource", "scope_name", "scope_version", "scope", "attributes_map", "attributes_types")
]


def documented_statement() -> str:
    """The SQL of the module's docstring."""
    text = series.__doc__ or ""
    return dedent(text[text.index("    WITH\n") :])


@settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(request=requests(Signal.METRICS))
def test_the_documented_sql_gives_the_same_id(clickhouse: EmbeddedServer, database: str, request: Request) -> None:
    chunk = decode_message(request, ANY_TIME)
    login, address = clickhouse.logins.migrate, clickhouse.address
    definitions = ", ".join(f"`{column.name}` {column.type}" for column in COLUMNS)
    must(ask(address, login, f"CREATE OR REPLACE TABLE points ({definitions}) ENGINE = Memory", database=database))
    if not chunk.rows:
        return
    block = encode_block(COLUMNS, chunk.columns, chunk.rows)
    must(ask(address, login, "INSERT INTO points FORMAT Native", block, database=database))
    sql = (
        documented_statement().replace("SELECT xxHash64", "SELECT series_id, xxHash64")
        + " FROM points FORMAT JSONCompactEachRow"
    )
    answer = must(ask(address, login, sql, database=database, output_format_json_quote_64bit_integers="0"))
    ids = [json.loads(line) for line in answer.splitlines()]
    assert len(ids) == chunk.rows
    assert all(stored == computed for stored, computed in ids)
