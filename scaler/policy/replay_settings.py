"""The settings of a replay beside the policy: the user's autoscaler and the service's behaviour."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from scaler.hpa.rules import HPASpec, MetricKind
from scaler.policy.policy import Policy, Slo
from scaler.policy.service_model import ServiceModel

# Target utilization of the autoscaler if none is given; that of the examples in the HPA's docs.
DEFAULT_TARGET = 0.6


def plain_hpa(policy: Policy) -> HPASpec:
    """Return the autoscaler to compare with where the policy names none."""
    scale, capacity = policy.scale, policy.capacity_qps or 1.0
    target = max(DEFAULT_TARGET * capacity, 0.001)
    return HPASpec(scale.min_replicas, scale.max_replicas, MetricKind.PODS, target)


@dataclass(frozen=True, slots=True)
class WorldTiming:
    """How late a replay's world is seen, in seconds; nothing is at once, as in life.

    Attributes:
        tick_s: between two decisions, and between two syncs of the autoscaler.
        scrape_s: between two scrapes of a target.
        rate_window_s: over which the demand query averages.
        query_delay_s: from a scrape until queries can see it.
        watch_lag_s: from a change of a pod until it is seen.
    """

    tick_s: float = 15.0
    scrape_s: float = 15.0
    rate_window_s: float = 60.0
    query_delay_s: float = 1.0
    watch_lag_s: float = 1.0

    def __post_init__(self) -> None:
        for name in ("tick_s", "scrape_s", "rate_window_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be above 0")
        for name in ("query_delay_s", "watch_lag_s"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be at least 0")


@dataclass(frozen=True, slots=True)
class ReplaySettings:
    """The user's own autoscaler, and the fields of a `ServiceModel` that are not in the policy.

    Attributes:
        hpa: the autoscaler to compare with; None: the user has none.
        timing: how late the world is seen.
        service_time_s: None: a tenth of the SLO's latency, or less if the objective requires it.

    >>> model = ReplaySettings(start_up_s=40.0).service_model(Slo(latency_s=0.3), 55.0)
    >>> model.start_up_s, round(model.service_time_s, 9)
    (40.0, 0.03)
    """

    hpa: HPASpec | None = None
    timing: WorldTiming = field(default_factory=WorldTiming)
    service_time_s: float | None = None
    workers: int = 8
    timeout_s: float = 2.0
    retry_share: float = 0.5
    collapse: float = 0.5
    start_up_s: float = 90.0
    start_up_spread: float = 0.1
    ramp_s: float = 30.0
    ramp_initial: float = 0.5

    def service_model(self, slo: Slo, capacity_qps: float) -> ServiceModel:
        """Return the model of the service, of which a warm replica sustains ``capacity_qps``.

        Raises:
            ValueError: not even an idle replica meets the SLO, or a setting is out of range.
        """
        return ServiceModel(
            capacity_qps=capacity_qps,
            slo_s=slo.latency_s,
            objective=slo.objective,
            service_time_s=_service_time(slo)
            if self.service_time_s is None
            else self.service_time_s,
            workers=self.workers,
            timeout_s=self.timeout_s,
            retry_share=self.retry_share,
            collapse=self.collapse,
            start_up_s=self.start_up_s,
            start_up_spread=self.start_up_spread,
            ramp_s=self.ramp_s,
            ramp_initial=self.ramp_initial,
        )


def _service_time(slo: Slo) -> float:
    # Service times are exponential: an idle replica meets the SLO if slo.latency_s is more than
    # log(1 / (1 - objective)) mean service times. A third more than that leaves room for load.
    return slo.latency_s / max(10.0, 4 / 3 * math.log(1 / (1 - slo.objective)))
