"""The page on the Python interface."""

import ast
import inspect
import re
import textwrap
from collections.abc import Callable, Iterator
from typing import Any

import release_management
from docs.reference.fields import doc
from docs.reference.layout import page
from release_management.facade.manager import ReleaseManager
from release_management.facade.views import View


def text() -> str:
    """Return the page on `ReleaseManager` and what it returns."""

    def listed() -> Iterator[str]:
        yield from ("## ReleaseManager", "", f"```text\nReleaseManager{signature(ReleaseManager.__init__)}\n```", "")
        yield from (*doc(ReleaseManager).splitlines(), "")
        for name, method in (found for part in ReleaseManager.__mro__ for found in vars(part).items()):
            function = method.__func__ if isinstance(method, classmethod) else method
            if name.startswith("_") or not inspect.isfunction(function):
                continue
            yield from (f"### {name}", "", f"```text\n{name}{signature(function)}\n```", "")
            yield from (*doc(function).splitlines(), "")
        for name in release_management.__all__:
            thing = getattr(release_management, name)
            if thing is ReleaseManager:
                continue
            yield from (f"## {name}", "", *doc(thing).splitlines(), "")
            if issubclass(thing, View):
                yield "Fields: " + ", ".join(f"`{field}`" for field in thing.model_fields) + "."
                yield ""

    return page(
        "Python",
        """
        `from release_management import ReleaseManager`. What it returns is typed and immutable; `print` shows it, and
        `model_dump()` gives plain data.
        """,
        listed(),
    )


def signature(function: Callable[..., Any]) -> str:
    """A signature as it is written, without `self`, one parameter a line where it is long."""
    [node] = ast.parse(textwrap.dedent(inspect.getsource(function))).body
    assert isinstance(node, ast.FunctionDef)
    node.args.args = node.args.args[1:]
    returned = f" -> {ast.unparse(node.returns)}" if node.returns and ast.unparse(node.returns) != "None" else ""
    args = ast.unparse(node.args).replace("'", '"')
    if len(args) < 80:
        return f"({args}){returned}"
    parts = re.split(r", (?=(?:\*, )?\w+: )", args)
    return "(\n" + "".join(f"    {part},\n" for part in parts) + f"){returned}"
