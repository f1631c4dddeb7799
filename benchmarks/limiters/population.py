"""Who sends the requests: many normal clients, a few abusive ones, and what each does when refused.

Arrays have the axes (classes, clients), the most important class first; the normal clients come
before the abusive ones. A tick is one second, so a count in a tick is also a rate per second.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from forecaster.data.series import FloatArray

# In this order: what must not fail, what most do, and load tests.
PAY, BROWSE, STRESS = "pay", "browse", "stress"
CLASSES = (PAY, BROWSE, STRESS)
_DRAWN_AT_ONCE = 100  # ticks


@dataclass(frozen=True, slots=True)
class Population:
    """Clients and their habits.

    Attributes:
        normal: how many normal clients; abusive: how many abusive ones.
        normal_qps: of all normal clients together, at level 1.
        abusive_qps: of all abusive clients together, at level 1; each sends the same.
        spread: standard deviation of the logarithm of a normal client's rate (lognormal). At 1.0
            the heaviest of 2,000 sends about 28 times what the median client does.
        mix: share of a normal client's requests in each of `CLASSES`.
        abusive_mix: the same of an abusive client.
        retry_share: of a normal client's requests that were refused or timed out: come again.
        back_off_s: mean time until they do.
        abusive_retry_share: of an abusive client's, which come again in the next second.
    """

    normal: int = 2000
    abusive: int = 20
    normal_qps: float = 935.0
    abusive_qps: float = 0.0
    spread: float = 1.0
    mix: tuple[float, ...] = (0.15, 0.8, 0.05)
    abusive_mix: tuple[float, ...] = (0.15, 0.8, 0.05)
    retry_share: float = 0.5
    back_off_s: float = 5.0
    abusive_retry_share: float = 0.8

    def __post_init__(self) -> None:
        if self.normal < 1 or self.abusive < 0:
            raise ValueError(
                f"normal is {self.normal} and abusive {self.abusive}, but there must be at least "
                "one normal client and no fewer than 0 abusive ones"
            )
        for name in ("normal_qps", "abusive_qps", "spread"):
            if not 0 <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be finite and >= 0")
        for name in ("mix", "abusive_mix"):
            shares = getattr(self, name)
            if len(shares) != len(CLASSES) or min(shares) < 0 or abs(sum(shares) - 1) > 1e-9:
                raise ValueError(f"{name} is {shares}, but must be {len(CLASSES)} shares of 1")
        for name in ("retry_share", "abusive_retry_share"):
            if not 0 <= getattr(self, name) < 1:
                raise ValueError(f"{name} is {getattr(self, name)}, but must be in [0, 1)")
        if not 0 < self.back_off_s < math.inf:
            raise ValueError(f"back_off_s is {self.back_off_s}, but must be finite and > 0")

    @property
    def clients(self) -> int:
        return self.normal + self.abusive


@dataclass(frozen=True, eq=False)
class ClientTraffic:
    """First attempts in each tick, shape ``(ticks, classes, clients)``; retries come on top.

    Attributes:
        population: who sends them.
    """

    population: Population
    counts: npt.NDArray[np.uint16] = field(repr=False)

    def __len__(self) -> int:
        return len(self.counts)


def draw(
    population: Population,
    normal_level: FloatArray,
    abusive_level: FloatArray,
    rng: np.random.Generator,
) -> ClientTraffic:
    """Return what is sent: each client's requests are a Poisson process in each class.

    Args:
        population: who sends.
        normal_level: times their rate at level 1, per tick, ``(ticks,)``.
        abusive_level: the same for abusive clients.
        rng: draws the rates, once, and the requests.
    """
    if normal_level.shape != abusive_level.shape or normal_level.ndim != 1:
        raise ValueError(
            f"levels have shapes {normal_level.shape} and {abusive_level.shape}, not (ticks,) both"
        )
    weights = np.exp(population.spread * rng.standard_normal(population.normal))
    normal = np.outer(population.mix, population.normal_qps * weights / weights.sum())
    each = population.abusive_qps / max(population.abusive, 1)
    abusive = np.outer(population.abusive_mix, np.full(population.abusive, each))
    ticks = len(normal_level)
    counts = np.empty((ticks, len(CLASSES), population.clients), dtype=np.uint16)
    for start in range(0, ticks, _DRAWN_AT_ONCE):
        part = slice(start, start + _DRAWN_AT_ONCE)
        for rates, levels, who in (
            (normal, normal_level[part], slice(None, population.normal)),
            (abusive, abusive_level[part], slice(population.normal, None)),
        ):
            counts[part, :, who] = rng.poisson(levels[:, None, None] * rates)
    counts.setflags(write=False)
    return ClientTraffic(population, counts)


class Retries:
    """Requests that will come again: after a back-off where the client is normal, else at once.

    What comes are whole requests, whatever shares of them a limiter refused.
    """

    def __init__(self, population: Population, rng: np.random.Generator) -> None:
        self._rng = rng
        self._waiting = np.zeros((len(CLASSES), population.clients))
        normal = np.arange(population.clients) < population.normal
        self._again = np.where(normal, population.retry_share, population.abusive_retry_share)
        self._due = np.where(normal, -math.expm1(-1.0 / population.back_off_s), 1.0)

    def due(self) -> FloatArray:
        """Take out those that come in this tick."""
        expected = np.maximum(self._waiting * self._due, 0.0)
        # Rounded up as often as the fraction says; what that is too much is kept as a debt.
        now = np.floor(expected + self._rng.random(expected.shape))
        self._waiting -= now
        return np.asarray(now)

    def add(self, failed: FloatArray) -> None:
        """Tell which requests were refused or timed out; some are given up for good."""
        self._waiting += failed * self._again
