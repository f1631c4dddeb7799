"""One service's fault, in any step of a tick, leaves the others decided and is told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from scaler.control.snapshot import ConditionKind, Snapshot
from tests.scaler.control.test_loop import watched
from tests.seams.faulty import API, WEB, OddError, Site, decisions, failing


@pytest.fixture(scope="module")
def healthy() -> list[Snapshot]:
    return Site().run()


# One service's fault, step by step.


def cannot_be_enrolled(site: Site) -> None:
    site.api = watched(API, ramp=None)


def has_no_history(site: Site) -> None:
    read = site.traffic.histories

    def histories(queries, length, now):
        pasts = read(queries, length, now)
        return [object() if q[0] == API else p for q, p in zip(queries, pasts, strict=True)]

    site.traffic.histories = histories


def cannot_be_measured(site: Site) -> None:
    site.traffic.faults[API] = "no answer within 5 s"


def cannot_be_taken_in(site: Site) -> None:
    measure = site.traffic.measure

    def broken(queries, now):
        found = measure(queries, now)
        return [
            replace(one, samples=(("noon", None),)) if q.item_id == API else one
            for q, one in zip(queries, found, strict=True)
        ]

    site.traffic.measure = broken


def cannot_be_forecast(site: Site) -> None:
    predict = site.models.predict
    site.models.predict = lambda name, series: failing() if name == "n" else predict(name, series)
    site.api = watched(API, model="n")


def has_a_forecast_that_cannot_be_read(site: Site) -> None:
    site.api = watched(API, payback_s=None)


def cannot_be_asked_how_to_read_it(site: Site) -> None:
    site.api = watched(API, trust=None)


def cannot_be_observed(site: Site) -> None:
    site.workloads.away[API] = "HorizontalPodAutoscaler shop/api does not exist"


def is_observed_as_nothing_known(site: Site) -> None:
    site.workloads.away[API] = None


def cannot_be_decided_on(site: Site) -> None:
    site.api = watched(API, limit=None)


def cannot_be_carried_out(site: Site) -> None:
    apply = site.workloads.apply

    def broken(views, now):
        applied = apply([view for view in views if view.item_id != API], now)
        return {**applied, API: failing_condition()}

    site.workloads.apply = broken


def failing_condition():
    from scaler.control.conditions import not_applied  # noqa: PLC0415
    from scaler.control.snapshot import PlanOutcome  # noqa: PLC0415

    return PlanOutcome((not_applied(OddError("odd")),))


@pytest.mark.parametrize(
    ("broken", "kind", "reason", "says"),
    [
        (cannot_be_enrolled, ConditionKind.READY, "NotDecided", "could not be taken up"),
        (has_no_history, ConditionKind.FORECAST_TRUSTED, "NoForecast", "its history could not be"),
        (cannot_be_measured, ConditionKind.DATA_FRESH, "QueryFailed", "no answer within 5 s"),
        (cannot_be_taken_in, ConditionKind.DATA_FRESH, "NotTakenIn", "could not be taken in"),
        (cannot_be_forecast, ConditionKind.FORECAST_TRUSTED, "NoForecast", "the forecast failed"),
        (has_a_forecast_that_cannot_be_read, ConditionKind.FORECAST_TRUSTED, "NoForecast",
         "its forecast could not be read"),
        (cannot_be_asked_how_to_read_it, ConditionKind.READY, "NotDecided", "the decision failed"),
        (cannot_be_observed, ConditionKind.READY, "NotDecided", "does not exist"),
        (is_observed_as_nothing_known, ConditionKind.READY, "NotDecided", "the decision failed"),
        (cannot_be_decided_on, ConditionKind.READY, "NotDecided", "the decision failed"),
        (cannot_be_carried_out, ConditionKind.READY, "NotApplied", "could not be carried out"),
    ],
    ids=lambda value: value.__name__ if callable(value) else "",
)  # fmt: skip
def test_a_service_whose_step_fails_leaves_the_other_decided(healthy, broken, kind, reason, says):
    site = Site()
    broken(site)
    snapshots = site.run()
    assert decisions(snapshots, WEB) == decisions(healthy, WEB)
    last = snapshots[-1].services
    (told,) = [one for one in last[API].conditions if one.kind is kind]
    assert (told.status, told.reason) == (False, reason)
    assert says in told.message
    assert all(one.status for one in last[WEB].conditions)


# A whole step's fault: the port itself raises.


@pytest.mark.parametrize(
    ("port", "step", "decided", "kind", "reason"),
    [
        ("traffic", "histories", True, ConditionKind.FORECAST_TRUSTED, "NoForecast"),
        ("traffic", "measure", True, ConditionKind.DATA_FRESH, "QueryFailed"),
        ("models", "reload", True, None, ""),
        ("models", "predict", True, ConditionKind.FORECAST_TRUSTED, "NoForecast"),
        ("workloads", "observe", False, ConditionKind.READY, "NotDecided"),
        ("workloads", "apply", True, ConditionKind.READY, "NotApplied"),
    ],
)
def test_a_port_that_raises_ends_no_tick_and_each_service_says_so(
    port, step, decided, kind, reason
):
    site = Site()
    setattr(getattr(site, port), step, failing)
    for view in site.run()[-1].services.values():
        assert (view.decision is not None) is decided
        told = [one.reason for one in view.conditions if one.kind is kind and not one.status]
        assert told == ([reason] if kind else [])


def test_a_limit_is_published_though_no_plan_can_be_carried_out(healthy):
    site = Site()
    site.workloads.floors = {WEB: 7, API: 14}
    site.workloads.apply = failing
    limits = [view.published_limit.limit.qps for view in site.run()[-1].services.values()]
    assert limits == [7 * 50.0, 14 * 50.0]
