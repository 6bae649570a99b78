"""`rak-ingest migrate`."""

from __future__ import annotations

import typer

from app.cli.options import ConfigFile, settings_of
from app.settings import LogFormat
from app.telemetry.logs import configure_logs


def migrate(context: typer.Context, config_file: ConfigFile = None) -> None:
    """Bring the schema to this version and the retention to the settings; `serve` does the same when it starts."""
    settings = settings_of(context, config_file)
    from app.service import migrate_once  # noqa: PLC0415 - see app.cli: a wrong setting is told before a second of imports

    configure_logs(settings.log.level, as_json=settings.log.format is LogFormat.JSON)
    applied = migrate_once(settings)
    for name in applied:
        typer.echo(f"applied {name}")
    typer.echo(f"{len(applied)} migrations applied; the schema is up to date")
