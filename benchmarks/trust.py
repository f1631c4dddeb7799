"""Earned trust: how often a floor is promoted that saves nothing, and how soon one that saves is.

Ledgers are replayed: what an HPA and tidegate cost and broke, hour by hour, on the same demand. A
null service is a ledger whose cost is centred at a difference of exactly 0, or whose violations are
scaled to exactly the budget. Its days are drawn in blocks, so that regimes last for days; where one
day is held for all of a block, a regime is as strong as can be. Each service is judged for 90 days
by the class that `scaler run` judges by.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from statistics import median

import numpy as np

from benchmarks.replay import OWN_TARGET, PEAK_REPLICAS, PEAK_UTILIZATION
from benchmarks.tables import markdown
from benchmarks.traces import load
from forecaster.data.series import FloatArray, Series
from scaler.decision.earned_trust import (
    COST_BOUND,
    AutoRules,
    AutoStanding,
    FloorEvidence,
    PairedDay,
    after_day,
)
from scaler.decision.replicas import ScalePolicy
from scaler.decision.sequential_test import BettingTest
from scaler.hpa.controller import HPASpec, MetricKind
from scaler.policy.policy import Policy
from scaler.policy.replay_settings import ReplaySettings
from scaler.simulation.contest import HPA, TIDEGATE, ContestJob, ContestSetting, carried_out
from scaler.simulation.outcome import violations_per_tick
from scaler.simulation.preparation import ReplayPart, prepared

TRACES = (
    "ms_mongo02", "ms_mongo03", "ms_mongo04", "ms_machine01", "ms_ingress01", "ms_ingress04",
    "ms_ingress05", "nasa", "twitter_stream",
)  # fmt: skip
WARM_UP, LONGEST = timedelta(days=4), timedelta(days=28)
# Twice what the peak needs, as an operator would allow.
RULES = AutoRules(2 * PEAK_REPLICAS, 0.001)
HORIZON, SERVICES, HOUR_SERVICES = 90, 400, 100
# How long a block is, in days, and whether one day is held for all of it.
REGIMES = ((1, False), (2, False), (7, False), (14, False), (2, True), (7, True), (14, True))
EFFECTS = (0.01, 0.02, 0.04, 0.08)  # savings, as shares of the maximum
NEVER = HORIZON + 1


@dataclass(frozen=True)
class Ledger:
    """What one trace came to.

    Attributes:
        extra: mean replicas beyond the HPA's, ``(days, 24)``.
        share: of the requests that tidegate broke, ``(days,)``; hpa_share: that the HPA broke.
        hpa: mean replicas of the HPA.
    """

    name: str
    extra: FloatArray
    share: FloatArray
    hpa_share: FloatArray
    hpa: float

    @property
    def centred(self) -> FloatArray:
        """``extra`` about a mean of exactly 0."""
        return self.extra - float(self.extra.mean())

    @property
    def day_sigma(self) -> float:
        return float(self.extra.mean(axis=1).std())

    @property
    def at_budget(self) -> FloatArray:
        """``share`` with a mean of exactly the budget."""
        return self.share * (RULES.budget / float(self.share.mean()))


def trust(traces: Path) -> None:
    """Mode Auto: false promotion, power and taking back, on replayed ledgers."""
    ledgers = [_ledger(series) for series in load(traces, TRACES)]
    rng = np.random.default_rng(0)
    print("\n## Earned trust: replayed ledgers\n")
    _print_ledgers(ledgers)
    print(f"\n### False promotion within {HORIZON} days\n")
    _print_false(ledgers, rng)
    print("\n### Days until a saving is promoted\n")
    _print_power(ledgers, rng)
    print("\n### As replayed, and taking back\n")
    _print_replayed(ledgers, rng)


def days_until(
    standing: AutoStanding, extra: Iterable[float], share: Iterable[float], start: FloorEvidence
) -> int:
    """Return after how many days the evidence comes to a standing; `NEVER` if it does not."""
    evidence = start
    for day, (more, broken) in enumerate(zip(extra, share, strict=True), start=1):
        lived = PairedDay(day, 24, 24 * more, broken=broken, requests=1.0)
        evidence = after_day(evidence, lived, RULES)
        if evidence.standing is standing:
            return day
    return NEVER


def drawn(
    days: FloatArray, regime: tuple[int, bool], count: int, rng: np.random.Generator
) -> FloatArray:
    """Return services of `HORIZON` days each, ``(count, HORIZON, ...)``, drawn in blocks of days.

    Args:
        days: of a ledger, one along the first axis; a block goes on from the last to the first.
        regime: how long a block is, and whether its first day is held for all of it.
    """
    length, held = regime
    starts = rng.integers(0, len(days), (count, -(-HORIZON // length), 1))
    within = np.zeros(length, int) if held else np.arange(length)
    places = ((starts + within) % len(days)).reshape(count, -1)[:, :HORIZON]
    return np.asarray(days[places])


def _promoted(extra: FloatArray, share: FloatArray) -> list[int]:
    """Return after how many days each service is promoted."""
    return [
        days_until(AutoStanding.EARNED, one, broken, FloorEvidence())
        for one, broken in zip(extra.tolist(), share.tolist(), strict=True)
    ]


def _rate(days: Iterable[int]) -> float:
    return float(np.mean([day <= HORIZON for day in days]))


def _print_ledgers(ledgers: list[Ledger]) -> None:
    rows = []
    for one in ledgers:
        worst = float(one.centred.mean(axis=1).max()) / RULES.max_replicas
        shares = [f"{100 * float(x.mean()):.3f}" for x in (one.share, one.hpa_share)]
        rows.append(
            (
                one.name, len(one.extra), one.hpa, float(one.extra.mean()), one.day_sigma,
                float(one.extra.std()), f"{100 * worst:.1f}", *shares,
            )
        )  # fmt: skip
    heads = ("trace", "days", "HPA, replicas", "tidegate - HPA", "sigma of days", "of hours")
    more = ("worst day over the mean, % of max", "broken, %", "by the HPA, %")
    print(markdown((*heads, *more), rows))


def _print_false(ledgers: list[Ledger], rng: np.random.Generator) -> None:
    """Services that save nothing and break nothing; that save much and break the budget."""
    rows = []
    much = np.full((SERVICES, HORIZON), -0.2 * RULES.max_replicas)
    clean = np.zeros((SERVICES, HORIZON))
    for regime in REGIMES:
        costs, broken, hours = [], [], []
        for one in ledgers:
            extra = drawn(one.centred.mean(axis=1), regime, SERVICES, rng)
            costs.append(_rate(_promoted(extra, clean)))
            share = drawn(one.at_budget, regime, SERVICES, rng)
            broken.append(_rate(_promoted(much, share)))
            hours.append(_by_hours(drawn(one.centred, regime, HOUR_SERVICES, rng)))
        length, held = regime
        kind = f"one day held for {length}" if held else f"blocks of {length}"
        figures = [f(x) for x in (costs, broken, hours) for f in (np.mean, max)]
        rows.append((kind, *(f"{100 * float(x):.1f}" for x in figures)))
        print(kind, file=sys.stderr, flush=True)
    heads = ("regime, days", "saves nothing: mean, %", "worst trace")
    more = ("breaks the budget: mean", "worst trace", "if units were hours: mean", "worst trace")
    print(markdown((*heads, *more), rows))


def _by_hours(extra: FloatArray) -> float:
    """Return how many services the test of cost alone would promote if its units were hours."""
    return float(np.mean([_is_ever_shown(one) for one in extra.reshape(len(extra), -1).tolist()]))


def _is_ever_shown(extra: list[float]) -> bool:
    test, bound = BettingTest(), COST_BOUND * RULES.max_replicas
    for hour in extra:
        test = test.after(-hour, bound)
        if test.is_shown:
            return True
    return False


def _print_power(ledgers: list[Ledger], rng: np.random.Generator) -> None:
    """A saving of one size on every ledger's own noise, by days that are independent."""
    rows = []
    for effect in EFFECTS:
        saved = effect * RULES.max_replicas
        sigmas = [saved / one.day_sigma for one in ledgers]
        shares = (0.0, 0.5)  # of the budget that are broken
        days: list[list[int]] = [[] for _ in shares]
        for one in ledgers:
            extra = drawn(one.centred.mean(axis=1), (1, False), SERVICES // 4, rng) - saved
            for found, share in zip(days, shares, strict=True):
                found.extend(_promoted(extra, np.full(extra.shape, share * RULES.budget)))
        told = [x for found in days for x in (f"{100 * _rate(found):.0f}", _median(found))]
        spread = f"{min(sigmas):.1f} - {max(sigmas):.1f}"
        rows.append((f"{100 * effect:g} % of max, {saved:g} replicas", spread, *told))
    heads = ("saving", "in sigma of days", "nothing broken: promoted, %", "median days")
    print(markdown((*heads, "half the budget broken: promoted, %", "median days"), rows))


def _median(days: list[int]) -> str:
    middle = median(days)
    return f"{middle:.0f}" if middle <= HORIZON else f"more than {HORIZON}"


def _print_replayed(ledgers: list[Ledger], rng: np.random.Generator) -> None:
    rows = []
    earned = FloorEvidence(AutoStanding.EARNED)
    for one in ledgers:
        both = np.column_stack([one.extra.mean(axis=1), one.share])
        lived = drawn(both, (1, False), SERVICES, rng)
        promoted = _promoted(lived[..., 0], lived[..., 1])
        boundary = drawn(one.centred.mean(axis=1), (1, False), SERVICES, rng)
        clean, worse = np.zeros(boundary.shape), boundary + 0.08 * RULES.max_replicas
        rows.append(
            (
                one.name, f"{100 * _rate(promoted):.0f}", _median(promoted),
                f"{100 * _rate(_taken_back(lived[..., 0], lived[..., 1], earned)):.0f}",
                f"{100 * _rate(_taken_back(boundary, clean, earned)):.0f}",
                _median(_taken_back(worse, clean, earned)),
            )
        )  # fmt: skip
    heads = ("trace", "promoted, %", "median days", "taken back if promoted, %")
    more = ("taken back where it saves nothing, %", "median days where it costs 8 % of max")
    print(markdown((*heads, *more), rows))


def _taken_back(extra: FloatArray, share: FloatArray, start: FloorEvidence) -> list[int]:
    kinds = (AutoStanding.COSTS_MORE, AutoStanding.BREAKS_MORE)
    return [
        min(days_until(kind, one, broken, start) for kind in kinds)
        for one, broken in zip(extra.tolist(), share.tolist(), strict=True)
    ]


def _ledger(series: Series) -> Ledger:
    setting = _setting(series)
    runs = [
        carried_out(setting, job)[0]
        for job in (
            ContestJob(HPA, OWN_TARGET),
            ContestJob(TIDEGATE, setting.policy.scale.target_utilization),
        )
    ]
    per_day = round(86400 / setting.scene.timing.tick_s)
    whole = setting.scene.ticks // per_day * per_day
    replicas = [run.replicas[:whole].reshape(-1, 24, per_day // 24).mean(axis=2) for run in runs]
    shares = []
    for run in runs:
        broken = violations_per_tick(setting.scene, run) * run.offered
        asked, broke = (x[:whole].reshape(-1, per_day).sum(axis=1) for x in (run.offered, broken))
        shares.append(broke / np.maximum(asked, 1e-9))
    print(series.item_id, file=sys.stderr, flush=True)
    hpa, ours = replicas
    return Ledger(series.item_id, ours - hpa, shares[1], shares[0], float(hpa.mean()))


def _setting(series: Series) -> ContestSetting:
    """Return a trace after its first days; forecast by Holt-Winters, for a model saw most of it."""
    series = series.between(series.start, min(series.end, series.start + WARM_UP + LONGEST))
    start = series.start + WARM_UP
    peak = float(np.nanmax(series.between(start, series.end).values))
    capacity = peak / (PEAK_REPLICAS * PEAK_UTILIZATION)
    policy = Policy(
        item_id=f"trace/{series.item_id}",
        target=series.item_id,
        scale=ScalePolicy(1, RULES.max_replicas),
        capacity_qps=capacity,
    )
    hpa = HPASpec(1, RULES.max_replicas, MetricKind.PODS, OWN_TARGET * capacity)
    part = ReplayPart(start, skip_gaps=True)
    return prepared(series, policy, ReplaySettings(hpa), None, part)
