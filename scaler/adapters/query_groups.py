"""Which queries are asked together, from tick to tick.

A group that fails is halved in the next tick, until what fails stands alone; so all others are
known again after a few ticks, and the number of queries stays bounded. Groups that have been
answered for a while are put together again.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass

from scaler.adapters.promql_groups import GroupForm

# So many more groups may there be of one template while some fail.
MOST_SPLITS = 32
# Ticks without a failure after which groups are put together again: ten minutes.
CALM_TICKS = 40

Values = tuple[str, ...]


@dataclass(frozen=True, eq=False, slots=True)
class QueryGroup:
    """Queries of one template that are asked together.

    Attributes:
        number: no other group ever has it.
        form: of one of its members.
        members: what tells them apart, ascending; one at least.
    """

    number: int
    form: GroupForm
    members: tuple[Values, ...]


@dataclass(slots=True)
class _Template:
    """The groups of one template; ``calm`` counts the ticks since one has failed."""

    groups: list[QueryGroup]
    calm: int = CALM_TICKS
    failing: frozenset[Values] = frozenset()  # what failed alone when it was asked last


class QueryGroups:
    """The groups of all templates. Confined to one thread.

    Args:
        most: members of a group.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._templates: dict[str, _Template] = {}
        self._numbers = itertools.count()

    def arranged(self, forms: Iterable[GroupForm]) -> list[QueryGroup]:
        """Return the groups in which all of these queries are asked, each in one."""
        wanted: dict[str, dict[Values, GroupForm]] = {}
        for form in forms:
            wanted.setdefault(form.template, {})[form.values] = form
        self._templates = {
            template: self._followed(self._templates.get(template), members)
            for template, members in wanted.items()
        }
        return [group for one in self._templates.values() for group in one.groups]

    def judge(self, failed: Collection[QueryGroup]) -> None:
        """Take in which groups had no answer in this tick, though others had one."""
        numbers = {group.number for group in failed}
        for one in self._templates.values():
            bad = [group for group in one.groups if group.number in numbers]
            good = {values for g in one.groups if g.number not in numbers for values in g.members}
            alone = {group.members[0] for group in bad if len(group.members) == 1}
            # What stands alone and fails goes on so, and the others are put together meanwhile.
            is_calm = len(bad) == len(alone) and not one.failing & good
            one.calm = one.calm + 1 if is_calm else 0
            one.failing = (one.failing - good) | alone
            least = math.ceil(sum(len(group.members) for group in one.groups) / self._most)
            for group in bad:
                if len(group.members) > 1 and len(one.groups) < least + MOST_SPLITS:
                    one.groups.remove(group)
                    middle = len(group.members) // 2
                    halves = group.members[:middle], group.members[middle:]
                    one.groups += [self._group(group.form, half) for half in halves]

    def _followed(self, one: _Template | None, members: Mapping[Values, GroupForm]) -> _Template:
        """Return the groups of a template with these members; they change as little as may be."""
        form = next(iter(members.values()))
        if one is None:
            return _Template(list(self._packed(form, members)))
        known = {values for group in one.groups for values in group.members}
        failing = one.failing & members.keys()
        least = math.ceil((len(members) - len(failing)) / self._most) + len(failing)
        is_calm = one.calm >= CALM_TICKS
        if known == members.keys() and not (is_calm and len(one.groups) > least):
            return one
        if is_calm:
            apart = [self._group(form, (values,)) for values in sorted(failing)]
            groups = [*self._packed(form, members.keys() - failing), *apart]
            return _Template(groups, one.calm, failing)
        groups = []
        for group in one.groups:
            left = tuple(values for values in group.members if values in members)
            if left:
                groups.append(QueryGroup(group.number, form, left))
        groups += self._packed(form, members.keys() - known)
        return _Template(groups, one.calm, failing)

    def _packed(self, form: GroupForm, members: Collection[Values]) -> Iterator[QueryGroup]:
        ordered = sorted(members)
        for first in range(0, len(ordered), self._most):
            yield self._group(form, tuple(ordered[first : first + self._most]))

    def _group(self, form: GroupForm, members: tuple[Values, ...]) -> QueryGroup:
        return QueryGroup(next(self._numbers), form, members)
