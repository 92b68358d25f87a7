"""`relman nats-config`."""

from typing import Annotated

import typer

from release_management.cli.kit.command import command
from release_management.cli.kit.output import say, show


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, "nats-config", example="relman nats-config --executor local --executor command > nats-server.conf")
    def nats_config(
        executor: Annotated[
            list[str] | None,
            typer.Option(metavar="NAME", help="An executor that gets a user. Without any: all that are installed."),
        ] = None,
        client: Annotated[
            list[str] | None,
            typer.Option(metavar="NAME", help="A client that gets a user of its own; all others share one."),
        ] = None,
        cluster: Annotated[bool, typer.Option("--cluster", help="For servers that replicate the streams.")] = False,
    ) -> None:
        """Print a configuration for a nats-server of your own: users that may no more than they need.

        The passwords are references to environment variables; comments in it say the rest.
        """
        from release_management.adapters.executors.installed import executor_names
        from release_management.adapters.nats.access.configuration import configuration, variable
        from release_management.adapters.nats.access.permissions import users
        from release_management.kernel.types import plain_name

        executors = executor or list(executor_names())
        clients = client or []
        for option, names in (("--executor", executors), ("--client", clients)):
            for each in names:
                try:
                    plain_name(each)
                except ValueError as error:
                    raise typer.BadParameter(str(error), param_hint=option) from None
        text = configuration(executors, clients, cluster=cluster)
        show({"configuration": text, "variables": [variable(user) for user in users(executors, clients)]})
        say(text.rstrip())
