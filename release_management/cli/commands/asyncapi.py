"""`relman asyncapi`."""

import json
from typing import Annotated

import typer

from release_management.cli.kit.command import command


def register(app: typer.Typer) -> None:
    """Add the command."""

    @command(app, "asyncapi", example="relman asyncapi > asyncapi.json\nrelman asyncapi --yaml")
    def asyncapi(
        yaml: Annotated[bool, typer.Option("--yaml", help="As YAML rather than JSON.")] = False,
    ) -> None:
        """Print everything that goes over the message bus as an AsyncAPI 3.0 document.

        It names every subject, every message with its JSON Schema, and who may send and receive it.
        """
        from importlib.metadata import version

        from release_management.adapters.nats.asyncapi import document

        made = document(version("release-management"))
        if yaml:
            import yaml as writer

            print(writer.safe_dump(made, sort_keys=False, allow_unicode=True, width=120), end="")
        else:
            print(json.dumps(made, ensure_ascii=False, indent=2))
