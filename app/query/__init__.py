"""From question to rows: SQL text with server-side parameters, and the shapes of the answers."""

from app.query.questions import Questions

__all__ = ["Questions"]
