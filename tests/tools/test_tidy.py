"""The source keeps to what linters do not know: signs at the doors, reasons beside exceptions, nothing left unused.

Lists of exceptions are part of the rules: an entry whose reason is gone fails as well.
"""

from __future__ import annotations

import ast
import re
import tokenize
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from pkgutil import resolve_name

import pytest
from prometheus_client.metrics import MetricWrapperBase

from app import errors
from app.settings import Settings
from app.store.templates import statements
from app.telemetry import metrics

ROOT = Path(__file__).parents[2]
APP = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in ROOT.glob("app/**/*.py")}
_TEST_FILES = [path for path in ROOT.glob("tests/**/*.py") if "node_modules" not in path.parts]
TESTS = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in _TEST_FILES}
TREES = {name: ast.parse(text) for name, text in {**APP, **TESTS}.items()}
NODES = {name: list(ast.walk(tree)) for name, tree in TREES.items()}
MIGRATIONS = sorted(ROOT.glob("migrations/*.sql"))

LONG_MODULES = {
    "app/codec/json_split.py": "one walk over a body: where its brackets end, and what is made of what they enclose",
    "app/store/embedded/server.py": "start, watch, restart and stop of one child, read in that order",
}
LONG_FUNCTIONS = {
    "app/store/embedded/config.py render_config": "one XML file, said top to bottom",
    "app/store/embedded/config.py render_users": "likewise",
}
ERRORS_TO_COME = {
    "Unauthenticated": "credentials are not built yet; the doors know what to answer",
    "RateLimited": "quotas are not built yet; likewise",
}
SETTINGS_TO_COME = {
    "server.workers": "may only be 1 until several processes share the ports",
    "spool.segment_bytes": "the durable queue is not built yet; the key is a contract",
    "spool.fsync": "likewise",
    "spool.resend_window_seconds": "likewise",
    "storage.profiles_retention_days": "profiles are not built yet; the key is a contract",
}

MOST_LINES_OF_A_MODULE = 450
MOST_LINES_OF_A_FUNCTION = 60
REFUSED_WORDS = {"manager", "util", "common", "core", "processor", "handler", "data", "info", "impl", "helper"}


def nodes(kind: str) -> Iterator[tuple[str, ast.AST]]:
    """Every node of the files below a folder, with the name of its file."""
    for name, found in NODES.items():
        if name.startswith(kind):
            for node in found:
                yield name, node


@pytest.mark.parametrize("package", [name for name in APP if name.endswith("/__init__.py")])
def test_a_package_has_a_sign_at_its_door(package: str) -> None:
    """The first line of its docstring is a whole sentence: where am I?"""
    sign = (ast.get_docstring(TREES[package]) or "").partition("\n")[0]
    assert re.fullmatch(r".{15,110}[.:]", sign)


def test_the_architecture_page_shows_every_room() -> None:
    """And no room that is not there."""
    page = (ROOT / "docs/architecture.md").read_text(encoding="utf-8")
    table = page.split("\n## Rooms\n")[1].split("\n## ")[0]
    rows = [line.split("|")[1] for line in table.splitlines() if line.startswith("| `")]
    rooms = {room for row in rows for room in re.findall(r"`(\w+)`", row)}
    folders = {name.split("/")[1] for name in APP if name.count("/") > 1}
    assert rooms == folders | {"errors"}


PAGES = {path.relative_to(ROOT).as_posix(): path for path in (ROOT / "README.md", *ROOT.glob("docs/**/*.md"))}


@pytest.mark.parametrize("page", PAGES)
def test_links_of_a_page_lead_somewhere(page: str) -> None:
    """Those within the repository."""
    links = re.findall(r"\]\((?!https?:)([^)#\s]+)(?:#[^)]*)?\)", PAGES[page].read_text(encoding="utf-8"))
    assert [link for link in links if not (PAGES[page].parent / link).exists()] == []


def test_what_the_text_refers_to_is_there() -> None:
    """Files by their path, modules and names in them by theirs, in code, pages and migrations."""
    texts = {**APP, **TESTS, **{name: path.read_text(encoding="utf-8") for name, path in PAGES.items()}}
    texts |= {path.name: path.read_text(encoding="utf-8") for path in MIGRATIONS}
    gone: list[tuple[str, str]] = []
    for name, text in texts.items():
        for path in re.findall(r"\b(?:app|tests|docs|deploy|migrations)/[\w/.-]+\.(?:py|md|sql|toml|xml|yaml)\b", text):
            gone += [(name, path)] if not (ROOT / path).exists() else []
        for dotted in re.findall(r"`(app(?:\.\w+)+)`", text):
            gone += [(name, dotted)] if not _is_there(dotted) else []
    assert gone == []


