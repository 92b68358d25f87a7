"""The options of every command: the data, the actor, and JSON output."""

from contextvars import ContextVar
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated
from urllib.parse import urlsplit

import typer

from release_management.services.redaction import redacted_address

DEFAULT_DATA = ".relman"

DataOption = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="PATH|URL",
        help=f"Where everything is kept, or nats://… of another one. [env: RELMAN_DATA; default: {DEFAULT_DATA}]",
    ),
]
ActorOption = Annotated[
    str | None,
    typer.Option("--as", metavar="NAME", help="Who acts. [env: RELMAN_AS; default: the system's user]"),
]
StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        envvar="RELMAN_STORE",
        help="postgresql://… to keep everything in PostgreSQL; the folder remembers it. Else files in the folder.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]
COMMON = {"common_data": DataOption, "common_actor": ActorOption, "common_json": JsonOption}
"""The options of every command, by names that the commands' functions never see."""


@dataclass(frozen=True, slots=True)
class Settings:
    """The values of the common options."""

    data: str = DEFAULT_DATA
    actor: str | None = None
    json: bool = False


_current: ContextVar[Settings] = ContextVar("settings")


def settings() -> Settings:
    """Return the settings of the running command."""
    return _current.get()


def begin(initial: Settings) -> None:
    """Replace the settings of an earlier command."""
    _current.set(initial)


def refine(data: str | None, actor: str | None, json: bool) -> None:
    """Set the given options; the others stay. Raises a usage error for an impossible name."""
    if actor is not None and (not 1 <= len(actor) <= 200 or not actor.isprintable()):
        raise typer.BadParameter("write a name of 1 to 200 printable characters", param_hint="--as")
    if data is not None:
        check_data(data, "--data")
    now = settings()
    _current.set(replace(now, data=data or now.data, actor=actor or now.actor, json=json or now.json))


def check_data(data: str, named_by: str) -> None:
    """Raise a usage error if this is neither a folder nor the address of a message bus."""
    if not data or "\0" in data or data == ":memory:" or ("://" in data and not is_bus(data)):
        raise typer.BadParameter("write the path of a folder, or nats://HOST:PORT", param_hint=named_by)


def is_bus(address: str) -> bool:
    """Return True for the address of a server of the message bus, or of several separated by commas."""
    try:
        urls = [urlsplit(each.strip()) for each in address.split(",")]
        return all(url.scheme in ("nats", "tls") and bool(url.hostname) and url.port != 0 for url in urls)
    except ValueError:
        return False


def store_of(store: str | None) -> str | None:
    """Return the named store. Raises a usage error if it is no PostgreSQL database."""
    if store is None or store == "":
        return None
    url = urlsplit(store)
    if url.scheme not in ("postgresql", "postgres") or not url.path.strip("/"):
        raise typer.BadParameter("write postgresql://USER:PASSWORD@HOST:PORT/DATABASE", param_hint="--store")
    return store


def local_folder() -> Path:
    """Return the data folder, for commands that work on this machine only."""
    data = settings().data
    if "://" in data:
        shown = redacted_address(data)
        raise typer.BadParameter(f"this needs a folder of this machine, not {shown}", param_hint="--data")
    return Path(data).resolve()
