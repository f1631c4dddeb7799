"""What settings that are chosen come to, as tables: see `benchmarks.objective`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from benchmarks.replay import ALLOWED
from benchmarks.tables import markdown
from forecaster.data.series import FloatArray
from forecaster.evaluation.metrics import geometric_mean

# The objective is to be kept wherever the HPA that keeps it costs at most so much.
REACHABLE = 5.0
RESAMPLED = 1000


@dataclass(frozen=True)
class Reached:
    """What one contender came to: replica-hours of each hour, and the share of broken requests."""

    hourly: FloatArray
    violations: float
    settings: str

    @property
    def hours(self) -> float:
        return float(self.hourly.sum())


@dataclass(frozen=True)
class TraceFigure:
    """One trace at one start-up time; ``hpa`` None: no choice keeps the objective."""

    name: str
    start_up_s: float
    floor: Reached
    ours: Reached
    given: Reached
    hpa: Reached | None
    reviews: tuple[float, ...]  # seconds that each took

    @property
    def hpa_cost(self) -> float:
        return math.inf if self.hpa is None else self.hpa.hours / self.floor.hours


def print_figures(found: Sequence[TraceFigure], start_up_s: float) -> None:
    """Print the table of one start-up time."""
    print(f"\n## A start-up of {start_up_s:.0f} s: cost over the clairvoyant's, violations\n")
    rng = np.random.default_rng(0)
    rows: list[tuple[object, ...]] = []
    logs = []
    for one in found:
        floor = one.floor.hours
        ratio, low, high = "none", "", ""
        if one.hpa is not None:
            resampled = _resampled(one.ours.hourly, one.hpa.hourly, rng)
            logs.append((math.log(one.ours.hours / one.hpa.hours), np.log(resampled)))
            ratio = f"{one.ours.hours / one.hpa.hours:.3f}"
            low, high = (f"{x:.3f}" for x in np.quantile(resampled, (0.025, 0.975)))
        rows.append(
            (
                one.name,
                f"{one.given.hours / floor:.3f}, {100 * one.given.violations:.4f} %",
                f"{one.ours.hours / floor:.3f}, {100 * one.ours.violations:.4f} %",
                "none" if one.hpa is None else f"{one.hpa_cost:.3f} ({one.hpa.settings})",
                ratio, f"{low} - {high}", one.ours.settings,
            )
        )  # fmt: skip
    columns = (
        "trace", "default settings", "self-chosen", "best HPA in hindsight", "self-chosen / HPA",
        "95 %", "settings at the end",
    )  # fmt: skip
    print(markdown(columns, rows))
    means = np.mean([resampled for _, resampled in logs], axis=0)
    low, high = np.exp(np.quantile(means, (0.025, 0.975)))
    mean = geometric_mean(math.exp(log) for log, _ in logs)
    print(f"\nGeometric mean of the {len(logs)}: {mean:.3f} ({low:.3f} - {high:.3f}).")
    asked = [one for one in found if one.hpa_cost <= REACHABLE]
    kept = [one.name for one in asked if one.ours.violations <= ALLOWED]
    broken = ", ".join(sorted({one.name for one in asked} - set(kept))) or "none"
    print(f"The objective is kept on {len(kept)} of {len(asked)}; not on: {broken}.")


def _resampled(ours: FloatArray, hpas: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Return the ratio of costs over resampled time: blocks of a day, paired, by their begin."""
    length = min(24, max(len(ours) // 8, 1))
    blocks = math.ceil(len(ours) / length)
    begins = rng.integers(0, len(ours) - length + 1, (RESAMPLED, blocks, 1))
    hours = (begins + np.arange(length)).reshape(RESAMPLED, -1)
    return np.asarray(ours[hours].sum(axis=1) / hpas[hours].sum(axis=1))


def print_offsets(found: Sequence[tuple[TraceFigure, Reached | None]]) -> None:
    """Print the cheapest KEDA with an offset query that breaks no more than we do, in hindsight."""
    print("\n## KEDA with an offset query, the cheapest that breaks no more than self-chosen\n")
    rows: list[tuple[object, ...]] = []
    beaten = 0
    for one, offset in found:
        ours = one.ours.hours / one.floor.hours
        cells: tuple[object, ...] = ("none", "", "")
        if offset is not None:
            ratio = one.ours.hours / offset.hours
            cells = f"{offset.hours / one.floor.hours:.3f}", f"{ratio:.3f}", offset.settings
        beaten += offset is None or one.ours.hours <= 0.9 * offset.hours
        rows.append((one.name, f"{ours:.3f}, {100 * one.ours.violations:.4f} %", *cells))
    heads = ("trace", "self-chosen", "KEDA + offset", "self-chosen / it", "its settings")
    print(markdown(heads, rows))
    print(
        f"\nBeaten by a tenth of the cost, or breaking more in any case: {beaten} of {len(rows)}."
    )
