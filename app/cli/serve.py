"""`rak-ingest serve`."""

from __future__ import annotations

import typer

from app.cli.options import ConfigFile, settings_of
from app.settings import LogFormat
from app.telemetry.logs import configure_logs


def serve(context: typer.Context, config_file: ConfigFile = None) -> None:
    """Receive, store and answer until SIGTERM or Ctrl-C; a second one does not wait for what is unsent."""
    settings = settings_of(context, config_file)
    from app.service import run  # noqa: PLC0415 - see app.cli: a wrong setting is told before a second of imports

    configure_logs(settings.log.level, as_json=settings.log.format is LogFormat.JSON)
    raise typer.Exit(run(settings))
