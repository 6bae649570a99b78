"""The engine's two configuration files, as text: config.xml and users.xml. Pure functions.

Users exist only here (the engine refuses CREATE USER), each with its own grants. A user without grants could read any
file and any address, so none is without. Facts about single settings stand beside them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.sax.saxutils import escape

from app.store.contract import Login

_MIB = 1 << 20
_GIB = 1 << 30

# A value is text, a nested element, or several elements of the same name.
_Value = str | int | Mapping[str, "_Value"] | Sequence["_Value"]


@dataclass(frozen=True, slots=True)
class Layout:
    """Where things are below the folder of one embedded server.

    Attributes:
        root: The folder itself; belongs to one server at a time.
    """

    root: Path

    @property
    def data(self) -> Path:
        """Tables. The one folder that the engine may both read and write."""
        return self.root / "data"

    @property
    def run(self) -> Path:
        """Configuration of the running engine: readable by it, and emptied before it listens."""
        return self.root / "run"

    @property
    def log(self) -> Path:
        """Its log files: the engine may write and not read them, since they quote other users' statements."""
        return self.root / "log"

    @property
    def stderr(self) -> Path:
        """What the engine printed since its last start."""
        return self.log / "stderr.log"

    @property
    def lock(self) -> Path:
        """Locked as long as a server or its supervisor lives."""
        return self.root / "lock"

    @property
    def config(self) -> Path:
        """Server settings. The engine finds it by its name in the working directory."""
        return self.run / "config.xml"

    @property
    def users(self) -> Path:
        """Users, grants and password hashes."""
        return self.run / "users.xml"


@dataclass(frozen=True, slots=True)
class Logins:
    """The users that the embedded server knows; each may do what its work needs and no more.

    Attributes:
        migrate: Schema and retention.
        ingest: Inserts, and the repair of a batch.
        query: Our own reads.
        reader: Offered to Grafana and SQL clients.
    """

    migrate: Login
    ingest: Login
    query: Login
    reader: Login


