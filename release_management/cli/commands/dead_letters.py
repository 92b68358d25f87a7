"""`relman dead-letters`."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from release_management.cli.kit.command import command
from release_management.cli.kit.errors import Failed
from release_management.cli.kit.output import (
    Limit,
    say,
    show,
    show_list,
)
from release_management.cli.kit.session import session
from release_management.kernel.errors import ErrorCode

if TYPE_CHECKING:
    from release_management.adapters.nats.dead_letters.model import OpenedLetter, Replay
    from release_management.runtime.patient import PatientInstallation

AT_ONCE = 50
Id = Annotated[int, typer.Argument(metavar="ID", min=1, help="Its id, as dead-letters list shows it.")]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="Messages that could not be understood.", no_args_is_help=True)
    app.add_typer(group, name="dead-letters")

    @command(group, "list", example="relman dead-letters list --limit 5")
    def list_(limit: Limit = None) -> None:
        """List the newest messages that nobody will act on, with the reason of each."""
        from release_management.facade.views import short_time

        with session() as opened:
            show_list(
                opened.backend.dead_letters(limit),
                *("id", "time", "subject", "bytes", "code", "reason", "begins with"),
                cells=lambda each: (
                    *(each.id, short_time(each.time), each.subject, each.size, each.code or "", each.reason),
                    each.excerpt.replace("\n", " ")[:60],
                ),
                empty="there is no dead letter",
            )

    @command(group, "show", example="relman dead-letters show 17")
    def show_(id: Id) -> None:
        """Show one message with everything that was kept of it."""
        with session() as opened:
            found = opened.backend.dead_letter(id)
        if found is None:
            reason = f"there is no dead letter {id}; relman dead-letters list shows those that there are"
            raise Failed(reason, code=ErrorCode.NOT_FOUND)
        show(asdict(found))
        _print(found)

    @command(group, "replay", example="relman dead-letters replay 17 18\nrelman dead-letters replay --all")
    def replay(
        ids: Annotated[
            list[int] | None, typer.Argument(metavar="[ID]…", min=1, help="Their ids, as dead-letters list shows them.")
        ] = None,
        all_: Annotated[bool, typer.Option("--all", help="All that the list has, the oldest first.")] = False,
    ) -> None:
        """Send messages again to where they came from, once what kept them from being understood is mended.

        A command that was asked is queued, since nobody waits for its answer any more. Twice is harmless: a command
        that was decided is not decided again, and a letter that was replayed is gone.
        """
        if bool(ids) == all_:
            raise typer.BadParameter("write ids, or --all", param_hint="ID")
        with session() as opened:
            replays = _replay(opened.backend, ids)
        left = [each for each in replays if each.subject is None]
        if left:
            _say_sent(replays)
            reason = "; ".join(f"{each.id} was not sent again: {each.reason}" for each in left)
            raise Failed(reason, replays=[asdict(each) for each in replays])
        show([asdict(each) for each in replays])
        _say_sent(replays)
        if not replays:
            say("there is no dead letter")


def _say_sent(replays: "Sequence[Replay]") -> None:
    for each in replays:
        if each.subject is not None:
            say(f"✔ {each.id} was sent again to {each.subject}")


def _replay(backend: "PatientInstallation", ids: Sequence[int] | None) -> "list[Replay]":
    """Replay the letters of these ids, or all; return the result of each."""
    remaining = sorted(set(ids or (each.id for each in backend.dead_letters())))
    parts = (remaining[start : start + AT_ONCE] for start in range(0, len(remaining), AT_ONCE))
    return [replay for part in parts for replay in backend.replay_dead_letters(part)]


def _print(letter: "OpenedLetter") -> None:
    fields = {
        "id": letter.id,
        "time": letter.time,
        "subject": letter.subject,
        "bytes": letter.size,
        "code": letter.code or "not known",
        "reason": letter.reason,
        "replay": letter.obstacle or f"relman dead-letters replay {letter.id}",
        **{f"header {name}": value for name, value in letter.headers.items()},
    }
    for name, value in fields.items():
        say(f"{name}: {value}")
    say(f"message ({letter.encoding}):")
    say(letter.payload)
