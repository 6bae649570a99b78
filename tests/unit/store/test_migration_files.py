"""A folder of migrations is numbered from 1 without gaps, and each file has a checksum of its text."""

from __future__ import annotations

from pathlib import Path

import pytest

from app.errors import MigrationFailed
from app.store.migrate import migration_files, migrations_folder


def folder(path: Path, *names: str) -> Path:
    for name in names:
        (path / name).write_text(f"SELECT '{name}';\n", encoding="utf-8")
    return path


def test_files_come_in_order(tmp_path: Path) -> None:
    files = migration_files(folder(tmp_path, "0002_b.sql", "0001_a.sql"))
    assert [(file.version, file.name) for file in files] == [(1, "0001_a.sql"), (2, "0002_b.sql")]


def test_the_checksum_follows_the_text(tmp_path: Path) -> None:
    before, _ = migration_files(folder(tmp_path, "0001_a.sql", "0002_b.sql"))
    (tmp_path / "0001_a.sql").write_text("SELECT 2;", encoding="utf-8")
    after, _ = migration_files(tmp_path)
    assert (before.checksum != after.checksum, len(after.checksum)) == (True, 64)


@pytest.mark.parametrize(
    ("names", "words"),
    [
        (["0001_a.sql", "0003_c.sql"], "0003_c.sql: the number leaves out 0002"),
        (["0002_b.sql"], "0002_b.sql: the number leaves out 0001"),
        (["0001_a.sql", "0001_b.sql"], "0001_b.sql: the number is used twice"),
        (["0000_a.sql"], "0000_a.sql: the number is used twice"),
        (["1_a.sql"], "1_a.sql: the name of a migration is"),
        (["0001_A.sql"], "0001_A.sql: the name of a migration is"),
        (["0001_a b.sql"], "the name of a migration is"),
        ([], "There are no migrations"),
    ],
)
def test_a_folder_that_is_out_of_order_is_refused(tmp_path: Path, names: list[str], words: str) -> None:
    with pytest.raises(MigrationFailed) as caught:
        migration_files(folder(tmp_path, *names))
    assert words in str(caught.value)


def test_other_files_are_left_alone(tmp_path: Path) -> None:
    assert len(migration_files(folder(tmp_path, "0001_a.sql", "README.md"))) == 1


def test_this_program_brings_its_own() -> None:
    assert [file.version for file in migration_files()] == list(range(1, len(list(migrations_folder().iterdir())) + 1))
