"""Where settings come from: defaults, then one file, then the environment. The later wins, key by key."""

from __future__ import annotations

import json
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from app.errors import SettingsInvalid
from app.settings.tree import Settings

_PREFIX = "RAK_"
_DEFAULT_FILE = Path("config.toml")


def load_settings(file: Path | None = None, environment: Mapping[str, str] | None = None) -> Settings:
    """Read and validate the configuration.

    Args:
        file: A TOML, YAML or JSON file, by its suffix. None: `RAK_CONFIG_PATH`, else `./config.toml` if it is there.
        environment: `RAK_SECTION__KEY=value`; names without `__` are not settings. None: the process's own.

    Raises:
        SettingsInvalid: A file that cannot be read, an unknown key, or a value that does not fit; all of them by name.
    """
    environment = os.environ if environment is None else environment
    chosen = file or (Path(environment["RAK_CONFIG_PATH"]) if environment.get("RAK_CONFIG_PATH") else None)
    if chosen is None and _DEFAULT_FILE.is_file():
        chosen = _DEFAULT_FILE
    tree = _read(chosen) if chosen else {}
    names: dict[str, str] = {}
    for name, value in environment.items():
        if name.startswith(_PREFIX) and "__" in name:
            _put(tree, name, value, names)
    try:
        return Settings.model_validate(tree)
    except ValidationError as error:
        raise SettingsInvalid("; ".join(_sentence(e, chosen, names) for e in error.errors())) from error


def _read(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text(encoding="utf-8")
        match path.suffix.lower():
            case ".toml":
                tree = tomllib.loads(text)
            case ".yaml" | ".yml":
                tree = yaml.safe_load(text)
            case ".json":
                tree = json.loads(text)
            case _:
                raise SettingsInvalid(f"{path}: the file must end in .toml, .yaml, .yml or .json")
    except OSError as error:
        raise SettingsInvalid(f"{path}: cannot be read: {error.strerror}") from error
    except (ValueError, RecursionError, yaml.YAMLError) as error:
        raise SettingsInvalid(f"{path}: {error}") from error
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise SettingsInvalid(f"{path}: the top level must be a table of sections")
    for section, keys in tree.items():
        if keys is None:  # a YAML section without keys
            tree[section] = {}
    return tree


def _put(tree: dict[str, Any], name: str, value: str, names: dict[str, str]) -> None:
    path = name.removeprefix(_PREFIX).lower().split("__")
    names[".".join(path)] = name
    section, *rest = path
    if len(rest) != 1 or not section or not rest[0]:
        raise SettingsInvalid(f"{name}: a setting in the environment is {_PREFIX}SECTION__KEY")
    keys = tree.setdefault(section, {})
    if isinstance(keys, dict):  # a section that is no table is the validation's to refuse
        keys[rest[0]] = value


def _sentence(error: Any, file: Path | None, names: Mapping[str, str]) -> str:
    key = ".".join(str(part) for part in error["loc"])
    message = str(error["msg"]).removeprefix("Value error, ")
    if error["type"] == "extra_forbidden":
        message = "there is no such key" if "." in key else "there is no such section"
    elif error["type"] == "value_error":
        return message
    source = f" (from {names[key]})" if key in names else f" (from {file})" if file else ""
    return f"{key}: {message}{source}"
