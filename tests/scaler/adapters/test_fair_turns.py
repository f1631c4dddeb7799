"""Turns go to the namespace that has taken the least time."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from scaler.adapters.fair_turns import Call, FairTurns


def calls(namespace, count):
    return [Call((namespace, n), namespace, lambda within_s: None) for n in range(count)]


def taken(turns, count, within_s=1.0):
    return [turns.take(within_s) for _ in range(count)]


def test_namespaces_take_turns_however_many_calls_one_has():
    turns = FairTurns(share=99)
    turns.add(calls("big", 100))
    turns.add(calls("small", 2))
    assert Counter(one.namespace for one in taken(turns, 4)) == {"big": 2, "small": 2}


def test_a_namespace_whose_calls_hang_gets_a_turn_where_the_others_get_many():
    turns = FairTurns(share=99)
    turns.add(calls("hangs", 50) + calls("well", 50))
    order = []
    for _ in range(40):
        one = turns.take(1.0)
        order.append(one.namespace)
        if one.namespace == "well":
            turns.ended(one, 1.0, took_s=0.01)
    assert Counter(order)["hangs"] == 1


def test_no_more_of_a_namespace_run_at_once_than_its_share():
    turns = FairTurns(share=2)
    turns.add(calls("a", 5))
    first, _, none = taken(turns, 3)
    assert none is None
    turns.ended(first, 1.0, 1.0)
    assert taken(turns, 2)[1] is None


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(1, 5)), max_size=6),
    st.lists(st.tuples(st.booleans(), st.floats(0, 1)), max_size=80),
    st.integers(1, 4),
)
def test_every_call_is_taken_once_whatever_ends_when(added, does, share):
    turns, running, seen = FairTurns(share), [], []
    expected = [(ns, batch, n) for batch, (ns, count) in enumerate(added) for n in range(count)]
    turns.add(Call(key, key[0], lambda within_s: None) for key in expected)
    for ends, took_s in does + [(True, 0.5), (False, 0.5)] * len(expected):
        if ends and running:
            turns.ended(running.pop(0), 1.0, took_s)
        elif (one := turns.take(1.0)) is not None:
            running.append(one)
            seen.append(one.key)
        assert max(Counter(one.namespace for one in running).values(), default=0) <= share
    while running or turns.waiting:
        if running:
            turns.ended(running.pop(), 1.0, 1.0)
        if (one := turns.take(1.0)) is not None:
            running.append(one)
            seen.append(one.key)
    assert sorted(seen) == sorted(expected)
