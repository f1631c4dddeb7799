"""What is observed of one service at a tick: its metrics and its replicas.

Demand is in requests per second (QPS); unknown is NaN or None.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ServiceMetrics:
    """What the metrics say of one service at a tick.

    Attributes:
        observed_qps: offered now; NaN where unknown.
        samples: new ones on the forecast's grid since the tick before, ``(stamp, QPS)``.
        latency_s: of the SLO's query; None where there is none, or it is unknown.
        fault: why nothing was heard, in words; None if something was.
    """

    observed_qps: float
    samples: tuple[tuple[float, float], ...] = ()
    latency_s: float | None = None
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class Workload:
    """The replicas of one service at a tick.

    Attributes:
        replicas: created.
        ready_s: seconds since each ready one became so.
        due_in_s: for each that starts, seconds until it is expected to be ready.
        floor: that stands in the cluster now.
        start_ups: seconds from creation to readiness of those that are ready.
    """

    replicas: int
    ready_s: tuple[float, ...]
    due_in_s: tuple[float, ...] = ()
    floor: int = 1
    start_ups: tuple[float, ...] = ()
