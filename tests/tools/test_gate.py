"""The checks that read the source are part of the test run, so that `pytest` alone is the gate."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
BIN = Path(sys.executable).parent

GATES = {
    "ruff-lint": [str(BIN / "ruff"), "check", "."],
    "ruff-format": [str(BIN / "ruff"), "format", "--check", "."],
    "mypy-strict": [sys.executable, "-m", "mypy"],
    "rooms-depend-downward": [str(BIN / "lint-imports")],
    "declared-is-imported": [str(BIN / "deptry"), "app"],
}


@pytest.mark.timeout(300)
@pytest.mark.parametrize("command", GATES.values(), ids=GATES)
def test_the_source_passes(command: list[str]) -> None:
    """Each tool of the gate finds nothing."""
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
