"""The findings about one item, collected while the rules run."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np

from forecaster.data.quality.grid import BoolArray
from forecaster.data.quality.values import Action, Finding, QualityRules, RawSeries, Rule, Window
from forecaster.data.series import FloatArray

EPOCH = datetime.fromtimestamp(0, tz=UTC)


@dataclass
class FindingLog:
    """The findings about one item; ``first`` is the stamp of its slot 0."""

    item_id: str
    step: timedelta
    rules: QualityRules
    first: int = 0
    findings: list[Finding] = field(default_factory=list)

    @property
    def seconds(self) -> int:
        return int(self.step.total_seconds())

    @property
    def unusable(self) -> bool:
        return any(f.action in (Action.REFUSED, Action.LEFT_OUT) for f in self.findings)

    def add(self, rule: Rule, action: Action, where: BoolArray, message: str) -> None:
        """Add one finding about the marked slots; none if no slot is marked."""
        at = np.flatnonzero(where)
        if len(at):
            origin = EPOCH + timedelta(seconds=self.first)
            start, end = origin + int(at[0]) * self.step, origin + int(at[-1] + 1) * self.step
            found = Finding(self.item_id, rule, action, start, end, len(at), message)
            self.findings.append(found)

    def add_all(
        self, rule: Rule, action: Action, raw: RawSeries, message: str, factor: int = 1
    ) -> None:
        """Add one finding about all samples; stamps divided by ``factor`` are seconds."""
        start = end = EPOCH
        if len(raw.stamps):
            start += timedelta(seconds=int(raw.stamps.min()) // factor)
            end += timedelta(seconds=int(raw.stamps.max()) // factor) + self.step
        found = Finding(self.item_id, rule, action, start, end, len(raw.stamps), message)
        self.findings.append(found)

    def mask_windows(self, values: FloatArray, mask: tuple[Window, ...]) -> None:
        """Set the samples in the marked windows missing, in place."""
        stamps = self.first + self.seconds * np.arange(len(values))
        hit = np.zeros(len(values), dtype=bool)
        for window in mask:
            if window.item_id in (None, self.item_id):
                hit |= (stamps >= window.start.timestamp()) & (stamps < window.end.timestamp())
        hit &= np.isfinite(values)
        self.add(Rule.MASKED, Action.REPAIRED, hit, f"{hit.sum()} samples marked, set missing")
        values[hit] = np.nan
