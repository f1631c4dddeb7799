"""What is observed of one service at a tick: its metrics and its pods.

Moments are seconds since the epoch; demand is in requests per second (QPS); unknown is NaN or None.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace

from scaler.control.clock_offset import is_apart
from scaler.decision.hold import is_implausible
from scaler.decision.plausible import DoubtedDemand, is_below
from scaler.decision.wariness import RULES


@dataclass(frozen=True, slots=True)
class ServiceMetrics:
    """What the metrics say of one service at a tick.

    Attributes:
        observed_qps: offered now; NaN where unknown.
        samples: new ones on the forecast's grid since the tick before, ``(stamp, QPS)``.
        latency_s: of the SLO's query; None where there is none, or it is unknown.
        fault: why something could not be read, in words; None if all was.
        partial: how the server says that data is missing from its answer; None if it does not.
        least_qps: of a partial answer, or of one that is doubted: at least so much is offered now;
            NaN where unknown.
        doubted: why what was measured is not believed; None: it is.
        clock_offset_s: by how much our clock is ahead of that of who answered; None: not known.
        marks: moments since the last sample that the policy's ``mask_query`` marks, ascending.
    """

    observed_qps: float
    samples: tuple[tuple[float, float], ...] = ()
    latency_s: float | None = None
    fault: str | None = None
    partial: str | None = None
    least_qps: float = math.nan
    doubted: DoubtedDemand | None = None
    clock_offset_s: float | None = None
    marks: tuple[float, ...] = ()

    def of_now(self) -> ServiceMetrics:
        """Return what may be acted on: where clocks are apart, demand is that much at least."""
        if not is_apart(self.clock_offset_s):
            return self
        least = self.least_qps if math.isnan(self.observed_qps) else self.observed_qps
        return replace(self, observed_qps=math.nan, samples=(), latency_s=None, least_qps=least)

    def latest(self, now: float) -> float:
        """Return ``now`` by the clock that is ahead, ours or that of who answered."""
        return now + max(-(self.clock_offset_s or 0.0), 0.0)

    def without_implausible(self, low_qps: float) -> ServiceMetrics:
        """Return the same; samples that are implausibly low beside a seasonal low are unknown."""
        return self._without(lambda qps: is_implausible(qps, low_qps))

    def without_falsely_low(self, before_qps: float, step_s: float) -> ServiceMetrics:
        """Return the same; samples far below what was known before an outage are unknown.

        It is the rule of training (`forecaster.data.quality.masks.after_outages`), which looks at
        what follows them.
        """
        factor = 1 / RULES.low_ratio
        return self._without(lambda qps: is_below(qps, before_qps, factor, step_s))

    def _without(self, is_left_out: Callable[[float], bool]) -> ServiceMetrics:
        if not self.samples:  # of most ticks
            return self
        samples = tuple((at, math.nan if is_left_out(qps) else qps) for at, qps in self.samples)
        return replace(self, samples=samples)


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod that is not going away.

    Attributes:
        uid: no other pod ever has it.
        ready_at: since when it is Ready, this time; None: it is not.
    """

    uid: str
    created_at: float
    ready_at: float | None = None


@dataclass(frozen=True, slots=True)
class Workload:
    """The pods of one service at a tick, and the floor that stands in the cluster.

    ``assumed``: nobody has counted the pods, they are those that are planned.
    """

    pods: tuple[Pod, ...]
    floor: int = 1
    assumed: bool = False

    @property
    def replicas(self) -> int:
        return len(self.pods)

    def ready_s(self, now: float) -> tuple[float, ...]:
        """Return the seconds since each Ready pod became so."""
        since = [pod.ready_at for pod in self.pods if pod.ready_at is not None]
        return tuple([now - at if now > at else 0.0 for at in since])

    def due_in_s(self, now: float, start_up_s: float) -> tuple[float, ...]:
        """Return in how many seconds each pod that starts is Ready if it takes ``start_up_s``."""
        return tuple(
            [pod.created_at + start_up_s - now for pod in self.pods if pod.ready_at is None]
        )
