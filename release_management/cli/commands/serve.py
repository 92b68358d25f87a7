"""`relman serve ROLE`: one role of an installation as a process of its own."""

from enum import StrEnum
from typing import Annotated

import typer

from release_management.cli.kit.command import command
from release_management.cli.kit.output import line
from release_management.cli.kit.settings import (
    StoreOption,
    is_bus,
    local_folder,
    store_of,
)
from release_management.runtime.roles.declared import ROLES

RoleName = StrEnum("RoleName", {name.upper(): name for name in ROLES})  # type: ignore[misc] # gathered, not written
"""The roles that `relman serve` can run."""
EXECUTOR_HELP = "Which executor it is (role executor only)."


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(
        app,
        "serve",
        example="relman serve gateway --store postgresql://relman@db/relman --bus nats://gateway:secret@nats:4222\n"
        "relman serve executor --executor command --bus nats://executor-command:secret@nats:4222",
    )
    def serve(
        role: Annotated[RoleName, typer.Argument(metavar="ROLE", help=", ".join(ROLES) + ".")],
        store: StoreOption = None,
        bus: Annotated[
            str | None,
            typer.Option(
                "--bus",
                metavar="URL[,URL…]",
                envvar="RELMAN_BUS",
                help="The message bus, with this role's user; else the one that relman up runs in the folder.",
            ),
        ] = None,
        replicas: Annotated[
            int, typer.Option("--replicas", min=1, max=5, envvar="RELMAN_REPLICAS", help="Copies of each stream.")
        ] = 1,
        executor: Annotated[str, typer.Option("--executor", envvar="RELMAN_EXECUTOR", help=EXECUTOR_HELP)] = "local",
        http: Annotated[
            str,
            typer.Option(
                "--http",
                metavar="HOST:PORT",
                envvar="RELMAN_HTTP",
                help="Where it answers /live, /health and /metrics; port 0 takes a free one.",
            ),
        ] = "127.0.0.1:0",
    ) -> None:
        """Serve one role until it is told to stop.

        As many of each as wanted. Of several gateways, orchestrators, timers and relays one is active and the others
        stand by, and follow within 5 seconds; projectors share the queries, executors of one name its orders. It waits
        for a store or a bus that is away. An executor needs no store.
        """
        from release_management.adapters.executors.installed import executor_names
        from release_management.kernel.suggestions import no_such_executor
        from release_management.runtime.data_directory import DataDirectory
        from release_management.runtime.roles.process import run

        if bus is not None and not is_bus(bus):
            raise typer.BadParameter("write nats://USER:PASSWORD@HOST:PORT, several after commas", param_hint="--bus")
        if executor not in executor_names():
            raise typer.BadParameter(no_such_executor(executor, executor_names()), param_hint="--executor")
        folder = local_folder()
        home = DataDirectory.at(folder, store_of(store), bus, replicas)

        def ready(address: str) -> None:
            started = {"role": str(role), "folder": str(folder), "health": f"http://{address}/health"}
            line(started, f"✔ {role} serves; its health: http://{address}/health")

        raise typer.Exit(run(str(role), home, executor=executor, http=http, on_ready=ready))
