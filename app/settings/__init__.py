"""The configuration tree: frozen, validated once, each part handed its own section."""

from app.settings.load import load_settings
from app.settings.tree import (
    AccessSettings,
    AgentSettings,
    ClickHouseMode,
    ClickHouseSettings,
    LimitSettings,
    LogFormat,
    LogSettings,
    QuerySettings,
    RulesSettings,
    ServerSettings,
    Settings,
    SpoolSettings,
    StorageSettings,
)

__all__ = [
    "AccessSettings",
    "AgentSettings",
    "ClickHouseMode",
    "ClickHouseSettings",
    "LimitSettings",
    "LogFormat",
    "LogSettings",
    "QuerySettings",
    "RulesSettings",
    "ServerSettings",
    "Settings",
    "SpoolSettings",
    "StorageSettings",
    "load_settings",
]
