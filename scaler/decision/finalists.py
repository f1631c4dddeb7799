"""The few settings that are worth keeping an eye on, found by replays of the past.

A higher target is cheaper and breaks more. So for each risk the ladder of targets is bisected, by a
coarse replay, for the last rung that keeps the objective. A coarse replay reacts late, so it breaks
more than a fine one: from there the best risks are climbed by fine ones, up to the first rung that
loses the objective, and down to one that may stand even where the error budget is spent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from scaler.decision.objective import LEAST_MARGIN, MARGIN, ReviewRules, Spent, Tuning

RISKS = (0.5, 0.2, 0.05, 0.005)
TARGETS = (
    *(0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75, 0.8, 0.85, 0.875),
    *(0.9, 0.925, 0.95, 0.975, 1.0),
)
# While a floor follows the forecast, a long window only delays what it lets go.
STABILIZATION_S = 60.0
# Risks that are climbed, and at most so many rungs up.
CLIMBED, MOST_RUNGS = 2, 4
WEEK = 7


def finalists(
    coarse: Callable[[Tuning], Spent],
    fine: Callable[[Tuning], Spent],
    rules: ReviewRules,
    fixed: Sequence[Tuning] = (),
) -> tuple[Tuning, ...]:
    """Return the settings that may be chosen, ``fixed`` ones first.

    Args:
        coarse: what settings came to in a coarse replay.
        fine: the same in a fine one, which is asked for few.
        rules: the objective, and what the policy fixes.
        fixed: settings that may be chosen in any case.
    """
    ladders = _ladders(rules)
    rungs = [_rung(ladder, coarse, rules) for ladder in ladders]

    def rank(place: int) -> tuple[bool, float]:
        found = coarse(ladders[place][rungs[place]])
        keeps = _keeps(found, rules)
        return not keeps, rules.paid(found) if keeps else found.violations

    climbed = [
        tuning
        for place in sorted(range(len(ladders)), key=rank)[:CLIMBED]
        for tuning in _climbed(ladders[place], rungs[place], fine, rules)
    ]
    return tuple(dict.fromkeys((*fixed, *climbed)))


def undominated(past: Mapping[Tuning, Spent], rules: ReviewRules) -> tuple[Tuning, ...]:
    """Return the settings beside which no other both costs and breaks less; all for a week.

    Each of them is one more replay in every night to come.

    >>> from scaler.decision.objective import Objective
    >>> good, bad = Tuning(risk=0.05), Tuning(risk=0.5)
    >>> past = {good: Spent(1e6, 10.0, 200.0, 7), bad: Spent(1e6, 20.0, 210.0, 7)}
    >>> undominated(past, ReviewRules(Objective(violations=0.001))) == (good,)
    True
    """

    def is_beaten(one: Tuning) -> bool:
        cost, broken = rules.paid(past[one]), past[one].violations
        return any(
            rules.paid(other) < cost and other.violations < broken for other in past.values()
        )

    return tuple(one for one in past if past[one].days < WEEK or not is_beaten(one))


def _climbed(
    ladder: Sequence[Tuning], at: int, fine: Callable[[Tuning], Spent], rules: ReviewRules
) -> Iterator[Tuning]:
    """Yield the rungs from one on up to the first that is not worth it, then a reserve below it."""
    place, most = at, min(at + MOST_RUNGS, len(ladder) - 1)
    yield ladder[place]
    while place < most and _goes_on(ladder, place, fine, rules):
        place += 1
        yield ladder[place]
    place = at
    while place > 0 and not _keeps(fine(ladder[place]), rules, LEAST_MARGIN):
        place = max(place - 2, 0)
        yield ladder[place]


def _ladders(rules: ReviewRules) -> list[list[Tuning]]:
    """Return the settings that may be chosen, a ladder of targets for each risk."""
    found: dict[tuple[Tuning, ...], None] = {}
    for risk in RISKS:
        every = [Tuning(risk, target, STABILIZATION_S) for target in TARGETS]
        found[tuple(dict.fromkeys(map(rules.overrides.applied, every)))] = None
    return [list(ladder) for ladder in found]


def _keeps(spent: Spent, rules: ReviewRules, margin: float = MARGIN) -> bool:
    """Return whether settings kept to this share of the objective; by a price all do."""
    asked = rules.objective.violations
    return asked is None or spent.violations <= margin * asked


def _goes_on(
    ladder: Sequence[Tuning], place: int, spent: Callable[[Tuning], Spent], rules: ReviewRules
) -> bool:
    """Return whether it is worth to be on a rung rather than below it."""
    if rules.objective.violations is not None:
        return _keeps(spent(ladder[place]), rules)
    return place == 0 or rules.paid(spent(ladder[place])) < rules.paid(spent(ladder[place - 1]))


def _rung(ladder: Sequence[Tuning], spent: Callable[[Tuning], Spent], rules: ReviewRules) -> int:
    """Return the last rung on which it is worth to be, by bisection; 0 if none is."""
    low, high = 0, len(ladder) - 1
    while low < high:
        middle = (low + high + 1) // 2
        goes_on = _goes_on(ladder, middle, spent, rules)
        low, high = (middle, high) if goes_on else (low, middle - 1)
    return low
