"""The option that every verb has."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from app.settings import Settings, load_settings

ConfigFile = Annotated[
    Path | None, typer.Option("--config", metavar="FILE", help="Configuration file; also accepted before the verb.")
]


def settings_of(context: typer.Context, file: Path | None) -> Settings:
    """Load the settings from the verb's own --config, else the program's, else the usual places."""
    parent = context.find_root().obj
    return load_settings(file or (parent if isinstance(parent, Path) else None))
