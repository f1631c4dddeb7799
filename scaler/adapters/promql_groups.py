"""Queries that differ in the values of labels alone, asked as one query by these labels.

    sum(rate(requests_total{namespace="shop",service="checkout"}[1m]))
    sum(rate(requests_total{namespace="shop",service="search"}[1m]))

are the series of

    sum by (namespace, service) (rate(requests_total{namespace="shop",service=~"..."}[1m]))

Such a form have, of parsed PromQL: `sum`, `avg`, `min`, `max` and `count` of a selector or of one
function over its range; `histogram_quantile` of such a `sum by (le)`; and these in brackets, or by
an arithmetic operator with a number. All other queries have none.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from dataclasses import dataclass
from functools import lru_cache

import promql_parser
from promql_parser import (
    AggModifierType,
    AggregateExpr,
    BinaryExpr,
    Call,
    Expr,
    MatchOp,
    MatrixSelector,
    NumberLiteral,
    ParenExpr,
    VectorSelector,
)

_AGGREGATIONS = ("sum", "avg", "min", "max", "count")
_OPERATORS = ("*", "/", "+", "-")
_OF_RANGES = frozenset(
    {
        *("rate", "irate", "increase", "delta", "idelta", "deriv"),
        *(f"{of}_over_time" for of in ("avg", "min", "max", "sum", "count", "last")),
    }
)
# By their names, for they cannot be hashed.
_MATCHERS = {"Equal": "=", "NotEqual": "!=", "Re": "=~", "NotRe": "!~"}
_PLACE = "\0"  # of the matchers that differ
_KEPT_FORMS = 65_536


@dataclass(frozen=True, slots=True)
class GroupForm:
    """One query as a member of a group.

    Attributes:
        template: what all members have in common.
        labels: that tell members apart, ascending.
        values: of these labels, in this query.
    """

    template: str
    labels: tuple[str, ...]
    values: tuple[str, ...]


class _NoFormError(Exception):
    """The query is none that is known to be groupable."""


@lru_cache(_KEPT_FORMS)
def group_form(promql: str) -> GroupForm | None:
    """Return the form by which a query may be asked together with others; None: it has none.

    >>> group_form('sum(rate(hits{job="web",code!="500"}[1m]))').template.replace(chr(0), '...')
    'sum by (job) (rate(hits{code!="500",...}[1m]))'
    >>> group_form("sum(rate(hits[1m]))") is None
    True
    """
    try:
        found = promql_parser.parse(promql)
        selector = _selector(found)
        if not selector.matchers.or_matchers and selector.at is None:
            told = {one.name: one.value for one in selector.matchers.matchers if _tells(one)}
            labels = tuple(sorted(told))
            if labels and len(told) == sum(map(_tells, selector.matchers.matchers)):
                values = tuple(told[label] for label in labels)
                return GroupForm(_written(found, labels), labels, values)
    except (ValueError, _NoFormError):
        pass
    return None


def grouped_query(form: GroupForm, members: Collection[tuple[str, ...]]) -> str:
    r"""Return the PromQL that answers a series for each member of a form's group.

    It may answer more: each combination of the members' values.

    >>> form = group_form('sum(up{job="a.b",env="x"})')
    >>> grouped_query(form, [("x", "a.b"), ("x", "c")])
    'sum by (env, job) (up{env="x",job=~"a\\\\.b|c"})'
    """
    matchers = []
    for place, label in enumerate(form.labels):
        values = sorted({member[place] for member in members})
        if len(values) == 1:
            matchers.append(f"{label}={_quoted(values[0])}")
        else:
            matchers.append(f"{label}=~{_quoted('|'.join(map(re.escape, values)))}")
    return form.template.replace(_PLACE, ",".join(matchers))


def _tells(matcher: promql_parser.Matcher) -> bool:
    """Whether a matcher tells members apart; an empty value matches where there is no label."""
    return bool(matcher.op == MatchOp.Equal and matcher.value and matcher.name != "__name__")


def _selector(node: Expr) -> VectorSelector:
    """Return the only selector of a query that has a form."""
    match node:
        case ParenExpr():
            return _selector(node.expr)
        case BinaryExpr():
            return _selector(_beside_number(node))
        case AggregateExpr():
            inner = node.expr
            return inner if isinstance(inner, VectorSelector) else _ranged(inner).vector_selector
        case Call() if node.func.name == "histogram_quantile" and len(node.args) == 2:
            return _selector(node.args[1])
    raise _NoFormError


def _beside_number(node: BinaryExpr) -> Expr:
    sides = [one for one in (node.lhs, node.rhs) if not isinstance(one, NumberLiteral)]
    if len(sides) != 1 or node.modifier is not None or str(node.op) not in _OPERATORS:
        raise _NoFormError
    return sides[0]


def _ranged(node: Expr) -> MatrixSelector:
    if isinstance(node, Call) and node.func.name in _OF_RANGES and len(node.args) == 1:
        (inner,) = node.args
        if isinstance(inner, MatrixSelector):
            return inner
    raise _NoFormError


def _written(node: Expr, labels: tuple[str, ...], *, of_buckets: bool = False) -> str:
    """Return a query by these labels, with a place for their matchers."""
    match node:
        case ParenExpr():
            return f"({_written(node.expr, labels)})"
        case BinaryExpr():
            sides = (
                one.prettify() if isinstance(one, NumberLiteral) else _written(one, labels)
                for one in (node.lhs, node.rhs)
            )
            return f" {node.op} ".join(sides)
        case Call():
            level, buckets = node.args
            if not isinstance(level, NumberLiteral) or not isinstance(buckets, AggregateExpr):
                raise _NoFormError
            inner = _written(buckets, labels, of_buckets=True)
            return f"histogram_quantile({level.prettify()}, {inner})"
        case AggregateExpr():
            return _aggregated(node, labels, of_buckets=of_buckets)
    raise _NoFormError


def _aggregated(node: AggregateExpr, labels: tuple[str, ...], *, of_buckets: bool) -> str:
    op, by = str(node.op), node.modifier
    if op not in _AGGREGATIONS or node.param is not None:
        raise _NoFormError
    if of_buckets:
        if by is None or by.type != AggModifierType.By or by.labels != ["le"] or "le" in labels:
            raise _NoFormError
        labels = ("le", *labels)
    elif by is not None:
        raise _NoFormError
    inner = node.expr
    if isinstance(inner, VectorSelector):
        text = _with_place(inner, inner)
    else:
        ranged = _ranged(inner)
        assert isinstance(inner, Call), "a range is given to a function"
        text = f"{inner.func.name}({_with_place(ranged, ranged.vector_selector)})"
    return f"{op} by ({', '.join(labels)}) ({text})"


def _with_place(node: MatrixSelector | VectorSelector, selector: VectorSelector) -> str:
    """Return a selector of which only the matchers stand that all members have."""
    rest = node.prettify().rpartition("}")[2]
    common = [
        f"{one.name}{_MATCHERS[str(one.op).rpartition('.')[2]]}{_quoted(one.value)}"
        for one in selector.matchers.matchers
        if not _tells(one)
    ]
    return f"{selector.name or ''}{{{','.join([*sorted(common), _PLACE])}}}{rest}"


def _quoted(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)
