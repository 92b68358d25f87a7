"""Read YAML as data, with the line of every value.

Plain scalars are read as YAML 1.2 reads them (`on` and `1:30` are texts); a duplicate key, a tag, an alias that
contains itself and a file that is or becomes too large are refused. `<<: *name` merges a mapping into another one;
merged values have the anchor's line.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from release_management.kernel.errors import ErrorCode
from release_management.kernel.names import id_of
from release_management.kernel.types import Refused

MAX_BYTES = 1_000_000
MAX_VALUES = 50_000
MAX_DEPTH = 60
MERGE = "<<"
Place = tuple[str | int, ...]


class _Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]  # libyaml may not be there
    """The safe loader, libyaml's where there is one (10 times as fast), with the scalars of YAML 1.2's core schema."""

    yaml_implicit_resolvers: dict[str, Any] = {}


for _tag, _pattern, _first in (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("null", r"~|null|Null|NULL|", ["~", "n", "N", ""]),
    ("int", r"[-+]?[0-9]+", "-+0123456789"),
    ("float", r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", re.compile(rf"^(?:{_pattern})$"), list(_first))


@dataclass(slots=True)
class YamlFile:
    """A file's content, and the line (from 1) of each value by its path."""

    name: str
    content: Any = None
    lines: dict[Place, int] = field(default_factory=dict)

    def refusal(self, place: Sequence[str | int], reason: str, code: ErrorCode = ErrorCode.INVALID) -> Refused:
        """Return the refusal for a fault at a path (which may hold names' ids), with the fault's line."""
        spelled = self._as_written(place)
        line = next((self.lines[key] for n in range(len(place), -1, -1) if (key := spelled[:n]) in self.lines), 1)
        where = ".".join(str(piece) for piece in spelled)
        return Refused(f"{self.name}, line {line}: {where}: {reason}" if where else f"{self.name}: {reason}", code=code)

    def _as_written(self, place: Sequence[str | int]) -> Place:
        if tuple(place) in self.lines:
            return tuple(place)
        written: Place = ()
        for piece in place:
            inner = (*written, piece)
            if inner not in self.lines and isinstance(piece, str):
                depth = len(written)
                keys = [key for key in self.lines if len(key) == depth + 1 and key[:depth] == written]
                inner = next((key for key in keys if _same_name(key[depth], piece)), inner)
            written = inner
        return written


def _same_name(key: str | int, name: str) -> bool:
    """Return True if a key of the file is a spelling of the name, or of two names separated by a slash."""
    try:
        return "/".join(map(id_of, str(key).split("/"))) == name
    except ValueError:
        return False


def read_yaml(name: str, text: bytes) -> YamlFile:
    """Read the text of a file with this name. Raises `Refused` with the line of the fault."""
    if len(text) > MAX_BYTES:
        raise Refused(f"{name} is larger than {MAX_BYTES:,} bytes; split it into several files", code=ErrorCode.INVALID)
    file = YamlFile(name)
    decoded = ""
    try:
        decoded = text.decode()
        _check_size(name, decoded)
        node = yaml.compose(decoded, Loader=_Loader)
        if node is None:
            raise Refused(f"{name} is empty; see what belongs there with: relman init", code=ErrorCode.INVALID)
        file.content = _Reader(file).value(node, ())
    except UnicodeDecodeError as error:
        raise Refused(f"{name} is not UTF-8 text (byte {error.start})", code=ErrorCode.INVALID) from None
    except RecursionError:
        raise Refused(
            f"{name} is nested too deeply; at most {MAX_DEPTH} levels are read", code=ErrorCode.INVALID
        ) from None
    except yaml.YAMLError as error:
        raise Refused(_complaint(name, decoded, error), code=ErrorCode.INVALID) from None
    return file


def _check_size(name: str, text: str) -> None:
    """Refuse a file with too many values before they are built: a few bytes can hold one value."""
    depth = values = documents = 0
    for event in yaml.parse(text, Loader=_Loader):
        documents += isinstance(event, yaml.DocumentStartEvent)
        if documents > 1:
            break  # which is said when it is read
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        values += isinstance(event, yaml.NodeEvent)
        assert event.start_mark is not None
        line = event.start_mark.line + 1
        if depth > MAX_DEPTH:
            raise Refused(
                f"{name}, line {line}: nested too deeply; at most {MAX_DEPTH} levels are read", code=ErrorCode.INVALID
            )
        if values > 2 * MAX_VALUES:  # keys and values
            raise Refused(
                f"{name}, line {line}: it has more than {MAX_VALUES:,} values up to here; split it",
                code=ErrorCode.INVALID,
            )