def _is_there(dotted: str) -> bool:
    """Whether a name is a module, or something in one."""
    try:
        resolve_name(dotted)
    except (ImportError, AttributeError):
        return False
    return True


def test_names_of_modules_and_classes_say_something() -> None:
    """Words that fit everything are refused."""
    names = [(name, Path(name).stem) for name in APP]
    names += [(name, node.name) for name, node in nodes("app/") if isinstance(node, ast.ClassDef)]
    words = {(file, name): set(re.findall(r"[A-Z]?[a-z]+", name)) for file, name in names}
    assert [
        place for place, found in words.items() if {word.lower().rstrip("s") for word in found} & REFUSED_WORDS
    ] == []


def comments(texts: dict[str, str], word: str) -> list[tuple[str, str]]:
    """Comments with this word in them, each with its file."""
    return [
        (name, token.string)
        for name, text in texts.items()
        for token in tokenize.generate_tokens(StringIO(text).readline)
        if token.type == tokenize.COMMENT and word in token.string
    ]


@pytest.mark.parametrize("texts", [APP, TESTS], ids=["app", "tests"])
def test_what_is_excused_from_a_rule_says_why(texts: dict[str, str]) -> None:
    """After `noqa` and its code, in words."""
    reason = re.compile(r"# noqa: [A-Z]+\d+(, [A-Z]+\d+)*\W+\w")
    assert [excused for excused in comments(texts, "noqa") if not reason.match(excused[1])] == []


def test_what_is_excused_from_its_types_says_why() -> None:
    """In the service; the code alone is enough in tests."""
    reason = re.compile(r"# type: ignore\[[\w, -]+\]\W+\w")
    assert [excused for excused in comments(APP, "type: ignore") if not reason.match(excused[1])] == []


@pytest.mark.parametrize("path", MIGRATIONS, ids=lambda path: str(path.name))
def test_a_migration_says_what_it_answers(path: Path) -> None:
    """In its first line, as a comment that is a sentence."""
    assert re.fullmatch(r"-- [A-Z].*\.", path.read_text(encoding="utf-8").partition("\n")[0])


@pytest.mark.parametrize("path", MIGRATIONS, ids=lambda path: str(path.name))
def test_a_materialized_view_writes_to_a_named_table(path: Path) -> None:
    """A hidden one could be neither altered nor rebuilt."""
    views = [sql for sql in statements(path.read_text(encoding="utf-8")) if "MATERIALIZED VIEW" in sql]
    assert [sql for sql in views if not re.search(r"\nTO \{\{database\}\}\.\{\{local \w+\}\}\nAS SELECT\b", sql)] == []


def _texts_of_the_repository() -> Iterator[tuple[str, str]]:
    """What is written by hand, by file; not what is installed, built, stored or cached beside it."""
    made = {"data", "build", "dist", "node_modules", "__pycache__"}
    for path in ROOT.rglob("*"):
        name = path.relative_to(ROOT)
        is_ours = all(part == ".ci" or not (part.startswith(".") or part in made) for part in name.parts[:-1])
        if (is_ours or name.parts[:2] == ("tests", "data")) and path.is_file() and path.suffix not in (".pb", ".gz"):
            yield name.as_posix(), path.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "pattern",
    [
        r"(?<![\w.{}/])/(work|root|home|Users)/\w",
        r"(?<![\w.{}/])/tmp/\w",
        r"https?://[\w.-]*(pypi|npmjs|registry|proxy)",
    ],
    ids=["somebody's folder", "somebody's scratch", "a registry"],
)
def test_nothing_names_the_machine_it_was_written_on(pattern: str) -> None:
    """A clone works elsewhere."""
    found = re.compile(pattern)
    assert [(name, hit[0]) for name, text in _texts_of_the_repository() if (hit := found.search(text))] == []


