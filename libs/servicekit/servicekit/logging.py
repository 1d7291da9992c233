"""structlog: one JSON object a line on standard error, with the service and the ids of the request in each."""

import logging
import sys
from typing import Literal

import structlog
from structlog.processors import ExceptionRenderer, JSONRenderer
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import EventDict, FilteringBoundLogger, Processor

from servicekit import context as request_context

LogFormat = Literal["json", "console"]
LogLevel = Literal["debug", "info", "warning", "error"]


def get_logger(name: str) -> FilteringBoundLogger:
    """Give a logger of events, `log.info("cache_hit", similarity=0.98)`; never log prompts, answers, secrets."""
    logger: FilteringBoundLogger = structlog.get_logger(module=name)
    return logger


def configure_logging(service: str, level: LogLevel, log_format: LogFormat) -> None:
    """Set up logging for this process, once, at its start; what libraries log by the standard module comes along."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_request,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderers = _renderers(log_format)
    structlog.configure(
        processors=[*shared, *renderers],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level.upper()]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    structlog.contextvars.bind_contextvars(service=service)
    handler = logging.StreamHandler(sys.stderr)
    clean = structlog.stdlib.ProcessorFormatter.remove_processors_meta
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(processors=[clean, *renderers], foreign_pre_chain=shared)
    )
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)


def _renderers(log_format: LogFormat) -> list[Processor]:
    """Tracebacks come without local variables: those hold prompts, answers and secrets."""
    if log_format == "json":
        return [ExceptionRenderer(ExceptionDictTransformer(show_locals=False)), JSONRenderer()]
    return [structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)]


def _add_request(_logger: object, _method: str, event: EventDict) -> EventDict:
    """Read the ids where they are instead of binding them at the start of each request: most log nothing."""
    context = request_context.serving()
    if context is not None:
        event.setdefault("request_id", context.request_id)
        event.setdefault("trace_id", context.traceparent[3:35])
    return event
