"""YAML documents as a policy file needs them: with the line of each key, and of keys given twice.

Plain scalars are read more narrowly than YAML 1.1 asks for: moments and sexagesimals stay text, and
``010`` is not 8. ``1e3`` is a number, as it is to Kubernetes.
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
    """Constructs what has no type of its own, and nothing that runs."""


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
        data: as plain values; of a key given twice, the last.
        lines: of each key and list entry, from 1; ``()`` is the document.
        twice: keys given twice, with both lines.
    """

    data: object
    lines: dict[Loc, int] = field(default_factory=dict)
    twice: tuple[tuple[Loc, int, int], ...] = ()


def documents(content: bytes) -> Iterator[Document]:
    """Yield the documents that are not empty.

    Raises:
        ValueError: it is not YAML; the message says where and why.
    """
    try:
        loader = _Loader(content)
        while loader.check_node():
            node = loader.get_node()
            assert node is not None  # check_node saw one
            lines: dict[Loc, int] = {}
            twice: list[tuple[Loc, int, int]] = []
            _visit(node, (), _Found(lines, twice, set()))
            data = loader.construct_document(node)
            if data is not None:
                yield Document(data, lines, tuple(twice))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise ValueError(f"{where}{error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise ValueError(" ".join(str(error).split())) from error
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


@dataclass(frozen=True)
class _Found:
    lines: dict[Loc, int]
    twice: list[tuple[Loc, int, int]]
    seen: set[int]  # an anchored node is visited once, however often it is referred to


def _visit(node: yaml.Node, loc: Loc, found: _Found) -> None:
    found.lines.setdefault(loc, node.start_mark.line + 1)
    if id(node) in found.seen:
        return
    found.seen.add(id(node))
    if isinstance(node, yaml.SequenceNode):
        for place, entry in enumerate(node.value):
            _visit(entry, (*loc, place), found)
    elif isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                continue
            at, line = (*loc, key.value), key.start_mark.line + 1
            if at in found.lines:
                found.twice.append((at, found.lines[at], line))
            found.lines[at] = line
            _visit(value, at, found)