def test_tests_do_not_sleep() -> None:
    """They poll: a sleep stands in a loop that looks again. `sleep(0)` only lets others run."""
    loops = [(name, node) for name, node in nodes("tests/") if isinstance(node, ast.While)]
    polled = {(name, id(inner)) for name, loop in loops for inner in ast.walk(loop)}
    sleeps = [
        (name, node)
        for name, node in nodes("tests/")
        if isinstance(node, ast.Call)
        and ast.unparse(node.func) in ("time.sleep", "asyncio.sleep", "sleep")
        and not (isinstance(node.args[0], ast.Constant) and node.args[0].value == 0)
    ]
    assert [(name, node.lineno) for name, node in sleeps if (name, id(node)) not in polled] == []


LOOKED_AT = {
    node.id if isinstance(node, ast.Name) else node.attr
    for _, node in nodes("app/")
    if isinstance(node, (ast.Name, ast.Attribute)) and isinstance(node.ctx, ast.Load)
}


@pytest.mark.parametrize(
    "metric", [name for name, kind in vars(metrics).items() if isinstance(kind, MetricWrapperBase)]
)
def test_a_metric_is_counted_somewhere(metric: str) -> None:
    """One that stays 0 for ever tells a lie."""
    assert metric in LOOKED_AT


KINDS = [name for name, kind in vars(errors).items() if isinstance(kind, type) and kind is not errors.ServiceError]


def _raised() -> set[str]:
    """Classes of `app.errors` that are made, returned or inherited from."""
    names: set[str] = set()
    for _, node in nodes("app/"):
        if isinstance(node, ast.Call):
            names.add(ast.unparse(node.func).rpartition(".")[2])
        elif isinstance(node, ast.Return) and node.value is not None:
            names |= {inner.id for inner in ast.walk(node.value) if isinstance(inner, ast.Name)}
        elif isinstance(node, ast.ClassDef):
            names |= {ast.unparse(base).rpartition(".")[2] for base in node.bases}
    return names


def test_every_error_happens() -> None:
    """Or its reason to wait is written down above."""
    assert set(KINDS) - _raised() == set(ERRORS_TO_COME)


def test_the_tree_of_errors_is_drawn_whole() -> None:
    """Each class stands in the picture at the top of the file, below its parent."""
    drawn: dict[int, str] = {}
    parents: dict[str, str] = {}
    for line in (errors.__doc__ or "").splitlines():
        if found := re.match(r"( {4}[│├└─ ]*)([A-Z]\w+)( |$)", line):
            depth = len(found[1]) // 4
            drawn[depth] = found[2]
            parents[found[2]] = drawn.get(depth - 1, "")
    assert parents == {"ServiceError": ""} | {name: vars(errors)[name].__base__.__name__ for name in KINDS}


KEYS = {
    f"{section}.{key}": (section, key)
    for section in Settings.model_fields
    for key in type(getattr(Settings(), section)).model_fields
}


def _read_settings() -> set[str]:
    """Settings that the service looks at: as an attribute of their section, or by name in a table."""
    attributes: set[tuple[str, str]] = set()
    constants: set[str] = set()
    for name, node in nodes("app/"):
        if name.startswith("app/settings/"):
            continue
        if isinstance(node, ast.Attribute):
            attributes.add((ast.unparse(node.value).rpartition(".")[2].lstrip("_"), node.attr))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str):
            constants.add(node.value)
    return {
        name
        for name, (section, key) in KEYS.items()
        if key in constants or any((holder, key) in attributes for holder in ("settings", "bounds", section))
    }


def test_every_setting_is_read() -> None:
    """Or its reason to wait is written down above."""
    # The settings themselves look at it, when they are loaded.
    own = {"access.allow_anonymous"}
    assert set(KEYS) - _read_settings() - own == set(SETTINGS_TO_COME)


def test_long_modules_have_a_reason() -> None:
    """Written down above."""
    assert {name for name, text in APP.items() if text.count("\n") > MOST_LINES_OF_A_MODULE} == set(LONG_MODULES)


def test_long_functions_have_a_reason() -> None:
    """Written down above."""
    functions = [
        (f"{name} {node.name}", (node.end_lineno or 0) - node.lineno + 1)
        for name, node in nodes("app/")
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
    ]
    assert {name for name, lines in functions if lines > MOST_LINES_OF_A_FUNCTION} == set(LONG_FUNCTIONS)
