"""Turn a function into a command: the common options, an example in its help, errors as exit codes."""

import inspect
from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import typer

from release_management.adapters.system.lean_imports import load_structlog
from release_management.cli.kit.errors import answered
from release_management.cli.kit.settings import (
    COMMON,
    check_data,
    refine,
    settings,
)

P = ParamSpec("P")
_DEFAULTS = {"common_data": None, "common_actor": None, "common_json": False}


def command(group: typer.Typer, name: str, *, example: str) -> Callable[[Callable[P, None]], Callable[P, None]]:
    """Register a command. `example` is one command line per line; the docstring is its help."""

    def register(function: Callable[P, None]) -> Callable[P, None]:
        @wraps(function)
        def run(*args: P.args, **kwargs: P.kwargs) -> None:
            common = [kwargs.pop(key) for key in COMMON]
            load_structlog()
            with answered():
                refine(*common)  # type: ignore[arg-type] # typer has converted them
                check_data(settings().data, "RELMAN_DATA")
                function(*args, **kwargs)

        own = inspect.signature(function, eval_str=True)
        added = [
            inspect.Parameter(key, inspect.Parameter.KEYWORD_ONLY, default=_DEFAULTS[key], annotation=annotation)
            for key, annotation in COMMON.items()
        ]
        run.__signature__ = own.replace(parameters=[*own.parameters.values(), *added])  # type: ignore[attr-defined] # typer reads it
        run.__annotations__ = {**function.__annotations__, **COMMON}
        group.command(name, epilog=examples(example))(run)
        return function

    return register


def examples(lines: str) -> str:
    """Return the end of a help text; `\\b` keeps the lines as they are."""
    found = [line.strip() for line in lines.strip().splitlines()]
    return "\b\nExample:\n" + "\n".join(f"  {line}" for line in found)
