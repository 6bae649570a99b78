"""The user offered to Grafana and SQL clients reads telemetry and nothing else, however it asks.

Each way out is one statement with the exact refusal. A file outside the server's folder, a link to it from inside, and a
variable of the environment hold a planted secret, which must never be in an answer.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from app.store.contract import Login
from app.store.embedded import landlock
from app.store.embedded.server import EmbeddedServer
from tests.integration.clickhouse import Answer, ask, must, running, small_settings

pytestmark = pytest.mark.skipif(
    landlock.version() == 0, reason="this kernel has no Landlock: file() cannot be confined"
)

PLANTED = f"planted-{secrets.token_hex(8)}"

NO_SUCH_FUNCTION, NO_SUCH_TABLE = 46, 60
ACCESS_DENIED, CANNOT_OPEN, NO_SUCH_FILE = 497, 76, 107
OUT_OF_BOUNDS, READONLY = 452, 164


@dataclass(frozen=True, slots=True)
class Fortress:
    """A server with exactly the grants of production, and the places that statements below name."""

    server: EmbeddedServer
    outside: Path
    root: Path

    def attempt(self, sql: str, **parameters: str) -> Answer:
        """Run a statement as the reader; `{outside}` and its like are filled in."""
        return self.ask(self.server.logins.reader, self.fill(sql), **parameters)

    def ask(self, login: Login | None, sql: str, **parameters: str) -> Answer:
        return ask(self.server.address, login, sql, None, **parameters)

    def fill(self, sql: str) -> str:
        places = {
            "{outside}": str(self.outside),
            "{folder}": str(self.outside.parent),
            "{root}": str(self.root),
            "{http}": str(self.server.address.http_port),
            "{native}": str(self.server.address.native_port),
            "{service}": str(os.getpid()),
            "{engine}": str(self.server.pid),
        }
        for place, value in places.items():
            sql = sql.replace(place, value)
        return sql


@pytest.fixture(scope="module")
def fortress(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fortress]:
    folder = tmp_path_factory.mktemp("fortress")
    outside = folder / "outside.txt"
    outside.write_text(f"{PLANTED}\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAK_TEST_PLANTED", PLANTED)
        with running(small_settings(folder / "clickhouse"), also_databases=()) as server:
            (folder / "clickhouse" / "data" / "link").symlink_to(outside)
            made = Fortress(server, outside, folder / "clickhouse")
            must(made.ask(server.logins.migrate, "CREATE DATABASE telemetry"))
            must(made.ask(server.logins.migrate, "CREATE TABLE telemetry.t (a UInt64) ENGINE = MergeTree ORDER BY a"))
            must(made.ask(server.logins.ingest, "INSERT INTO telemetry.t VALUES (1), (2)"))
            yield made


@pytest.fixture(autouse=True)
def nothing_changed(fortress: Fortress) -> Iterator[None]:
    """After each way out the server is up, was not restarted, and the telemetry is what it was."""
    yield
    assert must(fortress.attempt("SELECT groupArray(a) FROM (SELECT a FROM telemetry.t ORDER BY a)")) == "[1,2]\n"
    assert must(fortress.attempt("SELECT name FROM system.tables WHERE database = 'telemetry'")) == "t\n"
    assert fortress.server.restarts == 0


TABLE_FUNCTIONS = {
    "file": ("SELECT * FROM file('{outside}', 'LineAsString')", ACCESS_DENIED),
    "file-by-pattern": ("SELECT * FROM file('{folder}/*', 'LineAsString')", ACCESS_DENIED),
    "file-descriptor": ("SELECT * FROM file(0, 'LineAsString', 'l String')", ACCESS_DENIED),
    "file-standard-input": ("SELECT * FROM file('-', 'LineAsString', 'l String')", ACCESS_DENIED),
    "file-described": ("DESCRIBE TABLE file('{outside}')", ACCESS_DENIED),
    "file-written": ("INSERT INTO FUNCTION file('{folder}/new', 'TSV', 'a String') SELECT 'x'", ACCESS_DENIED),
    "fileCluster": ("SELECT * FROM fileCluster('default', '{outside}', 'LineAsString', 'l String')", 701),
    "url": ("SELECT * FROM url('http://127.0.0.1:{http}/ping', 'LineAsString', 'l String')", ACCESS_DENIED),
    "url-of-a-file": ("SELECT * FROM url('file://{outside}', 'LineAsString', 'l String')", ACCESS_DENIED),
    "urlCluster": ("SELECT * FROM urlCluster('default', 'http://127.0.0.1:{http}/', 'LineAsString', 'l String')", 701),
    "s3": ("SELECT * FROM s3('https://bucket.s3.amazonaws.com/k', 'a', 'b', 'TSV', 'a String')", ACCESS_DENIED),
    "s3Cluster": ("SELECT * FROM s3Cluster('default', 'https://bucket.s3.amazonaws.com/k', 'TSV', 'a String')", 701),
    "azureBlobStorage": (
        "SELECT * FROM azureBlobStorage('http://127.0.0.1:{http}', 'c', 'b', 'a', 'k', 'TSV', 'auto', 'a String')",
        ACCESS_DENIED,
    ),
    "hdfs": ("SELECT * FROM hdfs('hdfs://127.0.0.1:1/x', 'TSV', 'a String')", ACCESS_DENIED),
    "deltaLake": ("SELECT * FROM deltaLake('https://bucket.s3.amazonaws.com/k/', 'a', 'b')", ACCESS_DENIED),
    "deltaLakeLocal": ("SELECT * FROM deltaLakeLocal('{folder}')", ACCESS_DENIED),
    "iceberg": ("SELECT * FROM iceberg('https://bucket.s3.amazonaws.com/k/', 'a', 'b')", ACCESS_DENIED),
    "icebergLocal": ("SELECT * FROM icebergLocal('{folder}')", ACCESS_DENIED),
    "hudi": ("SELECT * FROM hudi('https://bucket.s3.amazonaws.com/k/', 'a', 'b')", ACCESS_DENIED),
    "paimonLocal": ("SELECT * FROM paimonLocal('{folder}')", ACCESS_DENIED),
    "remote": ("SELECT * FROM remote('127.0.0.1:{native}', system.one)", ACCESS_DENIED),
    "remote-as-default": ("SELECT * FROM remote('127.0.0.1:{native}', system, users, 'default', '')", ACCESS_DENIED),
    "remoteSecure": ("SELECT * FROM remoteSecure('127.0.0.1:{native}', system.one)", ACCESS_DENIED),
    "cluster": ("SELECT * FROM cluster('default', system.one)", 701),
    "clusterAllReplicas": ("SELECT * FROM clusterAllReplicas('default', system.one)", 701),
    "mysql": ("SELECT * FROM mysql('127.0.0.1:1', 'd', 't', 'u', 'p')", ACCESS_DENIED),
    "postgresql": ("SELECT * FROM postgresql('127.0.0.1:1', 'd', 't', 'u', 'p')", ACCESS_DENIED),
    "mongodb": ("SELECT * FROM mongodb('127.0.0.1:1', 'd', 't', 'u', 'p', 'a String')", ACCESS_DENIED),
    "redis": ("SELECT * FROM redis('127.0.0.1:1', 'k', 'k String, v String')", ACCESS_DENIED),
    "sqlite": ("SELECT * FROM sqlite('{folder}/new.db', 't')", 481),
    "jdbc": ("SELECT * FROM jdbc('x', 's', 't')", ACCESS_DENIED),
    "odbc": ("SELECT * FROM odbc('DSN=x', 's', 't')", ACCESS_DENIED),
    "ytsaurus": ("SELECT * FROM ytsaurus('http://127.0.0.1:1', '//x', 't', 'a String')", ACCESS_DENIED),
    "executable": ("SELECT * FROM executable('cat {outside}', 'TSV', 'a String')", ACCESS_DENIED),
    "input": ("SELECT * FROM input('a String')", 477),
    "Python": ("SELECT * FROM Python(sys)", 446),
    "Python-allowed": ("SELECT * FROM Python(sys) SETTINGS allow_python_table_function = 1", 392),
    "Python-allowed-within": (
        "SELECT * FROM (SELECT * FROM Python(sys) SETTINGS allow_python_table_function = 1)",
        446,
    ),
    "Python-described": ("DESCRIBE TABLE Python(sys)", 446),
    "Python-by-its-name": ("SELECT * FROM sys", NO_SUCH_TABLE),
    "merge": ("SELECT * FROM merge('system', '^(users|processes)$')", 636),
    "mergeTreeProjection": ("SELECT * FROM mergeTreeProjection(telemetry, t, p)", 582),
    "dictionary": ("SELECT * FROM dictionary('d')", ACCESS_DENIED),
    "loop": ("SELECT * FROM loop(system.users) LIMIT 1", ACCESS_DENIED),
    "view": ("SELECT * FROM view(SELECT * FROM system.users)", ACCESS_DENIED),
    "format": ("SELECT * FROM format(TSV, 'a String', 'x')", ACCESS_DENIED),
}

SYSTEM_TABLES = {
    **{
        name: (f"SELECT * FROM system.{name}", ACCESS_DENIED)
        for name in (
            "users",
            "roles",
            "grants",
            "quotas",
            "row_policies",
            "settings_profiles",
            "settings_profile_elements",
            "user_directories",
            "named_collections",
            "processes",
            "server_settings",
            "clusters",
            "macros",
            "disks",
            "parts",
            "errors",
            "warnings",
            "stack_trace",
            "build_options",
            "remote_data_paths",
            "jemalloc_bins",
        )
    },
    # Not kept at all.
    **{
        name: (f"SELECT * FROM system.{name}", NO_SUCH_TABLE)
        for name in ("query_log", "text_log", "session_log", "crash_log", "trace_log")
    },
    "information-schema": ("SELECT * FROM information_schema.tables", ACCESS_DENIED),
    "in-a-subquery": ("SELECT 1 IN (SELECT name FROM system.users)", ACCESS_DENIED),
    "in-a-set": ("SELECT 1 IN system.users", ACCESS_DENIED),
    "in-a-cte": ("WITH x AS (SELECT * FROM system.users) SELECT * FROM x", ACCESS_DENIED),
    "in-a-union": ("SELECT a FROM telemetry.t UNION ALL SELECT count() FROM system.users", ACCESS_DENIED),
    "in-a-join": ("SELECT * FROM telemetry.t CROSS JOIN system.users AS u", ACCESS_DENIED),
    "explained": ("EXPLAIN SELECT * FROM system.users", ACCESS_DENIED),
    "show-access": ("SHOW ACCESS", ACCESS_DENIED),
    "show-users": ("SHOW USERS", ACCESS_DENIED),
    "show-grants-of-another": ("SHOW GRANTS FOR migrate", ACCESS_DENIED),
    "show-create-user": ("SHOW CREATE USER reader", ACCESS_DENIED),
    "show-create-profile": ("SHOW CREATE SETTINGS PROFILE reader", ACCESS_DENIED),
    "show-processlist": ("SHOW PROCESSLIST", ACCESS_DENIED),
    "getServerSetting": ("SELECT getServerSetting('users_config')", ACCESS_DENIED),
    "getMacro": ("SELECT getMacro('shard')", ACCESS_DENIED),
}

FILES = {
    "file": ("SELECT file('{outside}')", CANNOT_OPEN),
    "password-file": ("SELECT file('/etc/passwd')", CANNOT_OPEN),
    "folder": ("SELECT file('{folder}')", CANNOT_OPEN),
    "relative": ("SELECT file('../../outside.txt')", CANNOT_OPEN),
    "relative-from-the-top": ("SELECT file('../../../../../../../../../../etc/passwd')", CANNOT_OPEN),
    "link-from-inside": ("SELECT file('{root}/data/link')", CANNOT_OPEN),
    "root-of-the-process": ("SELECT file('/proc/self/root{outside}')", CANNOT_OPEN),
    "environment": ("SELECT file('/proc/self/environ')", CANNOT_OPEN),
    "environment-of-the-thread": ("SELECT file('/proc/thread-self/environ')", CANNOT_OPEN),
    "environment-by-number": ("SELECT file('/proc/{engine}/environ')", CANNOT_OPEN),
    "environment-of-the-service": ("SELECT file('/proc/{service}/environ')", CANNOT_OPEN),
    "command-line": ("SELECT file('/proc/self/cmdline')", CANNOT_OPEN),
    "memory": ("SELECT file('/proc/self/mem')", CANNOT_OPEN),
    "memory-map": ("SELECT file('/proc/self/maps')", CANNOT_OPEN),
    "executable": ("SELECT file('/proc/self/exe')", CANNOT_OPEN),
    "connections": ("SELECT file('/proc/net/tcp')", CANNOT_OPEN),
    "life-line": ("SELECT file('/proc/self/fd/0')", CANNOT_OPEN),
    "standard-error": ("SELECT file('/proc/self/fd/2')", CANNOT_OPEN),
    "log": ("SELECT file('{root}/log/clickhouse.log')", CANNOT_OPEN),
    "log-of-errors": ("SELECT file('{root}/log/clickhouse.errors.log')", CANNOT_OPEN),
    "lock": ("SELECT file('{root}/lock')", CANNOT_OPEN),
    "users-with-hashes": ("SELECT file('{root}/run/users.xml')", NO_SUCH_FILE),
    "users-in-the-working-folder": ("SELECT file('users.xml')", NO_SUCH_FILE),
    "users-through-the-process": ("SELECT file('/proc/self/cwd/users.xml')", NO_SUCH_FILE),
    "configuration": ("SELECT file('{root}/run/config.xml')", NO_SUCH_FILE),
    "code-of-the-service": (f"SELECT file('{landlock.__file__}')", CANNOT_OPEN),
    "endless-device": ("SELECT file('/dev/zero')", CANNOT_OPEN),
    "table-by-path": ("SELECT * FROM `{outside}`", NO_SUCH_TABLE),
    "table-by-path-in-default": ("SELECT * FROM default.`{outside}`", ACCESS_DENIED),
    "outfile": ("SELECT 1 INTO OUTFILE '{folder}/new'", 358),
    "infile": ("INSERT INTO telemetry.t FROM INFILE '{outside}' FORMAT TSV", ACCESS_DENIED),
    "template": ("SELECT 1 FORMAT Template SETTINGS format_template_resultset = '{outside}'", CANNOT_OPEN),
    "protobuf-schema": ("SELECT 1 FORMAT Protobuf SETTINGS format_schema = '{outside}:M'", 434),
    "catboost": ("SELECT catboostEvaluate('{outside}', 1)", NO_SUCH_FUNCTION),
}

WRITES = {
    name: (sql, ACCESS_DENIED)
    for name, sql in {
        "insert": "INSERT INTO telemetry.t VALUES (9)",
        "insert-select": "INSERT INTO telemetry.t SELECT 9",
        "delete": "DELETE FROM telemetry.t WHERE 1",
        "update": "UPDATE telemetry.t SET a = 0 WHERE 1",
        "truncate": "TRUNCATE TABLE telemetry.t",
        "drop": "DROP TABLE telemetry.t",
        "drop-database": "DROP DATABASE telemetry",
        "undrop": "UNDROP TABLE telemetry.t",
        "detach": "DETACH TABLE telemetry.t",
        "attach": "ATTACH TABLE telemetry.x FROM '{folder}' (a UInt8) ENGINE = MergeTree ORDER BY a",
        "rename": "RENAME TABLE telemetry.t TO telemetry.u",
        "optimize": "OPTIMIZE TABLE telemetry.t FINAL",
        "alter-delete": "ALTER TABLE telemetry.t DELETE WHERE 1",
        "alter-add-column": "ALTER TABLE telemetry.t ADD COLUMN b UInt8",
        "alter-freeze": "ALTER TABLE telemetry.t FREEZE",
        "create": "CREATE TABLE telemetry.x (a UInt8) ENGINE = Memory",
        "create-over-a-file": "CREATE TABLE telemetry.x (a String) ENGINE = File('TSV', '{outside}')",
        "create-temporary": "CREATE TEMPORARY TABLE x (a UInt8)",
        "create-temporary-over-a-file": "CREATE TEMPORARY TABLE x (a String) ENGINE = File('TSV', '{outside}')",
        "create-temporary-over-a-url": "CREATE TEMPORARY TABLE x (a String) ENGINE = URL('http://127.0.0.1:1/', 'TSV')",
        "create-view": "CREATE VIEW telemetry.x AS SELECT * FROM system.users",
        "create-materialized-view": "CREATE MATERIALIZED VIEW telemetry.x ENGINE = Memory AS SELECT 1",
        "create-database": "CREATE DATABASE x",
        "create-database-of-files": "CREATE DATABASE x ENGINE = Filesystem('/')",
        "create-function": "CREATE FUNCTION f AS (x) -> x",
        "create-dictionary": "CREATE DICTIONARY telemetry.x (a UInt64, b String) PRIMARY KEY a "
        "SOURCE(FILE(path '{outside}' format 'TSV')) LAYOUT(FLAT()) LIFETIME(0)",
        "create-user": "CREATE USER x",
        "create-role": "CREATE ROLE x",
        "create-row-policy": "CREATE ROW POLICY x ON telemetry.t USING 1 TO reader",
        "create-named-collection": "CREATE NAMED COLLECTION x AS a = 1",
        "create-workload": "CREATE WORKLOAD x",
        "alter-itself": "ALTER USER reader SETTINGS max_memory_usage = 0",
        "grant": "GRANT ALL ON *.* TO reader",
        "revoke": "REVOKE SELECT ON telemetry.* FROM query",
        "kill-query": "KILL QUERY WHERE 1",
        "kill-mutation": "KILL MUTATION WHERE 1",
        "backup": "BACKUP DATABASE telemetry TO File('x')",
        "backup-outside": "BACKUP TABLE telemetry.t TO File('{folder}/new')",
        "restore": "RESTORE TABLE telemetry.t FROM File('x')",
        "system-shutdown": "SYSTEM SHUTDOWN",
        "system-kill": "SYSTEM KILL",
        "system-stop-listen": "SYSTEM STOP LISTEN HTTP",
        "system-stop-merges": "SYSTEM STOP MERGES telemetry.t",
        "system-flush-logs": "SYSTEM FLUSH LOGS",
        "system-drop-cache": "SYSTEM DROP MARK CACHE",
        "system-failpoint": "SYSTEM ENABLE FAILPOINT x",
        "system-reload-users": "SYSTEM RELOAD USERS",
        "use-system": "USE system",
    }.items()
} | {
    "second-statement": ("SELECT 1; DROP TABLE telemetry.t", 62),
    "set-role": ("SET ROLE migrate", 511),
    "execute-as": ("EXECUTE AS migrate SELECT 1", 344),
}

LIMITS = {
    **{
        f"{name}-{value}": (f"SELECT 1 SETTINGS {name} = {value}", OUT_OF_BOUNDS)
        for name, value in (
            ("max_memory_usage", 0),
            ("max_memory_usage", 100_000_000_000),
            ("max_memory_usage", "DEFAULT"),
            ("max_memory_usage_for_user", 0),
            ("max_execution_time", 0),
            ("max_execution_time", 100_000),
            ("max_execution_time", "DEFAULT"),
            ("max_threads", 1000),
            ("max_untracked_memory", 100_000_000_000),
            ("max_temporary_data_on_disk_size_for_query", 0),
            ("max_temporary_data_on_disk_size_for_user", 0),
            ("max_concurrent_queries_for_user", 0),
            ("max_parser_depth", 1_000_000),
            ("max_ast_depth", 0),
            ("function_sleep_max_microseconds_per_block", 3_600_000_000),
            ("allow_introspection_functions", 1),
            ("use_concurrency_control", 0),
            ("os_threads_nice_value_query", -19),
            ("query_profiler_cpu_time_period_ns", 1),
        )
    },
    "set": ("SET max_memory_usage = 0", OUT_OF_BOUNDS),
    "readonly-0": ("SELECT 1 SETTINGS readonly = 0", READONLY),
    "readonly-set": ("SET readonly = 0", READONLY),
    "ddl": ("SELECT 1 SETTINGS allow_ddl = 1", 392),
    "another-profile": ("SELECT 1 SETTINGS profile = 'writer', max_memory_usage = 0", OUT_OF_BOUNDS),
    "profile-of-another-user": ("SELECT 1 SETTINGS profile = 'query'", OUT_OF_BOUNDS),
    "time-lifted-within": (
        "SELECT * FROM (SELECT sum(number) FROM numbers(1000000000000) SETTINGS max_execution_time = 0) SETTINGS max_execution_time = 1",
        159,
    ),
    "memory-lifted-within": (
        "SELECT length(x) FROM (SELECT groupArray(number) AS x FROM numbers(100000000) SETTINGS max_memory_usage = 0)",
        241,
    ),
    "sleep": ("SELECT sleep(3600)", 160),
    "sleep-per-row": (
        "SELECT sleepEachRow(1) FROM numbers(60) SETTINGS max_execution_time = 1, max_block_size = 1",
        159,
    ),
    "endless": ("SELECT sum(number) FROM numbers(1000000000000) SETTINGS max_execution_time = 1", 159),
}

WAYS_OUT = {
    f"{group}-{name}": way
    for group, ways in {
        "function": TABLE_FUNCTIONS,
        "system": SYSTEM_TABLES,
        "read": FILES,
        "write": WRITES,
        "limit": LIMITS,
    }.items()
    for name, way in ways.items()
}


def test_there_are_enough_ways_out() -> None:
    assert len(WAYS_OUT) >= 60


@pytest.mark.parametrize(("sql", "code"), WAYS_OUT.values(), ids=WAYS_OUT)
def test_a_way_out_is_shut(fortress: Fortress, sql: str, code: int) -> None:
    answer = fortress.attempt(sql)
    assert (answer.code, PLANTED in answer.text) == (code, False), answer.text
    assert not (fortress.outside.parent / "new").exists()


@pytest.mark.parametrize(
    "parameters",
    [
        {"max_execution_time": "0"},
        {"max_memory_usage": "0"},
        {"readonly": "0"},
        {"profile": "writer", "max_execution_time": "0"},
        {"profile": "query"},
    ],
    ids="-".join,
)
def test_a_url_lifts_no_bound(fortress: Fortress, parameters: dict[str, str]) -> None:
    assert fortress.attempt("SELECT 1", **parameters).code in {OUT_OF_BOUNDS, READONLY}


@pytest.mark.parametrize(
    ("sql", "text"),
    {
        "own-grants": ("SHOW GRANTS", "GRANT SELECT ON telemetry.* TO reader\n"),
        "databases": ("SHOW DATABASES", "telemetry\n"),
        "tables-of-system": ("SHOW TABLES FROM system", ""),
        "view-if-permitted": (
            "SELECT * FROM viewIfPermitted(SELECT name FROM system.users ELSE null('name String'))",
            "",
        ),
        "fuzzed": ("SELECT count() FROM (SELECT * FROM fuzzQuery('SELECT 1') LIMIT 2)", "2\n"),
        "profile-without-bounds": (
            "SELECT getSetting('max_execution_time'), getSetting('readonly') SETTINGS profile = 'writer'",
            "30\t2\n",
        ),
        "bound-lifted-within": (
            "SELECT * FROM (SELECT getSetting('max_execution_time') SETTINGS max_execution_time = 0)",
            "0.001\n",
        ),
        "readonly-lifted-within": ("SELECT * FROM (SELECT getSetting('readonly') SETTINGS readonly = 0)", "2\n"),
        "merges-of-nothing": ("SYSTEM STOP MERGES", ""),
    }.values(),
    ids=lambda value: None,
)
def test_what_is_allowed_is_harmless(fortress: Fortress, sql: str, text: str) -> None:
    assert must(fortress.attempt(sql)) == text


def test_merges_go_on_after_the_reader_stopped_merges_of_nothing(fortress: Fortress) -> None:
    must(fortress.attempt("SYSTEM STOP MERGES"))
    must(
        fortress.ask(
            fortress.server.logins.ingest, "OPTIMIZE TABLE telemetry.t FINAL SETTINGS optimize_throw_if_noop = 1"
        )
    )


def test_telemetry_is_readable_without_bound_on_rows(fortress: Fortress) -> None:
    answer = must(fortress.attempt("SELECT number FROM t CROSS JOIN numbers(200000) AS n"))
    assert answer.count("\n") == 400_000


def test_the_reader_may_move_its_time_limit_within_bounds(fortress: Fortress) -> None:
    sql = "SELECT getSetting('max_execution_time')"
    assert must(fortress.attempt(sql, max_execution_time="60")) == "60\n"


@pytest.mark.parametrize(
    "sql", ["SELECT 1", "SELECT file('/proc/meminfo')", "SYSTEM STOP LISTEN HTTP", "KILL QUERY WHERE 1"]
)
@pytest.mark.parametrize("named", [True, False], ids=["by-name", "without-a-name"])
def test_the_engines_own_user_is_of_no_use_to_anybody(fortress: Fortress, sql: str, named: bool) -> None:
    """It has no password and cannot have one; its one session is the engine's."""
    parameters = {"user": "default", "password": ""} if named else {}
    assert fortress.ask(None, sql, **parameters).code == 700


