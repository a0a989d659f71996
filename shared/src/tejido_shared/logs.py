"""Structured logs: one JSON object a line, a constant event name, facts as keywords, ids instead of persons."""

import logging
import re
import sys
import traceback
from contextvars import ContextVar
from typing import Any

import structlog
from fastapi.exceptions import ValidationException
from pydantic import ValidationError
from sqlalchemy.exc import DBAPIError

correlation_id: ContextVar[str] = ContextVar("correlation_id", default="")
_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,64}")


def accepted_correlation_id(offered: str, otherwise: str) -> str:
    """A caller's correlation id if it is short and plain, so that a header can write nothing strange into a log."""
    return offered if _SAFE_ID.fullmatch(offered) else otherwise


def _with_correlation(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    if value := correlation_id.get():
        event.setdefault("correlation_id", value)
    return event


def described(error: BaseException) -> str:
    """What went wrong, without the data it went wrong with: PostgreSQL's details and Pydantic's inputs quote whole rows."""
    name = type(error).__name__
    if isinstance(error, DBAPIError):
        cause: Any = error.orig
        message = getattr(getattr(cause, "diag", None), "message_primary", None) or ""
        return f"{type(cause).__name__} {getattr(cause, 'sqlstate', None) or ''}: {message}"
    if isinstance(error, ValidationError):
        flaws = error.errors(include_input=False, include_url=False, include_context=False)
        return f"{name}: " + "; ".join(f"{'.'.join(map(str, flaw['loc']))} {flaw['type']}" for flaw in flaws)
    if isinstance(error, ValidationException):
        return name
    return f"{name}: {error}"


def _with_error(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
    """The error of `exc_info` and the way to it, as files and lines."""
    raised = event.pop("exc_info", None)
    error = (
        raised if isinstance(raised, BaseException) else (raised[1] if isinstance(raised, tuple) else sys.exc_info()[1])
    )
    if raised and error is not None:
        event["error"] = described(error)
        frames = traceback.extract_tb(error.__traceback__)[-12:]
        event["trace"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames]
    return event


def configure(service: str, process: str, level: str = "INFO") -> None:
    """Sends our log lines and those of every library to standard output as JSON."""
    shared: list[structlog.typing.Processor] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _with_correlation,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )

    def name_process(_: object, __: str, event: structlog.typing.EventDict) -> structlog.typing.EventDict:
        return {"service": service, "process": process, **event}

    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                name_process,
                _with_error,
                structlog.processors.JSONRenderer(ensure_ascii=False, default=str),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("httpx2", "httpcore2", "kombu", "amqp", "celery.beat", "celery.worker.strategy", "celery.app.trace"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
