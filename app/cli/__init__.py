"""One verb per command: load settings, call one function, print. Exit 0 done, 1 refused or failed, 2 usage.

A verb imports the rooms it needs when it runs: `--help` and `config check` must not pay for FastAPI, gRPC and the SDK.
"""

from __future__ import annotations

import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated

import typer

from app.cli.config import config
from app.cli.demo import demo
from app.cli.migrate import migrate
from app.cli.serve import serve
from app.errors import ServiceError

program = typer.Typer(
    name="rak-ingest",
    help="OTLP traces, metrics and logs into one ClickHouse: exact, bounded, accounted for.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
program.command()(serve)
program.command()(migrate)
program.command()(demo)
program.add_typer(config)


def _print_version(wanted: bool) -> None:  # noqa: FBT001 - typer calls it so
    if wanted:
        typer.echo(f"rak-ingest {version('rak-ingest')}")
        raise typer.Exit


@program.callback()
def _program(
    context: typer.Context,
    config_file: Annotated[
        Path | None,
        typer.Option(
            "--config",
            metavar="FILE",
            help="TOML, YAML or JSON file. Default: RAK_CONFIG_PATH, else ./config.toml if it is there.",
        ),
    ] = None,
    show_version: Annotated[  # noqa: FBT002 - an option, not a positional argument
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    del show_version
    context.obj = config_file


def main() -> None:
    """Run the command line; a fault that has a name costs one sentence and exit code 1."""
    try:
        program()
    except ServiceError as error:
        print(f"rak-ingest: {error}", file=sys.stderr)  # noqa: T201 - this is the command line
        sys.exit(1)
