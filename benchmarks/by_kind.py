"""Settings that tidegate chooses beside its rivals with the usual target: README's table.

A cell is the cost, replica-hours over the clairvoyant's, and what is broken: the share of requests
over the SLO, dropped or refused.
"""

from __future__ import annotations

from dataclasses import dataclass

from benchmarks.promotion import promotion_setting
from benchmarks.prophet_scaler import PROPHET, foreseen_qps
from benchmarks.replay import OWN_TARGET, SEASONAL
from benchmarks.tables import markdown
from forecaster.evaluation.metrics import geometric_mean
from scaler.simulation.contenders import ScheduledFloor, run
from scaler.simulation.contest import (
    CLAIRVOYANT,
    HPA,
    KEDA,
    OFFSET_DAY,
    OFFSET_WEEK,
    PREDICTIVE,
    TIDEGATE,
    ContestJob,
    ContestSetting,
    autoscaled,
    carried_out,
)
from scaler.simulation.findings import share
from scaler.simulation.outcome import ReplayOutcome, outcome

# Who is compared, by the names that README gives them.
NAMES = {
    HPA: "HPA",
    KEDA: "KEDA + Prometheus trigger",
    OFFSET_WEEK: OFFSET_WEEK,
    OFFSET_DAY: OFFSET_DAY,
    PROPHET: "Prophet-based",
    PREDICTIVE: "cloud predictive scaling",
    TIDEGATE: "tidegate",
}
BURSTY = 1.0  # per cent, from which on what the HPA breaks makes a trace a bursty one
SEASONAL_KIND, LITTLE, BURSTY_KIND = "seasonal", "little season", "bursty"


@dataclass(frozen=True)
class KindFigures:
    """What the contenders came to on one trace, in the digits that are printed.

    Attributes:
        season: strength of the daily season.
        cost: of each contender.
        broken: of each contender, in per cent.
    """

    name: str
    season: float
    cost: dict[str, float]
    broken: dict[str, float]

    @property
    def kind(self) -> str:
        """The kind of traffic that the trace is of."""
        if self.broken[HPA] > BURSTY:
            return BURSTY_KIND
        return SEASONAL_KIND if self.season >= SEASONAL else LITTLE


def kind_figures(
    name: str, season: float, setting: ContestSetting, ours: tuple[float, float]
) -> KindFigures:
    """Return what each contender comes to on one trace.

    Args:
        name: of the trace.
        season: strength of the daily season.
        setting: what is replayed.
        ours: replica-hours of tidegate, and the share of the requests that it broke.
    """
    found = {who: _outcome(setting, who) for who in (*NAMES, CLAIRVOYANT) if who != TIDEGATE}
    came_to = {who: (one.replica_hours, one.violations) for who, one in found.items()}
    came_to[TIDEGATE] = ours
    least = came_to[CLAIRVOYANT][0]
    return KindFigures(
        name,
        season,
        {who: round(came_to[who][0] / least, 3) for who in NAMES},
        {who: round(100 * came_to[who][1], 4) for who in NAMES},
    )


def print_by_kind(found: list[KindFigures]) -> None:
    """Print the tables: trace by trace, and by kind of traffic."""
    print("\n## Self-chosen settings beside rivals with target 0.6: cost, and what is broken\n")
    print(markdown(("trace", "season", *NAMES.values()), map(_row, found)))
    print("\n### By kind of traffic\n")
    rows = [
        _kind(SEASONAL_KIND, found),
        _kind(LITTLE, found),
        _announced(),
        _kind(BURSTY_KIND, found),
    ]
    print(markdown(("traffic", *NAMES.values()), rows))


def _outcome(setting: ContestSetting, who: str) -> ReplayOutcome:
    """Return what a contender comes to with the usual target, tidegate with its policy's."""
    if who == PROPHET:
        foreseen = foreseen_qps(setting.samples, setting.scene)
        floor = ScheduledFloor(PROPHET, foreseen, OWN_TARGET * setting.capacity_qps)
        service = autoscaled(setting, ContestJob(HPA, OWN_TARGET))
        return outcome(setting.scene, run(setting.scene, floor, service))
    target = setting.policy.scale.target_utilization if who == TIDEGATE else OWN_TARGET
    return outcome(setting.scene, carried_out(setting, ContestJob(who, target))[0])


def _row(one: KindFigures) -> list[str]:
    cells = [f"{one.cost[who]:.3f}, {one.broken[who]:.4f} %" for who in NAMES]
    return [one.name, f"{one.season:.3f}", *cells]


def _kind(kind: str, found: list[KindFigures]) -> list[str]:
    """Return the row of a kind: the geometric means of its traces."""
    of_it = [one for one in found if one.kind == kind]
    cells = [
        f"{geometric_mean(one.cost[who] for one in of_it):.2f}, "
        f"{geometric_mean(one.broken[who] for one in of_it):#.2g} %"
        for who in NAMES
    ]
    return [f"{kind} ({', '.join(one.name for one in of_it)})", *cells]


def _announced() -> list[str]:
    """Return the row of the promotion, where tidegate's target is that of the demo."""
    setting = promotion_setting()
    found = {who: _outcome(setting, who) for who in (*NAMES, CLAIRVOYANT)}
    least = found[CLAIRVOYANT].replica_hours
    cells = [
        f"{found[who].replica_hours / least:.2f}, {share(found[who].violations)}" for who in NAMES
    ]
    return ["announced (a promotion of x 2.5, generated)", *cells]
