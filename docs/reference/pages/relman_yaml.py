"""The page on `relman.yaml`."""

from collections.abc import Iterator

from pydantic import BaseModel

from docs.reference.fields import doc, fields_table
from docs.reference.layout import page
from release_management.services.manifest import models as manifest


def text() -> str:
    """Return the page on the file that `relman apply` takes."""

    def listed() -> Iterator[str]:
        for model in (manifest.Manifest, *filter(is_part, vars(manifest).values())):
            name = "The file" if model is manifest.Manifest else model.__name__
            yield from (f"## {name}", "", *doc(model).splitlines(), "", *fields_table(model))

    return page(
        "relman.yaml",
        """
        What `relman apply FILE` reads. Everything is optional; what the file does not name stays as it is. An unknown
        key is refused with its line. At most 1,000,000 bytes, 50,000 values (what aliases repeat counts again) and 60
        levels are read. Components' settings are in [Settings](settings.md), options in [Strategies](strategies.md).
        """,
        listed(),
    )


def is_part(thing: object) -> bool:
    """Return True for a model of a part of the file."""
    own = isinstance(thing, type) and issubclass(thing, BaseModel) and thing.__module__ == manifest.__name__
    return own and thing is not manifest.Manifest
