"""Every error that people meet has a code of the closed list."""

import ast
import importlib
import pkgutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import release_management
from release_management.kernel.errors import (
    ErrorCode,
    RelmanError,
    known_code,
)
from release_management.kernel.types import Refused

PACKAGE = Path(release_management.__file__).parent
CODES = "invalid unauthorized denied not_found conflict busy unavailable timeout failed unusable internal"
INSIDE = {
    "BalancerError",  # becomes the reason of a report
    "CannotStart",  # becomes the reason of a report
    "Interrupted",  # becomes a `BusAwayError`
    "KeyTwiceError",  # becomes a `NotUnderstood`, or the reason of a letter
    "LockHeld",  # the executor waits
    "NoFreePort",  # becomes the reason of a report
    "NotListedError",  # a mistake of ours, with which nothing starts
    "NotYet",  # becomes a busy outcome
    "OvertakenError",  # never leaves its package
    "SecretMissing",  # becomes the reason of a report
    "TooManyChangesError",  # becomes an `UnanswerableError`
    "UnknownOrder",  # becomes the reason of a letter
    "UnnamedKeyError",  # a mistake of ours
    "UnreadableRecordError",  # becomes the reason of what is set aside
    "Unseen",  # becomes the condition `unknown`
    "VersionTakenError",  # the library's recorder, which nobody of ours calls
}
"""The errors of ours that no person meets, and why."""


def classes(base: type[BaseException]) -> Iterator[type[BaseException]]:
    for each in base.__subclasses__():
        yield each
        yield from classes(each)


@pytest.fixture(scope="module")
def errors() -> dict[str, type[BaseException]]:
    """Every error class of the package, by its name."""
    for module in pkgutil.walk_packages([str(PACKAGE)], "release_management."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    found = {each for each in classes(Exception) if each.__module__.startswith("release_management.")}
    return {each.__name__: each for each in found}


def test_the_list_of_codes_is_closed() -> None:
    assert [code.value for code in ErrorCode] == CODES.split()
    assert all(code.meaning.endswith(".") for code in ErrorCode)


def test_every_error_that_people_meet_has_the_one_base_and_a_code(errors: dict[str, type[BaseException]]) -> None:
    assert {name for name, each in errors.items() if not issubclass(each, RelmanError)} == INSIDE
    without = {each.__name__ for each in errors.values() if not isinstance(getattr(each, "code", None), ErrorCode)}
    assert without - INSIDE == {"RelmanError", "Refused"}, "a refusal says its code where it is raised"


def test_every_refusal_says_its_code_where_it_is_raised() -> None:
    stated: list[str] = []
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Refused":
                codes = [each.value for each in node.keywords if each.arg == "code"]
                assert len(codes) == 1, f"{path}:{node.lineno} has no code"
                stated.append(ast.unparse(codes[0]))
    named = [code.removeprefix("ErrorCode.") for code in stated if code.startswith("ErrorCode.")]
    assert set(named) <= set(ErrorCode.__members__)
    assert {"INVALID", "NOT_FOUND", "DENIED", "CONFLICT"} <= set(named)


def test_an_error_has_the_code_of_its_class_or_another_one() -> None:
    class Late(RelmanError):
        code = ErrorCode.TIMEOUT

    assert (str(Late("too late")), Late("too late").code) == ("too late", "timeout")
    assert Late("no", code=ErrorCode.DENIED).code == "denied"
    assert Late("no", code=None).code == "timeout"
    assert Refused("no", code=ErrorCode.CONFLICT).code == "conflict"


@pytest.mark.parametrize("written", [None, "of_a_newer_version", 7, ["denied"]])
def test_an_unknown_code_of_another_version_is_none(written: object) -> None:
    assert known_code(written) is None
