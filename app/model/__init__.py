"""The nouns: signals, tables with their columns, and the rows of one request. Each is declared once, here."""

from app.model.chunk import Attributes, Chunk, Rejections
from app.model.signals import Signal
from app.model.tables import (
    COMPANION,
    LOGS,
    METRICS,
    SPANS,
    SUMMARIES,
    TABLES,
    Column,
    Retention,
    Table,
    table_of,
)

__all__ = [
    "COMPANION",
    "LOGS",
    "METRICS",
    "SPANS",
    "SUMMARIES",
    "TABLES",
    "Attributes",
    "Chunk",
    "Column",
    "Rejections",
    "Retention",
    "Signal",
    "Table",
    "table_of",
]
