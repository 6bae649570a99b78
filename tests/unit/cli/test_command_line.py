"""The command line: exit 0 done, 1 refused with one sentence, 2 usage."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from app.settings import Settings

ROOT = Path(__file__).parents[3]


def rak(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the program as its installed script does."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith("RAK_")}
    return subprocess.run(
        [sys.executable, "-c", "from app.cli import main; main()", *words],
        cwd=folder,
        env={**clean, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.mark.parametrize("verb", ["serve", "migrate", "config", "demo"])
def test_help_names_every_verb(tmp_path: Path, verb: str) -> None:
    """A newcomer finds what there is."""
    assert verb in rak(tmp_path, "--help").stdout


@pytest.mark.parametrize("words", [["nonsense"], ["serve", "--nonsense"], ["config", "show", "--format", "xml"], []])
def test_wrong_usage_is_two(tmp_path: Path, words: list[str]) -> None:
    """Wrong words are the caller's affair."""
    assert rak(tmp_path, *words).returncode == 2


def test_a_good_configuration_is_zero(tmp_path: Path) -> None:
    """`config check` says so in words as well."""
    done = rak(tmp_path, "config", "check")
    assert (done.returncode, "valid" in done.stdout) == (0, True)


@pytest.mark.parametrize("verb", [["config", "check"], ["serve"], ["migrate"], ["demo"], ["config", "show"]])
def test_a_bad_configuration_is_one_sentence_and_one(tmp_path: Path, verb: list[str]) -> None:
    """Every verb names the key and shows no traceback."""
    done = rak(tmp_path, *verb, RAK_SERVER__NO_SUCH_KEY="1")
    assert done.returncode == 1
    assert done.stderr.startswith("rak-ingest: server.no_such_key")
    assert len(done.stderr.splitlines()) == 1


@pytest.mark.parametrize("place", ["before", "after"])
def test_the_file_may_stand_on_either_side_of_the_verb(tmp_path: Path, place: str) -> None:
    """`rak-ingest --config F serve` and `rak-ingest serve --config F` are the same."""
    file = tmp_path / "bad.toml"
    file.write_text("[server]\nnope = 1\n")
    words = ["--config", str(file)] if place == "before" else []
    done = rak(tmp_path, *words, "config", "check", *([] if words else ["--config", str(file)]))
    assert (done.returncode, "server.nope" in done.stderr) == (1, True)


def test_what_show_prints_can_be_read_back(tmp_path: Path) -> None:
    """`config show` is a configuration file."""
    shown = rak(tmp_path, "config", "show", RAK_SERVER__BATCH_SIZE="77").stdout
    tree = tomllib.loads(shown)
    assert tree["server"]["batch_size"] == 77
    assert set(tree) == set(Settings.model_fields)


def test_show_masks_secrets(tmp_path: Path) -> None:
    """In both formats."""
    for form in ("toml", "json"):
        done = rak(tmp_path, "config", "show", "--format", form, RAK_CLICKHOUSE__PASSWORD="hunter2")
        assert (done.returncode, "hunter2" in done.stdout) == (0, False)


def test_demo_without_a_service_says_what_to_start(tmp_path: Path) -> None:
    """Exit 1 at once, not after the SDK's retries."""
    done = rak(tmp_path, "demo", "--endpoint", "http://127.0.0.1:9")
    assert (done.returncode, "rak-ingest serve" in done.stderr) == (1, True)
