"""Our own log lines: structlog on stdout, JSON for collectors or colours for people.

Events are `noun_verbed`. One line a refused request, none an item; never bodies, never secrets. Lines of libraries
(uvicorn, grpc, asyncio) pass through the same renderer.
"""

from __future__ import annotations

import logging
import sys

import structlog

_QUIET = ("uvicorn.access", "uvicorn.error", "asyncio", "aiohttp.access")


def configure_logs(level: str, *, as_json: bool) -> None:
    """Set up logging for the whole process; call it once, first.

    Args:
        level: The least level that is written: debug, info, warning or error.
        as_json: One JSON object a line; else lines for people.
    """
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor
    if as_json:
        renderer = structlog.processors.JSONRenderer()
        shared.append(structlog.processors.format_exc_info)
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=sys.stdout.isatty(),
            exception_formatter=structlog.dev.plain_traceback,  # the rich one prints locals, so bodies and secrets
        )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=False,  # tests configure more than once
    )
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    for name in _QUIET:
        logging.getLogger(name).setLevel(logging.WARNING)
