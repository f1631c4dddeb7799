"""The level that no client may exceed, so that a few abusive ones are cut before any normal one.

Two questions, asked in this order:

1. Who is abusive? Rates of normal clients spread about evenly around their median on a log scale,
   and abusive clients sit only above it. So the lower half, which they cannot touch, says how wide
   the upper half may be. Nobody is abusive within that, whatever the limit.
2. Do the others fit the limit? If not, the max-min fair level cuts the heaviest of them.

A quantile near the top, as a measure of "normal", would be an abuser's own rate as soon as more
than a few are abusive. The median and the lower half hold until about a third of them is.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from forecaster.data.series import FloatArray
from scaler.limits.max_min import max_min_fair

# Of a normal distribution (of log rates) this part is more than one deviation below the median.
ONE_DEVIATION_BELOW = 0.1587
# Clients that differ so much say nothing about what is normal; larger powers leave the floats.
MOST_RATIO = 1e6


class LevelReason(StrEnum):
    """Why clients are cut, or not."""

    FITS = "fits"  # no client is abusive and all of them fit the limit
    ABUSE = "abuse"  # abusive clients are cut, and that is enough
    LIMIT = "limit"  # even without abuse there is more than the limit


@dataclass(frozen=True, slots=True)
class ClientPolicy:
    """When a client counts as abusive, and what it is left.

    Attributes:
        window_s: seconds over which each client's rate was counted.
        deviations: of the log rates, above the median, that are still normal. At 4 it is one
            normal client in 32,000, where log rates are normal; at 3.5, of 2,000 such clients one
            is beyond it in every second draw, and sends 1 % of all requests.
        least_ratio: times the median that is always normal, however alike the clients are.
        least_clients: with fewer active ones nobody can say what is normal.
        abusive_share: what an abusive client is left, in parts of the median client's rate.
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
    """What one client may be admitted.

    Attributes:
        qps: at most, for every client; inf: no level.
        abusive_above_qps: a client that offers more is abusive; inf: none is.
        abusive_qps: what such a client is left as long as it offers more.
        reason: why.
    """

    qps: float
    abusive_above_qps: float
    abusive_qps: float
    reason: LevelReason

    @property
    def single_qps(self) -> float:
        """The level for a gateway that knows but one number per client."""
        return min(self.qps, self.abusive_above_qps)


def client_level(
    limit_qps: float, client_rates: npt.ArrayLike, policy: ClientPolicy | None = None
) -> ClientLevel:
    """Return the level at which these clients fit the limit.

    Args:
        limit_qps: for all clients together, finite and >= 0.
        client_rates: QPS offered by each client, finite and >= 0, shape ``(n,)``.
        policy: when a client counts as abusive; None: the defaults.

    >>> level = client_level(1000.0, [2.0] * 99 + [400.0])
    >>> level.reason, level.abusive_qps
    (<LevelReason.ABUSE: 'abuse'>, 2.0)
    """
    policy = policy or ClientPolicy()
    rates = np.asarray(client_rates, dtype=np.float64)
    if not (np.isfinite(rates).all() and (rates >= 0).all()):
        raise ValueError("client rates must be finite and >= 0; leave out who is not known")
    median, above = _normal(rates, policy)
    abusive = rates > above
    left = policy.abusive_share * median
    if not abusive.any():
        above = left = math.inf
    fair = max_min_fair(limit_qps, np.where(abusive, left, rates))
    if fair.level < math.inf:
        return ClientLevel(fair.level, above, left, LevelReason.LIMIT)
    reason = LevelReason.ABUSE if abusive.any() else LevelReason.FITS
    return ClientLevel(math.inf, above, left, reason)


def _normal(rates: FloatArray, policy: ClientPolicy) -> tuple[float, float]:
    """Return the rate of the median client, and the highest rate that is normal."""
    active = rates[rates > 0]
    if len(active) < policy.least_clients:
        return math.inf, math.inf
    low, median = map(float, np.quantile(active, (ONE_DEVIATION_BELOW, 0.5)))
    highest = median * max(policy.least_ratio, min(median / low, MOST_RATIO) ** policy.deviations)
    # A client that is normally at the top counts so much more by chance (Poisson).
    chance = policy.deviations * math.sqrt(highest / policy.window_s)
    return median, highest + chance
