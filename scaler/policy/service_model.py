"""The model of a service under load: its parameters, and the closed forms of queueing theory.

Each replica serves ``workers`` requests at once, for ``service_time_s`` each on average, and
requests are distributed over the replicas at random: every replica is an M/M/k queue. Throughput is
scaled by ``saturation_qps`` and time by ``service_time_s``; results depend on the utilisation only.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from forecaster.data.series import FloatArray


@dataclass(frozen=True, slots=True)
class ServiceModel:
    """The parameters of a service.

    Attributes:
        capacity_qps: QPS that one warm replica sustains within the SLO.
        slo_s: latency of the SLO.
        objective: share of the requests that must be answered within that latency.
        service_time_s: mean time of a request that does not wait.
        workers: requests that one replica serves at once.
        timeout_s: how long a client waits.
        retry_share: share of the clients that timed out which retry.
        collapse: how much goodput falls per unit of overload; 0 for none.
        start_up_s: median time from a replica's creation until it is ready.
        start_up_spread: standard deviation of the logarithm of that time (lognormal).
        ramp_s: time that a ready replica takes to become warm.
        ramp_initial: capacity of a replica that has just become ready, as a share of a warm one's.
    """

    capacity_qps: float
    slo_s: float = 0.5
    objective: float = 0.999
    service_time_s: float = 0.05
    workers: int = 8
    timeout_s: float = 2.0
    retry_share: float = 0.5
    collapse: float = 0.5
    start_up_s: float = 90.0
    start_up_spread: float = 0.1
    ramp_s: float = 30.0
    ramp_initial: float = 0.5

    def __post_init__(self) -> None:
        positive = ("capacity_qps", "slo_s", "service_time_s", "workers", "timeout_s")
        for name in (*positive, "retry_share", "collapse", "start_up_s", "start_up_spread"):
            value = getattr(self, name)
            if not (np.isfinite(value) and value >= 0) or (name in positive and value == 0):
                least = "above 0" if name in positive else "at least 0"
                raise ValueError(f"{name} is {value}, but must be {least}")
        for name in ("retry_share", "ramp_initial"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be in [0, 1]")
        if not 0 < self.objective < 1:
            raise ValueError(f"objective is {self.objective}, but must be in (0, 1)")
        if self.utilisation_at_slo <= 0:
            raise ValueError(
                f"slo_s is {self.slo_s}, but even an idle replica (service_time_s "
                f"{self.service_time_s}) serves less than {self.objective} of the requests in that"
            )

    @property
    def utilisation_at_slo(self) -> float:
        """Share of saturation at which exactly ``objective`` of the requests meet the latency.

        >>> round(ServiceModel(100.0).utilisation_at_slo, 3)
        0.899
        """
        low, high = 0.0, 1.0
        for _ in range(40):
            middle = (low + high) / 2
            tail = response_tail(self.workers, np.array([middle]), self.slo_s / self.service_time_s)
            low, high = (low, middle) if tail[0] > 1 - self.objective else (middle, high)
        return low if low > 1e-9 else 0.0

    @property
    def saturation_qps(self) -> float:
        """Requests per second that one warm replica serves at most."""
        return self.capacity_qps / self.utilisation_at_slo


def latency_quantiles(model: ServiceModel) -> list[float]:
    """Return, per hundredth of the utilisation, the seconds that ``objective`` of requests take.

    Without a queue before the replicas: of an M/M/k replica at that load.

    >>> quantiles = latency_quantiles(ServiceModel(100.0))
    >>> len(quantiles), round(quantiles[0], 3), quantiles[89] < 0.5 < quantiles[90]
    (100, 0.345, True)
    """
    load = np.arange(100) / 100
    low, high = np.zeros(100), np.full(100, 500.0)  # mean service times
    for _ in range(50):
        middle = (low + high) / 2
        slow = response_tail(model.workers, load, middle) > 1 - model.objective
        low, high = np.where(slow, middle, low), np.where(slow, high, middle)
    quantiles: list[float] = (high * model.service_time_s).tolist()
    return quantiles


def response_tail(workers: int, utilisation: FloatArray, times: float | FloatArray) -> FloatArray:
    """Return the share of requests that take longer than ``times`` (in mean service times).

    In an M/M/k queue with offered load ``a = k * utilisation``, Erlang C probability of waiting
    ``C`` and ``d = k - 1 - a``, it is ``exp(-t) * (1 + C * (1 - exp(-d t)) / d)``.
    Source: Gross, Shortle, Thompson and Harris, Fundamentals of Queueing Theory, 4th ed., 2.3.

    >>> round(float(response_tail(1, np.array([0.5]), 4.0)[0]), 6)  # M/M/1: exp(-(1 - 0.5) * 4)
    0.135335
    """
    load = workers * np.minimum(utilisation, 1 - 1e-9)
    wait = erlang_c(workers, load)
    rate = workers - 1 - load
    rate = np.where(np.abs(rate) < 1e-6, 1e-6, rate)
    return np.asarray(np.exp(-times) * (1 - wait * np.expm1(-rate * times) / rate))


def erlang_c(workers: int, load: FloatArray) -> FloatArray:
    """Return the probability that a request waits, for ``load < workers``.

    >>> round(float(erlang_c(2, np.array([1.0]))[0]), 4)
    0.3333
    """
    blocked = np.ones_like(load)
    for count in range(1, workers + 1):
        blocked = load * blocked / (count + load * blocked)
    return np.asarray(blocked / (1 - load / workers * (1 - blocked)))
