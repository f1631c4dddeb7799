"""tidegate's scaler: from one forecast to a replica floor and a rate limit.

What a notebook or a service in Python needs can be imported from here, whatever module it lives in;
each name loads its module when it is first used.

    from scaler import Policy, ScalePolicy, TidegateLimit, replay
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import lazy_loader

from forecaster import moved

if TYPE_CHECKING:
    from scaler.decision.replicas import ScalePolicy
    from scaler.decision.trust import TrustRules
    from scaler.errors import ReplayError, ScalerError
    from scaler.gateway.lease_limiter import LeaseLimiter
    from scaler.gateway.middleware import TidegateLimit
    from scaler.hpa.rules import HPASpec, MetricGoal, MetricKind
    from scaler.policy.files import read_policies
    from scaler.policy.policy import Policy
    from scaler.policy.replay_settings import ReplaySettings
    from scaler.simulation.contest import Contest
    from scaler.simulation.figures import plot_contest, plot_sweep
    from scaler.simulation.findings import contest_html, replay_findings
    from scaler.simulation.frames import contest_to_frame, sweep_to_frame
    from scaler.simulation.replay import replay
    from scaler.simulation.what_if import Sweep, sweep

__all__ = [
    "Contest",
    "HPASpec",
    "LeaseLimiter",
    "MetricGoal",
    "MetricKind",
    "Policy",
    "ReplayError",
    "ReplaySettings",
    "ScalePolicy",
    "ScalerError",
    "Sweep",
    "TidegateLimit",
    "TrustRules",
    "contest_html",
    "contest_to_frame",
    "plot_contest",
    "plot_sweep",
    "read_policies",
    "replay",
    "replay_findings",
    "sweep",
    "sweep_to_frame",
]

_HOMES = {
    "decision.replicas": ["ScalePolicy"],
    "decision.trust": ["TrustRules"],
    "errors": ["ReplayError", "ScalerError"],
    "gateway.lease_limiter": ["LeaseLimiter"],
    "gateway.middleware": ["TidegateLimit"],
    "hpa.rules": ["HPASpec", "MetricGoal", "MetricKind"],
    "policy.files": ["read_policies"],
    "policy.policy": ["Policy"],
    "policy.replay_settings": ["ReplaySettings"],
    "simulation.contest": ["Contest"],
    "simulation.figures": ["plot_contest", "plot_sweep"],
    "simulation.findings": ["contest_html", "replay_findings"],
    "simulation.frames": ["contest_to_frame", "sweep_to_frame"],
    "simulation.replay": ["replay"],
    "simulation.what_if": ["Sweep", "sweep"],
}

if not TYPE_CHECKING:  # for a type checker, a name that is not listed above is an error
    __getattr__, __dir__, _ = lazy_loader.attach(__name__, submod_attrs=_HOMES)
    moved.install()
