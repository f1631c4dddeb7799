"""The values of a HorizontalPodAutoscaler: its spec, metric readings, and which pods are unready.

The names are those of `autoscaling/v2`. Sources in kubernetes/kubernetes:
`pkg/apis/autoscaling/validation` (limits), `pkg/controller/podautoscaler/replica_calculator.go`
(readings) and `horizontal.go` (reasons); kubernetes.io, "Horizontal Pod Autoscaling" (defaults).
Times are float seconds on the replay's clock.
"""

from __future__ import annotations

import enum
import math
from dataclasses import dataclass


class Select(enum.Enum):
    """Which policy of a direction applies: that of the largest change, the smallest, or none."""

    MAX = "Max"
    MIN = "Min"
    DISABLED = "Disabled"


class PolicyKind(enum.Enum):
    PODS = "Pods"
    PERCENT = "Percent"


class MetricKind(enum.Enum):
    """Which metric the target refers to.

    UTILIZATION: CPU per pod over its request (`Resource`, `averageUtilization`).
    PODS: the average of a value per pod (`Pods`, `averageValue`).
    EXTERNAL_AVERAGE: an external value divided by the replicas (`External`, `averageValue`); the
        kind that KEDA writes.
    EXTERNAL_VALUE: an external value as a whole (`External`, `value`).
    """

    UTILIZATION = "Utilization"
    PODS = "Pods"
    EXTERNAL_AVERAGE = "ExternalAverageValue"
    EXTERNAL_VALUE = "ExternalValue"


class Reason(enum.Enum):
    """What determined the count: the condition reasons of the controller.

    FAILED_GET_METRIC stands for FailedGetResourceMetric, FailedGetPodsMetric and so on.
    """

    DESIRED_WITHIN_RANGE = "DesiredWithinRange"
    TOO_FEW_REPLICAS = "TooFewReplicas"
    TOO_MANY_REPLICAS = "TooManyReplicas"
    SCALE_UP_STABILIZED = "ScaleUpStabilized"
    SCALE_DOWN_STABILIZED = "ScaleDownStabilized"
    SCALE_UP_LIMIT = "ScaleUpLimit"
    SCALE_DOWN_LIMIT = "ScaleDownLimit"
    SCALING_DISABLED = "ScalingDisabled"
    FAILED_GET_METRIC = "FailedGetMetric"


@dataclass(frozen=True, slots=True)
class ScalingPolicy:
    """At most ``value`` pods, or per cent of the count, may be added or removed in ``period_s``."""

    kind: PolicyKind
    value: int
    period_s: float

    def __post_init__(self) -> None:
        if self.value <= 0:
            raise ValueError(f"policy value is {self.value}, but it must be > 0")
        if not 0 < self.period_s <= 1800:
            raise ValueError(f"period_s is {self.period_s}, but it must be in (0, 1800]")


@dataclass(frozen=True, slots=True)
class ScalingRules:
    """One direction of `behavior`.

    Attributes:
        stabilization_s: window within which earlier recommendations hold a change back.
        tolerance: relative distance from the target that causes no change (0.1 is 10 %).
    """

    policies: tuple[ScalingPolicy, ...]
    select: Select = Select.MAX
    stabilization_s: float = 0.0
    tolerance: float = 0.1

    def __post_init__(self) -> None:
        if not self.policies and self.select is not Select.DISABLED:
            raise ValueError(f"no policies with select {self.select.value}; give at least one")
        if not 0 <= self.stabilization_s <= 3600:
            raise ValueError(f"stabilization_s is {self.stabilization_s}, but must be in [0, 3600]")
        if not 0 <= self.tolerance < math.inf:
            raise ValueError(f"tolerance is {self.tolerance}, but it must be finite and >= 0")


DEFAULT_SCALE_UP = ScalingRules(
    (ScalingPolicy(PolicyKind.PERCENT, 100, 15), ScalingPolicy(PolicyKind.PODS, 4, 15))
)
DEFAULT_SCALE_DOWN = ScalingRules(
    (ScalingPolicy(PolicyKind.PERCENT, 100, 15),), stabilization_s=300
)


@dataclass(frozen=True, slots=True)
class MetricGoal:
    """One metric and its target.

    ``target`` is for UTILIZATION a share of the request in whole per cent (0.6 is
    `averageUtilization: 60`), else in the reading's unit; the API stores thousandths.
    """

    metric: MetricKind
    target: float

    def __post_init__(self) -> None:
        if not 0.001 <= self.target < math.inf:
            raise ValueError(f"target is {self.target}, but it must be finite and >= 0.001")
        percent = 100 * self.target
        if self.metric is MetricKind.UTILIZATION and abs(percent - round(percent)) > 1e-6:
            raise ValueError(
                f"target is {self.target}, but averageUtilization must be whole per cent; "
                f"write {math.floor(percent) / 100} or {math.ceil(percent) / 100}"
            )

    @property
    def external(self) -> bool:
        """Whether the metric does not come from the pods."""
        return self.metric in (MetricKind.EXTERNAL_AVERAGE, MetricKind.EXTERNAL_VALUE)


