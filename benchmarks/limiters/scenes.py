"""The four scenes in which limiters are compared, and who is compared.

All scenes: 40 minutes, something happens at minute 10; 2,000 normal clients send 935 requests per
second, which keeps 10 replicas at 0.65 of their capacity of 144; a replica takes 90 s to start.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import partial

import numpy as np

from benchmarks.limiters.autoscaling import PlainHPA
from benchmarks.limiters.closed_loop import Rival, Scenario, shed
from benchmarks.limiters.dagor import Dagor
from benchmarks.limiters.outcome import InterceptionResult, interception
from benchmarks.limiters.population import Population
from benchmarks.limiters.rivals import AIMD, Both, Fixed, FixedPerClient, Gradient, Limiter
from benchmarks.limiters.tidegate import Tidegate
from forecaster.data.series import FloatArray
from scaler.decision.demand import AnnouncedEvent
from scaler.hpa.controller import DEFAULT_SCALE_DOWN, DEFAULT_SCALE_UP, HPASpec, MetricKind
from scaler.policy.service_model import ServiceModel

TICKS, ONSET, END = 2400, 600, 1800
HPA_TARGET = 0.65
# 8 workers at 0.05 s each serve 160 requests per second at most; within the SLO 0.899 of that.
MODEL = ServiceModel(capacity_qps=143.8)
TIDEGATE, LIMITER_ALONE = "tidegate", "tidegate's limiter, HPA"


def hiding(scenario: Scenario, share: float) -> Scenario:
    """Return the scene with 20 clients that send this part of what the 2,000 do at the height."""
    qps = share * 2.5 * scenario.population.normal_qps
    return replace(
        scenario,
        name="abuse hiding in a promotion",
        population=replace(scenario.population, abusive_qps=qps),
        abusive_level=_during(ONSET, END),
    )


def scenarios(seed: int = 0) -> tuple[Scenario, ...]:
    """Return the four scenes."""
    event = AnnouncedEvent("promotion", float(ONSET), float(END), multiplier=2.5)
    promotion = Scenario(
        name="announced promotion",
        population=Population(),
        normal_level=_promotion(),
        abusive_level=np.zeros(TICKS),
        onset_s=float(ONSET),
        model=MODEL,
        events=(event,),
        seed=seed,
    )
    return (
        promotion,
        replace(promotion, name="flash crowd", normal_level=_flash_crowd(), events=()),
        hiding(promotion, 0.8),
        replace(
            promotion,
            name="overload, slow scale-up",
            normal_level=_overload(),
            model=replace(MODEL, start_up_s=180.0),
            max_replicas=20,
            events=(),
        ),
    )


def smaller(scenario: Scenario, part: float) -> Scenario:
    """Return the scene with so many of its clients and requests, and replicas as much weaker.

    Chance is larger in it: it is for tests, where requests are decided one by one.
    """
    people, model = scenario.population, scenario.model
    fewer = replace(
        people,
        normal=round(people.normal * part),
        abusive=round(people.abusive * part),
        normal_qps=people.normal_qps * part,
        abusive_qps=people.abusive_qps * part,
    )
    weaker = replace(model, capacity_qps=model.capacity_qps * part)
    return replace(scenario, population=fewer, model=weaker)


def calm(seed: int = 0, ticks: int = 600) -> Scenario:
    """Return a scene in which nothing happens."""
    return Scenario("calm", Population(), np.ones(ticks), np.zeros(ticks), 0.0, MODEL, seed=seed)


def _seconds() -> FloatArray:
    return np.arange(TICKS, dtype=np.float64)


def _usual() -> FloatArray:
    """Return the slow part of the day: a tenth up and down in an hour."""
    return np.asarray(1 + 0.1 * np.sin(2 * math.pi * _seconds() / 3600))


def _during(start: float, end: float) -> FloatArray:
    t = _seconds()
    return np.where((t >= start) & (t < end), 1.0, 0.0)


def _promotion() -> FloatArray:
    return np.asarray((1 + 1.5 * _during(ONSET, END)) * _usual())


def _flash_crowd() -> FloatArray:
    """Return x 4 within 150 s, ten minutes long, then waning with a time constant of 5 minutes."""
    t = _seconds()
    rise = np.interp(t, [ONSET, ONSET + 150, ONSET + 750], [0.0, 3.0, 3.0])
    fall = np.exp(-np.maximum(t - (ONSET + 750), 0) / 300)
    return np.asarray((1 + rise * fall) * _usual())


def _overload() -> FloatArray:
    """Return x 3.5 within 5 minutes, held for 15: more than 20 replicas can serve."""
    return np.asarray(np.interp(_seconds(), [600, 900, 1800, 1860], [1, 3.5, 3.5, 1]) * _usual())


def rivals(scenario: Scenario) -> dict[str, Callable[[], Rival]]:
    """Return who is compared, by name; each starts anew when called.

    All but tidegate scale by the same autoscaler, and none of the others looks ahead.
    """
    usual_qps = scenario.usual_replicas * scenario.told_qps
    each_qps = scenario.population.normal_qps / scenario.population.normal

    def alone(make: Callable[[], Limiter]) -> Callable[[], Rival]:
        return lambda: Rival(make(), PlainHPA(_hpa(scenario), scenario.model.capacity_qps))

    limiters: dict[str, Callable[[str], Limiter]] = {
        "fixed limit": lambda name: Fixed(name, 0.95 * usual_qps),
        "AIMD": lambda name: AIMD(name, 0.95 * usual_qps),
        "fixed per client, AIMD": lambda name: Both(
            name, FixedPerClient(name, 20 * each_qps), AIMD(name, 0.95 * usual_qps)
        ),
        "gradient": Gradient,
        "DAGOR": Dagor,
    }
    made = {name: alone(partial(make, name)) for name, make in limiters.items()}
    made[LIMITER_ALONE] = lambda: _tidegate(LIMITER_ALONE, scenario, raises_floor=False)
    made[TIDEGATE] = lambda: _tidegate(TIDEGATE, scenario, raises_floor=True)
    return made


def compare(
    scenario: Scenario, names: Sequence[str] | None = None
) -> tuple[InterceptionResult, ...]:
    """Return the figures of these in one scene; None: of everyone."""
    traffic, made = scenario.traffic(), rivals(scenario)
    started = (made[name]() for name in (made if names is None else names))
    return tuple(interception(scenario, shed(scenario, traffic, rival)) for rival in started)


def _tidegate(name: str, scenario: Scenario, *, raises_floor: bool) -> Rival:
    limiter = Tidegate(name, scenario, _hpa(scenario))
    floor = (lambda: limiter.floor) if raises_floor else None
    autoscaler = PlainHPA(_hpa(scenario), scenario.model.capacity_qps, floor)
    return Rival(limiter, autoscaler, limiter.tick, limiter.end)


def _hpa(scenario: Scenario) -> HPASpec:
    """Return an autoscaler whose `behavior` has the documented defaults."""
    return HPASpec(
        2, scenario.max_replicas, MetricKind.UTILIZATION, HPA_TARGET,
        DEFAULT_SCALE_UP, DEFAULT_SCALE_DOWN,
    )  # fmt: skip
