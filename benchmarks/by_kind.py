"""The default policy beside its rivals with the usual target, nothing tuned: README's table.

A cell is the cost, replica-hours over the clairvoyant's, and what is broken: the share of requests
over the SLO, dropped or refused.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from benchmarks.promotion import promotion_setting
from benchmarks.prophet_scaler import PROPHET, foreseen_qps, require_prophet
from benchmarks.replay import OWN_TARGET, SEASONAL, Task, judged, stages_of
from benchmarks.tables import markdown
from benchmarks.traces import ONE_MINUTE, load
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
class TraceFigures:
    """What the contenders came to on one trace, in the digits that are printed.

    Attributes:
        season: strength of the daily season.
        cost: of each contender.
        broken: of each contender, in per cent.
        refused: by tidegate's limit, in per cent.
    """

    name: str
    season: float
    cost: dict[str, float]
    broken: dict[str, float]
    refused: float

    @property
    def kind(self) -> str:
        """The kind of traffic that the trace is of."""
        if self.broken[HPA] > BURSTY:
            return BURSTY_KIND
        return SEASONAL_KIND if self.season >= SEASONAL else LITTLE


def default_policy(traces: Path) -> None:
    """The default policy beside its rivals: trace by trace, and by kind of traffic."""
    require_prophet()
    found = judged(judge, stages_of(load(traces, ONE_MINUTE)))
    print("\n### The default policy beside its rivals with target 0.6: cost, and what is broken\n")
    heads = ("trace", "season", *NAMES.values(), "of it refused")
    print(markdown(heads, map(_row, found)))
    print("\n### By kind of traffic\n")
    rows = [
        _kind(SEASONAL_KIND, found),
        _kind(LITTLE, found),
        _announced(),
        _kind(BURSTY_KIND, found),
    ]
    print(markdown(("traffic", *NAMES.values()), rows))


def judge(task: Task) -> TraceFigures:
    """Return what each contender comes to on one trace."""
    name, season, setting = task
    found = {who: _outcome(setting, who) for who in (*NAMES, CLAIRVOYANT)}
    least = found[CLAIRVOYANT].replica_hours
    return TraceFigures(
        name,
        season,
        {who: round(found[who].replica_hours / least, 3) for who in NAMES},
        {who: round(100 * found[who].violations, 4) for who in NAMES},
        round(100 * found[TIDEGATE].refused, 4),
    )


def _outcome(setting: ContestSetting, who: str) -> ReplayOutcome:
    """Return what a contender comes to with the usual target, tidegate with its own."""
    if who == PROPHET:
        foreseen = foreseen_qps(setting.samples, setting.scene)
        floor = ScheduledFloor(PROPHET, foreseen, OWN_TARGET * setting.capacity_qps)
        service = autoscaled(setting, ContestJob(HPA, OWN_TARGET))
        return outcome(setting.scene, run(setting.scene, floor, service))
    target = setting.policy.scale.target_utilization if who == TIDEGATE else OWN_TARGET
    return outcome(setting.scene, carried_out(setting, ContestJob(who, target))[0])


def _row(one: TraceFigures) -> list[str]:
    cells = [f"{one.cost[who]:.3f}, {one.broken[who]:.4f} %" for who in NAMES]
    return [one.name, f"{one.season:.3f}", *cells, f"{one.refused:.4f} %"]


def _kind(kind: str, found: list[TraceFigures]) -> list[str]:
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
