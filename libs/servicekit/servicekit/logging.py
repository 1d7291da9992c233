"""structlog: one JSON object a line on standard error, ids of the request bound to each."""

import logging
import sys
from typing import Literal

import structlog
from structlog.processors import ExceptionRenderer, JSONRenderer
from structlog.tracebacks import ExceptionDictTransformer

from servicekit import context as request_context

LogFormat = Literal["json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]


def get_logger(name: str) -> structlog.typing.FilteringBoundLogger:
    """Give a logger of events, `log.info("cache_hit", similarity=0.98)`; never log prompts, answers, secrets."""
    logger: structlog.typing.FilteringBoundLogger = structlog.get_logger(module=name)
    return logger


def configure_logging(service: str, level: LogLevel, log_format: LogFormat) -> None:
    """Set up logging for this process, once, at its start."""
    # Tracebacks come without local variables: those hold prompts, answers and secrets.
    renderers: list[structlog.typing.Processor] = (
        [ExceptionRenderer(ExceptionDictTransformer(show_locals=False)), JSONRenderer()]
        if log_format == "json"
        else [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            _bind_request,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            *renderers,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(getattr(logging, level.upper())),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    structlog.contextvars.bind_contextvars(service=service)
    logging.basicConfig(level=logging.WARNING, format='{"level":"%(levelname)s","event":"%(message)s"}')


def _bind_request(
    _logger: object, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    context = request_context.serving()
    if context is not None:
        event.setdefault("request_id", context.request_id)
        event.setdefault("trace_id", context.traceparent[3:35])
        if context.organization:
            event.setdefault("organization", context.organization)
    return event
