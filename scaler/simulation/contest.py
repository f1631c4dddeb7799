"""All contenders over the same recorded demand, and each over a sweep of targets.

Compared at one target alone, a policy looks good by spending more, or cheap by breaking the SLO.
The frontier of cost against violations shows what it can do: policies are compared at equal
violations, or at equal cost.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from multiprocessing import get_context
from typing import NamedTuple

from scaler.decision.decide import DecisionSettings
from scaler.hpa.controller import HPASpec, MetricKind
from scaler.simulation.closed_loop import Run, Scene, run
from scaler.simulation.contenders import Contender, HPAContender, TidegateContender, clairvoyant
from scaler.simulation.outcome import ReplayOutcome, outcome
from scaler.simulation.rehearsal import Rehearsal

HPA, KEDA, HOLT_WINTERS = "HPA", "KEDA prometheus", "Holt-Winters"
TIDEGATE, FLOOR_ONLY, CLAIRVOYANT = "tidegate", "tidegate, HPA as it is", "clairvoyant"
TARGETS = (0.4, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 1.0, 1.05)
# What KEDA's documentation asks Prometheus for in its examples: rate(...[2m]).
KEDA_WINDOW_S = 120.0


@dataclass(frozen=True, eq=False)
class ContestSetting:
    """What is replayed, and what each contender is told.

    Attributes:
        scene: demand and service, alike for all.
        hpa: the user's autoscaler.
        net: the autoscaler under tidegate's floor.
        policy: tidegate's.
        ours: what tidegate's forecast would have said.
        smoothing: what Holt-Winters would have said.
    """

    scene: Scene
    hpa: HPASpec
    net: HPASpec
    policy: DecisionSettings
    ours: Rehearsal = field(repr=False)
    smoothing: Rehearsal = field(repr=False)

    @property
    def own_target(self) -> float:
        """The target of the user's autoscaler as a share of a replica's capacity."""
        hpa, capacity = self.hpa, self.policy.capacity.qps
        return hpa.target if hpa.metric is MetricKind.UTILIZATION else hpa.target / capacity


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

    ``reasons`` counts the ticks by what bound tidegate's plan.
    """

    setting: ContestSetting
    table: tuple[ReplayOutcome, ...]
    runs: dict[str, Run] = field(repr=False)
    frontier: tuple[FrontierPoint, ...]
    reasons: Mapping[str, int]


def contender(setting: ContestSetting, job: ContestJob) -> Contender:
    """Return a fresh contender for one run."""
    policy, capacity = setting.policy, setting.policy.capacity.qps
    if job.family == CLAIRVOYANT:
        timing, model = setting.scene.timing, setting.scene.model
        lead = math.ceil((model.start_up_s + model.ramp_s) / timing.tick_s)
        return clairvoyant(setting.scene.demand, capacity, lead, policy.scale.min_replicas)
    if job.family == HPA:
        return HPAContender(HPA, _aimed(setting.hpa, job.target, capacity), capacity)
    if job.family == KEDA:
        spec = replace(
            setting.hpa, metric=MetricKind.EXTERNAL_AVERAGE, target=job.target * capacity
        )
        return HPAContender(KEDA, spec, capacity, KEDA_WINDOW_S)
    rehearsal = setting.smoothing if job.family == HOLT_WINTERS else setting.ours
    net = setting.hpa if job.family == FLOOR_ONLY else setting.net
    aimed = replace(policy, scale=replace(policy.scale, target_utilization=job.target))
    return TidegateContender(job.family, aimed, rehearsal.ahead(), net, setting.scene.replicas)


def _aimed(spec: HPASpec, target: float, capacity_qps: float) -> HPASpec:
    """Return the autoscaler with a target that is a share of a replica's capacity."""
    if spec.metric is MetricKind.UTILIZATION:
        return replace(spec, target=round(target, 2))
    return replace(spec, target=target * capacity_qps)


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
        ContestJob(HOLT_WINTERS, ours),
        ContestJob(FLOOR_ONLY, ours),
        ContestJob(TIDEGATE, ours),
        ContestJob(CLAIRVOYANT, 1.0),
    ]
    sweep = [
        ContestJob(family, target)
        for family in (HPA, KEDA, HOLT_WINTERS, TIDEGATE)
        for target in targets
    ]
    table: list[ReplayOutcome] = []
    runs: dict[str, Run] = {}
    points: list[FrontierPoint] = []
    reasons: Mapping[str, int] = {}
    with _mapped(setting, workers) as each:
        for job, result in zip(main + sweep, each(main + sweep, len(main)), strict=True):
            if result.run is not None:
                table.append(result.outcome)
                runs[job.family] = result.run
                reasons = result.reasons if job.family == TIDEGATE else reasons
            else:
                points.append(FrontierPoint(job.family, job.target, result.outcome))
            progress(job.family)
    return Contest(setting, tuple(table), runs, tuple(points), reasons)


class _Result(NamedTuple):
    outcome: ReplayOutcome
    run: Run | None
    reasons: Mapping[str, int]


_Each = Callable[[list[ContestJob], int], Iterable[_Result]]


@contextmanager
def _mapped(setting: ContestSetting, workers: int) -> Iterator[_Each]:
    """Yield what carries out jobs in order; the runs of the first few are kept."""
    if workers == 1:
        yield lambda jobs, keep: (_carried_out(setting, x, i < keep) for i, x in enumerate(jobs))
        return
    # A fresh interpreter each: a copy of this one would inherit the locks of its threads.
    context = get_context("spawn")
    with ProcessPoolExecutor(
        workers, mp_context=context, initializer=_remember, initargs=(setting,)
    ) as pool:
        yield lambda jobs, keep: pool.map(_job, jobs, [i < keep for i in range(len(jobs))])


_remembered: list[ContestSetting] = []  # of a worker process


def _remember(setting: ContestSetting) -> None:
    _remembered.append(setting)


def _job(job: ContestJob, keep: bool) -> _Result:
    return _carried_out(_remembered[-1], job, keep)


def _carried_out(setting: ContestSetting, job: ContestJob, keep: bool) -> _Result:
    who = contender(setting, job)
    done = run(setting.scene, who)
    reasons = (
        {x.value: n for x, n in who.reasons.items()} if isinstance(who, TidegateContender) else {}
    )
    return _Result(outcome(setting.scene, done), done if keep else None, reasons)


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
