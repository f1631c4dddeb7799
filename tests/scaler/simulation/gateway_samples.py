"""Outcomes of gateways with figures made by hand, for what is said and drawn of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from scaler.simulation.gateway_outcome import NO_CLASS, ClassOutcome, GatewayOutcome, GatewayPath
from tests.scaler.simulation.replay_samples import START

FOUND = GatewayOutcome(
    START,
    1800.0,
    2,
    ClassOutcome("all", 30_000, 1_500, 30),
    (ClassOutcome("pay", 10_000, 0, 0), ClassOutcome("stress", 20_000, 1_500, 30)),
    12.0,
    400.0,
    GatewayPath(
        np.array([START + 900.0, START + 1800.0]),
        np.array([15.0, 16.0]),
        np.array([[5.0, 6.0], [10.0, 12.0]]),
        np.array([[5.0, 6.0], [9.5, 10.8]]),
    ),
)
PLAIN = replace(
    FOUND,
    classes=(ClassOutcome(NO_CLASS, 30_000, 1_500, 30),),
    gateways=1,
    excess=0.0,
    path=replace(
        FOUND.path,
        offered=FOUND.path.offered.sum(axis=0, keepdims=True),
        admitted=FOUND.path.admitted.sum(axis=0, keepdims=True),
    ),
)


def named(name: str) -> GatewayOutcome:
    """Return the outcome with another name of its first class."""
    first, *others = FOUND.classes
    return replace(FOUND, classes=(replace(first, name=name), *others))
