"""What stands on top of a replay's page: what was compared, what was found, what to do next."""

from __future__ import annotations

from forecaster.report.page import Findings, Tile
from scaler.hpa.controller import HPASpec, MetricKind
from scaler.simulation.contest import (
    CLAIRVOYANT,
    FLOOR_ONLY,
    HPA,
    TIDEGATE,
    Contest,
    cheapest,
)
from scaler.simulation.findings import latency, sentences, share, verdict

TRAIN = (
    "Train a model on this history and name it, for Holt-Winters forecast here: "
    "`forecaster train --history FILE --name NAME`, then `scaler replay --model NAME`"
)
WATCH = (
    "Apply the policy with `mode: Recommend`, which writes nothing: the page shows the plan beside "
    "what your HPA does. When it has been right for a week: `mode: Enforce`"
)
JUMPS = (
    "This demand jumps faster than replicas start, so no floor keeps the SLO by itself: announce "
    "what is known beforehand in `demand.events`, shorten the start-up, and let gateways enforce "
    "the limit"
)
BENCHED = (
    "The forecast was far worse than the last value for part of the time, and was set aside. Train "
    "on a history that holds such traffic"
)
SWEEP = "Replay without `--no-frontier`: the sweep of targets says which is the cheapest"
LIMITS = "See what gateways would refuse at the busiest hour: `scaler replay --rate-limits`"


def intro(contest: Contest) -> str:
    """Return what was compared, with the words and figures that the findings use."""
    model = contest.setting.scene.model
    return (
        "The recorded demand is served again by a model of the service, once under each contender, "
        "your HPA and tidegate among them. Cost is told in replica-hours: one replica for one "
        "hour, ready or not. A violation is a request that took longer than the "
        f"{latency(model.slo_s)} of the SLO, was dropped, or was refused; the SLO allows "
        f"{share(1 - model.objective)}. A target is the demand that a replica is given, as a share "
        "of what it sustains within the SLO."
    )


def page_findings(contest: Contest, *, limited: bool) -> Findings:
    """Return what stands on top of the page."""
    passed, first = verdict(contest)
    steps = next_steps(contest)
    steps += [] if limited else [LIMITS]
    return Findings(passed, first, _tiles(contest), sentences(contest), steps)


def _tiles(contest: Contest) -> list[Tile]:
    ours, hpa, least = (contest.outcome(name) for name in (TIDEGATE, HPA, CLAIRVOYANT))
    model, risk = contest.setting.scene.model, contest.setting.policy.trust.risk
    return [
        Tile(
            "replica-hours",
            f"{ours.replica_hours:,.1f}",
            [f"HPA: {hpa.replica_hours:,.1f}", f"the least possible: {least.replica_hours:,.1f}"],
        ),
        Tile(
            "violations",
            share(ours.violations),
            [f"HPA: {share(hpa.violations)}", f"allowed: {share(1 - model.objective)}"],
        ),
        Tile(
            "violations in the worst minute",
            share(ours.worst_minute),
            [f"HPA: {share(hpa.worst_minute)}"],
        ),
        Tile(
            "latency of 99 % of the requests",
            latency(ours.p99_s),
            [f"HPA: {latency(hpa.p99_s)}", f"SLO: {latency(model.slo_s)}"],
        ),
        Tile(
            "lead times that stayed within the forecast",
            share(contest.coverage),
            [f"asked for: {share(1 - risk)}"],
        ),
    ]


def next_steps(contest: Contest) -> list[str]:
    """Return what to do about what was found, the first thing first."""
    setting = contest.setting
    steps = [TRAIN] if setting.ours is setting.smoothing else []
    steps += _about_target(contest)
    if verdict(contest)[0]:
        steps += [WATCH, *_about_net(contest)]
    if contest.benched_share > 0:
        steps.append(BENCHED)
    return steps


def _about_target(contest: Contest) -> list[str]:
    """Return whether another target would have been better on this record."""
    if not contest.frontier:
        return [SWEEP]
    ours, own = contest.outcome(TIDEGATE), contest.setting.policy.scale.target_utilization
    promised = 1 - contest.setting.scene.model.objective
    best = cheapest(contest.frontier, TIDEGATE, promised)
    if best is None:
        return [JUMPS]
    cheaper = best.outcome.replica_hours < 0.99 * ours.replica_hours
    if best.target == own or not (cheaper or ours.violations > promised):
        return []
    advice = (
        f"Consider `targetUtilization: {best.target:g}` where the policy has {own:g}: the cheapest "
        f"that kept violations within {share(promised)} on this record, with "
        f"{best.outcome.replica_hours:,.1f} replica-hours and {share(best.outcome.violations)} "
        "violations. Replay another week before you trust it"
    )
    return [advice]


def _about_net(contest: Contest) -> list[str]:
    """Return how the autoscaler must be changed for the floor to lead, where that saves much."""
    ours, alone = contest.outcome(TIDEGATE), contest.outcome(FLOOR_ONLY)
    if ours.replica_hours > 0.98 * alone.replica_hours:
        return []
    hpa, net = contest.setting.hpa, contest.setting.net
    advice = (
        f"With Enforce, raise your HPA's own target from {_target(hpa)} to {_target(net)}, as in "
        "this replay: the floor then leads, and the HPA is a net. As it is, its target alone asks "
        f"for {alone.replica_hours:,.1f} replica-hours"
    )
    return [advice]


def _target(spec: HPASpec) -> str:
    return " and ".join(
        f"{100 * goal.target:.0f} %"
        if goal.metric is MetricKind.UTILIZATION
        else f"{goal.target:g} requests per second"
        for goal in spec.goals
    )
