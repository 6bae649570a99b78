"""The engine's configuration says exactly who may do what, and no input can say more."""

from __future__ import annotations

import hashlib
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from pydantic import SecretStr

from app.store.contract import Login
from app.store.embedded.config import Layout, Logins, render_config, render_users

GIB = 1 << 30
USERS = ["default", "migrate", "ingest", "query", "reader"]


def logins(reader_password: str = "") -> Logins:
    return Logins(
        migrate=Login("migrate", SecretStr("m")),
        ingest=Login("ingest", SecretStr("i")),
        query=Login("query", SecretStr("q")),
        reader=Login("reader", SecretStr(reader_password)),
    )


def users(reader_password: str = "", also_databases: tuple[str, ...] = ()) -> ET.Element:
    text = render_users(
        logins(reader_password), database="telemetry", max_memory_bytes=4 * GIB, also_databases=also_databases
    )
    return ET.fromstring(text)


def config(folder: str = "/srv/clickhouse", max_memory_bytes: int = 4 * GIB) -> ET.Element:
    layout = Layout(Path(folder))
    return ET.fromstring(
        render_config(layout, host="127.0.0.1", http_port=8123, native_port=9000, max_memory_bytes=max_memory_bytes)
    )


def grants(tree: ET.Element, user: str) -> list[str | None]:
    return [grant.text for grant in tree.findall(f"./users/{user}/grants/query")]


def test_the_reader_is_granted_reading_of_the_telemetry_database_and_nothing_else() -> None:
    assert grants(users(), "reader") == ["GRANT SELECT ON telemetry.*"]


def test_the_engines_user_may_listen_and_use_its_descriptors_and_nothing_else() -> None:
    assert grants(users(), "default") == [
        "GRANT SYSTEM LISTEN ON *.*",
        "GRANT READ, WRITE ON FILE",
        "GRANT CREATE TEMPORARY TABLE ON *.*",
    ]


@pytest.mark.parametrize("user", USERS)
def test_no_user_is_without_grants(user: str) -> None:
    """It would have every right, files and addresses among them."""
    tree = users()
    assert ([one.tag for one in tree.findall("./users/*")], grants(tree, user) != []) == (USERS, True)


@pytest.mark.parametrize("user", ["migrate", "ingest", "query", "reader"])
def test_grants_name_no_other_database(user: str) -> None:
    targets = {str(grant).split(" ON ")[1].split(".")[0] for grant in grants(users(), user)}
    assert targets - {"*"} <= {"telemetry", "system"}


@pytest.mark.parametrize("user", ["migrate", "ingest", "query", "reader"])
def test_more_databases_are_granted_only_where_asked_for(user: str) -> None:
    added = set(grants(users(also_databases=("test_*",)), user)) - set(grants(users(), user))
    assert {str(grant).split(" ON ")[1] for grant in added} == {"test_*.*"}


@pytest.mark.parametrize("user", USERS)
def test_everybody_comes_from_loopback(user: str) -> None:
    assert {ip.text for ip in users().findall(f"./users/{user}/networks/ip")} <= {"127.0.0.0/8", "127.0.0.1", "::1"}


def test_a_password_is_written_as_its_hash_only() -> None:
    text = ET.tostring(users("pass<word>"), encoding="unicode")
    assert ("pass" in text.replace("password", ""), hashlib.sha256(b"pass<word>").hexdigest() in text) == (False, True)


def test_an_empty_password_means_none() -> None:
    reader = users().find("./users/reader")
    assert reader is not None
    assert (reader.find("no_password") is not None, reader.find("password_sha256_hex")) == (True, None)


@pytest.mark.parametrize("profile", ["query", "reader"])
def test_every_range_of_a_reading_profile_has_a_least_value(profile: str) -> None:
    """Zero stands for no bound, and would be below any most value."""
    for constraint in users().findall(f"./profiles/{profile}/constraints/*"):
        assert constraint.find("const") is not None or constraint.find("min") is not None, constraint.tag


@pytest.mark.parametrize("name", ["max_result_rows", "max_result_bytes", "max_rows_to_read"])
def test_rows_of_the_reader_are_not_bounded(name: str) -> None:
    assert users().findall(f"./profiles/reader//{name}") == []


@pytest.mark.parametrize("profile", ["writer", "query", "reader"])
def test_no_profile_reaches_the_interpreter(profile: str) -> None:
    tree = users()
    constant = tree.find(f"./profiles/{profile}/constraints/allow_python_table_function/const")
    assert (tree.findtext(f"./profiles/{profile}/allow_python_table_function"), constant is not None) == ("0", True)


def test_a_folder_with_markup_in_its_name_stays_a_name() -> None:
    assert config("/srv/a<b>&c").findtext("users_config") == "/srv/a<b>&c/run/users.xml"


def test_it_listens_on_one_address() -> None:
    """With two, a port of 0 is refused."""
    assert [host.text for host in config().findall("listen_host")] == ["127.0.0.1"]


@pytest.mark.parametrize("memory", [GIB // 2, 4 * GIB, 64 * GIB])
def test_caches_together_fit_into_the_memory(memory: int) -> None:
    caches = [one for one in config(max_memory_bytes=memory) if "_cache_size" in one.tag]
    assert 0 < sum(int(one.text or 0) for one in caches) <= memory
