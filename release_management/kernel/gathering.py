"""Declarations gathered by their names, and the check that none is missing from its list."""

import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any, TypeVar

T = TypeVar("T")


class NotListedError(Exception):
    """Something is declared that stands in no list, so the program does not start."""


def gathered(declarations: Iterable[tuple[str, T]]) -> Mapping[str, T]:
    """Return the declarations by name. Raises `ValueError` if two have one name, so that the program does not start."""
    found: dict[str, T] = {}
    for name, declaration in declarations:
        if name in found:
            raise ValueError(f"two declarations are named {name}: {found[name]!r} and {declaration!r}")
        found[name] = declaration
    return found


def modules_of(package: str) -> list[ModuleType]:
    """Load every module below a package and return them, sorted by name."""
    path = importlib.import_module(package).__path__
    return [importlib.import_module(each.name) for each in pkgutil.walk_packages(path, f"{package}.")]


def classes_of(package: str, base: type[Any]) -> Iterator[type[Any]]:
    """Yield the subclasses of `base` that the modules below a package declare."""
    for module in modules_of(package):
        for each in list(vars(module).values()):
            if isinstance(each, type) and each.__module__ == module.__name__ and issubclass(each, base):
                yield each


def instances_of(package: str, kind: type[T] | tuple[type[T], ...]) -> Iterator[T]:
    """Yield the objects of a kind that the modules below a package name, perhaps more than once."""
    for module in modules_of(package):
        yield from (each for each in list(vars(module).values()) if isinstance(each, kind))


def require_listed(declared: Iterable[object], listed: Iterable[object], remedy: str) -> None:
    """Raise `NotListedError` if something is declared that is not listed. `remedy` says how to list it."""
    known = {id(each) for each in listed}
    missing = sorted({str(getattr(each, "__name__", each)) for each in declared if id(each) not in known})
    if missing:
        raise NotListedError(f"{', '.join(missing)}: declared, and in no list; {remedy}")
