"""`rak-ingest config check` and `rak-ingest config show`."""

from __future__ import annotations

import json
from enum import StrEnum
from typing import Annotated, Any

import typer

from app.cli.options import ConfigFile, settings_of

config = typer.Typer(name="config", help="Look at the configuration.", no_args_is_help=True)


class Format(StrEnum):
    """How `config show` prints."""

    TOML = "toml"
    JSON = "json"


@config.command()
def check(context: typer.Context, config_file: ConfigFile = None) -> None:
    """Read the configuration as `serve` would, and say what is wrong with it."""
    settings_of(context, config_file)
    typer.echo("the configuration is valid")


@config.command()
def show(
    context: typer.Context,
    config_file: ConfigFile = None,
    form: Annotated[Format, typer.Option("--format", help="How to print it.")] = Format.TOML,
) -> None:
    """Print every key with the value in force; secrets are masked."""
    tree = settings_of(context, config_file).model_dump(mode="json")
    typer.echo(json.dumps(tree, indent=2) if form is Format.JSON else as_toml(tree))


def as_toml(tree: dict[str, dict[str, Any]]) -> str:
    """Sections of plain values as TOML; a key without a value becomes a comment, since TOML has no null."""
    lines: list[str] = []
    for section, keys in tree.items():
        lines.append(f"[{section}]")
        # A TOML basic string, number or boolean is written as in JSON.
        lines.extend(f"# {key} =" if value is None else f"{key} = {json.dumps(value)}" for key, value in keys.items())
        lines.append("")
    return "\n".join(lines).rstrip()
