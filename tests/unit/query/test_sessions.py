"""The steps of a session are told by the operation of a span, and by nothing like it."""

from __future__ import annotations

import pytest

from app.query.sessions import step_of


@pytest.mark.parametrize(
    ("operation", "step"),
    [
        ("chat", "model_call"),
        ("embeddings", "model_call"),
        ("invoke_agent", "agent"),
        ("execute_tool", "tool"),
        ("retrieval", "other"),
        ("", "other"),
        ("chat', 'text_completion", "other"),
    ],
)
def test_an_operation_is_a_step(operation: str, step: str) -> None:
    """Whole words only: what merely stands in the SQL of them is no operation."""
    assert step_of({"operation_name": operation}) == step
