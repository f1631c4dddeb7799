"""The past of every service that is watched, on the forecast's grid."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import overload

import numpy as np
import numpy.typing as npt

from forecaster.data.quality import believable
from forecaster.data.series import Block, FloatArray, Series
from scaler.control.memory import HistoryMemory
from scaler.control.ports import TrafficQuery, TrafficSource
from scaler.control.unfailing_log import UnfailingLogger
from scaler.decision.plausible import is_heeded, marked_for
from scaler.decision.seasonal_low import DAYS, HalfHours
from scaler.decision.wariness import MOST_SAMPLES
from scaler.policy.policy import Policy

LOGGER = UnfailingLogger(__name__)

HISTORY = timedelta(days=8)
# Between two tries to read the past of a service whose past could not be read.
RETRY_S = 60.0
# Pasts that one tick reads: of a thousand services at once the first tick would take a minute.
AT_ONCE = 100


@dataclass(slots=True)
class _Samples:
    """The samples of one item; the last one ends at ``end``, the last known one at ``known``.

    ``marked_since``: since when all was marked up to the end, when it was read; NaN: it was not.
    """

    values: Block  # of a thousand items, the memory counts
    end: float
    known: float
    marked_since: float = math.nan

    def add(self, samples: Sequence[tuple[float, float]], step_s: float) -> None:
        for stamp, value in samples:
            ahead = round((stamp - self.end) / step_s)
            if ahead > 0:
                gap = min(ahead, len(self.values))
                self.values[:-gap] = self.values[gap:].copy()
                self.values[-gap:] = np.nan
                self.end = stamp
                self.values[-1] = value
                if not math.isnan(value):
                    self.known = stamp

    def end_by(self, now: float, step_s: float) -> None:
        """Forget what ends later than ``now``: it is measured again when it has happened."""
        ahead = min(max(math.ceil((self.end - now) / step_s), 0), len(self.values))
        if ahead:
            self.values[ahead:] = self.values[:-ahead].copy()
            self.values[:ahead] = np.nan
            self.end -= ahead * step_s
            self.known = min(self.known, self.end)


class DemandHistory:
    """Reads each past once and adds to it. Confined to the loop's thread.

    Args:
        traffic: where pasts are read.
        step: of the grid.
    """

    def __init__(self, traffic: TrafficSource, step: timedelta) -> None:
        self._traffic, self._step, self._step_s = traffic, step, step.total_seconds()
        self._half_hours = HalfHours.of(step)
        self._demand_history: dict[str, _Samples] = {}
        self._tried: dict[str, float] = {}
        self._told: dict[str, str] = {}  # of each item, what was logged last

    def __contains__(self, item: str) -> bool:
        return item in self._demand_history

    @property
    def newest(self) -> float:
        """Return when the latest sample of any item ends; -inf where there is none."""
        return max((past.end for past in self._demand_history.values()), default=-math.inf)

    def keep(self, items: set[str]) -> None:
        """Forget all but these."""
        for kept in (self._demand_history, self._tried, self._told):
            for gone in kept.keys() - items:
                del kept[gone]

    def memory(self) -> HistoryMemory:
        """Return what is remembered but the values: they are read by models alone."""
        ends = {item: past.end for item, past in self._demand_history.items()}
        known = {i: past.known for i, past in self._demand_history.items() if past.known < past.end}
        return HistoryMemory(ends, dict(self._tried), dict(self._told), known)

    def recall(self, memory: HistoryMemory) -> None:
        """Go on from there; values that are not known any more are NaN."""
        count = HISTORY // self._step
        for item, end in memory.ends.items():
            values = np.full(count, np.nan, dtype=np.float32)
            self._demand_history[item] = _Samples(values, end, memory.known.get(item, end))
        self._tried, self._told = dict(memory.tried), dict(memory.told)

    def rebase(self, set_by_s: float, now: float) -> None:
        """Go on under a wall clock that has been set by so much, to ``now``."""
        self._tried = {item: at + set_by_s for item, at in self._tried.items()}
        for item, past in list(self._demand_history.items()):
            past.end_by(now, self._step_s)
            if past.end > now:  # further than it reaches back: it is read anew
                del self._demand_history[item]

    def take_up(self, policies: Iterable[Policy], now: float) -> list[str]:
        """Read the pasts that are not known yet; return whose were read."""
        due = [
            policy
            for policy in policies
            if policy.item_id not in self._demand_history
            and policy.demand_query is not None
            and now - self._tried.get(policy.item_id, -math.inf) >= RETRY_S
        ]
        # Those that were not tried for longest: what fails is not always tried before the others.
        due.sort(key=lambda policy: self._tried.get(policy.item_id, -math.inf))
        del due[AT_ONCE:]
        names = [policy.item_id for policy in due]
        self._tried.update(dict.fromkeys(names, now))
        asked = [(policy.item_id, policy.demand_query or "") for policy in due]
        asked += [(one.item_id, one.mask_query) for one in due if one.mask_query is not None]
        try:
            found = self._traffic.histories(asked, HISTORY, now)
        except Exception as error:  # they are tried again; those that are known go on
            LOGGER.exception("histories could not be read")
            found = [repr(error)] * len(asked)
        count = len(names)
        marks = {item: one for (item, _), one in zip(asked[count:], found[count:], strict=True)}
        for item, past in zip(names, found[:count], strict=True):
            try:
                self._take_up(item, past, marks.get(item))
            except Exception as error:  # a past that fails must not fail another
                LOGGER.exception("%s: its history could not be taken up", item)
                self._told[item] = repr(error)
        return [item for item in names if item in self._demand_history]

    def _take_up(self, item: str, past: Series | str, marks: Series | str | None) -> None:
        if isinstance(past, str):
            if self._told.get(item) != past:
                LOGGER.warning("%s: no history: %s", item, past)
            self._told[item] = past
            return
        # In the digits that are kept, and so recorded.
        past = replace(past, values=past.values.astype(np.float32))
        marked_since = math.nan
        if marks is not None:
            past, marked_since = self._masked(past, marks)
        found = believable(past)
        for finding in found.findings:
            LOGGER.info("history: %s", finding)
        (past,) = found.history
        end = (past.end - past.step).timestamp()
        (known,) = np.nonzero(np.isfinite(past.values))
        ago = len(past.values) - 1 - known[-1] if len(known) else len(past.values)
        values = past.values.astype(np.float32)
        known_until = end - float(ago) * self._step_s
        self._demand_history[item] = _Samples(values, end, known_until, marked_since)

    def _masked(self, past: Series, marks: Series | str) -> tuple[Series, float]:
        """Return a past without what is marked, and since when its end is.

        It is all of it where marks could not be read.
        """
        if isinstance(marks, str):
            LOGGER.warning("%s: nothing of its past is masked: %s", past.item_id, marks)
            return past, math.nan
        marked_s = marked_for(marks.values, self._step_s)
        heeded = is_heeded(marked_s)
        if ignored := int((np.isfinite(marked_s) & ~heeded).sum()):
            told = "%s: %d marks of its past are ignored: they last for longer than a day"
            LOGGER.warning(told, past.item_id, ignored)
        left_out = np.isin(past.stamps, marks.stamps[heeded])
        marked_since = float((marks.stamps - marked_s)[-1])
        return replace(past, values=np.where(left_out, np.nan, past.values)), marked_since

    def why_none(self, item: str) -> str:
        """Return why there is no past of an item."""
        told = self._told.get(item)
        return "its history could not be read yet" + (f": {told}" if told else "")

    def query(self, policy: Policy, now: float) -> TrafficQuery:
        """Return what to ask of a service: what is new since its last sample, or for a step."""
        past = self._demand_history.get(policy.item_id)
        since = past.end if past is not None else now - self._step_s
        query = policy.demand_query or ""
        return TrafficQuery(policy.item_id, query, policy.slo.query, since, policy.mask_query)

    def known_until(self, item: str) -> float:
        """Return when the last sample ends that has a value; -inf where there is none."""
        past = self._demand_history.get(item)
        return -math.inf if past is None else past.known

    def latest(self, items: Iterable[str]) -> dict[str, FloatArray]:
        """Return the last known values of items, by which new ones are judged."""
        pasts = {item: self._demand_history[item].values for item in items}
        known = {item: values[np.isfinite(values)] for item, values in pasts.items()}
        return {item: one[-MOST_SAMPLES:].astype(np.float64) for item, one in known.items()}

    def marked_since(self, items: Iterable[str]) -> dict[str, float]:
        """Return since when pasts were marked up to their end, when they were read; or NaN."""
        return {item: self._demand_history[item].marked_since for item in items}

    def add(self, item: str, samples: Sequence[tuple[float, float]]) -> None:
        if item in self._demand_history:
            self._demand_history[item].add(samples, self._step_s)

    def half_hours(self, policies: Sequence[Policy]) -> Block:
        """Return of each service the half hour around this time of day, on the days before.

        See `seasonal_low.HalfHours.before`.
        """
        hours = self._half_hours
        found = np.empty((len(policies), DAYS, 2 * hours.around + 1), dtype=np.float32)
        alike: dict[tuple[str | None, float], npt.NDArray[np.int64] | None] = {}
        for row, policy in enumerate(policies):
            past = self._demand_history[policy.item_id]
            key = policy.timezone, past.end
            if key not in alike:
                alike[key] = hours.later(policy.timezone, np.array([round(past.end)]))
            found[row] = hours.before(past.values, np.array([len(past.values) - 1]), alike[key])[0]
        return found

    def of(self, policies: Sequence[Policy]) -> Sequence[Series]:
        """Return the pasts of services, each made when it is looked at: a thousand are 92 MB."""
        return _LazySeries(self, policies)

    def series(self, policy: Policy) -> Series:
        item = policy.item_id
        past = self._demand_history[item]
        end = datetime.fromtimestamp(past.end, UTC)
        start = end - (len(past.values) - 1) * self._step
        values = past.values.astype(np.float64)
        return Series(item, start, self._step, values, policy.timezone)


class _LazySeries(Sequence[Series]):
    def __init__(self, demand_history: DemandHistory, policies: Sequence[Policy]) -> None:
        self._demand_history, self._policies = demand_history, policies

    def __len__(self) -> int:
        return len(self._policies)

    @overload
    def __getitem__(self, place: int) -> Series: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Series]: ...
    def __getitem__(self, place: int | slice) -> Series | Sequence[Series]:
        if isinstance(place, slice):
            return _LazySeries(self._demand_history, self._policies[place])
        return self._demand_history.series(self._policies[place])
