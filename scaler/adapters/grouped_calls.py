"""The calls of each tick to Prometheus: queries that differ in the values of labels alone are one.

Each service gets its own series of the answer, as if it had asked alone; see `promql_groups` for
which queries there are, `query_groups` for who stands in which group, and `patient_calls` for what
becomes of a call that hangs.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Generic, Protocol, TypeVar

from forecaster.adapters.prometheus.answers import PrometheusAnswer, RawRange
from forecaster.errors import PrometheusAwayError
from scaler.adapters.fair_turns import Call
from scaler.adapters.namespace_label import QueryHolder
from scaler.adapters.patient_calls import PatientCalls
from scaler.adapters.promql_groups import GroupForm, group_form, grouped_query
from scaler.adapters.query_groups import QueryGroup, QueryGroups, Values
from scaler.errors import ScalerError

# Where nothing is answered for so many ticks the server may be away, or one service's part of all
# groups may be too much for it.
SILENT_TICKS = 3


class Query(Protocol):
    """One query of a service.

    Attributes:
        item_id: of the service.
        written: PromQL, as the policy has it.
        kind: what queries have in common that may be asked together.
    """

    @property
    def item_id(self) -> str: ...
    @property
    def written(self) -> str: ...
    @property
    def kind(self) -> Hashable: ...


Asked = TypeVar("Asked", bound=Query)
Answer = TypeVar("Answer")
Asked_contra = TypeVar("Asked_contra", bound=Query, contravariant=True)
Answer_co = TypeVar("Answer_co", covariant=True)


class Asker(Protocol[Asked_contra, Answer_co]):
    """Who asks Prometheus for PromQL, within so many seconds."""

    def ask_one(self, promql: str, query: Asked_contra, within_s: float) -> Answer_co:
        """Return the answer to one query."""

    def ask_many(
        self, promql: str, group: QueryGroup, queries: Sequence[Asked_contra], within_s: float
    ) -> Mapping[Values, Answer_co | Exception]:
        """Return what each member of a group is answered; these have asked for them."""


@dataclass(frozen=True, eq=False, slots=True)
class _Places:
    """A group, and the places of the queries that ask for each of its members."""

    group: QueryGroup
    kind: Hashable
    of: Mapping[Values, Sequence[int]]

    @property
    def is_single(self) -> bool:
        return len(self.group.members) == 1

    @property
    def every(self) -> list[int]:
        return [place for places in self.of.values() for place in places]


class GroupedCalls(Generic[Asked, Answer]):
    """Confined to one thread.

    Args:
        calls: by which they are made.
        asker: who makes one.
        hold: returns a namespace's query as it may be asked, or raises.
        most: members of a group.
    """

    def __init__(
        self,
        calls: PatientCalls[Answer | Mapping[Values, Answer | Exception]],
        asker: Asker[Asked, Answer],
        hold: QueryHolder,
        most: int,
    ) -> None:
        self._calls, self._asker, self._hold, self._most = calls, asker, hold, most
        self._groups: dict[Hashable, QueryGroups] = {}  # by kind
        self._silent_ticks = 0  # in a row, in which nothing was answered

    def close(self) -> None:
        self._calls.close()

    def make(self, queries: Sequence[Asked]) -> list[Answer | Exception]:
        """Return what each query was answered, or why it was not, in order."""
        alone, groups = self._arranged(queries)
        shared = [one for one in groups if not one.is_single]
        alone += [place for one in groups if one.is_single for place in one.every]
        outcomes = self._calls.make(
            [
                *(self._alone(queries[place]) for place in alone),
                *(self._together(one, queries) for one in shared),
            ]
        )
        found: dict[int, Answer | Exception] = {}
        failed = []
        for place, outcome in zip(alone, outcomes, strict=False):
            assert not isinstance(outcome, Mapping), "one query has one answer"
            found[place] = outcome
        for one, outcome in zip(shared, outcomes[len(alone) :], strict=True):
            if isinstance(outcome, Mapping):
                for values, places in one.of.items():
                    found |= dict.fromkeys(places, outcome[values])
            else:
                found |= dict.fromkeys(one.every, outcome)
                failed.append(one)
        is_silent = all(isinstance(one, PrometheusAwayError) for one in outcomes)
        self._silent_ticks = self._silent_ticks + 1 if is_silent else 0
        if not is_silent or self._silent_ticks >= SILENT_TICKS:
            single = [one for one in groups if one.is_single]
            failed += [one for one in single if isinstance(found[one.every[0]], Exception)]
            for kind, of_kind in self._groups.items():
                of_kind.judge([one.group for one in failed if one.kind == kind])
        return [found[place] for place in range(len(queries))]

    def _arranged(self, queries: Sequence[Asked]) -> tuple[list[int], list[_Places]]:
        """Return the places of queries that have no form, and the groups of the others."""
        alone: list[int] = []
        kinds: dict[Hashable, dict[tuple[str, Values], list[int]]] = {}
        forms: dict[Hashable, list[GroupForm]] = {}
        for place, query in enumerate(queries):
            form = self._form(query)
            if form is None:
                alone.append(place)
                continue
            places = kinds.setdefault(query.kind, {})
            places.setdefault((form.template, form.values), []).append(place)
            forms.setdefault(query.kind, []).append(form)
        self._groups = {kind: self._groups.get(kind) or QueryGroups(self._most) for kind in kinds}
        groups = [
            _Places(group, kind, {one: places[group.form.template, one] for one in group.members})
            for kind, places in kinds.items()
            for group in self._groups[kind].arranged(forms[kind])
        ]
        return alone, groups

    def _form(self, query: Asked) -> GroupForm | None:
        """Return the form of a query as it may be asked; one that may not has none."""
        try:
            return group_form(self._held(query))
        except ScalerError:
            return None

    def _held(self, query: Asked) -> str:
        return self._hold(_namespace(query), query.written)

    def _alone(self, query: Asked) -> Call[Answer | Mapping[Values, Answer | Exception]]:
        def ask(within_s: float) -> Answer:
            return self._asker.ask_one(self._held(query), query, within_s)

        return Call((query.item_id, query.kind, query.written), _namespace(query), ask)

    def _together(
        self, one: _Places, queries: Sequence[Asked]
    ) -> Call[Answer | Mapping[Values, Answer | Exception]]:
        name = f"group {one.group.number}"
        asked = [queries[place] for place in one.every]
        promql = grouped_query(one.group.form, one.group.members)
        ask = partial(self._asker.ask_many, promql, one.group, asked)
        return Call((name, one.kind), name, ask)


def by_member(answer: PrometheusAnswer, group: QueryGroup) -> dict[Values, PrometheusAnswer]:
    """Return the answer that each member would have got alone; what nobody asked for is left."""
    found: dict[Values, list[RawRange]] = {values: [] for values in group.members}
    for one in answer.series:
        values = tuple(one.labels.get(label, "") for label in group.form.labels)
        found.get(values, []).append(one)
    return {values: replace(answer, series=tuple(own)) for values, own in found.items()}


def _namespace(query: Query) -> str:
    return query.item_id.partition("/")[0]
