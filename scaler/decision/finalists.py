"""The few settings that are worth a whole replay of the past, found by a coarse one.

A higher target is cheaper and breaks more. So for each risk the ladder of targets is bisected for
the rung beyond which the objective is lost, and the rungs about it go to the final.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from scaler.decision.objective import MARGIN, ReviewRules, Spent, Tuning

RISKS = (0.5, 0.2, 0.05, 0.005)
TARGETS = (0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0)
# While a floor follows the forecast, a long window only delays what it lets go.
STABILIZATION_S = 60.0
# Rungs about the bisected one that go to the final, of the best risk and of the one after it. A
# coarse replay reacts late, so it breaks more than a fine one: the final leans to what is cheaper.
_OF_BEST, _OF_SECOND = (-1, 0, 1, 2), (0,)


def finalists(
    spent: Callable[[Tuning], Spent], rules: ReviewRules, fixed: Sequence[Tuning] = ()
) -> tuple[Tuning, ...]:
    """Return the settings for the final, ``fixed`` ones first.

    Args:
        spent: what a setting came to in a coarse replay; it is asked for few.
        rules: the objective, and what the policy fixes.
        fixed: settings that go to the final in any case.
    """
    ladders = _ladders(rules)
    rungs = [_rung(ladder, spent, rules) for ladder in ladders]

    def rank(place: int) -> tuple[bool, float]:
        found = spent(ladders[place][rungs[place]])
        keeps = _keeps(found, rules)
        return not keeps, rules.paid(found) if keeps else found.violations

    ranked = sorted(range(len(ladders)), key=rank)
    chosen = [
        ladders[place][min(max(rungs[place] + by, 0), len(ladders[place]) - 1)]
        for place, steps in zip(ranked, (_OF_BEST, _OF_SECOND), strict=False)
        for by in steps
    ]
    return tuple(dict.fromkeys((*fixed, *chosen)))


def _ladders(rules: ReviewRules) -> list[list[Tuning]]:
    """Return the settings that may be chosen, a ladder of targets for each risk."""
    found: dict[tuple[Tuning, ...], None] = {}
    for risk in RISKS:
        every = [Tuning(risk, target, STABILIZATION_S) for target in TARGETS]
        found[tuple(dict.fromkeys(map(rules.overrides.applied, every)))] = None
    return [list(ladder) for ladder in found]


def _keeps(spent: Spent, rules: ReviewRules) -> bool:
    asked = rules.objective.violations
    return asked is None or spent.violations <= MARGIN * asked


def _rung(ladder: Sequence[Tuning], spent: Callable[[Tuning], Spent], rules: ReviewRules) -> int:
    """Return the last rung up to which it is worth to go, by bisection; 0 if none is."""
    low, high = 0, len(ladder) - 1
    while low < high:
        middle = (low + high + 1) // 2
        if rules.objective.violations is not None:
            goes_on = _keeps(spent(ladder[middle]), rules)
        else:
            here, before = (rules.paid(spent(ladder[at])) for at in (middle, middle - 1))
            goes_on = here < before
        low, high = (middle, high) if goes_on else (low, middle - 1)
    return low
