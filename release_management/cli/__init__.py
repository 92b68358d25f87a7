"""`relman`, the command line."""

import os
import sys
from collections.abc import Sequence
from types import TracebackType

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run `relman` with these arguments, by default the process's own, and exit."""
    _open_missing_streams()
    if arguments is None:
        from release_management.adapters.system.gc_tuning import collect_not_yet
        from release_management.cli.kit.secret_arguments import hide

        collect_not_yet()
        hide(sys.orig_argv)
        sys.excepthook = _without_passwords
    try:
        from release_management.cli.app import run

        code = run(sys.argv[1:] if arguments is None else list(arguments))
    except KeyboardInterrupt:
        code = 130
    sys.exit(code)


def _without_passwords(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print the traceback of a fault of ours without passwords: libraries write addresses into their messages."""
    import traceback

    from release_management.cli.kit.output import printable

    print(printable("".join(traceback.format_exception(kind, error, trace))), end="", file=sys.stderr)


def _open_missing_streams() -> None:
    """Open /dev/null for each standard stream that a shell has closed, so that no file of ours gets its number."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, os.fdopen(os.open(os.devnull, os.O_RDWR), mode))
