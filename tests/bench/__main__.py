"""`make bench`: throughput with CPU a record, and read latencies, of one running service on this machine.

The load comes from this process over keep-alive connections, one thread a connection; rows are counted in ClickHouse and
a phase ends when all of them are there. CPU is user plus system time of each process, merges included as far as they ran.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import platform
import statistics
import tempfile
import threading
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from urllib.parse import urlsplit

from rich.console import Console
from rich.table import Table

from tests.bench import payloads
from tests.e2e.conftest import Service, running

CONNECTIONS = 4
TICKS = os.sysconf("SC_CLK_TCK")
TABLES = {"/v1/traces": "spans", "/v1/metrics": "metrics", "/v1/logs": "logs"}


@dataclass(frozen=True)
class Throughput:
    """One phase of load.

    Attributes:
        name: What was sent.
        records_a_request: Spans, points or records in a body.
        bytes_a_request: Of the body, uncompressed.
        seconds: From the first request until the last row was there.
        stored: Rows in ClickHouse.
        per_second: Rows a second.
        service_us: CPU microseconds a row of the service.
        clickhouse_us: The same of ClickHouse.
        p50_ms: Median time to an answer.
        p99_ms: 99th percentile.
        refused: Requests that were answered with anything but 200, and sent again.
    """

    name: str
    records_a_request: int
    bytes_a_request: int
    seconds: float
    stored: int
    per_second: float
    service_us: float
    clickhouse_us: float
    p50_ms: float
    p99_ms: float
    refused: int


@dataclass(frozen=True)
class Latency:
    """One question, asked again and again.

    Attributes:
        name: What was asked.
        rows: Spans in the table meanwhile.
        p50_ms: Median.
        p99_ms: 99th percentile, or the maximum of few runs.
    """

    name: str
    rows: int
    p50_ms: float
    p99_ms: float


def cpu_seconds(pid: int) -> float:
    """User and system time of a process, all its threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def engine_of(service: Service) -> int:
    """The embedded ClickHouse, a child of the service."""
    pid = service.process.pid
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return next(int(child) for child in children if b"embedded" in Path(f"/proc/{child}/cmdline").read_bytes())


class Load:
    """Keep-alive senders that post fresh bodies until a time or a number of rows is reached."""

    def __init__(self, service: Service, bodies: list[payloads.Body]) -> None:
        address = urlsplit(service.addresses["otlp_http"])
        self._host, self._port = address.hostname or "", address.port or 0
        self._bodies = bodies
        self._lock = threading.Lock()
        self.sent = 0
        self.refused = 0
        self.milliseconds: list[float] = []

    def run(self, *, seconds: float = 3600.0, rows: int = 1 << 60) -> None:
        """Send from all connections; returns when every answer is in."""
        deadline = time.monotonic() + seconds
        senders = [threading.Thread(target=self._send, args=(number, deadline, rows)) for number in range(CONNECTIONS)]
        for sender in senders:
            sender.start()
        for sender in senders:
            sender.join()

    def _send(self, number: int, deadline: float, rows: int) -> None:
        connection = http.client.HTTPConnection(self._host, self._port, timeout=60)
        turn = number
        while time.monotonic() < deadline and self.sent < rows:
            body = self._bodies[turn % len(self._bodies)]
            turn += 1
            content = body.fresh()
            while True:
                start = time.perf_counter()
                connection.request("POST", body.path, content, {"Content-Type": "application/x-protobuf"})
                answer = connection.getresponse()
                answer.read()
                taken = (time.perf_counter() - start) * 1000
                if answer.status == 200:
                    break
                with self._lock:
                    self.refused += 1
                time.sleep(0.05)
            with self._lock:
                self.sent += body.records
                self.milliseconds.append(taken)
        connection.close()


def measure(service: Service, name: str, bodies: list[payloads.Body], seconds: float) -> Throughput:
    """Load for a while, wait until every row is stored, and account for it."""
    table = TABLES[bodies[0].path]

    def stored() -> int:
        return int(service.sql(f"SELECT count() FROM {table}"))

    engine = engine_of(service)
    before = stored()
    cpu = cpu_seconds(service.process.pid), cpu_seconds(engine)
    load = Load(service, bodies)
    start = time.monotonic()
    load.run(seconds=seconds)
    while stored() - before < load.sent:
        if time.monotonic() - start > seconds + 120:
            raise SystemExit(f"{name}: {load.sent} rows were answered, {stored() - before} are stored")
        time.sleep(0.02)
    taken = time.monotonic() - start
    rows = stored() - before
    return Throughput(
        name=name,
        records_a_request=bodies[0].records,
        bytes_a_request=len(bodies[0].fresh()),
        seconds=round(taken, 1),
        stored=rows,
        per_second=round(rows / taken),
        service_us=round((cpu_seconds(service.process.pid) - cpu[0]) / rows * 1e6, 2),
        clickhouse_us=round((cpu_seconds(engine) - cpu[1]) / rows * 1e6, 2),
        p50_ms=round(statistics.median(load.milliseconds), 1),
        p99_ms=round(quantile(load.milliseconds, 0.99), 1),
        refused=load.refused,
    )


def quantile(values: list[float], q: float) -> float:
    """The value below which a share `q` of the values lies."""
    return sorted(values)[min(len(values) - 1, int(len(values) * q))]


