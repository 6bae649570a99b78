"""Everything that can go wrong, named once.

Rooms raise these; only the doors (receivers, api, cli) know what status each one is.

    ServiceError
    ├── StartupFailed            the process cannot start: one sentence, exit code 1
    │   ├── SettingsInvalid      a key or a value of the configuration
    │   ├── MigrationFailed      the schema cannot be brought to this version
    │   ├── PortUnavailable      a port is taken, or not ours to bind
    │   ├── FolderUnusable       a folder is taken, full, or not ours to write
    │   └── EngineFailed         the embedded ClickHouse is not installed, or did not come up
    ├── Rejected                 the sender's fault; sending it again changes nothing
    │   ├── Undecodable          the bytes are not what their headers say
    │   ├── TooLarge             a limit on bytes, on either side of decompression, or on records
    │   ├── UnsupportedEncoding  a content type or content encoding we do not take
    │   ├── MethodNotAllowed     a path that exists, asked in another way
    │   ├── InvalidQuery         a parameter of a question, by name
    │   └── NotFound             what was asked for is not there
    ├── Denied
    │   ├── Unauthenticated
    │   └── Forbidden
    ├── Busy                     may pass: come back after `retry_after_seconds`
    │   ├── BufferFull           no room for this body now
    │   ├── RateLimited          this tenant's share is used up
    │   ├── Stalled              the body stopped arriving
    │   ├── Draining             stopping; another instance may take it
    │   └── NotReady             starting, or the store is away
    └── StoreError               ClickHouse said no, or nothing
        ├── StoreUnavailable     may pass; whether the last statement ran is not known
        ├── StoreRefused         refused before storing, for the data's sake
        ├── StoreMisconfigured   every statement like it would fail: the setup is wrong
        └── QueryTooHeavy        a read went over its time, memory or rows
"""

from __future__ import annotations

import errno
import os


class ServiceError(Exception):
    """Root of the tree. `str(error)` is one sentence for a person."""


class StartupFailed(ServiceError):
    """The process cannot start or go on; the sentence says what to do next."""


class SettingsInvalid(StartupFailed):
    """A key that does not exist, or a value that does not fit."""


class MigrationFailed(StartupFailed):
    """The schema cannot be brought to this version."""


class PortUnavailable(StartupFailed):
    """Somebody else listens on a port, or we may not.

    Args:
        key: The setting that names it.
        host: Address that was to be bound.
        port: Likewise.
        error: What the system said.
    """

    def __init__(self, key: str, host: str, port: int, error: OSError) -> None:
        match error.errno:
            case errno.EADDRINUSE:
                why = "is taken by another process; stop it, or choose another port (0: any free one)"
            case errno.EACCES:
                why = "needs a privilege; choose one above 1023"
            case number:
                why = f"cannot be bound: {os.strerror(number or 0)}"
        super().__init__(f"{key}: port {port} on {host} {why}")


class FolderUnusable(StartupFailed):
    """A folder belongs to a running instance, is full, or may not be written."""


class EngineFailed(StartupFailed):
    """The embedded ClickHouse is not installed, died during its start, or did not answer in time."""


class Rejected(ServiceError):
    """The sender's fault: the same again would fail again.

    Attributes:
        field: Where in the request it was found, as a path of OTLP/JSON names; empty if there is no one place.
    """

    def __init__(self, message: str, *, field: str = "") -> None:
        super().__init__(message)
        self.field = field


class Undecodable(Rejected):
    """The bytes are not what their headers say."""


class TooLarge(Rejected):
    """More bytes than a limit allows, before or after decompression, or more records."""


class UnsupportedEncoding(Rejected):
    """A content type or content encoding that is not taken here."""


class MethodNotAllowed(Rejected):
    """A path that exists, asked with another HTTP method."""


class InvalidQuery(Rejected):
    """A parameter of a question; `field` is its name."""


class NotFound(Rejected):
    """What was asked for is not there."""


class Denied(ServiceError):
    """Not for this caller."""


class Unauthenticated(Denied):
    """No credential, or a wrong one."""


class Forbidden(Denied):
    """A good credential without this right."""


class Busy(ServiceError):
    """It may pass; nothing of the request was kept.

    Attributes:
        retry_after_seconds: When to come back; at least 1 when written to a header.
    """

    def __init__(self, message: str, *, retry_after_seconds: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after_seconds = retry_after_seconds


class BufferFull(Busy):
    """No room for this body now."""


class RateLimited(Busy):
    """This tenant's share is used up."""


class Stalled(Busy):
    """The body stopped arriving; the sender may try again."""


class Draining(Busy):
    """The service is stopping."""


class NotReady(Busy):
    """The service is starting, or its store is away."""


class StoreError(ServiceError):
    """ClickHouse answered with an error, or not at all.

    Attributes:
        code: ClickHouse's error code; 0 if there was no answer.
    """

    def __init__(self, message: str, *, code: int = 0) -> None:
        super().__init__(message)
        self.code = code


class StoreUnavailable(StoreError):
    """May pass. Whether the statement took effect is not known: send the same with the same token."""


class StoreRefused(StoreError):
    """Refused before anything was stored, because of the data."""


class StoreMisconfigured(StoreError):
    """Schema, user or grant is wrong: every statement like it would fail."""


class QueryTooHeavy(StoreError):
    """A read went over its limit of time, memory or rows."""
