"""The least memory that an embedded server may be given."""

from __future__ import annotations

from pathlib import Path

from tests.e2e.conftest import running, until
from tests.e2e.payloads import spans


def test_questions_fit_an_engine_smaller_than_their_own_bound(tmp_path: Path) -> None:
    """`query.max_memory_bytes` may stay at its default: a read then asks for no more than the whole engine has."""
    with running(tmp_path / "a", clickhouse__embedded_max_memory_bytes=str(512 << 20)) as service:
        assert service.post("/v1/traces", spans("small", 5), Content_Type="application/x-protobuf")[0] == 200
        until(lambda: len(service.get("/api/v1/spans", service="small")["items"]) == 5)
        assert service.get("/api/v1/services")["items"]
