"""Groups from tick to tick: who stands in which, and what becomes of one that fails."""

from __future__ import annotations

from scaler.adapters.current_metrics import MOST_MEMBERS
from scaler.adapters.promql_groups import group_form
from scaler.adapters.query_groups import APART_TICKS, CALM_TICKS, MOST_SPLITS, QueryGroups


def form(name: object, metric: str = "up"):
    found = group_form(f'sum({metric}{{service="{name}"}})')
    assert found is not None
    return found


def forms(count: int):
    return [form(f"s{n:05}") for n in range(count)]


def sizes(groups) -> list[int]:
    return sorted(len(group.members) for group in groups)


def test_ten_thousand_services_are_twenty_groups_and_each_is_in_one():
    groups = QueryGroups(MOST_MEMBERS).arranged(forms(10_000))
    assert len(groups) == 20
    members = [values for group in groups for values in group.members]
    assert len(members) == len(set(members)) == 10_000


def test_queries_of_other_templates_stand_apart():
    groups = QueryGroups(MOST_MEMBERS).arranged([form("a"), form("b"), form("a", "down")])
    assert sizes(groups) == [1, 2]


def test_what_fails_is_halved_until_it_stands_alone_and_never_asked_alone_by_all():
    groups, bad = QueryGroups(MOST_MEMBERS), ("s00700",)
    most = 0
    for _ in range(12):
        arranged = groups.arranged(forms(2000))
        most = max(most, len(arranged))
        groups.judge([group for group in arranged if bad in group.members])
    arranged = groups.arranged(forms(2000))
    assert [group.members for group in arranged if bad in group.members] == [(bad,)]
    assert sum(sizes(arranged)) == 2000
    assert most <= 4 + 10

    # Where it goes on to fail alone, the others are put together again.
    for _ in range(CALM_TICKS + 1):
        arranged = groups.arranged(forms(2000))
        groups.judge([group for group in arranged if group.members == (bad,)])
    assert sizes(groups.arranged(forms(2000))) == [1, 1999 - 3 * MOST_MEMBERS, *[MOST_MEMBERS] * 3]
    # It joins them after it was answered for a day: who flaps holds nobody up each time.
    for _ in range(APART_TICKS - 1):
        groups.judge([])
    assert len(groups.arranged(forms(2000))) == 5
    groups.judge([])
    assert len(groups.arranged(forms(2000))) == 4


def test_where_all_fail_the_number_of_queries_stays_bounded():
    groups = QueryGroups(MOST_MEMBERS)
    for _ in range(20):
        arranged = groups.arranged(forms(2000))
        assert len(arranged) <= 4 + MOST_SPLITS + 1
        groups.judge(arranged)


def test_who_comes_and_who_goes_leaves_the_others_where_they_are_while_something_fails():
    groups = QueryGroups(MOST_MEMBERS)
    arranged = groups.arranged(forms(1000))
    groups.judge([arranged[0]])
    before = {group.number: group.members for group in groups.arranged(forms(1000))}
    after = groups.arranged([*forms(1001)[1:]])
    assert set(before) < {group.number for group in after}
    assert sum(sizes(after)) == 1000
    assert groups.arranged([]) == []
