"""Every key of the configuration, with its default, its bounds and one sentence for docs/configuration.md.

The keys are a contract: sections and names are fixed. An unknown key is an error that names it.
"""

from __future__ import annotations

import ipaddress
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Self

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, model_validator

MIB = 1 << 20
GIB = 1 << 30

Port = Annotated[int, Field(ge=0, le=65535)]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False)


class ClickHouseMode(StrEnum):
    """Where ClickHouse runs."""

    EMBEDDED = "embedded"
    SERVER = "server"


class LogFormat(StrEnum):
    """How our own log lines look."""

    JSON = "json"
    CONSOLE = "console"


class LogLevel(StrEnum):
    """The least level that is written."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class ServerSettings(_Section):
    """The doors and the batches behind them."""

    host: str = Field("127.0.0.1", description="Address that every port binds to.")
    otlp_grpc_port: Port = Field(4317, description="OTLP/gRPC. 0 takes any free port, here and below.")
    otlp_http_port: Port = Field(4318, description="OTLP/HTTP, protobuf and JSON.")
    pprof_port: Port = Field(4319, description="Profiles from agents and profilers; this version answers 404.")
    query_api_port: Port = Field(8080, description="REST, health, metrics, documentation and the web page.")
    ready_file: Path | None = Field(
        None, description="Where to write the bound addresses as JSON once every door answers; removed at the stop."
    )
    workers: int = Field(1, ge=1, le=1, description="Processes that share the telemetry ports. This version runs one.")
    batch_size: int = Field(100_000, ge=1, le=1_000_000, description="Rows after which a batch is inserted.")
    batch_timeout_seconds: float = Field(1.0, gt=0, le=600, description="Age after which a batch is inserted.")
    max_request_bytes: int = Field(64 * MIB, ge=1024, description="Largest body as sent, HTTP and gRPC alike.")
    max_decompressed_bytes: int = Field(64 * MIB, ge=1024, description="Largest body after decompression.")
    max_buffer_bytes: int = Field(
        1 * GIB,
        ge=1 * MIB,
        description="Memory for telemetry being read or waiting for ClickHouse; beyond: 429.",
    )
    drain_timeout_seconds: float = Field(30.0, ge=0, le=3600, description="How long a stop waits for what is unsent.")


class SpoolSettings(_Section):
    """The durable queue to come; this version holds batches in memory and sets aside what ClickHouse refuses."""

    path: Path = Field(Path("data/spool"), description="Folder of the quarantine; later also of the segments.")
    max_bytes: int = Field(
        10 * GIB, ge=1 * MIB, description="Disk that quarantined requests may take; later also the segments."
    )
    segment_bytes: int = Field(
        64 * MIB, ge=1024, description="Without effect yet: size after which a segment is sealed."
    )
    fsync: bool = Field(True, description="Without effect yet: answer only after fsync.")
    resend_window_seconds: float = Field(
        300.0, ge=0, description="Without effect yet: how long an unanswered body is remembered."
    )


def _not_reserved(database: str) -> str:
    if database.lower() in ("system", "information_schema"):
        raise ValueError(f"clickhouse.database = {database!r} is ClickHouse's own; choose another name")
    return database


class ClickHouseSettings(_Section):
    """The store."""

    mode: ClickHouseMode = Field(ClickHouseMode.EMBEDDED, description="`embedded`: a child process; `server`: a URL.")
    path: Path = Field(Path("data/clickhouse"), description="Folder of the embedded server.")
    url: str = Field("http://localhost:8123", description="HTTP address in mode `server`.")
    user: str = Field("default", description="User in mode `server`.")
    password: SecretStr = Field(SecretStr(""), description="Password in mode `server`.")
    database: Annotated[str, AfterValidator(_not_reserved)] = Field(
        "telemetry", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$", description="Database of every table and view."
    )
    cluster: str = Field(
        "", pattern=r"^[A-Za-z0-9_.-]*$", description="Cluster name for Replicated and Distributed tables; empty: none."
    )
    max_connections: int = Field(
        10, ge=1, le=1000, description="Simultaneous HTTP connections of each user of ours: schema, inserts, reads."
    )
    connection_timeout_seconds: float = Field(5.0, gt=0, description="Time to connect.")
    embedded_http_port: Port = Field(8123, description="HTTP port of the embedded server, loopback only.")
    embedded_native_port: Port = Field(9000, description="Native port of the embedded server, loopback only.")
    embedded_max_memory_bytes: int = Field(4 * GIB, ge=512 * MIB, description="Memory cap of the embedded server.")
    reader_user: str = Field(
        "reader", pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,63}$", description="Read-only user for Grafana and SQL clients."
    )
    reader_password: SecretStr = Field(
        SecretStr(""),
        description="Its password; empty: none, loopback only. In mode `server` our reads use this user if it is set.",
    )


class StorageSettings(_Section):
    """How long each signal is kept."""

    spans_retention_days: int = Field(30, ge=1, le=36500, description="Days that spans are kept.")
    metrics_retention_days: int = Field(90, ge=1, le=36500, description="Days that data points are kept.")
    profiles_retention_days: int = Field(
        7, ge=1, le=36500, description="Without effect yet: days that profiles are kept."
    )
    logs_retention_days: int = Field(30, ge=1, le=36500, description="Days that log records are kept.")


class QuerySettings(_Section):
    """Bounds of every read."""

    max_query_time_seconds: float = Field(30.0, gt=0, description="Time after which a read is ended.")
    max_result_rows: int = Field(10_000, ge=1, description="Largest `limit` of a list.")
    max_memory_bytes: int = Field(2 * GIB, ge=16 * MIB, description="Memory of one read inside ClickHouse.")


class LimitSettings(_Section):
    """Bounds of one record and of one request. Beyond a bound a record is rejected by name, never cut."""

    max_depth: int = Field(32, ge=1, le=64, description="Nesting of values; deeper: the request is refused.")
    max_attributes: int = Field(10_000, ge=1, description="Attributes of a record, resource, scope, event or link.")
    max_key_bytes: int = Field(4096, ge=1, description="Length of an attribute key, UTF-8.")
    max_value_bytes: int = Field(16 * MIB, ge=1, description="Length of a value as stored, UTF-8.")
    max_events: int = Field(10_000, ge=0, description="Events of a span; exemplars of a data point.")
    max_links: int = Field(10_000, ge=0, description="Links of a span.")
    max_future_seconds: int = Field(3600, ge=0, description="How far ahead of our clock a record may be.")
    max_buckets: int = Field(10_000, ge=1, description="Buckets, bounds or quantiles of a data point.")
    max_fields: int = Field(
        1_000_000, ge=1000, description="Fields, at any depth, of a record, resource or scope larger than 128 KiB."
    )
    max_records: int = Field(
        250_000, ge=1, description="Spans, data points or log records of one request; beyond: the request is refused."
    )
    max_decoded_bytes: int = Field(
        512 * MIB,
        ge=1 * MIB,
        description="Memory for texts, attributes and lists of one large request; beyond: the request is refused.",
    )


class AccessSettings(_Section):
    """Who may come in."""

    allow_anonymous: bool = Field(
        False, description="Serve without credentials on an address that is not loopback; say it only behind a proxy."
    )


class LogSettings(_Section):
    """Our own log lines, on stdout."""

    level: LogLevel = Field(LogLevel.INFO, description="The least level that is written.")
    format: LogFormat = Field(LogFormat.CONSOLE, description="`json` for collectors, `console` for people.")


class AgentSettings(_Section):
    """The eBPF agent; no key yet."""


class RulesSettings(_Section):
    """What runs by itself; no key yet."""


class Settings(_Section):
    """The whole tree."""

    server: ServerSettings = ServerSettings()
    spool: SpoolSettings = SpoolSettings()
    clickhouse: ClickHouseSettings = ClickHouseSettings()
    storage: StorageSettings = StorageSettings()
    query: QuerySettings = QuerySettings()
    limits: LimitSettings = LimitSettings()
    access: AccessSettings = AccessSettings()
    log: LogSettings = LogSettings()
    agent: AgentSettings = AgentSettings()
    rules: RulesSettings = RulesSettings()

    @model_validator(mode="after")
    def _refuse_an_open_door(self) -> Self:
        if not _is_loopback(self.server.host) and not self.access.allow_anonymous:
            raise ValueError(
                f"server.host = {self.server.host!r} is reachable from other machines and no credentials are "
                "configured; use 127.0.0.1, or set access.allow_anonymous = true if something in front authenticates"
            )
        return self


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