def ask(name: str, rows: int, question: Callable[[int], object], times: int) -> Latency:
    """Ask a few times unmeasured, then measure."""
    for number in range(3):
        question(number)
    taken = []
    for number in range(times):
        start = time.perf_counter()
        question(number)
        taken.append((time.perf_counter() - start) * 1000)
    return Latency(name, rows, round(statistics.median(taken), 1), round(quantile(taken, 0.99), 1))


def reads(service: Service, times: int) -> list[Latency]:
    """The questions that people ask most, on what the load has left behind."""
    rows = int(service.sql("SELECT count() FROM spans"))
    ids = service.sql("SELECT DISTINCT trace_id FROM spans ORDER BY cityHash64(trace_id) LIMIT 64").split()
    get = service.get
    questions: dict[str, Callable[[int], object]] = {
        "trace by id": lambda n: get(f"/api/v1/traces/{ids[n % len(ids)]}"),
        "trace by id, otel_traces in SQL": lambda n: service.sql(
            f"SELECT count() FROM otel_traces WHERE TraceId = '{ids[n % len(ids)]}'"
        ),
        "search: service, last hour": lambda n: get("/api/v1/traces", service=f"service-{n % 8}", limit=20),
        "search: service and error": lambda n: get(
            "/api/v1/traces", service=f"service-{n % 8}", status="ERROR", limit=20
        ),
        "search: attribute, common": lambda n: get("/api/v1/traces", attribute="http.route:/cart", limit=20),
        "search: attribute, rare": lambda n: get(
            "/api/v1/traces", attribute=f"needle:{payloads.RARE}-{n % 3}", limit=20
        ),
        "spans: attribute, rare": lambda n: get("/api/v1/spans", attribute=f"needle:{payloads.RARE}-{n % 3}", limit=20),
        "services": lambda _: get("/api/v1/services"),
        "model calls": lambda _: get("/api/v1/llm"),
    }
    return [ask(name, rows, question, times) for name, question in questions.items()]


def plant_needles(service: Service) -> None:
    """Three spans among a million that carry a rare attribute."""
    from tests.e2e.payloads import spans  # noqa: PLC0415 - only here

    for number in range(3):
        status, _ = service.post(
            "/v1/traces", spans("needle", 1, needle=f"{payloads.RARE}-{number}"), Content_Type="application/x-protobuf"
        )
        if status != 200:
            raise SystemExit(f"a needle was answered with {status}")


def machine() -> str:
    """What the figures belong to."""
    model = next(
        (line.split(":")[1].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line),
        platform.machine(),
    )
    gigabytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} x {model}, {gigabytes:.0f} GiB, Linux {platform.release()}, Python {platform.python_version()}"


def main() -> None:
    """Run everything, print tables, write JSON."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=20.0, help="of load a phase")
    parser.add_argument("--rows", type=int, default=1_000_000, help="spans in the table before reads are timed")
    parser.add_argument("--reads", type=int, default=50, help="times each question is asked")
    parser.add_argument("--output", type=Path, default=Path("build/bench.json"))
    options = parser.parse_args()
    console = Console(width=150)
    phases = [
        ("traces, 512 spans", [payloads.spans(512, seed) for seed in range(1, 9)]),
        ("traces, 10 spans", [payloads.spans(10, seed) for seed in range(1, 9)]),
        ("metrics, 1,000 points", [payloads.points(1000, seed) for seed in range(1, 9)]),
        ("logs, 1,000 records", [payloads.logs(1000, seed) for seed in range(1, 9)]),
    ]
    with tempfile.TemporaryDirectory(prefix="rak-bench-") as folder, running(Path(folder)) as service:
        console.print(f"machine: {machine()}; the load generator shares it", highlight=False)
        throughput = []
        for name, bodies in phases:
            with console.status(name):
                throughput.append(measure(service, name, bodies, options.seconds))
        with console.status("filling the table"):
            missing = options.rows - int(service.sql("SELECT count() FROM spans"))
            if missing > 0:
                Load(service, phases[0][1]).run(rows=missing)
            plant_needles(service)
            while int(service.sql("SELECT count() FROM spans")) < options.rows + 3:
                time.sleep(0.1)
        with console.status("reading"):
            latencies = reads(service, options.reads)
        size = service.sql("SELECT total_bytes / total_rows FROM system.tables WHERE name = 'spans'")
    console.print(table("write", [asdict(each) for each in throughput]))
    console.print(table("read", [asdict(each) for each in latencies]))
    console.print(f"spans on disk: {float(size):.0f} bytes a span", highlight=False)
    options.output.parent.mkdir(parents=True, exist_ok=True)
    options.output.write_text(
        json.dumps(
            {
                "machine": machine(),
                "connections": CONNECTIONS,
                "write": [asdict(each) for each in throughput],
                "read": [asdict(each) for each in latencies],
                "bytes_a_span": float(size),
            },
            indent=2,
        )
    )
    console.print(f"written to {options.output}", highlight=False)


def table(title: str, rows: list[dict[str, object]]) -> Table:
    """A row a measurement, a column a figure."""
    shown = Table(title=title, title_justify="left")
    for name in rows[0]:
        shown.add_column(name, justify="left" if name == "name" else "right")
    for row in rows:
        shown.add_row(*(f"{value:,}" if isinstance(value, int | float) else str(value) for value in row.values()))
    return shown


if __name__ == "__main__":
    main()
