"""Demand that is implausibly low for the time of day: an outage upstream, most likely.

What returns from an outage returns at once, so a part of what is usual is held for a while. A
service that is really used less is followed down when that while is over. Times are seconds since
the epoch; demand is in requests per second (QPS); unknown is NaN.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

# Demand below this share of the seasonal low is implausible. Of ten recorded services six are so in
# 0.0 to 0.2 % of the time, three in the 2 % that their outages last, one of 0.7 QPS in 2.4 %.
IMPLAUSIBLE_SHARE = 0.25
# Low demand is over when it has not been seen for so long.
OVER_S = 900.0


@dataclass(frozen=True, slots=True)
class HoldRules:
    """What is held while demand is implausibly low.

    Attributes:
        share: of the seasonal low; 0: nothing.
        for_s: for so long at most.
    """

    share: float = 1.0
    for_s: float = 7200.0

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share is {self.share}, but must be in [0, 1]")
        if not 0 <= self.for_s < math.inf:
            raise ValueError(f"for_s is {self.for_s}, but it must be finite and >= 0")


@dataclass(frozen=True, slots=True)
class LowSpell:
    """A time of implausibly low demand.

    Attributes:
        since: when it began.
        plausible_since: since when demand has been plausible again; None: it is not.
    """

    since: float
    plausible_since: float | None = None


def is_implausible(qps: float, low_qps: float) -> bool:
    """Return whether demand is implausibly low beside the seasonal low; unknown is not."""
    return qps < IMPLAUSIBLE_SHARE * low_qps


def updated_spell(
    spell: LowSpell | None, observed_qps: float, low_qps: float, now: float
) -> LowSpell | None:
    """Return the spell that goes on or begins now; None: demand is as usual.

    It ends only after `OVER_S` of plausible demand, so that what is neither quite gone nor back is
    one spell and is held once. Unknown demand ends none and begins none.

    Args:
        spell: before.
        observed_qps: offered demand.
        low_qps: the seasonal low.
        now: seconds since the epoch.
    """
    if math.isnan(observed_qps) or math.isnan(low_qps):
        return spell
    if is_implausible(observed_qps, low_qps):
        return LowSpell(now if spell is None else spell.since)
    if spell is None:
        return None
    since = now if spell.plausible_since is None else spell.plausible_since
    return None if now - since >= OVER_S else replace(spell, plausible_since=since)


def is_over(spell: LowSpell | None, rules: HoldRules, now: float) -> bool:
    """Return whether nothing is held, for there are no rules or it has been held long enough."""
    return not rules.share or (spell is not None and now - spell.since >= rules.for_s)


def held_qps(spell: LowSpell | None, low_qps: float, rules: HoldRules, now: float) -> float:
    """Return the demand that is held; NaN where none is.

    >>> rules = HoldRules(share=0.5, for_s=3600)
    >>> [held_qps(LowSpell(since=0.0), 200.0, rules, now) for now in (0.0, 3599.0, 3600.0)]
    [100.0, 100.0, nan]
    """
    if spell is None or is_over(spell, rules, now):
        return math.nan
    return rules.share * low_qps


def rebased_spell(spell: LowSpell | None, set_by_s: float) -> LowSpell | None:
    """Return the spell as old as it was, by a wall clock that has been set by so much."""
    if spell is None:
        return None
    over = spell.plausible_since
    return LowSpell(spell.since + set_by_s, None if over is None else over + set_by_s)
