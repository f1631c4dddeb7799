"""What a replay found, in words; the command and the page say the same."""

from __future__ import annotations

import math

import numpy as np

from forecaster.data.html_tables import html_table
from scaler.simulation.contest import (
    CLAIRVOYANT,
    FLOOR_ONLY,
    HPA,
    OFFSETS,
    PREDICTIVE,
    TIDEGATE,
    Contest,
    cheapest,
    safest,
)
from scaler.simulation.offset_query import WEEK, offset_answers
from scaler.simulation.outcome import ReplayOutcome

COLUMNS = ("contender", "replica-hours", "x floor", "violations", "refused", "p99",
           "utilisation", "worst minute", "changes")  # fmt: skip


def replay_findings(contest: Contest) -> tuple[str, ...]:
    """Return the verdict, and the other findings behind it."""
    return verdict(contest)[1], *sentences(contest)


def contest_html(contest: Contest) -> str:
    """Return the table of the contenders in HTML."""
    return html_table("Replay", COLUMNS, [row(contest, found) for found in contest.table])


def row(contest: Contest, found: ReplayOutcome) -> list[str]:
    """Return one contender's figures, as texts in the order of `COLUMNS`."""
    return [
        found.name,
        f"{found.replica_hours:,.1f}",
        f"{found.replica_hours / contest.outcome(CLAIRVOYANT).replica_hours:.2f}",
        share(found.violations),
        share(found.refused),
        latency(found.p99_s),
        f"{found.utilization:.2f}",
        share(found.worst_minute),
        f"{found.changes:,}",
    ]


def share(value: float) -> str:
    """Return a share in per cent, with as many digits as tell it from 0.

    >>> share(0.00012), share(0.25), share(0.0)
    ('0.012 %', '25 %', '0 %')
    """
    if 0 < value < 1e-5:
        return "< 0.001 %"
    return f"{100 * value:.2g} %" if value < 0.1 else f"{100 * value:.0f} %"


def latency(seconds: float) -> str:
    """Return a latency in milliseconds; over 1 % of the requests may never have been answered.

    >>> latency(0.2316), latency(math.inf)
    ('232 ms', 'dropped')
    """
    return f"{1000 * seconds:,.0f} ms" if math.isfinite(seconds) else "dropped"


def verdict(contest: Contest) -> tuple[bool, str]:
    """Return whether tidegate did no worse than the user's autoscaler in both, and what it did."""
    ours, hpa = contest.outcome(TIDEGATE), contest.outcome(HPA)
    cost = ours.replica_hours / hpa.replica_hours - 1
    good = ours.replica_hours <= hpa.replica_hours and ours.violations <= max(
        hpa.violations, 1 - contest.setting.scene.model.objective
    )
    return good, (
        f"tidegate: {_change(cost)} the HPA as configured, with "
        f"{share(ours.violations)} of the requests over the SLO or dropped "
        f"(HPA: {share(hpa.violations)})"
    )


def sentences(contest: Contest) -> list[str]:
    """Return what the frontier says at equal violations and at equal cost, and what bound."""
    told = [
        *_frontier(contest), *_offset_queries(contest), _predictive(contest), _floor_only(contest),
        _trust(contest),
    ]  # fmt: skip
    total = sum(contest.reasons.values())
    bound = sorted(contest.reasons.items(), key=lambda item: -item[1])
    bound = [(name, count) for name, count in bound if count >= 0.005 * total]
    if total:
        parts = (f"{name.replace('_', ' ')} {100 * count / total:.0f} %" for name, count in bound)
        told.append(f"What bound tidegate's plan, by time: {', '.join(parts)}.")
    return told


def _frontier(contest: Contest) -> list[str]:
    if not contest.frontier:
        return []
    promised = 1 - contest.setting.scene.model.objective
    best, ours = (cheapest(contest.frontier, family, promised) for family in (HPA, TIDEGATE))
    told = []
    if best and ours:
        cost = ours.outcome.replica_hours / best.outcome.replica_hours - 1
        told.append(
            f"Each at the cheapest target that keeps violations within {share(promised)}: tidegate "
            f"at target {ours.target:g} needs {_change(cost)} the HPA at target {best.target:g}."
        )
    elif ours:
        told.append(
            f"No target of the HPA keeps violations within {share(promised)}; tidegate's "
            f"target {ours.target:g} does, with {ours.outcome.replica_hours:,.1f} replica-hours."
        )
    else:
        told.append(
            f"No target of tidegate keeps violations within {share(promised)}: the demand jumps "
            "faster than replicas start, and without warning. The limit is what is left."
        )
    hpa = contest.outcome(HPA)
    same = safest(contest.frontier, TIDEGATE, hpa.replica_hours)
    if same:
        told.append(
            f"At the HPA's own cost, tidegate at target {same.target:g} has "
            f"{share(same.outcome.violations)} violations where the HPA has "
            f"{share(hpa.violations)}."
        )
    return told


def _offset_queries(contest: Contest) -> list[str]:
    """Return what KEDA's second trigger came to, and for how long it found nothing."""
    setting, hpa = contest.setting, contest.outcome(HPA)
    told = []
    for family, season in OFFSETS.items():
        found = contest.outcome(family)
        cost = found.replica_hours / hpa.replica_hours - 1
        ago = "a week" if season == WEEK else "a day"
        silent = float(np.isnan(offset_answers(setting.samples, setting.scene, season)).mean())
        alone = f" Nothing was recorded then for {share(silent)} of the time, in which KEDA's "
        told.append(
            f"{family}, a query of the half hour that began {ago} ago: {_change(cost)} the HPA, "
            f"and {share(found.violations)} violations."
            + (f"{alone}other trigger decided alone." if silent else "")
        )
    return told


def _predictive(contest: Contest) -> str:
    found, hpa = contest.outcome(PREDICTIVE), contest.outcome(HPA)
    cost = found.replica_hours / hpa.replica_hours - 1
    return (
        f"Predictive scaling as clouds offer it, by the hour: {_change(cost)} the HPA, and "
        f"{share(found.violations)} violations."
    )


def _floor_only(contest: Contest) -> str:
    ours, hpa = contest.outcome(FLOOR_ONLY), contest.outcome(HPA)
    cost = ours.replica_hours / hpa.replica_hours - 1
    return (
        f"Under the HPA as it is, the floor means {_change(cost)} without it, and "
        f"{share(ours.violations)} violations: a floor cannot save what the HPA's target spends."
    )


def _trust(contest: Contest) -> str:
    benched = f"benched {share(contest.benched_share)} of the time"
    return (
        f"The forecast held for {share(contest.coverage)} of the lead times; the model was "
        f"{benched if contest.benched_share else 'never benched'}."
    )


def _change(relative: float) -> str:
    """Return a change of cost in words that go on with what it is compared with.

    >>> _change(-0.12), _change(0.0)
    ('12 % fewer replica-hours than', 'as many replica-hours as')
    """
    if abs(relative) < 0.005:
        return "as many replica-hours as"
    more = "fewer" if relative < 0 else "more"
    return f"{abs(100 * relative):.0f} % {more} replica-hours than"
