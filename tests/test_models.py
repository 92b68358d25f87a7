"""A model is built when it is first used, so a fault in one must not wait for its first use."""

import importlib
import pkgutil
from collections.abc import Iterator

import pytest
from pydantic import BaseModel

import release_management
from release_management.facade.views.base import View
from release_management.kernel.types import Value


def subclasses(model: type[BaseModel]) -> Iterator[type[BaseModel]]:
    for each in model.__subclasses__():
        yield each
        yield from subclasses(each)


def imported() -> None:
    for module in pkgutil.walk_packages(release_management.__path__, "release_management."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)


@pytest.mark.parametrize("base", [Value, View])
def test_every_model_can_be_built(base: type[BaseModel]) -> None:
    imported()
    models = [each for each in subclasses(base) if each.__module__.startswith("release_management.")]

    assert len(models) > 10
    for model in models:
        model.model_rebuild()
        assert model.__pydantic_complete__, model
