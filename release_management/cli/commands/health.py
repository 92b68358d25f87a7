"""`relman health`: the health of the roles, for people and for probes."""

import json
import socket
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer

from release_management.cli.kit.command import command
from release_management.cli.kit.errors import Failed
from release_management.cli.kit.output import listing, show
from release_management.cli.kit.session import is_empty, nothing_there
from release_management.cli.kit.settings import local_folder, settings
from release_management.runtime.roles.declared import ALL_IN_ONE, ROLES

ANSWER_SECONDS = 2.0


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, "health", example="relman health\nrelman health gateway\nrelman health --address 127.0.0.1:8080")
    def health(
        role: Annotated[
            str | None, typer.Argument(metavar="[ROLE]", help="Only this one, which must run here; else all.")
        ] = None,
        address: Annotated[
            str | None,
            typer.Option("--address", metavar="HOST:PORT", help="Where a role answers; else those of this folder."),
        ] = None,
    ) -> None:
        """Ask the roles that run on this machine how they are. Exit code 1 where one, or a component, is not well.

        A trouble keeps a role from its work; a warning wants to be looked at. What executors look after and do not see
        well is a warning of theirs: they work, the component does not.
        """
        found = [_ask(address, {})] if address else [*_of(local_folder(), role), *_missing(local_folder(), role)]
        if not found:
            if is_empty(settings().data):
                raise nothing_there(settings().data)
            from release_management.adapters.nats.client import NotReachableError

            raise NotReachableError(
                f"no {role or 'role'} runs in {local_folder()}; start it with: relman up, or relman serve "
                f"{role or 'ROLE'}"
            )
        rows = [
            (
                each["role"],
                each["instance"],
                "yes" if each["healthy"] else "NO",
                each["standing"],
                "; ".join(dict.fromkeys(entry["says"] for entry in (*each["troubles"], *each["warnings"]))),
            )
            for each in found
        ]
        shown = listing("role", "process", "well", "standing", "says", rows=rows, empty="")
        unhealthy = [each["role"] for each in found if not each["healthy"]] + sorted(_ill_components(found))
        if not unhealthy:
            show(found, shown)
            return
        if not settings().json:
            show(found, shown)
        raise Failed(f"not well: {', '.join(unhealthy)}", roles=found)


def _ill_components(roles: Iterable[dict[str, Any]]) -> set[str]:
    """Return the components that an executor does not see well."""
    seen = [each for role in roles for looks in role["details"].get("components", {}).values() for each in looks]
    return {f"{each['component']} ({each['condition']})" for each in seen if each["condition"] != "well"}


def _of(folder: Path, role: str | None) -> Iterator[dict[str, Any]]:
    for note in _notes(folder):
        if _is_selected(role, note["role"]):
            yield _ask(note["address"], note)


def _notes(folder: Path) -> Iterator[dict[str, Any]]:
    """Yield the notes of running roles: `role`, `pid`, `address`. Notes of dead ones are removed."""
    import psutil

    for note in sorted((folder / "run").glob("*.json")):
        try:
            document = json.loads(note.read_bytes())
            if document["host"] != socket.gethostname():
                continue
            alive = psutil.pid_exists(document["pid"])
            noted = {name: document[name] for name in ("role", "pid", "address")}
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            continue
        if alive:
            yield noted
        else:
            note.unlink(missing_ok=True)


def _missing(folder: Path, role: str | None) -> Iterator[dict[str, Any]]:
    """Yield the processes of a running `relman up` that do not serve: they have ended, or have just been started."""
    try:
        started = [
            (each["name"], each["pid"], each["started"]) for each in json.loads((folder / "up.json").read_bytes())
        ]
        alive = {pid for _, pid, since in started if _is_alive(pid, since)}
    except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
        return
    noted = {note["pid"] for note in _notes(folder)}
    for name, pid, _ in started if alive else ():
        if not _is_selected(role, name.partition("-")[0]) or pid in alive & noted:
            continue
        yield _unknown(
            name, str(pid), "it does not serve yet" if pid in alive else "it has ended; relman up begins it again"
        )


def _is_alive(pid: int, since: float) -> bool:
    """Return True if this very process runs: pids are reused, and a dead process keeps its own until it is reaped."""
    import psutil

    try:
        process = psutil.Process(pid)
        return abs(process.create_time() - since) < 0.1 and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def _is_selected(role: str | None, name: str) -> bool:
    if role is not None and role in ROLES and name == ALL_IN_ONE.name:
        return ROLES[role].shares_process
    return role in (None, name)


def _ask(address: str, note: dict[str, Any]) -> dict[str, Any]:
    import httpx

    try:
        answer = httpx.get(f"http://{address}/health", timeout=ANSWER_SECONDS, trust_env=False)
        document: dict[str, Any] = answer.json()
        return {key: document[key] for key in _KEYS}
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, TypeError) as error:
        text = f"{address} does not answer as a role does ({type(error).__name__})"
        return _unknown(note.get("role", "?"), str(note.get("pid", address)), text)


def _unknown(role: str, instance: str, text: str) -> dict[str, Any]:
    """Return the health of a process that gives none itself."""
    return {
        "role": role,
        "instance": instance,
        "healthy": False,
        "standing": "unknown",
        "since": None,
        "troubles": [{"part": "process", "says": text}],
        "warnings": [],
        "details": {},
    }


_KEYS = ("role", "instance", "healthy", "standing", "since", "troubles", "warnings", "details")
