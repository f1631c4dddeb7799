"""Queries held to the namespace of their policy: a label that every selector must have.

A query is parsed, and each vector selector gets ``namespace="shop"``; what is then sent is written
from the parsed query, never from the text. A query is refused that sets the label itself to
anything else, that selects without a selector (`info`), or that cannot be parsed and written again.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

import promql_parser
from promql_parser import Expr, Matcher, MatchOp, VectorSelector

from scaler.errors import QueryRefusedError

# Takes a namespace and PromQL, and returns the PromQL to send.
QueryHolder = Callable[[str, str], str]
_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_KEPT_QUERIES = 8192
# What a query may consist of at most: the time that the parser takes grows with the square of its
# depth, which is no more than the number of its brackets and operators.
_MOST_CHARACTERS, _MOST_PARTS = 16_384, 100
_NO_PART = re.compile(r""""(?:\\.|[^"\\])*"|'(?:\\.|[^'\\])*'|`[^`]*`|#[^\n]*""")
_BRACES = re.compile(r"\{[^{}]*\}")
_PART = re.compile(r"[(\[+\-*/%^<>=!]|\b(?:and|or|unless|atan2)\b", re.IGNORECASE)


def as_written(_namespace: str, query: str) -> str:
    """Return a query as it is: nothing is enforced."""
    return query


def holder_of(label: str | None) -> QueryHolder:
    """Return what holds queries to their namespace by a label; None: nothing does.

    Raises:
        QueryRefusedError: it is no name of a label.
    """
    if label is None:
        return as_written
    if not _NAME.fullmatch(label) or label.startswith("__"):
        raise QueryRefusedError(
            f"--enforce-namespace-label is {label!r}, but must be the name of a label, such as "
            "namespace"
        )

    @lru_cache(_KEPT_QUERIES)
    def found(namespace: str, query: str) -> str | QueryRefusedError:
        try:
            return held(query, label, namespace)
        except QueryRefusedError as refused:
            return refused

    def held_query(namespace: str, query: str) -> str:
        answer = found(namespace, query)
        if isinstance(answer, QueryRefusedError):
            raise QueryRefusedError(str(answer))
        return answer

    return held_query


def held(query: str, label: str, value: str) -> str:
    """Return a query of which each selector has the label with that value.

    Raises:
        QueryRefusedError: it cannot be held to that; the message says why, and what to do.

    >>> held("sum(rate(requests_total[1m])) / up @ end()", "namespace", "shop")
    'sum(rate(requests_total{namespace="shop"}[1m])) / up{namespace="shop"} @ end()'
    """

    def labelled(node: Expr) -> Expr | None:
        if not isinstance(node, VectorSelector):
            return None
        if any(one.name == label for one in node.matchers.matchers):
            return None  # `_check` has seen that it is the value
        text = node.prettify()
        name = node.name or ""
        rest = text.removeprefix(name)
        more = f",{rest[1:]}" if rest.startswith("{") else f"}}{rest}"
        return _parsed(f'{name}{{{label}="{value}"{more}')

    _check_size(query, label)
    found = _parsed(query)
    _check(found, label, value)
    if _content(_parsed(found.prettify())) != _content(found):
        raise QueryRefusedError(
            f"{_because(label)} it cannot be written again just as it is; write it more simply"
        )
    text: str = promql_parser.transform(found, post_visit=labelled).prettify()
    _check(_parsed(text), label, value, needed=True)
    return text


def _check(found: Expr, label: str, value: str, *, needed: bool = False) -> None:
    """Refuse a query that selects by another way than the label; ``needed``: or without it."""

    def check(node: Expr) -> None:
        if isinstance(node, promql_parser.Call) and node.func.name == "info":
            raise QueryRefusedError(
                f"{_because(label)} info() reads series that it does not name; join them by "
                "`* on (...) group_left (...)`"
            )
        if not isinstance(node, VectorSelector):
            return
        if node.matchers.or_matchers:
            raise QueryRefusedError(
                f"{_because(label)} `or` within braces gives a way around it; write `or` between "
                "two selectors"
            )
        matchers = [one for one in node.matchers.matchers if one.name == label]
        if any(not _is(one, value) for one in matchers):
            said = ", ".join(f"{one.name} {one.value!r}" for one in matchers)
            raise QueryRefusedError(
                f'{_because(label)} a selector has {said}, but may have {label}="{value}" alone, '
                "the namespace of the policy; leave it out"
            )
        if needed and not matchers:
            raise QueryRefusedError(f"{_because(label)} {node.prettify()} does not get it")

    promql_parser.walk(found, pre_visit=check)


def _is(matcher: Matcher, value: str) -> bool:
    return bool(matcher.op == MatchOp.Equal and matcher.value == value)


def _parsed(query: str) -> Expr:
    try:
        found: Expr = promql_parser.parse(query)
    except ValueError as error:
        raise QueryRefusedError(
            f"the query cannot be read as PromQL, as --enforce-namespace-label requires: {error}"
        ) from None
    return found


def _content(found: Expr) -> list[str]:
    """Return all that a query consists of, in an order of its own: that of matchers may differ."""
    return sorted(str(found))


def _check_size(query: str, label: str) -> None:
    parts = _PART.findall(_BRACES.sub("", _NO_PART.sub('""', query)))
    if len(query) > _MOST_CHARACTERS or len(parts) > _MOST_PARTS:
        raise QueryRefusedError(
            f"{_because(label)} it has {len(query)} characters and {len(parts)} brackets and "
            f"operators, but may have {_MOST_CHARACTERS} and {_MOST_PARTS}; record a part of it by "
            "a rule in Prometheus"
        )


def _because(label: str) -> str:
    return f"the query is held to its namespace by the label {label}, and"
