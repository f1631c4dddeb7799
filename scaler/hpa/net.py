"""The user's autoscaler as tidegate asks for it under its floor: a net."""

from __future__ import annotations

from dataclasses import replace

from scaler.hpa.aim import aimed
from scaler.hpa.rules import HPASpec

# The autoscaler under tidegate's floor may follow it down: with the usual tolerance of 10 % and
# five minutes of stabilization it would hold what the floor has let go.
NET_STABILIZATION_S = 60.0


def net_under(hpa: HPASpec, capacity_qps: float) -> HPASpec:
    """Return the autoscaler as a net, its target at the capacity of a replica."""
    down = replace(hpa.down, tolerance=0.0, stabilization_s=NET_STABILIZATION_S)
    return replace(aimed(hpa, 1.0, capacity_qps), scale_down=down)
