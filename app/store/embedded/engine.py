"""The child's main program: one ClickHouse server out of the wheel chdb-core.

    python -m app.store.embedded.engine --library _chdb.abi3.so --root DIR --http-port 0 --native-port 0
                                        --gate-fd 5 --parent-pid 4711

The wheel has no server binary, but its extension contains clickhouse-local, which can listen (SYSTEM START LISTEN).
It runs one script in one thread; the script reports over a socket, waits, listens, and ends when a second socket ends:

- **gate** (`--gate-fd`): lines to the parent; first ours (`confined` and the Landlock ABI), then the engine's
  (`loaded`, and the ports with the version). After `loaded` it waits for the parent to shut its side: by then the
  parent has removed the configuration, with everything secret in it, and only then a port opens.
- **life line** (standard input): nothing is ever sent. Its end ends the script, and with it the server, cleanly.

Both are sockets and not pipes: `file('/proc/self/fd/0')` could open a pipe again and read from it, a socket it cannot.

The life line ends with the parent, whatever way it ends; so this process never outlives it. Where the kernel can, it
also sends SIGKILL when the parent is gone, so that a stopped or stuck engine goes too, and the folder and the ports
are free for whoever comes next.

Only the standard library and `landlock` are imported: this process starts in a fraction of a second.
"""

from __future__ import annotations

import argparse
import ctypes
import importlib.machinery
import importlib.util
import os
import signal
import socket
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from types import FrameType, ModuleType

from app.store.embedded import landlock

CLEAN_STOP_SECONDS = 20.0
_STDIN = 0
_PR_SET_PDEATHSIG = 1


def main(arguments: Sequence[str] | None = None) -> None:
    """Serve until the life line ends or SIGTERM comes; never returns.

    The exit code is 0 after a clean stop and 1 if the engine ended by itself; it then said why on standard error.
    """
    parser = argparse.ArgumentParser(description="One embedded ClickHouse, started by its supervisor.")
    parser.add_argument("--library", type=Path, required=True, help="the extension of chdb-core")
    parser.add_argument("--root", type=Path, required=True, help="folder with data, run and log in it")
    parser.add_argument("--http-port", type=int, required=True, help="0: any free one")
    parser.add_argument("--native-port", type=int, required=True, help="0: any free one")
    parser.add_argument("--gate-fd", type=int, required=True, help="socket of reports")
    parser.add_argument("--parent-pid", type=int, required=True, help="process to live no longer than")
    options = parser.parse_args(arguments)

    _die_with(options.parent_pid)
    stop = _Stop()
    signal.signal(signal.SIGTERM, stop.on_signal)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
    engine = threading.Thread(target=_serve, args=(options,), name="clickhouse", daemon=True)
    engine.start()
    engine.join()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not sys.exit: nothing of ours is left to do, and the engine's global destructors are not safe to run.
    os._exit(0 if stop.asked or _ended(_STDIN) else 1)


class _Stop:
    """Ends the life line from this side."""

    def __init__(self) -> None:
        self.asked = False

    def on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.asked = True
        signal.setitimer(signal.ITIMER_REAL, CLEAN_STOP_SECONDS)  # SIGALRM, unhandled: the end of patience
        lifeline = socket.socket(fileno=os.dup(_STDIN))
        try:
            lifeline.shutdown(socket.SHUT_RD)
        finally:
            lifeline.close()


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != parent:  # it went before we asked to be told
        os._exit(1)


def _serve(options: argparse.Namespace) -> None:
    root: Path = options.root
    # Loading runs no thread of the engine's yet. Confined after it, the engine needs no folder of libraries.
    engine = _load(options.library)
    abi = landlock.confine(
        landlock.Allowance(
            paths=(
                (root / "data", landlock.READ_WRITE),
                (root / "run", landlock.READ),
                (root / "log", landlock.APPEND),
                (Path("/dev/null"), landlock.Files.READ_FILE | landlock.Files.WRITE_FILE),
                *((Path(fact), landlock.READ) for fact in _FACTS),
            ),
            tcp_ports=(options.http_port, options.native_port),
        )
    )
    os.write(options.gate_fd, f"confined\t{abi}\n".encode())
    result = engine.query(_script(options.gate_fd), "TabSeparated", path=str(root / "data"))
    if result.has_error():
        os.write(sys.stderr.fileno(), f"{result.error_message()}\n".encode())


# What the engine looks up about itself and its machine while it runs: numbers, nothing of anybody's.
_FACTS = ("/proc/self/statm", "/proc/meminfo")


def _script(gate: int) -> str:
    return f"""
        INSERT INTO FUNCTION file({gate}, 'TSV', 'word String') SELECT 'loaded';
        SELECT * FROM file({gate}, 'LineAsString', 'line String') FORMAT Null;
        SYSTEM START LISTEN HTTP;
        SYSTEM START LISTEN TCP;
        INSERT INTO FUNCTION file({gate}, 'TSV', 'word String, http UInt16, native UInt16, version String')
            SELECT 'listening', getServerPort('http_port'), getServerPort('tcp_port'), version();
        SELECT * FROM file({_STDIN}, 'LineAsString', 'line String') SETTINGS max_execution_time = 0 FORMAT Null;
        SYSTEM STOP LISTEN HTTP;
        SYSTEM STOP LISTEN TCP;
    """  # noqa: S608 - two file descriptors, nobody's input


def _load(library: Path) -> ModuleType:
    # Not `import chdb`: that opens an engine of its own, and a process gets one.
    loader = importlib.machinery.ExtensionFileLoader("_chdb", str(library))
    spec = importlib.util.spec_from_loader("_chdb", loader)
    if spec is None:
        raise ImportError(f"{library} is not an extension module")
    module = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def _ended(descriptor: int) -> bool:
    """Whether the other side of a socket is closed."""
    with socket.socket(fileno=os.dup(descriptor)) as lifeline:
        lifeline.setblocking(False)
        try:
            return lifeline.recv(1) == b""
        except BlockingIOError:
            return False
        except OSError:
            return True


if __name__ == "__main__":
    main()
