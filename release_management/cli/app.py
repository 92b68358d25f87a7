"""The commands of `relman`, put together."""

import os
import sys
from collections.abc import Sequence
from io import TextIOWrapper
from typing import Annotated

import typer

from release_management.cli.commands import (
    apply,
    approval,
    asyncapi,
    audit,
    dead_letters,
    deploy,
    deployment,
    env,
    events,
    health,
    incident,
    init,
    metrics,
    nats_config,
    projections,
    release,
    rollback,
    serve,
    up,
)
from release_management.cli.kit.command import examples
from release_management.cli.kit.errors import (
    INTERRUPTED,
    PIPE_CLOSED,
    REFUSED,
    USAGE,
    report,
)
from release_management.cli.kit.output import printable
from release_management.cli.kit.settings import (
    DEFAULT_DATA,
    ActorOption,
    DataOption,
    JsonOption,
    Settings,
    begin,
    refine,
)
from release_management.kernel.errors import ErrorCode

NAME = "relman"
_EXAMPLE = """relman init && relman up --detach
relman deploy shop@1.0.0 staging --wait
relman deployment list --active --json"""


def build() -> typer.Typer:
    """Return all commands, in the order in which help lists them."""
    app = typer.Typer(
        name=NAME,
        rich_markup_mode=None,
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
        context_settings={"help_option_names": ["-h", "--help"]},
    )
    app.callback(epilog=examples(_EXAMPLE))(_relman)
    for module in (
        init,
        up,
        serve,
        health,
        apply,
        env,
        release,
        deploy,
        rollback,
        deployment,
        approval,
        incident,
        metrics,
        audit,
        events,
        dead_letters,
        projections,
        nats_config,
        asyncapi,
    ):
        module.register(app)
    return app


def run(arguments: Sequence[str]) -> int:
    """Run one command line; return the exit code."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
    begin(Settings(data=os.environ.get("RELMAN_DATA") or DEFAULT_DATA, actor=os.environ.get("RELMAN_AS") or None))
    try:
        code = typer.main.get_command(build()).main(list(arguments), prog_name=NAME, standalone_mode=False)
    except typer.Abort:
        return INTERRUPTED
    except typer.TyperException as error:
        if "--json" not in arguments and type(error).__name__ == "NoArgsIsHelpError":
            print(printable(error.format_message()), file=sys.stderr)
            return USAGE
        context = getattr(error, "ctx", None)
        hint = f"; see: {context.command_path} --help" if context is not None else ""
        sentence = f"{error.format_message().rstrip('.')}{hint}"
        report(sentence, USAGE, ErrorCode.INVALID, json_too="--json" in arguments)
        return USAGE
    except BrokenPipeError:
        return PIPE_CLOSED
    return code if isinstance(code, int) else 0


def _version(requested: bool) -> None:
    if requested:
        from importlib.metadata import version

        print(f"{NAME} {version('release-management')}")
        raise typer.Exit


def _relman(
    data: DataOption = None,
    actor: ActorOption = None,
    json: JsonOption = False,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Plan, approve, deploy, watch, roll back and prove releases.

    --data, --as and --json may stand before or after the command. Exit codes: 0 done, 1 refused (the reason is on
    stderr), 2 usage, 3 not reachable, 4 not finished in time. What passes by itself, such as a restart, is waited for,
    30 seconds unless a command says otherwise; what is waited for is said on stderr.
    """
    refine(data, actor, json)


__all__ = ["NAME", "REFUSED", "build", "run"]
