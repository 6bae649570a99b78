"""Confinement by the kernel: Linux' Landlock, used from 5.19 on (its second version); TCP rules from 6.7 on.

The embedded engine is clickhouse-local at heart. Its scalar function `file('/any/path')` asks for no grant, so that
whoever may send SQL could read whatever this process may read. Grants cannot say no to that; the kernel can.

A confinement binds the calling thread and every thread and process it starts from then on, and nothing lifts it.
Its first version (5.13) is not used: it forbids every rename from one folder to another, and an engine confined by it
could not drop a table.

No privilege is needed. The rules are about names in the file system: what has none (pipes, sockets) stays open.
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path

# linux/landlock.h and asm-generic/unistd.h: these numbers are the same on every architecture.
_SYS_CREATE_RULESET = 444
_SYS_ADD_RULE = 445
_SYS_RESTRICT_SELF = 446
_CREATE_RULESET_VERSION = 1
_LEAST_ABI = 2
_RULE_PATH_BENEATH = 1
_RULE_NET_PORT = 2
_PR_SET_NO_NEW_PRIVS = 38


class Files(IntFlag):
    """What may be done below a path; LANDLOCK_ACCESS_FS_*."""

    EXECUTE = 1 << 0
    WRITE_FILE = 1 << 1
    READ_FILE = 1 << 2
    READ_DIR = 1 << 3
    REMOVE_DIR = 1 << 4
    REMOVE_FILE = 1 << 5
    MAKE_CHAR = 1 << 6
    MAKE_DIR = 1 << 7
    MAKE_REG = 1 << 8
    MAKE_SOCK = 1 << 9
    MAKE_FIFO = 1 << 10
    MAKE_BLOCK = 1 << 11
    MAKE_SYM = 1 << 12
    REFER = 1 << 13
    TRUNCATE = 1 << 14
    IOCTL_DEV = 1 << 15


READ = Files.READ_FILE | Files.READ_DIR
APPEND = Files.WRITE_FILE | Files.TRUNCATE | Files.MAKE_REG | Files.REMOVE_FILE | Files.REFER
READ_WRITE = READ | APPEND | Files.REMOVE_DIR | Files.MAKE_DIR | Files.MAKE_SYM
_OF_A_FILE = Files.EXECUTE | Files.WRITE_FILE | Files.READ_FILE | Files.TRUNCATE | Files.IOCTL_DEV
_BIND_TCP = 1
_CONNECT_TCP = 2
_SCOPE_ABSTRACT_UNIX_SOCKET = 1
_SCOPE_SIGNAL = 2


@dataclass(frozen=True, slots=True)
class Allowance:
    """What a confined thread may still do.

    Attributes:
        paths: Folders and files with what may be done below them; one that does not exist allows nothing.
        tcp_ports: Ports it may listen on; 0 stands for any that the system picks. Outgoing TCP is never allowed.
    """

    paths: Sequence[tuple[Path, Files]]
    tcp_ports: Sequence[int]


class _RulesetAttributes(ctypes.Structure):
    _fields_ = (
        ("handled_access_fs", ctypes.c_uint64),
        ("handled_access_net", ctypes.c_uint64),
        ("scoped", ctypes.c_uint64),
    )


class _PathBeneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed_access", ctypes.c_uint64), ("parent_fd", ctypes.c_int32))


class _NetPort(ctypes.Structure):
    _fields_ = (("allowed_access", ctypes.c_uint64), ("port", ctypes.c_uint64))


def version() -> int:
    """The Landlock ABI of the running kernel; 0 where there is none that can be used."""
    if sys.platform != "linux":
        return 0
    try:
        abi = _syscall(_SYS_CREATE_RULESET, None, ctypes.c_size_t(0), ctypes.c_uint32(_CREATE_RULESET_VERSION))
    except OSError:
        return 0
    return abi if abi >= _LEAST_ABI else 0


def confine(allowance: Allowance) -> int:
    """Take everything from this thread, and from what it starts, that `allowance` does not name.

    Returns:
        The ABI in force: files from 2 on, TCP from 4 on, signals and abstract sockets from 6 on. 0: nothing was
        confined, since the kernel cannot.

    Raises:
        OSError: The kernel refused a rule. The thread is then not confined.
    """
    abi = version()
    if abi == 0:
        return 0
    attributes = _RulesetAttributes(handled_access_fs=_known_files(abi))
    # An older kernel refuses a structure with fields that it does not know, so its size is part of the contract.
    size = 8
    if abi >= 4:
        attributes.handled_access_net = _BIND_TCP | _CONNECT_TCP
        size = 16
    if abi >= 6:
        attributes.scoped = _SCOPE_ABSTRACT_UNIX_SOCKET | _SCOPE_SIGNAL
        size = 24
    ruleset = _syscall(_SYS_CREATE_RULESET, ctypes.byref(attributes), ctypes.c_size_t(size), ctypes.c_uint32(0))
    try:
        for path, files in allowance.paths:
            _allow_path(ruleset, path, files & _known_files(abi))
        if abi >= 4:
            for port in allowance.tcp_ports:
                rule = _NetPort(allowed_access=_BIND_TCP, port=port)
                _syscall(_SYS_ADD_RULE, ruleset, _RULE_NET_PORT, ctypes.byref(rule), ctypes.c_uint32(0))
        if _libc().prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0:
            raise _last_error()
        _syscall(_SYS_RESTRICT_SELF, ruleset, ctypes.c_uint32(0))
    finally:
        os.close(ruleset)
    return abi


def _known_files(abi: int) -> Files:
    """Every right that an ABI can take away. Naming one that it does not know is refused."""
    newest = Files.REFER if abi < 3 else Files.TRUNCATE if abi < 5 else Files.IOCTL_DEV
    return Files((newest << 1) - 1)


def _allow_path(ruleset: int, path: Path, files: Files) -> None:
    try:
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
    except FileNotFoundError:
        return
    try:
        # Rights that only a folder can have are refused for a file.
        allowed = files if path.is_dir() else files & _OF_A_FILE
        rule = _PathBeneath(allowed_access=allowed, parent_fd=descriptor)
        _syscall(_SYS_ADD_RULE, ruleset, _RULE_PATH_BENEATH, ctypes.byref(rule), ctypes.c_uint32(0))
    finally:
        os.close(descriptor)


def _libc() -> ctypes.CDLL:
    return ctypes.CDLL(None, use_errno=True)


def _syscall(number: int, *arguments: object) -> int:
    result = int(_libc().syscall(ctypes.c_long(number), *arguments))
    if result < 0:
        raise _last_error()
    return result


def _last_error() -> OSError:
    number = ctypes.get_errno()
    return OSError(number, os.strerror(number))
