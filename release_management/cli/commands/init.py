"""`relman init`."""

import re
import socket
from importlib.resources import files
from pathlib import Path

import typer

from release_management.adapters.system.error_paths import naming
from release_management.cli.kit.command import command
from release_management.cli.kit.output import say, show

FILE = "relman.yaml"
PORTS = (18080, 18081)


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, "init", example="relman init && relman up --detach && relman deploy shop@1.0.0 staging")
    def init() -> None:
        """Write a relman.yaml that works as it is.

        Two environments, a pipeline, a sample component, a release; comments say what else there is.
        """
        from release_management.kernel.errors import ErrorCode
        from release_management.kernel.types import Refused

        path = Path(FILE)
        text = files("release_management.cli.commands").joinpath("starter.yaml").read_text()
        ports = dict(zip(map(str, PORTS), map(str, _free_ports(len(PORTS))), strict=True))
        text = re.sub("|".join(ports), lambda found: ports[found[0]], text)
        try:
            with naming(path), path.open("x") as written:
                written.write(text)
        except FileExistsError:
            raise Refused(f"{FILE} is there already; edit it, or move it away first", code=ErrorCode.CONFLICT) from None
        show({"file": str(path.resolve())})
        say(f"✔ {FILE} written: environments staging and production, application shop, release shop@1.0.0")
        say("  next: relman up --detach && relman deploy shop@1.0.0 staging --wait")


def _free_ports(count: int) -> list[int]:
    """Return the first ports from 18080 on that nobody listens on."""
    found: list[int] = []
    port = PORTS[0]
    while len(found) < count:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                port += 1
                continue
        found.append(port)
        port += 1
    return found
