"""Every query by name, wherever it is answered: from the read models, or from the log itself."""

from collections.abc import Mapping
from typing import Protocol

from release_management.kernel.gathering import gathered
from release_management.kernel.types import Value
from release_management.projections.queries import QUERIES as OF_READ_MODELS
from release_management.services.use_cases import preview


class DeclaredQuery(Protocol):
    """A query as its caller knows it."""

    @property
    def name(self) -> str:
        """The name by which it is asked."""
        ...

    @property
    def meaning(self) -> str:
        """The purpose, as the reference says it."""
        ...

    @property
    def params(self) -> type[Value]:
        """Its parameters."""
        ...

    def answer_columns(self) -> tuple[str, ...]:
        """Return the names in a row of the answer."""
        ...


_DECLARED: tuple[DeclaredQuery, ...] = (*OF_READ_MODELS.values(), preview.QUERY)
QUERIES: Mapping[str, DeclaredQuery] = gathered((query.name, query) for query in _DECLARED)
