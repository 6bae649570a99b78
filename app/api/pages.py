"""Pages for people, whole on this machine: the landing page at `/` and the list of routes at `/docs`.

FastAPI's own documentation page loads its scripts from another host; this one is plain HTML made from the same OpenAPI.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from fastapi import APIRouter, FastAPI
from fastapi.responses import HTMLResponse, Response

from app.api.ops import Readiness


def routes(app: FastAPI, readiness: Readiness) -> APIRouter:
    """The pages; `app` is what `/docs` describes."""
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def landing() -> HTMLResponse:
        reasons = readiness.reasons()
        status = "Ready." if not reasons else "Not ready: " + "; ".join(reasons)
        return HTMLResponse(Template(_file("index.html")).substitute(status=escape(status)))

    @router.get("/docs")
    async def documentation() -> HTMLResponse:
        schema = app.openapi()
        return HTMLResponse(
            Template(_file("docs.html")).substitute(
                version=escape(schema["info"]["version"]),
                about=_text(schema["info"]["description"]),
                contents="\n".join(_contents(schema)),
                operations="\n".join(_operations(schema)),
            )
        )

    @router.get("/style.css")
    async def style() -> Response:
        return Response(_file("style.css"), media_type="text/css")

    return router


@cache
def _file(name: str) -> str:
    return (files("app.api") / "pages" / name).read_text(encoding="utf-8")


def _contents(schema: dict[str, Any]) -> Iterator[str]:
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            link = f'<a href="#{_anchor(method, path)}"><code>{escape(path)}</code></a>'
            yield f"<li>{link} {_text(operation['summary'])}</li>"


def _operations(schema: dict[str, Any]) -> Iterator[str]:
    for path, methods in schema["paths"].items():
        for method, operation in methods.items():
            yield f'<h2 id="{_anchor(method, path)}"><code>{method.upper()} {escape(path)}</code></h2>'
            yield f"<p>{_text(operation.get('description') or operation['summary'])}</p>"
            if parameters := operation.get("parameters"):
                yield "<table><tr><th>Parameter</th><th>Meaning</th></tr>"
                for parameter in parameters:
                    meaning = _text(parameter.get("description", "")) or "In the path."
                    yield f"<tr><td><code>{escape(parameter['name'])}</code></td><td>{meaning}</td></tr>"
                yield "</table>"


def _anchor(method: str, path: str) -> str:
    return f"{method}-{re.sub(r'[^a-z0-9]+', '-', path.lower()).strip('-')}"


def _text(markdown: str) -> str:
    """As HTML; of Markdown the descriptions use only `code`."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(markdown))
