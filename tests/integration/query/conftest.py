from __future__ import annotations

from collections.abc import Iterator

import pytest

from app.settings import QuerySettings
from app.store.embedded.server import EmbeddedServer
from tests.integration.query.serving import Door, Plot, client, migrated, serving
from tests.integration.query.world import MAX_ROWS


@pytest.fixture(scope="module")
def plot(clickhouse: EmbeddedServer) -> Iterator[Plot]:
    """An empty schema for the tests of one module."""
    with migrated(clickhouse) as database:
        yield Plot(clickhouse, database)


@pytest.fixture(scope="module")
def door(plot: Plot) -> Iterator[Door]:
    """The API over it, as the user it has in the service."""
    store = client(plot.clickhouse, plot.clickhouse.logins.query, plot.database)
    with serving(store, QuerySettings(max_result_rows=MAX_ROWS)) as running:
        yield running
