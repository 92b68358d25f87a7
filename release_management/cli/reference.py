"""The reference of all commands: `python -m release_management.cli.reference > docs/reference/cli.md`."""

from collections.abc import Iterator
from typing import Any

import typer

from release_management.cli.app import NAME, build
from release_management.cli.kit.settings import COMMON

_HEAD = """# Command line

<!-- Written by python -m release_management.cli.reference from the code; change it there. -->

Every command takes these options; they may stand before or after it.

COMMON

Exit codes: 0 done; 1 refused, or not well, the reason is on stderr; 2 usage; 3 not reachable; 4 not finished in time;
130 interrupted; 141 nobody reads the output any more. With `--json` stdout holds one JSON document
(`relman events tail` and `relman audit export`: one per line), and an error is there too:
`{"error": {"kind": "refused", "code": "not_found", "reason": "…", "exit": 1, "verdicts": []}}`, with one of
[the codes](errors.md).
"""


def commands() -> Iterator[tuple[str, Any]]:
    """Yield every command with its full name, such as `relman release create`, in the order of the help."""
    yield from _below(NAME, typer.main.get_command(build()))


def markdown() -> str:
    """Return the page."""
    found = list(commands())
    common = [option for option in found[0][1].params if option.name in COMMON]
    parts = [_HEAD.replace("COMMON", _options(common))]
    parts += [_command(name, command) for name, command in found]
    return "\n".join(parts)


def _below(name: str, command: Any) -> Iterator[tuple[str, Any]]:
    inner: dict[str, Any] | None = getattr(command, "commands", None)
    if inner is None:
        yield name, command
        return
    for key, each in inner.items():
        yield from _below(f"{name} {key}", each)


def _command(name: str, command: Any) -> str:
    arguments = [each for each in command.params if each.param_type_name == "argument"]
    options = [each for each in command.params if each.param_type_name == "option" and not each.hidden]
    own = [each for each in options if each.name not in COMMON]
    line = " ".join([name, *(_placeholder(each) for each in arguments), *(["[OPTIONS]"] if own else [])])
    parts = [f"## {name}\n", _text(command.help), f"```text\n{line}\n```\n"]
    if arguments or own:
        parts.append(_options([*arguments, *own]) + "\n")
    parts.append(_text(command.epilog.replace("\b\nExample:\n", "Example:\n\n\b\n")))
    return "\n".join(parts)


def _text(help: str) -> str:
    """Return a help text as Markdown paragraphs; marked lines become a block."""
    made = []
    for paragraph in help.strip().split("\n\n"):
        if paragraph.startswith("\b\n"):
            lines = paragraph.removeprefix("\b\n").splitlines()
            shift = min(len(line) - len(line.lstrip()) for line in lines)
            made.append("```text\n" + "\n".join(line[shift:] for line in lines) + "\n```")
        else:
            made.append(" ".join(paragraph.split()))
    return "\n\n".join(made) + "\n"


def _options(options: list[Any]) -> str:
    rows = ["| | meaning |", "|---|---|"]
    for each in options:
        meaning = str(each.help).replace("|", "\\|")
        needed = " Needed." if each.required and each.param_type_name == "option" else ""
        default = f" Default: {each.default:g}." if isinstance(each.default, int | float) and each.default else ""
        repeated = " May be repeated." if each.multiple else ""
        rows.append(f"| {_names(each)} | {meaning}{needed}{default}{repeated} |")
    return "\n".join(rows)


def _names(option: Any) -> str:
    if option.param_type_name == "argument":
        return f"`{_placeholder(option)}`"
    value = "" if option.is_flag else f" {_placeholder(option)}"
    return ", ".join(f"`{name}{value}`" for name in reversed(option.opts)).replace("|", "\\|")


def _placeholder(option: Any) -> str:
    return str(option.metavar or "N")


if __name__ == "__main__":
    print(markdown(), end="")
