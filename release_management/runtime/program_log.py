"""The program's own log on standard error: one JSON object a line in roles, errors only elsewhere."""

import logging
import sys
from io import StringIO
from typing import Any, TextIO

import structlog
from structlog.typing import EventDict, ExcInfo, WrappedLogger

from release_management.kernel.visible import visible
from release_management.services.redaction import redacted


def log_everything(**always: str) -> None:
    """Log every event as JSON, and libraries' warnings too, in a process of ours. `always` is in each line."""

    def named(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
        return {**always, **event}

    structlog.configure(
        processors=[
            named,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
            _hide_passwords,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
    )
    logging.captureWarnings(True)
    logging.basicConfig(handlers=[_Passed()], level=logging.WARNING, force=True)


def _hide_passwords(_: WrappedLogger, __: str, line: Any) -> str:
    """Return the line without the passwords of addresses, which libraries write into their errors."""
    return redacted(str(line))


def _show_values(_: WrappedLogger, __: str, event: EventDict) -> EventDict:
    """Escape control characters in the event's texts; colours are added later, and stay."""
    return {key: visible(value) if isinstance(value, str) else value for key, value in event.items()}


def _traceback(file: TextIO, error: ExcInfo) -> None:
    shown = StringIO()
    structlog.dev.plain_traceback(shown, error)
    file.write(visible(shown.getvalue()))


class _Passed(logging.Handler):
    """Turns libraries' log records into events of ours."""

    def emit(self, record: logging.LogRecord) -> None:
        level = min(record.levelno // 10 * 10, logging.CRITICAL)
        fields = {"logger": record.name, "exc_info": record.exc_info} if record.exc_info else {"logger": record.name}
        structlog.get_logger().log(level, record.getMessage(), **fields)


def log_errors() -> None:
    """Log errors only, inside somebody else's program, unless that program has configured structlog itself.

    A traceback does not show the values of variables, which may be personal texts.
    """
    if not structlog.is_configured():
        structlog.configure(
            processors=[
                structlog.processors.add_log_level,
                structlog.dev.set_exc_info,
                structlog.processors.TimeStamper(fmt="iso", utc=True),
                _show_values,
                structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=_traceback),
                _hide_passwords,
            ],
            wrapper_class=structlog.make_filtering_bound_logger(logging.ERROR),
            logger_factory=structlog.PrintLoggerFactory(file=sys.stderr),
        )
