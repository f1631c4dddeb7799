"""The limit per client: it cuts abusive clients first, and then the heaviest of the others.

It is found in two steps:

1. Which clients are abusive? The rates of normal clients lie about symmetrically around their
   median on a log scale, and abusive clients only above it. So the lower half, which abusive
   clients cannot distort, shows how wide the upper half of the normal clients is. No client within
   that range is abusive, whatever the limit.
2. Do the other clients fit the limit? If not, the max-min fair level cuts the heaviest of them.

A high quantile would be a poor measure of "normal": it is an abusive client's own rate as soon as
more than a few are abusive. The median and the lower half hold until about a third are abusive.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from forecaster.data.series import FloatArray
from scaler.limits.max_min import max_min_fair

# Share of a normal distribution (of log rates) more than one standard deviation below the median.
ONE_DEVIATION_BELOW = 0.1587
# Upper bound on median / lower quantile: larger ratios mean nothing, and their powers overflow.
MAX_RATIO = 1e6


class LevelReason(StrEnum):
    """Why clients are limited."""

    ABUSE = "abuse"  # only abusive clients are cut; the others fit the limit
    LIMIT = "limit"  # the normal clients alone exceed the limit


@dataclass(frozen=True, slots=True)
class ClientPolicy:
    """When a client counts as abusive, and the rate that is left to it.

    Attributes:
        window_s: seconds over which each client's rate is counted.
        deviations: standard deviations of the log rates above the median that are still normal.
            With normally distributed log rates, 4 marks one normal client in 32,000 as abusive; at
            3.5, every second sample of 2,000 clients would have one, who sends 1 % of all requests.
        least_ratio: a rate up to this many times the median is normal, however similar the rates.
        least_clients: with fewer active clients, none counts as abusive.
        abusive_share: the rate left to an abusive client, as a share of the median client's rate.
    """

    window_s: float = 60.0
    deviations: float = 4.0
    least_ratio: float = 3.0
    least_clients: int = 20
    abusive_share: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.window_s < math.inf:
            raise ValueError(f"window_s is {self.window_s}, but it must be finite and > 0")
        if not 0 < self.deviations <= 10:
            raise ValueError(f"deviations is {self.deviations}, but it must be in (0, 10]")
        if not 1 <= self.least_ratio < math.inf:
            raise ValueError(f"least_ratio is {self.least_ratio}, but the median itself is normal")
        if self.least_clients < 1:
            raise ValueError(f"least_clients is {self.least_clients}, but it must be >= 1")
        if not 0 <= self.abusive_share <= 1:
            raise ValueError(f"abusive_share is {self.abusive_share}, but a share is in [0, 1]")


@dataclass(frozen=True, slots=True)
class ClientLevel:
    """The limit per client.

    Attributes:
        qps: no client is admitted more; inf: no such limit.
        abusive_above_qps: a client that offers more is abusive; inf: none is.
        abusive_qps: the limit of an abusive client, while it is abusive.
        reason: why clients are limited; None: none is.
    """

    qps: float
    abusive_above_qps: float
    abusive_qps: float
    reason: LevelReason | None


def client_level(
    limit_qps: float, client_rates: npt.ArrayLike, policy: ClientPolicy | None = None
) -> ClientLevel:
    """Return the limit per client at which these clients together fit ``limit_qps``.

    Args:
        limit_qps: limit of all clients together, finite and >= 0.
        client_rates: QPS offered by each client, finite and >= 0, shape ``(n,)``.
        policy: when a client counts as abusive; None: the defaults.

    >>> level = client_level(1000.0, [2.0] * 99 + [400.0])
    >>> level.reason, level.abusive_qps
    (<LevelReason.ABUSE: 'abuse'>, 2.0)
    """
    policy = policy or ClientPolicy()
    rates = np.asarray(client_rates, dtype=np.float64)
    if not (np.isfinite(rates).all() and (rates >= 0).all()):
        raise ValueError("client rates must be finite and >= 0; leave out unknown clients")
    median, above = _normal_rates(rates, policy)
    abusive = rates > above
    left = policy.abusive_share * median
    if not abusive.any():
        above = left = math.inf
    fair = max_min_fair(limit_qps, np.where(abusive, left, rates))
    if fair.level < math.inf:
        return ClientLevel(fair.level, above, left, LevelReason.LIMIT)
    reason = LevelReason.ABUSE if abusive.any() else None
    return ClientLevel(math.inf, above, left, reason)


def _normal_rates(rates: FloatArray, policy: ClientPolicy) -> tuple[float, float]:
    """Return the rate of the median client and the highest normal rate; inf with few clients."""
    active = rates[rates > 0]
    if len(active) < policy.least_clients:
        return math.inf, math.inf
    low, median = map(float, np.quantile(active, (ONE_DEVIATION_BELOW, 0.5)))
    highest = median * max(policy.least_ratio, min(median / low, MAX_RATIO) ** policy.deviations)
    # The count of a client at the upper edge exceeds its mean by chance (Poisson).
    chance = policy.deviations * math.sqrt(highest / policy.window_s)
    return median, highest + chance
