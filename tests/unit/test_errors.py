"""An error is a sentence for a person: which setting, which value, what to do."""

from __future__ import annotations

import errno

import pytest

from app.errors import PortUnavailable


@pytest.mark.parametrize(
    ("number", "words"),
    [
        (errno.EADDRINUSE, "is taken by another process; stop it, or choose another port (0: any free one)"),
        (errno.EACCES, "needs a privilege; choose one above 1023"),
        (errno.EADDRNOTAVAIL, "cannot be bound: Cannot assign requested address"),
        (None, "cannot be bound: "),
    ],
    ids=["taken", "privileged", "not ours", "unknown"],
)
def test_a_port_says_whose_it_is_and_why_not(number: int | None, words: str) -> None:
    """The same sentence at every door and for the embedded server."""
    error = PortUnavailable("server.pprof_port", "::1", 80, OSError(number, "") if number else OSError())
    assert str(error).startswith(f"server.pprof_port: port 80 on ::1 {words}")
