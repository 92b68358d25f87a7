"""Claims: resources that only one component may use on its executor, in addition to its port."""

import posixpath
from typing import Annotated

from pydantic import AfterValidator, Field, StringConstraints

from release_management.kernel.types import Value


def _plain_path(path: str) -> str:
    if not path.startswith("/"):
        raise ValueError(f"the path {path!r} begins nowhere; write it from the root, such as /srv/shop")
    return "/" + posixpath.normpath(path).lstrip("/")


Port = Annotated[int, Field(ge=1, le=65535)]
Claimed = Annotated[str, StringConstraints(min_length=1, max_length=400, pattern=r"^[^\x00-\x1f\x7f]*$")]
ClaimedPath = Annotated[Claimed, AfterValidator(_plain_path)]


class Claims(Value):
    """The ports, paths and names that only this component may use.

    No other component may claim one of them on the same executor, whichever its application, target or environment. Two
    spellings of a path (`/srv/shop/`, `/srv/./shop`) are one path; names are compared as they are written.
    """

    ports: Annotated[list[Port], Field(max_length=100)] = Field(
        [],
        description="ports, such as those of an admin interface; `port` of the executor `local` need not be among them",
    )
    paths: Annotated[list[ClaimedPath], Field(max_length=100)] = Field(
        [], description="folders or files, from the root, each at most 400 characters"
    )
    names: Annotated[list[Claimed], Field(max_length=100)] = Field(
        [], description="names, such as of a service or of a queue, each at most 400 characters"
    )

    @property
    def things(self) -> tuple[str, ...]:
        """The claims in words, such as `port 8080`."""
        return (
            *(f"port {port}" for port in self.ports),
            *(f"path {path}" for path in self.paths),
            *(f"name {name}" for name in self.names),
        )
