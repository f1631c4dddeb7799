"""The service under replay: what happens to requests when this many replicas are up.

`RequestQueue` moves the fluid of requests from tick to tick: queue, time-outs, retries, overload
collapse. How long the requests of each tick took follows from `response_tail` in
`scaler.policy.service_model`.

Fluid, over a tick of ``d`` seconds, with ``x`` = requests per second that arrive, retries included,
``S`` = what the warm replicas serve at saturation, ``B`` = requests waiting:

- goodput when offered more than saturation: ``S / (1 + collapse * (x / S - 1))``: work is wasted on
  requests that nobody waits for any more (congestion collapse: Nagle, RFC 896; measured for
  services by Welsh and Culler, 2001, SEDA, and Zhou et al., 2018, DAGOR);
- ``dB/dt = x - goodput``; who has waited ``timeout_s`` gives up, so ``B <= goodput * timeout_s``;
- of those who gave up, ``retry_share`` come again in the next tick.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from scaler.policy.service_model import ServiceModel


class QueueTick(NamedTuple):
    """What happened to requests in one tick; rates are per second.

    ``offered`` includes retries; ``refused`` is what the limit kept out; ``lost`` gave up;
    ``wait_before`` and ``wait_after`` are the seconds that the queue stands for at both ends;
    ``saturation`` is what could be served.
    """

    offered: float
    refused: float
    lost: float
    wait_before: float
    wait_after: float
    saturation: float


class RequestQueue:
    """The queue of requests, from tick to tick."""

    __slots__ = ("_backlog", "_collapse", "_retries", "_retry_share", "_timeout")

    def __init__(self, model: ServiceModel) -> None:
        self._backlog = 0.0
        self._retries = 0.0
        self._retry_share = model.retry_share
        self._timeout = model.timeout_s
        self._collapse = model.collapse

    @property
    def retries(self) -> float:
        """Requests per second that come again in the next tick."""
        return self._retries

    def tick(
        self, fresh: float, saturation: float, seconds: float, limit: float = math.inf
    ) -> QueueTick:
        """Serve ``fresh`` new requests per second, and the retries, for ``seconds``.

        Of what is offered, ``limit`` per second are admitted; who is refused tries again as often
        as who gave up.
        """
        offered = fresh + self._retries
        admitted = min(offered, limit)
        refused = offered - admitted
        if saturation <= 0.0:
            lost, self._backlog = admitted + self._backlog / seconds, 0.0
            self._retries = self._retry_share * (lost + refused)
            return QueueTick(offered, refused, lost, 0.0, 0.0, 0.0)
        goodput = saturation
        if admitted > saturation:
            goodput = saturation / (1.0 + self._collapse * (admitted / saturation - 1.0))
        most = goodput * self._timeout
        before = min(self._backlog, most)
        after = before + (admitted - goodput) * seconds
        lost = self._backlog - before
        if after > most:
            lost, after = lost + after - most, most
        self._backlog = max(0.0, after)
        lost /= seconds
        self._retries = self._retry_share * (lost + refused)
        return QueueTick(
            offered, refused, lost, before / goodput, self._backlog / goodput, saturation
        )
