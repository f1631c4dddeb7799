"""Parses YAML documents, with the line of each key and the keys that are given twice.

Fewer plain scalars are converted than in YAML 1.1: timestamps and sexagesimals stay text, and
``010`` is not 8. ``1e3`` is a number, as in Kubernetes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml

Loc = tuple[str | int, ...]

_KEPT = ("null", "bool", "merge")
_INTEGER = re.compile(r"[-+]?(?:0|[1-9][0-9]*)$")
_REAL = re.compile(
    r"[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)$"
    r"|[-+]?\.(?:inf|Inf|INF)$|\.(?:nan|NaN|NAN)$"
)


class _Loader(yaml.SafeLoader):
    """Constructs plain values only; no tag can create an object or run code."""


_Loader.yaml_implicit_resolvers = {
    first: [entry for entry in entries if entry[0].rpartition(":")[2] in _KEPT]
    for first, entries in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", _INTEGER, list("-+0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", _REAL, list("-+.0123456789"))


@dataclass(frozen=True)
class Document:
    """One YAML document.

    Attributes:
        data: the content as plain values; of a key given twice, the last value.
        lines: line number of each key and list entry, from 1; ``()`` stands for the document.
        duplicates: keys given twice, with the lines of both.
    """

    data: object
    lines: dict[Loc, int] = field(default_factory=dict)
    duplicates: tuple[tuple[Loc, int, int], ...] = ()


def documents(content: bytes) -> Iterator[Document]:
    """Yield the documents that are not empty.

    Raises:
        ValueError: the content is not YAML; the message names the place and the reason.
    """
    try:
        loader = _Loader(content)
        while loader.check_node():
            node = loader.get_node()
            assert node is not None  # ensured by check_node
            lines: dict[Loc, int] = {}
            duplicates: list[tuple[Loc, int, int]] = []
            _visit(node, (), _Visits(lines, duplicates, set()))
            data = loader.construct_document(node)
            if data is not None:
                yield Document(data, lines, tuple(duplicates))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"{where}{error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


@dataclass(frozen=True)
class _Visits:
    lines: dict[Loc, int]
    duplicates: list[tuple[Loc, int, int]]
    seen: set[int]  # an anchored node is visited once, however often it is referenced


def _visit(node: yaml.Node, loc: Loc, visits: _Visits) -> None:
    visits.lines.setdefault(loc, node.start_mark.line + 1)
    if id(node) in visits.seen:
        return
    visits.seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for index, entry in enumerate(node.value):
            _visit(entry, (*loc, index), visits)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            at, line = (*loc, key.value), key.start_mark.line + 1
            if at in visits.lines:
                visits.duplicates.append((at, visits.lines[at], line))
            visits.lines[at] = line
            _visit(value, at, visits)
