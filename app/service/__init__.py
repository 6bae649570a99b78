"""The composition root: what exists, in which order it opens, and how it closes."""

from app.service.compose import migrate_once, run

__all__ = ["migrate_once", "run"]
