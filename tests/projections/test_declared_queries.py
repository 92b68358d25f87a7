"""Every query that is declared can be asked."""

from pydantic import BaseModel

from release_management.projections import queries
from release_management.projections.dora import query as dora
from release_management.projections.queries import QUERIES


def test_every_query_has_its_own_name_in_the_list() -> None:
    assert list(QUERIES) == [query.name for query in queries._ALL]


def test_no_parameters_are_declared_for_a_query_that_is_not_in_the_list() -> None:
    declared = {
        model
        for module in (queries, dora)
        for model in vars(module).values()
        if isinstance(model, type) and issubclass(model, BaseModel) and model.__module__ == module.__name__
    }
    used = {base for query in QUERIES.values() for base in query.params.__mro__}
    assert declared <= used, f"no query takes {declared - used}"
