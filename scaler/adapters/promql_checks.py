"""What can be told of a query without asking Prometheus: whether it is PromQL, and asks for a rate.

What is found is a warning and no fault: a server may understand more than PromQL, as
VictoriaMetrics does.
"""

from __future__ import annotations

from collections.abc import Iterator

import promql_parser
from promql_parser import Call, Expr, VectorSelector

# What may be asked of a counter: how much it grows, or whether and when it is there.
_OF_COUNTERS = frozenset(
    {"rate", "irate", "increase", "resets", "changes", "absent", "absent_over_time", "timestamp"}
)


def doubts(query: str) -> tuple[str, ...]:
    """Return what is wrong with a query, in words that follow on its key.

    >>> doubts("sum(rate(requests_total[1m]))"), doubts("sum(requests_total)")
    ((), ('asks for the raw counter requests_total; ask for its rate: rate(requests_total[1m])',))
    """
    try:
        found: Expr = promql_parser.parse(query)
    except ValueError as error:
        return (f"is no valid PromQL: {str(error)[:200]}",)
    return tuple(
        f"asks for the raw counter {name}; ask for its rate: rate({name}[1m])"
        for name in dict.fromkeys(_raw_counters(found))
    )


def _raw_counters(query: Expr) -> list[str]:
    """Return the names of the ``*_total`` that no function for counters is applied to."""
    inside: list[Expr] = []
    raw: list[str] = []

    def enter(node: Expr) -> None:
        if isinstance(node, Call) and node.func.name in _OF_COUNTERS:
            inside.append(node)
        elif isinstance(node, VectorSelector) and not inside:
            raw.extend(name for name in _names(node) if name.endswith("_total"))

    def leave(node: Expr) -> None:
        if isinstance(node, Call) and node.func.name in _OF_COUNTERS:
            inside.pop()

    promql_parser.walk(query, pre_visit=enter, post_visit=leave)
    return raw


def _names(selector: VectorSelector) -> Iterator[str]:
    if selector.name:
        yield selector.name
    yield from (one.value for one in selector.matchers.matchers if one.name == "__name__")