@dataclass(frozen=True, slots=True)
class HPASpec:
    """A HorizontalPodAutoscaler, and the flags of the controller that affect it.

    Attributes:
        min_replicas: 0 lets it scale to 0 by an external metric; a metric of pods has none then.
        metric, target: the first metric, see `MetricGoal`.
        more: further metrics; the highest wish of all counts.
        scale_up, scale_down: `behavior`; None in both: there is none, and the controller goes its
            own way then. The API server fills in a direction that is None beside one that is not.
        sync_s: time between two syncs; used by the caller only.
        cpu_initialization_s: `--horizontal-pod-autoscaler-cpu-initialization-period`; without
            effect here: the caller says which pods are unready.
        initial_readiness_delay_s: `--horizontal-pod-autoscaler-initial-readiness-delay`; likewise.

    KEDA's prometheus scaler with `threshold: "40"` is an HPA on an external average:

    >>> keda = HPASpec(2, 40, MetricKind.EXTERNAL_AVERAGE, target=40)
    >>> keda.has_behavior, keda.down.stabilization_s
    (False, 300)
    """

    min_replicas: int
    max_replicas: int
    metric: MetricKind
    target: float
    scale_up: ScalingRules | None = None
    scale_down: ScalingRules | None = None
    sync_s: float = 15.0
    cpu_initialization_s: float = 300.0
    initial_readiness_delay_s: float = 30.0
    more: tuple[MetricGoal, ...] = ()

    @property
    def goals(self) -> tuple[MetricGoal, ...]:
        """All metrics with their targets, the first one first."""
        return MetricGoal(self.metric, self.target), *self.more

    @property
    def has_behavior(self) -> bool:
        """Whether it has `behavior`, be it empty."""
        return self.scale_up is not None or self.scale_down is not None

    @property
    def up(self) -> ScalingRules:
        """The rules up; without `behavior` its tolerance alone applies, which is the flag's."""
        return self.scale_up or DEFAULT_SCALE_UP

    @property
    def down(self) -> ScalingRules:
        """The rules down; without `behavior` the flags' tolerance and stabilization alone apply."""
        return self.scale_down or DEFAULT_SCALE_DOWN

    @property
    def lowest(self) -> int:
        """Return the lowest count: 0 only by a metric that does not come from its pods."""
        external = any(goal.external for goal in self.goals)
        return self.min_replicas if external else max(self.min_replicas, 1)

    def __post_init__(self) -> None:
        if self.min_replicas < 0:
            raise ValueError(f"min_replicas is {self.min_replicas}, but it must be >= 0")
        if self.max_replicas < self.min_replicas:
            raise ValueError(
                f"max_replicas is {self.max_replicas}, below min_replicas {self.min_replicas}"
            )
        MetricGoal(self.metric, self.target)  # which refuses a wrong target
        if not 0 < self.sync_s < math.inf:
            raise ValueError(f"sync_s is {self.sync_s}, but it must be finite and > 0")
        if self.cpu_initialization_s < 0 or self.initial_readiness_delay_s < 0:
            raise ValueError(
                f"cpu_initialization_s is {self.cpu_initialization_s}, initial_readiness_delay_s "
                f"is {self.initial_readiness_delay_s}, but both must be >= 0"
            )


@dataclass(frozen=True, slots=True)
class Reading:
    """The response of the metrics API at one sync; None stands for no response.

    Attributes:
        total: sum over the ``ready`` pods (req/s, or CPU in requests), or the external value.
        ready: number of ready pods with a sample; not used for EXTERNAL_AVERAGE.
        unready: number of pending or unready pods; they count as 0 on a scale-up.
        missing: number of running pods without a sample. They count as 0 on a scale-up, and as the
            target on a scale-down (for UTILIZATION as their request, if that is more).
    """

    total: float
    ready: int
    unready: int = 0
    missing: int = 0

    def __post_init__(self) -> None:
        if not 0.0 <= self.total < math.inf:
            raise ValueError(f"total is {self.total}, but it must be finite and >= 0")
        if self.ready < 0 or self.unready < 0 or self.missing < 0:
            raise ValueError(f"{self} counts pods below 0")


@dataclass(frozen=True, slots=True)
class Recommendation:
    """The result of one sync.

    Attributes:
        replicas: the count to set.
        wanted: what the metric alone asks for, before bounds and behaviour; the current count where
            the metric was not used, or not available.
        reason: what determined the count.
    """

    replicas: int
    wanted: int
    reason: Reason