def render_config(layout: Layout, *, host: str, http_port: int, native_port: int, max_memory_bytes: int) -> str:
    """The text of config.xml.

    Args:
        layout: The server's folders.
        host: The one address it listens on: with two of them, a port of 0 is refused.
        http_port: 0 lets the system choose, as does `native_port`.
        native_port: For clients of the native protocol.
        max_memory_bytes: Of the whole server; caches are cut to fit below it.
    """
    # Its defaults for these caches are 1 to 5 GiB each, which is more than the whole server may take here.
    cache = max(32 * _MIB, min(256 * _MIB, max_memory_bytes // 16))
    return _document(
        {
            "listen_host": host,
            "http_port": http_port,
            "tcp_port": native_port,
            "users_config": str(layout.users),
            "timezone": "UTC",
            "log-level": "warning",  # clickhouse-local's name for logger.level
            "logger": {
                "log": str(layout.log / "clickhouse.log"),
                "errorlog": str(layout.log / "clickhouse.errors.log"),
                "size": "20M",
                "count": 2,
                # These would report, with their stacks, that they may not read counters of the kernel: each new
                # thread its own, the other one those of the control group.
                "levels": {
                    "logger": [{"name": name, "level": "none"} for name in ("ThreadStatus", "AsynchronousMetrics")]
                },
            },
            "max_server_memory_usage": max_memory_bytes,
            "memory_worker_use_cgroup": 0,  # it may not look there, and the cap above is what counts
            "mark_cache_size": cache,
            "index_mark_cache_size": cache,
            "primary_index_cache_size": cache,
            "unique_key_index_cache_size_bytes": cache,
            "unique_key_bitmap_cache_size_bytes": cache,
            "parquet_metadata_cache_size": cache,
            "paimon_metadata_files_cache_size": cache,
            "vector_similarity_index_cache_size": cache,
            "text_index_tokens_cache_size": cache,
            "text_index_header_cache_size": cache,
            "text_index_postings_cache_size": cache,
            # clickhouse-local shrinks the pools; with 0 for the last one Distributed sends would wait for ever.
            "background_pool_size": 4,
            "background_schedule_pool_size": 8,
            "background_common_pool_size": 2,
            "background_distributed_schedule_pool_size": 2,
            "max_thread_pool_free_size": 32,
            "max_connections": 1024,
            "max_concurrent_queries": 200,
            "keep_alive_timeout": 30,
            # What sorts, joins and buffered answers may spill, all users together.
            "max_temporary_data_on_disk_size": 10 * _GIB,
            # A table this big is not dropped by mistake; a day of one may have to be replaced by a repair.
            "max_table_size_to_drop": 50 * _GIB,
            "max_partition_size_to_drop": 0,
            "backups": {"allowed_path": str(layout.data / "backups")},
            "access_control_improvements": {
                "select_from_system_db_requires_grant": "true",
                "select_from_information_schema_requires_grant": "true",
            },
            # clickhouse-local has 0 here: a merge would drop its sources before its result has reached the disk.
            "merge_tree": {"old_parts_lifetime": 480},
        }
    )


def render_users(logins: Logins, *, database: str, max_memory_bytes: int, also_databases: Iterable[str] = ()) -> str:
    """The text of users.xml: who may log in, from loopback only, and what each may do.

    Args:
        logins: The users; an empty password means none is asked for.
        database: The telemetry database, the only one that grants name.
        max_memory_bytes: Of the whole server; a single reader gets a share of it.
        also_databases: More databases with the same grants, `*` at the end as a wildcard. For tests only.
    """
    databases = (database, *also_databases)
    return _document(
        {
            "profiles": {
                "default": {},
                "engine": _engine_profile(),
                "writer": {"async_insert": 0, **_no_python()},
                "query": _bounded(
                    seconds=30,
                    max_seconds=86_400,
                    memory_bytes=max_memory_bytes // 2,
                    max_memory_bytes=max_memory_bytes,
                    queries=100,
                ),
                "reader": _bounded(
                    seconds=30,
                    max_seconds=300,
                    memory_bytes=max_memory_bytes // 4,
                    max_memory_bytes=max_memory_bytes // 2,
                    queries=32,
                ),
            },
            "quotas": {"default": {}},
            "users": {
                # The engine itself logs in as this one, from 127.0.0.1 and without a password; neither can be changed.
                "default": {
                    "no_password": "",
                    "networks": {"ip": "127.0.0.1"},
                    "profile": "engine",
                    "quota": "default",
                    "grants": {"query": list(_ENGINE_GRANTS)},
                },
                logins.migrate.user: _user(
                    logins.migrate,
                    "writer",
                    *_on(databases, "ALL"),
                    "SELECT ON system.*",
                    # Engines over files and addresses need rights on those as well, which it does not have.
                    "TABLE ENGINE ON *",
                    default_database="",
                ),
                logins.ingest.user: _user(
                    logins.ingest,
                    "writer",
                    # A repair deletes a batch from a day, or replaces the day from a staging table.
                    *_on(databases, "SELECT, INSERT, ALTER DELETE, ALTER UPDATE, TRUNCATE, OPTIMIZE"),
                    *_SYSTEM_READS,
                    default_database=database,
                ),
                logins.query.user: _user(
                    logins.query, "query", *_on(databases, "SELECT"), *_SYSTEM_READS, default_database=database
                ),
                logins.reader.user: _user(
                    logins.reader, "reader", *_on(databases, "SELECT"), default_database=database
                ),
            },
        }
    )


# What the script of the engine's own session does: listen, report, wait for the end of a socket.
_ENGINE_GRANTS = ("GRANT SYSTEM LISTEN ON *.*", "GRANT READ, WRITE ON FILE", "GRANT CREATE TEMPORARY TABLE ON *.*")

# Sizes and states, for /metrics, repairs and retention; none of them quotes a statement or a login.
_SYSTEM_READS = tuple(
    f"SELECT ON system.{table}"
    for table in ("parts", "parts_columns", "disks", "merges", "mutations", "metrics", "events", "errors")
)


def _engine_profile() -> Mapping[str, _Value]:
    # The engine's session takes the one place, before the first port opens and until the end, so that nobody else
    # can log in as its user, which has no password.
    return {
        "max_sessions_for_user": 1,
        "constraints": {"max_sessions_for_user": {"const": ""}},
    }


def _no_python() -> Mapping[str, _Value]:
    # The wheel's table function Python() looks into this very interpreter; called over HTTP it ends the process.
    return {"allow_python_table_function": 0, "constraints": {"allow_python_table_function": {"const": ""}}}


def _bounded(
    *, seconds: int, max_seconds: int, memory_bytes: int, max_memory_bytes: int, queries: int
) -> Mapping[str, _Value]:
    """A profile that reads only, and whose bounds may be moved but not lifted.

    Rows are not bounded: Grafana asks for a trace without a LIMIT. Each range has a `min`, since 0 means "without
    bound" and a `max` alone would let it pass.
    """
    ranges: Mapping[str, tuple[int | None, int | str, int]] = {
        # name: (value or None for ClickHouse's own, least, most)
        "max_execution_time": (seconds, "0.001", max_seconds),
        "max_memory_usage": (memory_bytes, 1, max_memory_bytes),
        "max_threads": (None, 1, 64),
        "max_temporary_data_on_disk_size_for_query": (_GIB, 1, _GIB),
        "max_untracked_memory": (None, 0, 4 * _MIB),
        "max_query_size": (None, 1, 8 * _MIB),
        "max_parser_depth": (None, 1, 1000),
        "max_parser_backtracks": (None, 1, 1_000_000),
        "max_ast_depth": (None, 1, 1000),
        "max_ast_elements": (None, 1, 500_000),
        "max_expanded_ast_elements": (None, 1, 5_000_000),
        "max_recursive_cte_evaluation_depth": (None, 1, 1000),
        "function_sleep_max_microseconds_per_block": (None, 1, 3_000_000),
    }
    fixed: Mapping[str, int] = {
        "readonly": 2,
        "allow_ddl": 0,
        "allow_introspection_functions": 0,
        "allow_python_table_function": 0,
        "max_memory_usage_for_user": max_memory_bytes,
        "max_temporary_data_on_disk_size_for_user": 4 * _GIB,
        "max_concurrent_queries_for_user": queries,
        "use_concurrency_control": 1,
        "os_threads_nice_value_query": 0,
        "query_profiler_real_time_period_ns": 0,
        "query_profiler_cpu_time_period_ns": 0,
    }
    constraints: dict[str, _Value] = {name: {"min": least, "max": most} for name, (_, least, most) in ranges.items()}
    constraints |= {name: {"const": ""} for name in fixed}
    return {
        **{name: value for name, (value, _, _) in ranges.items() if value is not None},
        **fixed,
        "cancel_http_readonly_queries_on_client_close": 1,  # who went away needs no answer
        "constraints": constraints,
    }


def _user(login: Login, profile: str, *grants: str, default_database: str) -> Mapping[str, _Value]:
    password = login.password.get_secret_value()
    user: dict[str, _Value] = {}
    if password:
        user["password_sha256_hex"] = hashlib.sha256(password.encode()).hexdigest()
    else:
        user["no_password"] = ""
    if default_database:
        # Without it unqualified names are looked for among files (code 497). The migrating user has none: the
        # database may not be there yet, and a login into one that is not there is refused.
        user["default_database"] = default_database
    return {
        **user,
        "networks": {"ip": ["127.0.0.0/8", "::1"]},
        "profile": profile,
        "quota": "default",
        "grants": {"query": [f"GRANT {grant}" for grant in grants]},
    }


def _on(databases: Iterable[str], rights: str) -> list[str]:
    return [f"{rights} ON {database}.*" for database in databases]


def _document(tree: Mapping[str, _Value]) -> str:
    return "\n".join(_lines("clickhouse", tree, 0)) + "\n"


def _lines(name: str, value: _Value, depth: int) -> list[str]:
    indent = "  " * depth
    if isinstance(value, (str, int)):
        return [f"{indent}<{name}>{escape(str(value))}</{name}>"]
    if isinstance(value, Mapping):
        inner = [line for key, below in value.items() for line in _lines(key, below, depth + 1)]
        return [f"{indent}<{name}>", *inner, f"{indent}</{name}>"]
    return [line for one in value for line in _lines(name, one, depth)]
