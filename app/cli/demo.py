"""`rak-ingest demo`: traffic for a newcomer, and where to look at it."""

from __future__ import annotations

import random
import socket
import time
from typing import Annotated
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.progress import track

from app.cli.options import ConfigFile, settings_of
from app.errors import StartupFailed

_HISTORY_SECONDS = 900
_CONVERSATIONS_SHARE = 0.25
_LOOK = """Look at it:
  curl '{api}/traces?limit=5'
  curl '{api}/traces?service=payment&status=ERROR'
  curl '{api}/agents'
  curl '{api}/llm'
  curl '{api}/logs?severity=ERROR&limit=5'
or in SQL:
  curl '{sql}' --data-binary \\
    "SELECT llm_model, count() AS calls, sum(llm_input_tokens) AS tokens_in, avg(duration_ns) / 1e9 AS seconds
     FROM spans WHERE operation_name = 'chat' GROUP BY llm_model FORMAT PrettyCompact\""""


def demo(
    context: typer.Context,
    config_file: ConfigFile = None,
    endpoint: Annotated[str, typer.Option(help="OTLP/HTTP address. Default: the settings' own.")] = "",
    traces: Annotated[int, typer.Option(min=1, max=100_000, help="How many traces to send.")] = 400,
    seed: Annotated[int, typer.Option(help="The same seed sends the same workload.")] = 7,
) -> None:
    """Send a shop's and an AI assistant's telemetry through the OpenTelemetry SDK, and say where to look."""
    settings = settings_of(context, config_file)
    host = settings.server.host
    target = (endpoint or f"http://{host}:{settings.server.otlp_http_port}").rstrip("/")
    _knock(target)
    from app.cli.workload import Sender, conversation, order  # noqa: PLC0415 - see app.cli

    chance = random.Random(seed)  # noqa: S311 - a workload, not a secret
    now = time.time_ns()
    console = Console(stderr=True)
    with Sender(target) as sender:
        for _ in track(range(traces), description="Sending", console=console):
            step = conversation(chance) if chance.random() < _CONVERSATIONS_SHARE else order(chance)
            start = now - round(chance.random() * _HISTORY_SECONDS * 1e9) - round(step.ms * 1e6)
            sender.send(step, start)
    if sender.failed:
        raise StartupFailed(
            f"{sender.failed} of {sender.spans} spans were not taken by {target}; see the service's log"
        )
    typer.echo(f"sent {traces} traces with {sender.spans} spans, {sender.logs} log records and metrics to {target}\n")
    typer.echo(
        _LOOK.format(
            api=f"http://{host}:{settings.server.query_api_port}/api/v1",
            sql=f"http://{host}:{settings.clickhouse.embedded_http_port}/?user={settings.clickhouse.reader_user}",
        )
    )


def _knock(target: str) -> None:
    """The SDK would retry for a minute before it says that nobody is there."""
    parts = urlsplit(target)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise StartupFailed(f"--endpoint {target}: not an address such as http://127.0.0.1:4318")
    try:
        socket.create_connection((parts.hostname, parts.port or (443 if parts.scheme == "https" else 80)), 3).close()
    except OSError as error:
        raise StartupFailed(f"nothing answers at {target}; start the service first: rak-ingest serve") from error
