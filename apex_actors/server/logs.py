"""Logs: one configuration for ours and the libraries', for people or for machines."""

import logging
import sys
from typing import Literal

import structlog


def configure_logging(*, level: str, style: Literal["console", "json"]) -> None:
    """Send all logs to standard error, with time, level and logger."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if style == "json"
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
        )
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared if style == "json" else shared[:-1],
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # These speak of whole requests, statements and messages below this level.
    for name in ("uvicorn", "uvicorn.error", "asyncio", "websockets", "apex_actors.actors"):
        logging.getLogger(name).setLevel(logging.WARNING)