def test_the_child_has_no_environment_to_read(fortress: Fortress) -> None:
    """So that there is nothing in it even where the kernel cannot confine."""
    environment = Path(f"/proc/{fortress.server.pid}/environ").read_bytes()
    names = {line.split(b"=")[0] for line in environment.rstrip(b"\0").split(b"\0")}
    assert names - {b"LD_LIBRARY_PATH"} == {b"PATH", b"LC_ALL", b"PYTHONPATH"}


def test_the_folder_of_the_configuration_is_empty_while_logins_go_on(fortress: Fortress) -> None:
    assert list((fortress.root / "run").iterdir()) == []
    assert must(fortress.ask(fortress.server.logins.query, "SELECT currentUser()")) == "query\n"


@pytest.mark.parametrize("name", ["migrate", "ingest", "query"])
def test_a_user_of_ours_needs_its_password(fortress: Fortress, name: str) -> None:
    assert fortress.ask(None, "SELECT 1", user=name, password="").code == 516


@pytest.mark.parametrize("name", ["migrate", "ingest", "query", "reader"])
@pytest.mark.parametrize("sql", ["SYSTEM SHUTDOWN", "SYSTEM KILL"])
def test_no_user_may_shut_the_server_down(fortress: Fortress, name: str, sql: str) -> None:
    assert fortress.ask(getattr(fortress.server.logins, name), sql).code == ACCESS_DENIED


@pytest.mark.parametrize("name", ["migrate", "ingest", "query", "reader"])
@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("SELECT * FROM file('{outside}', 'LineAsString')", ACCESS_DENIED),
        ("SELECT * FROM url('http://127.0.0.1:{http}/ping', 'LineAsString', 'l String')", ACCESS_DENIED),
        ("SELECT file('{outside}')", CANNOT_OPEN),
        ("SELECT * FROM Python(sys)", 446),
    ],
)
def test_no_user_reads_files_addresses_or_the_interpreter(fortress: Fortress, name: str, sql: str, code: int) -> None:
    assert fortress.ask(getattr(fortress.server.logins, name), fortress.fill(sql)).code == code
