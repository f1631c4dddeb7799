"""Which queries are asked together, from tick to tick.

A group that fails is halved in the next tick, until what fails stands alone; so all others are
known again after a few ticks, and the number of queries stays bounded. Groups that have been
answered for a while are put together again. What has failed alone stays apart for a day after it
was answered: nobody who fails now and then holds up the others each time.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from scaler.adapters.promql_groups import GroupForm

# So many more groups may there be of one template while some fail.
MOST_SPLITS = 32
# Ticks without a failure after which groups are put together again: ten minutes.
CALM_TICKS = 40
# Ticks with an answer after which what had failed alone joins the others: a day.
APART_TICKS = 5760

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
    """The groups of one template.

    Attributes:
        calm: ticks since a group has failed.
        apart: ticks since what had failed alone was answered.
    """

    groups: list[QueryGroup]
    calm: int = CALM_TICKS
    apart: dict[Values, int] = field(default_factory=dict)


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
            alone = {group.members[0] for group in bad if len(group.members) == 1}
            one.calm = one.calm + 1 if len(bad) == len(alone) else 0
            one.apart = {values: ticks + 1 for values, ticks in one.apart.items()}
            one.apart |= dict.fromkeys(alone, 0)
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
        apart = {
            values: ticks
            for values, ticks in one.apart.items()
            if ticks < APART_TICKS and values in members
        }
        least = math.ceil((len(members) - len(apart)) / self._most) + len(apart)
        is_calm = one.calm >= CALM_TICKS
        if known == members.keys() and not (is_calm and len(one.groups) > least):
            return one
        if is_calm:
            single = [self._group(form, (values,)) for values in sorted(apart)]
            groups = [*self._packed(form, members.keys() - apart.keys()), *single]
            return _Template(groups, one.calm, apart)
        groups = []
        for group in one.groups:
            left = tuple(values for values in group.members if values in members)
            if left:
                groups.append(QueryGroup(group.number, form, left))
        groups += self._packed(form, members.keys() - known)
        return _Template(groups, one.calm, apart)

    def _packed(self, form: GroupForm, members: Collection[Values]) -> Iterator[QueryGroup]:
        ordered = sorted(members)
        for first in range(0, len(ordered), self._most):
            yield self._group(form, tuple(ordered[first : first + self._most]))

    def _group(self, form: GroupForm, members: tuple[Values, ...]) -> QueryGroup:
        return QueryGroup(next(self._numbers), form, members)
