"""docs/api.md is complete: every route, parameter, status and door of the code stands in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from typing_extensions import override

from app.api import Readiness, create_api, problems
from app.query import Questions
from app.receivers.answers import ANSWERS
from app.receivers.doors import DOORS, PROFILE_PATHS, Door
from app.settings import Settings
from app.store.client import ClickHouse
from app.store.contract import Login

PAGE = (Path(__file__).parents[2] / "docs/api.md").read_text(encoding="utf-8")


class _Ready(Readiness):
    @override
    def reasons(self) -> list[str]:
        return []


def _schema() -> dict[str, Any]:
    settings = Settings()
    nobody = ClickHouse("http://127.0.0.1:9", Login("nobody", SecretStr("")), database="none")  # never opened
    return create_api(questions=Questions(nobody, settings.query), readiness=_Ready(), settings=settings).openapi()


OPERATIONS = [
    (f"{method.upper()} {path}", operation)
    for path, methods in _schema()["paths"].items()
    for method, operation in methods.items()
]
PARAMETERS = [
    (route, parameter["name"], parameter.get("description"))
    for route, operation in OPERATIONS
    for parameter in operation.get("parameters", ())
]


def section(route: str) -> str:
    """What stands below the heading of a route, up to the next heading."""
    return PAGE.split(f"\n### {route}\n")[1].split("\n## ")[0].split("\n### ")[0]


def words(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(("route", "operation"), OPERATIONS, ids=[route for route, _ in OPERATIONS])
def test_the_page_has_every_route(route: str, operation: dict[str, Any]) -> None:
    """A section of its own, which begins with what OpenAPI says about it."""
    assert words(section(route)).startswith(words(operation.get("description") or operation["summary"]))


@pytest.mark.parametrize(
    ("route", "name", "meaning"), PARAMETERS, ids=[f"{route} {name}" for route, name, _ in PARAMETERS]
)
def test_the_page_has_every_parameter(route: str, name: str, meaning: str | None) -> None:
    """Name and meaning, word for word; those in the path only by name."""
    assert f"\n| `{name}` | {meaning or ''}" in section(route)


@pytest.mark.parametrize("route", [route for route, _ in OPERATIONS])
def test_the_page_has_no_parameter_more(route: str) -> None:
    """One that is gone, or was never there, misleads."""
    table = section(route).split("| parameter | meaning |\n|---|---|\n")[1:]
    shown = [line.split("`")[1] for line in (table[0].split("\n\n")[0].splitlines() if table else ())]
    assert shown == [name for of, name, _ in PARAMETERS if of == route]


def test_the_page_has_no_route_more() -> None:
    """Every heading with a method is a route."""
    headings = {line.removeprefix("### ") for line in PAGE.splitlines() if line.startswith("### GET ")}
    assert headings == {route for route, _ in OPERATIONS}


@pytest.mark.parametrize("kind", sorted({kind for _, _, kind in problems._KINDS} | {"internal", "method-not-allowed"}))
def test_the_page_has_every_kind_of_problem(kind: str) -> None:
    """By the end of its type."""
    assert f"`{kind}`" in PAGE.split("### Errors")[1].split("\n## ")[0]


@pytest.mark.parametrize("door", DOORS, ids=lambda door: str(door.signal))
def test_the_page_has_every_door(door: Door) -> None:
    """Signal, path and gRPC service in one row."""
    assert f"| {door.signal.value} | `{door.path}` | `{door.service}` |" in PAGE


@pytest.mark.parametrize("path", sorted(PROFILE_PATHS))
def test_the_page_names_the_paths_that_are_closed(path: str) -> None:
    """So that nobody looks for a fault of his own."""
    assert f"`{path}`" in PAGE


@pytest.mark.parametrize("status", sorted({str(answer.http) for answer in ANSWERS.values()}))
def test_the_page_has_every_status_of_the_doors(status: str) -> None:
    """Each in a row that says what senders do."""
    rows = [line for line in PAGE.split("## Telemetry doors")[1].splitlines() if line.startswith("| ")]
    assert any(status in row.split("|")[1] for row in rows)
