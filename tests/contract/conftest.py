from __future__ import annotations

from tests.integration.conftest import clickhouse, database

__all__ = ["clickhouse", "database"]
