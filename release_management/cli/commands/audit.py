"""`relman audit`."""

import sys
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Protocol

import typer

from release_management.adapters.system.error_paths import naming
from release_management.cli.commands.deployment import EnvironmentOption
from release_management.cli.kit.command import command
from release_management.cli.kit.output import (
    listing,
    say,
    show,
)
from release_management.cli.kit.session import Session, session
from release_management.kernel.visible import escaped

if TYPE_CHECKING:
    from release_management.kernel.record import Recorded

Newest = Annotated[int, typer.Option("--limit", metavar="N", min=1, help="At most so many.")]
AfterOption = Annotated[
    int, typer.Option("--after", min=0, metavar="POSITION", help="Only what follows this position.")
]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    group = typer.Typer(help="The audit trail: everything that ever happened.", no_args_is_help=True)
    app.add_typer(group, name="audit")

    @command(group, "log", example="relman audit log --environment production --type deployment --limit 20")
    def log(
        release: Annotated[
            str | None, typer.Option("--release", metavar="APP@VERSION", help="Only of this release.")
        ] = None,
        environment: EnvironmentOption = None,
        deployment: Annotated[
            str | None, typer.Option("--deployment", metavar="ID", help="Only of this deployment.")
        ] = None,
        type: Annotated[
            str | None,
            typer.Option("--type", metavar="EVENT", help="Only this event, such as deployment.started, or deployment."),
        ] = None,
        actor: Annotated[str | None, typer.Option("--actor", metavar="NAME", help="Only by this actor.")] = None,
        person: Annotated[
            str | None, typer.Option("--for", metavar="NAME", help="Only on behalf of this person.")
        ] = None,
        limit: Newest = 50,
    ) -> None:
        """Show the newest part of the trail, oldest first.

        The machinery acts on behalf of who asked for the deployment. What people said is shown with what they did.
        """
        from release_management.facade.views import Entry, short_time

        filters = {"release": release, "environment": environment, "deployment": deployment, "type": type}
        with session() as opened:
            found = [Entry(**row) for row in _newest(opened, filters, {"actor": actor, "for": person}, limit)]
            if not found:
                _refuse_unknown(opened, actor, person)
        rows = ((each.position, short_time(each.time), each.who, each.type, each.about, each.told) for each in found)
        columns = ("position", "time", "who", "event", "about", "what")
        show(found, listing(*columns, rows=rows, empty="nothing of that kind has happened"))

    @command(
        group, "export", example="relman audit export --output trail.jsonl\nrelman audit export --after 400 | wc -l"
    )
    def export(
        output: Annotated[
            Path | None,
            typer.Option("--output", "-o", metavar="FILE", dir_okay=False, help="Write here; else to stdout."),
        ] = None,
        after: AfterOption = 0,
    ) -> None:
        """Write every record as it is stored, one JSON document (CloudEvents) per line.

        The bytes are those that were recorded, published and hashed; only a line feed follows each. A record with a
        dataref instead of data is followed by a line with these data, whose SHA-256 the dataref is. On a terminal,
        characters that it would obey, or not show, are written as JSON escapes instead.
        """
        with session() as opened:
            records, content = opened.backend.records(after, follow=False), opened.backend.content
            if output is None:
                sys.stdout.flush()
                _write(records, content, _Terminal() if sys.stdout.isatty() else sys.stdout.buffer)
                return
            draft = output.with_name(f"{output.name}.part")
            try:
                with naming(draft), draft.open("wb") as file:
                    count, last = _write(records, content, file)
                draft.replace(output)
            finally:
                draft.unlink(missing_ok=True)
        show({"file": str(output), "records": count, "last": last})
        say(f"✔ {count} records up to position {last} written to {output}")


def _refuse_unknown(opened: Session, actor: str | None, person: str | None) -> None:
    """Raise `Refused` for the name of an actor or a requester without any record."""
    from release_management.kernel.errors import ErrorCode
    from release_management.kernel.types import Refused

    if actor is not None and not _newest(opened, {}, {"actor": actor, "for": None}, 1):
        raise Refused(
            f"nobody of the name {actor!r} has done anything; relman audit log shows who has", code=ErrorCode.NOT_FOUND
        )
    if person is not None and not _newest(opened, {}, {"actor": None, "for": person}, 1):
        raise Refused(
            f"nothing was done on behalf of anybody of the name {person!r}; relman audit log shows who acts",
            code=ErrorCode.NOT_FOUND,
        )


def _newest(
    opened: Session, filters: dict[str, Any], people: dict[str, str | None], limit: int
) -> list[dict[str, Any]]:
    """Return the newest entries, oldest first. Names are kept outside the log, so entries are filtered by name here."""
    actor, person = people["actor"], people["for"]
    if actor is None and person is None:
        return opened.query("trail", **filters, limit=limit)[::-1]
    found = (
        row
        for row in opened.rows("trail", **filters)
        if actor in (None, row["actor"]) and person in (None, row["onbehalfof"], row["requested_by"])
    )
    return list(islice(found, limit))[::-1]


class _Terminal:
    """A terminal, to which control characters are written escaped."""

    def write(self, content: bytes) -> int:
        """Write some lines of JSON."""
        return sys.stdout.write(escaped(content.decode(errors="replace")))

    def flush(self) -> None:
        """Flush the output."""
        sys.stdout.flush()


class _Writes(Protocol):
    def write(self, content: bytes, /) -> int: ...

    def flush(self) -> None: ...


def _write(records: "Iterator[Recorded]", content: Callable[[str], bytes], file: _Writes) -> tuple[int, int]:
    from release_management.kernel.record import dataref_of

    count = last = 0
    for recorded in records:
        file.write(recorded.record + b"\n")
        if (dataref := dataref_of(recorded.record)) is not None:
            file.write(content(dataref) + b"\n")
        count, last = count + 1, recorded.position
    file.flush()
    return count, last
