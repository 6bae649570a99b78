"""The real SDKs deliver through every exporter, encoding and compression they offer."""

from __future__ import annotations

import shutil
import subprocess
import sys
import uuid
from pathlib import Path

import pytest

from tests.e2e.conftest import Service, until

pytestmark = pytest.mark.xdist_group("shared-service")

HERE = Path(__file__).parent
NODE = HERE / "node"
has_node = shutil.which("node") and (NODE / "node_modules" / "@opentelemetry").exists()

# What tests/e2e/python/send.py and tests/e2e/node/send.mjs both send.
SPANS, LOGS = 10, 12


def delivered(service: Service, name: str) -> tuple[str, str, str]:
    """Stored spans, log records, and the total of counter `orders` (200), of one service name."""
    spans, logs = (service.sql(f"SELECT count() FROM {t} WHERE service_name = '{name}'") for t in ("spans", "logs"))
    # A cumulative counter may be exported more than once while it is shut down: the last value of each series counts.
    orders = service.sql(
        "SELECT sum(latest) FROM (SELECT argMax(value, timestamp) AS latest FROM metrics "
        f"WHERE service_name = '{name}' AND metric_name = 'orders' GROUP BY series_id)"
    )
    return spans, logs, orders


def run(command: list[str], cwd: Path) -> None:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=90, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("mode", ["http", "grpc"])
def test_the_python_sdk_delivers(service: Service, mode: str, compression: str) -> None:
    """Spans, log records and a counter of one run are all there, once."""
    name = f"python-{uuid.uuid4().hex}"
    run(
        [
            sys.executable,
            str(HERE / "python" / "send.py"),
            mode,
            compression,
            service.addresses["otlp_http"],
            service.addresses["otlp_grpc"],
            name,
        ],
        HERE,
    )
    until(lambda: delivered(service, name) == (str(SPANS), str(LOGS), "200"), what=f"delivery of {name}")


@pytest.mark.skipif(not has_node, reason="node or its packages are not installed (npm ci --prefix tests/e2e/node)")
@pytest.mark.parametrize("compression", ["none", "gzip"])
@pytest.mark.parametrize("mode", ["json", "proto", "grpc"])
def test_the_node_sdk_delivers(service: Service, mode: str, compression: str) -> None:
    """Spans, log records and a counter of one run are all there, once."""
    name = f"node-{uuid.uuid4().hex}"
    run(
        [
            "node",
            "send.mjs",
            mode,
            compression,
            service.addresses["otlp_http"],
            f"http://{service.addresses['otlp_grpc']}",
            name,
        ],
        NODE,
    )
    until(lambda: delivered(service, name) == (str(SPANS), str(LOGS), "200"), what=f"delivery of {name}")
