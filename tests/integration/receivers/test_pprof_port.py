"""The profile port is alive and says that this version takes no profiles."""

from __future__ import annotations

import pytest

from app.receivers.pprof import PprofHttp
from tests.integration.receivers.doubles import head, post, serving


@pytest.mark.parametrize(
    "request_bytes",
    [head("GET", "/", {}), post("/pprof/profile", b"x" * 5000), post("/ingest?name=app", content_type="")],
    ids=["GET", "profile", "ingest"],
)
async def test_every_route_is_404_with_the_reason(request_bytes: bytes) -> None:
    async with serving(PprofHttp()) as http, http.connect() as client:
        for _ in range(2):
            await client.write(request_bytes)
            reply = await client.read_reply()
            assert (reply.status, reply.body) == (404, b"profiles are not taken by this version\n")
