"""A test run that is killed leaves no process behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

from tests.e2e.conftest import until
from tests.processes import die_with_parent

ROOT = Path(__file__).parents[2]

RUN = """
import json, pathlib, signal, sys
from tests.e2e.conftest import running
with running(pathlib.Path(sys.argv[1])) as service:
    print(service.process.pid, flush=True)
    signal.pause()
"""


def children_of(pid: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def is_alive(pid: int) -> bool:
    """False for a zombie as well: nobody is left to reap it but init."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_kill_dash_nine_of_a_run_takes_service_and_engine_with_it(tmp_path: Path) -> None:
    """The run holds a service, the service an engine; after SIGKILL of the first all are gone."""
    run = subprocess.Popen(
        [sys.executable, "-c", RUN, str(tmp_path / "service")],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
        preexec_fn=die_with_parent,  # noqa: PLW1509 - as in conftest
    )
    assert run.stdout is not None
    with run.stdout:
        service = int(run.stdout.readline())
    engines = children_of(service)
    assert engines
    run.send_signal(signal.SIGKILL)
    run.wait(10)
    until(lambda: not any(map(is_alive, (service, *engines))), what="service and engine are gone")