class _Reader:
    """Turns nodes into data, and notes the line of each."""

    def __init__(self, file: YamlFile) -> None:
        self._file = file
        self._values = 0
        self._merging: list[Node] = []
        self._scalars = _Loader("")

    def value(self, node: Node, place: Place) -> Any:
        """Return the data of a node; a node that an alias names is read again, and counts again."""
        self._values += 1
        self._file.lines.setdefault(place, node.start_mark.line + 1)
        if self._values > MAX_VALUES:
            raise Refused(
                f"{self._file.name} has more than {MAX_VALUES:,} values; split it, or use fewer aliases",
                code=ErrorCode.INVALID,
            )
        if len(place) > MAX_DEPTH:
            raise self._file.refusal(place[:4], f"nested deeper than {MAX_DEPTH} levels, or an alias contains itself")
        match node, node.tag.removeprefix("tag:yaml.org,2002:"):
            case MappingNode(), "map":
                return self._mapping(node, place)
            case SequenceNode(), "seq":
                return [self.value(item, (*place, index)) for index, item in enumerate(node.value)]
            case ScalarNode(), "str" | "int" | "float" | "bool" | "null" as kind:
                return self._scalar(node, place, kind)
            case _:
                raise self._file.refusal(place, f"the tag {node.tag!r} is not known here; leave it away")

    def _mapping(self, node: MappingNode, place: Place) -> dict[str, Any]:
        found: dict[str, Any] = {}
        merged: list[tuple[int, Node]] = []
        for key, item in node.value:
            line = key.start_mark.line + 1
            if not isinstance(key, ScalarNode):
                raise Refused(f"{self._file.name}, line {line}: a key must be a text", code=ErrorCode.INVALID)
            if key.value == MERGE and not key.style:
                merged.append((line, item))
                continue
            inner = (*place, key.value)
            if key.value in found:
                first = self._file.lines[inner]
                raise Refused(
                    f"{self._file.name}, line {line}: {'.'.join(map(str, inner))} stands twice, first in line {first}; "
                    "name each key once",
                    code=ErrorCode.INVALID,
                )
            self._file.lines[inner] = line
            found[key.value] = self.value(item, inner)
        for line, item in merged:
            self._merge(item, line, found, place)
        return found

    def _merge(self, node: Node, line: int, found: dict[str, Any], place: Place) -> None:
        """Add the entries of the merged mappings that are not there yet; the first mapping wins."""
        nodes = node.value if isinstance(node, SequenceNode) else [node]
        for each in nodes:
            if not isinstance(each, MappingNode):
                where = ".".join(map(str, (*place, MERGE)))
                raise Refused(
                    f"{self._file.name}, line {line}: {where}: this merges a mapping, or a list of mappings, into this "
                    "one; write <<: *name, where &name stands before a mapping",
                    code=ErrorCode.INVALID,
                )
            if each in self._merging:
                raise Refused(
                    f"{self._file.name}, line {line}: a mapping is merged into itself; leave that away",
                    code=ErrorCode.INVALID,
                )
            self._merging.append(each)
            lines, self._file.lines = self._file.lines, {}
            try:
                values = self.value(each, place)
            finally:
                inner, self._file.lines = self._file.lines, lines
                self._merging.pop()
            added = values.keys() - found.keys()
            lines |= {at: on for at, on in inner.items() if len(at) > len(place) and at[len(place)] in added}
            found |= {key: values[key] for key in values if key in added}

    def _scalar(self, node: ScalarNode, place: Place, kind: str) -> Any:
        try:
            return self._scalars.construct_object(node)
        except ValueError:
            raise self._file.refusal(place, f"{str(node.value)[:40]!r} is no {kind}") from None


def _complaint(name: str, text: str, error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    lines = text.rstrip().split("\n")
    number = min(mark.line, len(lines) - 1) if mark is not None else 0
    where = f"{name}, line {number + 1}" if mark is not None else name
    parts = [getattr(error, part, None) for part in ("context", "problem")]
    tab = "; the line begins with a tab: indent with blanks" if lines[number].lstrip(" ").startswith("\t") else ""
    return f"{where}: this is not YAML: {', '.join(part for part in parts if part) or error}{tab}"
