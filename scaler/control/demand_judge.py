"""What may be believed of what is measured, service by service; see `scaler.decision.plausible`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from forecaster.data.series import FloatArray
from scaler.control.checkpoint import reports_from_plain
from scaler.control.observations import ServiceMetrics
from scaler.control.ports import DemandWitness
from scaler.control.unfailing_log import UnfailingLogger
from scaler.decision.plausible import judged, lasts_too_long
from scaler.decision.wariness import REPORTED_S, RULES, DemandReading, KeptReports, Wariness

LOGGER = UnfailingLogger(__name__)
NOTHING_KNOWN = Wariness()
NO_VALUES = NOTHING_KNOWN.values
MARKS_IGNORED = (
    "demand.maskQuery has marked every moment for longer than a day, so it is ignored; "
    "it is to be above 0 in incidents alone"
)


class DemandJudge:
    """Judges demand at each tick. Confined to the loop's thread.

    Args:
        witness: whose reports are compared.
        step_s: between two samples of the forecast's grid.
        tick_s: between two ticks.
    """

    def __init__(self, witness: DemandWitness, step_s: float, tick_s: float) -> None:
        self._witness, self._step_s, self._tick_s = witness, step_s, tick_s
        self._wariness: dict[str, Wariness] = {}

    def memory(self) -> dict[str, Wariness]:
        return dict(self._wariness)

    def recall(self, memory: Mapping[str, Wariness]) -> None:
        self._wariness = dict(memory)

    def rebase(self, set_by_s: float) -> None:
        """Go on under a wall clock that has been set: no doubt ends by that."""
        self._wariness = {item: one.rebased(set_by_s) for item, one in self._wariness.items()}

    def look_back(self, pasts: Mapping[str, FloatArray], marked_since: Mapping[str, float]) -> None:
        """Learn what is usual from pasts, unless enough has been seen, and which are marked."""
        for item, past in pasts.items():
            wary = self._wariness.get(item, NOTHING_KNOWN)
            since = float(np.fmin(wary.marked_since, marked_since.get(item, math.nan)))
            wary = replace(wary, marked_since=since)
            if len(wary.values) < RULES.min_samples:
                wary = replace(wary, values=NO_VALUES).with_samples(past.tolist())
            self._wariness[item] = wary

    def kept_reports(self, item: str) -> KeptReports | None:
        """Return what gateways have taught of an item, for who comes after us."""
        return self._wariness.get(item, NOTHING_KNOWN).kept_reports

    def go_on(self, item: str, heard: KeptReports | None, now: float) -> None:
        """Go on where the last process has stopped, with reports as if they were of now."""
        if heard is not None:
            self._adopt(item, heard, now)

    def follow(self, item: str, checkpoint: Mapping[str, Any] | None, now: float) -> None:
        """Take over what the leader keeps, unless we hear gateways ourselves.

        They report to the leader alone. Its word is as old as the reports that it rests on.
        """
        heard = reports_from_plain(checkpoint)
        if heard is None:
            return
        at = min(heard.reported_at, now)  # its clock may be ahead of ours
        reports = self._wariness.get(item, NOTHING_KNOWN).reports
        if now - at < REPORTED_S and (not reports or at > reports[-1][0]):
            self._adopt(item, heard, at)

    def _adopt(self, item: str, heard: KeptReports, at: float) -> None:
        wary = self._wariness.get(item, NOTHING_KNOWN)
        self._wariness[item] = wary.with_kept_reports(heard, at, self._tick_s)

    def believed(
        self, measured: Mapping[str, ServiceMetrics], now: float
    ) -> dict[str, ServiceMetrics]:
        """Return what may be believed of each service's metrics; forget all other services."""
        try:
            reports = self._witness.reported()
        except Exception:  # without a witness demand is judged by itself
            LOGGER.exception("reports of gateways could not be read")
            reports = {}
        self._wariness = {item: one for item, one in self._wariness.items() if item in measured}
        found = {}
        for item, one in measured.items():
            found[item] = one
            with LOGGER.going_on(f"{item}: its demand could not be judged"):
                found[item] = self._judged(item, one, reports.get(item, math.nan), now)
        return found

    def _judged(
        self, item: str, metrics: ServiceMetrics, reported_qps: float, now: float
    ) -> ServiceMetrics:
        reading = DemandReading(metrics.observed_qps, metrics.samples, reported_qps, metrics.marks)
        before = self._wariness.get(item, NOTHING_KNOWN)
        doubted, samples, after = judged(reading, before, now, self._step_s, self._tick_s)
        self._wariness[item] = after
        if metrics.marks and lasts_too_long(after, now):
            metrics = replace(metrics, fault=metrics.fault or MARKS_IGNORED)
        if doubted is None:
            return metrics if samples == metrics.samples else replace(metrics, samples=samples)
        return replace(
            metrics,
            observed_qps=math.nan,
            samples=samples,
            least_qps=doubted.least_qps,
            doubted=doubted,
        )
