"""A confined thread does what it is allowed and nothing else, and so does what it starts; other threads stay free."""

from __future__ import annotations

import json
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from app.store.embedded import landlock

pytestmark = pytest.mark.skipif(landlock.version() == 0, reason="this kernel has no Landlock")

# In a process of its own, since nothing lifts a confinement.
PROGRAM = """
    import json, os, pathlib, socket, subprocess, sys, threading
    from app.store.embedded import landlock

    folder = pathlib.Path(sys.argv[1])
    listener = socket.create_server(("127.0.0.1", 0))
    free, other = (socket.create_server(("127.0.0.1", 0)) for _ in range(2))
    port, closed = free.getsockname()[1], other.getsockname()[1]
    free.close(), other.close()

    def outcome(act):
        try:
            act()
        except OSError as error:
            return os.strerror(error.errno)
        return "done"

    acts = {
        "read-outside": lambda: (folder / "outside.txt").read_text(),
        "write-outside": lambda: (folder / "outside.txt").write_text("x"),
        "read-through-a-link": lambda: (folder / "both" / "link").read_text(),
        "list-outside": lambda: os.listdir(folder),
        "read-and-write": lambda: (folder / "both" / "a").write_text((folder / "both" / "in.txt").read_text()),
        "rename-between-folders": lambda: (folder / "both" / "b" / "c").rename(folder / "both" / "c"),
        "read-readable": lambda: (folder / "readable" / "in.txt").read_text(),
        "write-readable": lambda: (folder / "readable" / "in.txt").write_text("x"),
        "append-appendable": lambda: (folder / "appendable" / "new").write_text("x"),
        "read-appendable": lambda: (folder / "appendable" / "in.txt").read_text(),
        "connect": lambda: socket.create_connection(listener.getsockname(), timeout=5).close(),
        "listen-allowed": lambda: socket.create_server(("127.0.0.1", port)).close(),
        "listen-elsewhere": lambda: socket.create_server(("127.0.0.1", closed)).close(),
        "run-a-program": lambda: subprocess.run(["/bin/true"], check=True),
    }
    results = {}

    def confined():
        results["abi"] = landlock.confine(
            landlock.Allowance(
                paths=[
                    (folder / "both", landlock.READ_WRITE),
                    (folder / "readable", landlock.READ),
                    (folder / "appendable", landlock.APPEND),
                    (folder / "missing", landlock.READ_WRITE),
                    (folder / "readable" / "in.txt", landlock.READ),
                ],
                tcp_ports=[port],
            )
        )
        results.update({name: outcome(act) for name, act in acts.items()})
        child = threading.Thread(target=lambda: results.update({"read-in-a-thread-of-it": outcome(acts["read-outside"])}))
        child.start(), child.join()

    thread = threading.Thread(target=confined)
    thread.start(), thread.join()
    results["read-in-another-thread"] = outcome(acts["read-outside"])
    print(json.dumps(results))
"""


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("landlock")
    for name in ("both/b", "readable", "appendable"):
        (folder / name).mkdir(parents=True)
    for name in ("outside.txt", "both/in.txt", "both/b/c", "readable/in.txt", "appendable/in.txt"):
        (folder / name).write_text("text")
    (folder / "both" / "link").symlink_to(folder / "outside.txt")
    root = Path(landlock.__file__).parents[3]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(PROGRAM), str(folder)],
        env={"PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def test_it_says_which_version_is_in_force(outcomes: dict[str, Any]) -> None:
    assert outcomes["abi"] == landlock.version()


@pytest.mark.parametrize(
    "act",
    ["read-and-write", "rename-between-folders", "read-readable", "append-appendable", "read-in-another-thread"],
)
def test_what_is_allowed_is_done(outcomes: dict[str, Any], act: str) -> None:
    assert outcomes[act] == "done"


@pytest.mark.parametrize(
    "act",
    [
        "read-outside",
        "write-outside",
        "read-through-a-link",
        "list-outside",
        "write-readable",
        "read-appendable",
        "run-a-program",
        "read-in-a-thread-of-it",
    ],
)
def test_what_is_not_allowed_is_denied(outcomes: dict[str, Any], act: str) -> None:
    assert outcomes[act] == "Permission denied"


@pytest.mark.skipif(landlock.version() < 4, reason="TCP rules came with Landlock's fourth version")
@pytest.mark.parametrize(
    ("act", "outcome"),
    [("connect", "Permission denied"), ("listen-elsewhere", "Permission denied"), ("listen-allowed", "done")],
)
def test_tcp_is_for_listening_on_the_named_ports(outcomes: dict[str, Any], act: str, outcome: str) -> None:
    assert outcomes[act] == outcome
