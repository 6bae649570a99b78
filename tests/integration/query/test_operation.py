"""What operators and visitors get works on its own: no store, no other host."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from app.errors import StoreUnavailable
from tests.integration.query.serving import Door, serving
from tests.integration.query.test_refusals import failing


@pytest.fixture(scope="module")
def alone() -> Iterator[Door]:
    """An API whose store is away."""
    with serving(failing(StoreUnavailable("away"))) as running:
        yield running


@pytest.mark.parametrize("path", ["/", "/docs", "/style.css", "/openapi.json", "/health", "/ready", "/metrics"])
def test_it_is_served_without_a_store(alone: Door, path: str) -> None:
    """Whoever looks for the reason needs these most."""
    assert alone.get(path).status == 200


@pytest.mark.parametrize("path", ["/", "/docs"])
def test_a_page_loads_nothing_from_elsewhere(alone: Door, path: str) -> None:
    """Machines without a way out show the same page; every link leads somewhere."""
    page = alone.get(path)
    assert page.headers["Content-Type"].startswith("text/html")
    links = re.findall(r'(?:href|src)="([^"]*)"', page.body.decode())
    assert links
    for link in links:
        assert link[0] in "/#"
        assert alone.get(link.partition("#")[0] or path).status != 404


def test_the_routes_are_listed_for_people(alone: Door) -> None:
    """Each of OpenAPI's."""
    page = alone.get("/docs").body.decode()
    for path in alone.get("/openapi.json").tree["paths"]:
        assert f"<code>GET {path}</code>" in page


def test_requests_are_counted_by_template(alone: Door) -> None:
    """Paths as sent would be labels without end."""
    alone.get("/api/v1/traces/0af7651916cd43dd8448eb211c80319c")
    alone.get("/wp-admin.php")
    text = alone.get("/metrics").body.decode()
    assert 'query_requests_total{route="/api/v1/traces/{trace_id}",status="503"}' in text
    assert 'query_requests_total{route="unmatched",status="404"}' in text
    assert 'query_duration_seconds_count{route="/api/v1/traces/{trace_id}"}' in text
    assert "wp-admin" not in text


@pytest.mark.parametrize("path", ["/health", "/ready"])
def test_probes_may_use_head(alone: Door, path: str) -> None:
    """Load balancers like it."""
    assert alone.get(path, method="HEAD").status == 200


def test_reasons_are_text_on_the_page(alone: Door) -> None:
    """Not markup."""
    alone.obstacles.said.append("<script>alert(1)</script>")
    try:
        assert b"<script>" not in alone.get("/").body
    finally:
        alone.obstacles.said.clear()
