"""Every query that is declared can be asked."""

import pkgutil
from importlib import import_module

from pydantic import BaseModel

from release_management import projections
from release_management.projections.queries import MODULES, QUERIES


def test_every_module_that_declares_queries_is_in_the_list() -> None:
    found = [
        import_module(each.name) for each in pkgutil.walk_packages(projections.__path__, f"{projections.__name__}.")
    ]
    declaring = {module for module in found if module.__name__ != f"{projections.__name__}.queries"}

    assert {module for module in declaring if hasattr(module, "QUERIES")} == set(MODULES)


def test_no_parameters_are_declared_for_a_query_that_is_not_in_the_list() -> None:
    declared = {
        model
        for module in MODULES
        for model in vars(module).values()
        if isinstance(model, type) and issubclass(model, BaseModel) and model.__module__ == module.__name__
    }
    used = {base for query in QUERIES.values() for base in query.params.__mro__}
    named = {model for model in declared if model.__name__.endswith("Params")}
    assert named
    assert named <= used, f"no query takes {named - used}"
