"""The documents are complete: every setting, metric and route of the code stands in them."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import pytest

from app.model import TABLES, Column
from app.settings import Settings, load_settings
from app.telemetry.metrics import REGISTRY

ROOT = Path(__file__).parents[2]

KEYS = [
    (section, key, field.description, getattr(Settings(), section).model_dump(mode="json")[key])
    for section in Settings.model_fields
    for key, field in type(getattr(Settings(), section)).model_fields.items()
]


@pytest.mark.parametrize(("section", "key", "meaning", "default"), KEYS, ids=[f"{k[0]}.{k[1]}" for k in KEYS])
def test_the_configuration_page_has_every_key(section: str, key: str, meaning: str, default: object) -> None:
    """Key, default and meaning stand in its section's table, word for word."""
    page = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    table = page.split(f"## [{section}]\n")[1].split("\n## ")[0]
    shown = "none" if default is None else f"`{json.dumps(default)}`"
    assert f"| `{key}` | {shown} | {meaning} |" in table


def test_config_toml_is_the_defaults() -> None:
    """The file of the repository changes nothing: it is there to be read and edited."""
    assert load_settings(ROOT / "config.toml", {}) == Settings()


@pytest.mark.parametrize(("section", "key"), [k[:2] for k in KEYS], ids=[f"{k[0]}.{k[1]}" for k in KEYS])
def test_config_toml_shows_every_key(section: str, key: str) -> None:
    """A key without a default stands there as a comment."""
    text = (ROOT / "config.toml").read_text(encoding="utf-8")
    assert key in tomllib.loads(text)[section] or f"\n# {key} = " in text.split(f"[{section}]")[1].split("\n[")[0]


@pytest.mark.parametrize(("section", "key", "meaning"), [k[:3] for k in KEYS], ids=[f"{k[0]}.{k[1]}" for k in KEYS])
def test_config_toml_says_what_a_key_means(section: str, key: str, meaning: str) -> None:
    """In the line above it, in the same words as everywhere."""
    text = (ROOT / "config.toml").read_text(encoding="utf-8").split(f"[{section}]")[1].split("\n[")[0]
    assert f"\n# {meaning}\n{key} = " in text or f"\n# {meaning}\n# {key} = " in text


@pytest.mark.parametrize("family", list(REGISTRY.collect()), ids=lambda family: str(family.name))
def test_the_operating_page_has_every_metric(family: object) -> None:
    """A metric nobody explained helps nobody at night."""
    page = (ROOT / "docs/operating.md").read_text(encoding="utf-8")
    assert f"`{family.name}" in page  # type: ignore[attr-defined]


COLUMNS = [(table.name, column) for table in TABLES for column in table.columns]


@pytest.mark.parametrize(("table", "column"), COLUMNS, ids=[f"{table}.{column.name}" for table, column in COLUMNS])
def test_the_data_model_page_has_every_column(table: str, column: Column) -> None:
    """Name, type and meaning stand in the table's section, word for word."""
    section = (ROOT / "docs/data-model.md").read_text(encoding="utf-8").split(f"### {table}\n")[1].split("\n### ")[0]
    assert f"| `{column.name}` | `{column.type}`{' (alias)' if column.alias else ''} | {column.meaning} |" in section
