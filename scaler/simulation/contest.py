"""All contenders over the same recorded demand, and each over a sweep of targets.

Compared at one target alone, a policy looks good by spending more, or cheap by breaking the SLO.
The frontier of cost against violations shows what it can do: policies are compared at equal
violations, or at equal cost.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, NamedTuple

import scaler as api
from forecaster.data.series import Forecast
from scaler.decision.lead_demand import ForecastReader
from scaler.decision.trust import Standing, Trust
from scaler.hpa.aim import aimed, share_of
from scaler.hpa.controller import HPASpec, MetricKind
from scaler.policy.policy import Policy
from scaler.simulation.contenders import (
    AutoscalerAlone,
    Contender,
    ScheduledFloor,
    TidegateContender,
    clairvoyant,
    run,
)
from scaler.simulation.offset_query import DAY, WEEK, offset_answers
from scaler.simulation.outcome import ReplayOutcome, outcome
from scaler.simulation.predictive_scaling import scheduled_qps
from scaler.simulation.recording import RecordedSamples
from scaler.simulation.workers import mapped
from scaler.simulation.world import Run, Scene, SimulatedService

if TYPE_CHECKING:
    import pandas as pd
    import plotly.graph_objects as go

HPA, KEDA = "HPA", "KEDA prometheus"
OFFSET_WEEK, OFFSET_DAY = "KEDA + offset 7d", "KEDA + offset 1d"
PREDICTIVE, HOLT_WINTERS = "predictive scaling", "Holt-Winters"
TIDEGATE, FLOOR_ONLY, CLAIRVOYANT = "tidegate", "tidegate, HPA as it is", "clairvoyant"
# Contenders with a target that can be swept; the others stand in the table alone.
SWEPT = (HPA, KEDA, OFFSET_WEEK, OFFSET_DAY, PREDICTIVE, HOLT_WINTERS, TIDEGATE)
# How far back KEDA's second trigger looks.
OFFSETS = {OFFSET_WEEK: WEEK, OFFSET_DAY: DAY}
TARGETS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0, 1.05)
# What KEDA's documentation asks Prometheus for in its examples: rate(...[2m]).
KEDA_WINDOW_S = 120.0
# Of the metrics API, as adapters for pods and custom metrics usually average.
METRICS_WINDOW_S = 60.0
# Origins whose distributions are worked out at once.
ROWS_AT_ONCE = 1440


@dataclass(frozen=True, eq=False)
class ContestSetting:
    """What is replayed, and what each contender is given.

    Attributes:
        scene: demand and service, alike for all.
        hpa: the user's autoscaler.
        net: the autoscaler under tidegate's floor.
        policy: tidegate's.
        samples: recorded, as they become known.
        ours: the forecast from each origin, one row each.
        smoothing: the same by Holt-Winters; None: nobody asks for it.
    """

    scene: Scene
    hpa: HPASpec
    net: HPASpec
    policy: Policy
    samples: RecordedSamples = field(repr=False)
    ours: Forecast = field(repr=False)
    smoothing: Forecast | None = field(repr=False)

    @property
    def capacity_qps(self) -> float:
        """What one warm replica sustains within the SLO."""
        return self.scene.model.capacity_qps

    @property
    def own_target(self) -> float:
        """The target of the user's autoscaler as a share of a replica's capacity."""
        return share_of(self.hpa, self.capacity_qps)


@dataclass(frozen=True, slots=True)
class ContestJob:
    """One run: a family of contenders at a target (a share of a replica's capacity)."""

    family: str
    target: float


@dataclass(frozen=True, slots=True)
class FrontierPoint:
    """What a family came to at one target."""

    family: str
    target: float
    outcome: ReplayOutcome


@dataclass(frozen=True, eq=False)
class Contest:
    """The table, the runs behind it, and the frontier.

    ``reasons`` counts the ticks by what bound tidegate's plan; ``trust`` is that in its forecast
    after each sample, ``smoothing_trust`` that in Holt-Winters'.
    """

    setting: ContestSetting
    table: tuple[ReplayOutcome, ...]
    runs: dict[str, Run] = field(repr=False)
    frontier: tuple[FrontierPoint, ...]
    reasons: Mapping[str, int]
    trust: tuple[Trust, ...] = field(repr=False)
    smoothing_trust: tuple[Trust, ...] = field(default=(), repr=False)

    def outcome(self, contender: str) -> ReplayOutcome:
        """Return the figures of one contender."""
        return next(found for found in self.table if found.name == contender)

    def findings(self) -> tuple[str, ...]:
        """Return what was found in sentences, the verdict first."""
        return api.replay_findings(self)

    def to_frame(self) -> pd.DataFrame:
        """Return a row per contender: `ReplayOutcome` as columns."""
        return api.contest_to_frame(self)

    def plot(self, what: str = "replicas") -> go.Figure:
        """Return a figure: replicas, frontier, broken_requests or trust."""
        return api.plot_contest(self, what)

    def _repr_html_(self) -> str:
        return api.contest_html(self)

    @property
    def coverage(self) -> float:
        """Mean share of lead times whose largest demand stayed within what was foreseen."""
        return statistics.fmean(one.coverage for one in self.trust)

    @property
    def benched_share(self) -> float:
        """Share of the time in which the model was benched."""
        return statistics.fmean(one.standing is Standing.BENCHED for one in self.trust)


def carried_out(setting: ContestSetting, job: ContestJob) -> tuple[Run, Contender]:
    """Return what one run comes to, and the contender as the run has left it."""
    scene, capacity = setting.scene, setting.capacity_qps
    if job.family == CLAIRVOYANT:
        model = scene.model
        lead = math.ceil((model.start_up_s + model.ramp_s) / scene.timing.tick_s)
        least = setting.policy.scale.min_replicas
        known = clairvoyant(scene.demand, capacity, lead, least)
        return run(scene, known, SimulatedService(scene, None)), known
    if job.family in (HPA, KEDA, *OFFSETS):
        alone = AutoscalerAlone(job.family)
        return run(scene, alone, autoscaled(setting, job)), alone
    if job.family == PREDICTIVE:
        load = scheduled_qps(setting.samples, scene)
        scheduled = ScheduledFloor(PREDICTIVE, load, job.target * capacity)
        return run(scene, scheduled, autoscaled(setting, ContestJob(HPA, job.target))), scheduled
    net = setting.hpa if job.family == FLOOR_ONLY else setting.net
    tidegate = tidegate_contender(setting, job)
    return run(scene, tidegate, SimulatedService(scene, net)), tidegate


def tidegate_contender(setting: ContestSetting, job: ContestJob) -> TidegateContender:
    """Return tidegate at a target, on its own forecast or on that of Holt-Winters."""
    forecast = setting.smoothing if job.family == HOLT_WINTERS else setting.ours
    assert forecast is not None, "a setting that is compared has the forecast of each contender"
    scale = replace(setting.policy.scale, target_utilization=job.target)
    return TidegateContender(
        job.family,
        replace(setting.policy, scale=scale),
        setting.samples,
        ForecastReader(forecast, block=ROWS_AT_ONCE),
        setting.scene.timing.tick_s,
    )


def autoscaled(setting: ContestSetting, job: ContestJob) -> SimulatedService:
    """Return the service under the user's autoscaler, or under KEDA's, at the job's target."""
    scene, hpa, capacity = setting.scene, setting.hpa, setting.capacity_qps
    if job.family == HPA:
        service = SimulatedService(scene, aimed(hpa, job.target, capacity), METRICS_WINDOW_S)
    else:
        keda, target = MetricKind.EXTERNAL_AVERAGE, job.target * capacity
        spec = replace(hpa, metric=keda, target=target, more=())
        season = OFFSETS.get(job.family)
        second = None if season is None else offset_answers(setting.samples, scene, season)
        service = SimulatedService(scene, spec, KEDA_WINDOW_S, second)
    service.floor = hpa.min_replicas
    return service


def contest(
    setting: ContestSetting,
    *,
    targets: Sequence[float] = TARGETS,
    workers: int = 1,
    progress: Callable[[str], None] = lambda _: None,
) -> Contest:
    """Return what each contender comes to.

    Args:
        setting: what is replayed.
        targets: of the frontier; none for the table alone.
        workers: processes; 1 for this one alone.
        progress: told the name of each run that is done.
    """
    own, ours = setting.own_target, setting.policy.scale.target_utilization
    main = [
        ContestJob(HPA, own),
        ContestJob(KEDA, own),
        *(ContestJob(family, own) for family in OFFSETS),
        ContestJob(PREDICTIVE, own),
        ContestJob(HOLT_WINTERS, ours),
        ContestJob(FLOOR_ONLY, ours),
        ContestJob(TIDEGATE, ours),
        ContestJob(CLAIRVOYANT, 1.0),
    ]
    sweep = [ContestJob(family, target) for family in SWEPT for target in targets]
    table: list[ReplayOutcome] = []
    runs: dict[str, Run] = {}
    points: list[FrontierPoint] = []
    reasons: Mapping[str, int] = {}
    trust: dict[str, tuple[Trust, ...]] = {}
    with mapped(_carried_out, setting, workers) as each:
        for job, result in zip(main + sweep, each(main + sweep, len(main)), strict=True):
            if result.run is not None:
                table.append(result.outcome)
                runs[job.family] = result.run
                trust[job.family] = result.trust
                if job.family == TIDEGATE:
                    reasons = result.reasons
            else:
                points.append(FrontierPoint(job.family, job.target, result.outcome))
            progress(job.family)
    both = trust[TIDEGATE], trust[HOLT_WINTERS]
    return Contest(setting, tuple(table), runs, tuple(points), reasons, *both)


def run_count(targets: int) -> int:
    """Return how many runs a contest with so many targets takes.

    The clairvoyant and the floor under the HPA as it is have no target to sweep.
    """
    return 2 + len(SWEPT) * (1 + targets)


class _Result(NamedTuple):
    outcome: ReplayOutcome
    run: Run | None
    reasons: Mapping[str, int]
    trust: tuple[Trust, ...]


def _carried_out(setting: ContestSetting, job: ContestJob, keep: bool) -> _Result:
    done, who = carried_out(setting, job)
    reasons: Mapping[str, int] = {}
    trust: tuple[Trust, ...] = ()
    if isinstance(who, TidegateContender):
        reasons, trust = dict(who.reasons), tuple(who.trust) if keep else ()
    return _Result(outcome(setting.scene, done), done if keep else None, reasons, trust)


def cheapest(
    points: Iterable[FrontierPoint], family: str, violations: float
) -> FrontierPoint | None:
    """Return the family's cheapest point with at most so many violations; None if it has none."""
    within = [p for p in points if p.family == family and p.outcome.violations <= violations]
    return min(within, key=lambda p: p.outcome.replica_hours, default=None)


def safest(
    points: Iterable[FrontierPoint], family: str, replica_hours: float
) -> FrontierPoint | None:
    """Return the family's point with the fewest violations at no more than that cost."""
    within = [p for p in points if p.family == family and p.outcome.replica_hours <= replica_hours]
    return min(within, key=lambda p: p.outcome.violations, default=None)
