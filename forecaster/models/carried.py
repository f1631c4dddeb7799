"""The anchors of a model's items, kept from call to call.

Each call gives the histories again. An item whose history continues what is kept is updated by its
new samples; any other one is computed from its whole history: a new item, one whose recent samples
have changed, such as by a late sample, and one that is more than a day behind.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from forecaster.data.local_clock import LocalClock, calendar_of, clock_of
from forecaster.data.series import Block, FloatArray, Series
from forecaster.features.anchor_state import AnchorState
from forecaster.features.shapes import samples_at, shape_places
from forecaster.features.shocks import local_shock_ages, shock_ages
from forecaster.features.track import Indices
from forecaster.features.windows import Windows, earlier_places
from forecaster.models.config import ModelConfig

# Items that are computed from their histories at once: each needs 3 MB meanwhile.
ITEMS_AT_ONCE = 16
_STATE = "state: "  # prefix of the state in `CarriedAnchors.arrays`


@dataclass(frozen=True, eq=False)
class Newest:
    """The windows at the newest samples of items, and their places in the call."""

    places: tuple[int, ...]
    item_ids: tuple[str, ...]
    origins: tuple[datetime, ...]
    windows: Windows


@dataclass(frozen=True, eq=False)
class _Kept:
    """The state of items: ``rows`` by item, and of each row when its last sample was and its zone.

    A zone is what `calendar_of` returns.
    """

    state: AnchorState
    rows: Mapping[str, int]
    ends: npt.NDArray[np.int64]
    zones: npt.NDArray[np.str_]

    def without(self, items: Container[str]) -> _Kept | None:
        """Return what is kept of all other items; None if there are none."""
        left = [item for item in self.rows if item not in items]
        if not left:
            return None
        if len(left) == len(self.rows):
            return self
        rows = np.array([self.rows[item] for item in left])
        named = {item: row for row, item in enumerate(left)}
        return _Kept(self.state.take(rows), named, self.ends[rows], self.zones[rows])


@dataclass(frozen=True, eq=False)
class _Look:
    """What a call needs of one history.

    Attributes:
        place: index of the item in the call.
        length: number of its samples up to the last known one; ``end`` in seconds since the epoch.
        kept: what its history continues, or None; there it has the ``row``.
        samples: the new ones, ``(time,)``; ``week`` at the `shape_places` of each.
        earlier: samples at the `earlier_places` of the last one.
        week_ages, earlier_ages: how many samples before the last one those are.
        zone: see `calendar_of`; ``clock`` where it matters in the history.
    """

    place: int
    item_id: str
    length: int
    end: int
    kept: _Kept | None
    row: int
    samples: Block
    week: Block
    earlier: Block
    week_ages: Indices
    earlier_ages: Indices
    zone: str
    clock: LocalClock | None


class CarriedAnchors:
    """The anchors of items of one timing and context length. Not thread-safe."""

    def __init__(self, model: ModelConfig) -> None:
        self._timing, self._context_length = model.timing, model.context_length
        self._longest = int(shock_ages(model.timing).max())
        self._kept: _Kept | None = None
        self._restored: _Kept | None = None  # of items that no call has given yet

    def __len__(self) -> int:
        return sum(len(kept.rows) for kept in (self._kept, self._restored) if kept)

    def fits(self, model: ModelConfig) -> bool:
        """Return whether a model, such as a new champion, can go on with these anchors."""
        return (model.timing, model.context_length) == (self._timing, self._context_length)

    def newest(
        self,
        series: Sequence[Series],
        wanted: Callable[[str], bool],
        zoned: Callable[[Series], Series] = lambda one: one,
    ) -> Newest | None:
        """Return the windows at the last known sample of each wanted item that has one.

        Afterwards the anchors of these items are kept, and of no others. An item whose history
        fails, or has another step than the model, is left out. ``zoned`` names the time zone of a
        series; an item whose zone is another one now is computed from its whole history.
        """
        looks = self._looks(series, wanted, zoned)
        if not looks:
            self._kept = None
            return None
        ids = {look.item_id: row for row, look in enumerate(looks)}
        ends = np.array([look.end for look in looks], dtype=np.int64)
        zones = np.array([look.zone for look in looks])
        self._kept = _Kept(self._updated(looks, series), ids, ends, zones)
        self._restored = self._restored and self._restored.without(ids)
        return Newest(
            tuple(look.place for look in looks),
            tuple(ids),
            tuple(datetime.fromtimestamp(look.end, UTC) for look in looks),
            self._kept.state.windows(
                np.stack([look.earlier for look in looks]),
                np.stack([look.earlier_ages for look in looks]),
                self._shock_ages(looks),
            ),
        )

    def _shock_ages(self, looks: Sequence[_Look]) -> Indices | None:
        """Return the `local_shock_ages` of each item; None where no clock changes."""
        if all(look.clock is None for look in looks):
            return None
        alike = {
            (length, clock): local_shock_ages(np.array([length - 1]), self._timing, clock)
            for length, clock in {(look.length, look.clock) for look in looks}
        }
        return np.concatenate([alike[look.length, look.clock] for look in looks])

    def _looks(
        self,
        series: Sequence[Series],
        wanted: Callable[[str], bool],
        zoned: Callable[[Series], Series],
    ) -> list[_Look]:
        looks = []
        for place in range(len(series)):
            with contextlib.suppress(Exception):  # the prediction of this item alone says why
                one = zoned(series[place])
                if wanted(one.item_id) and (look := self._look(place, one)) is not None:
                    looks.append(look)
        return looks

    def _look(self, place: int, one: Series) -> _Look | None:
        """Return what is needed of a history; None if it has no known sample, or another step."""
        length = _known_length(one.values)
        if not length or one.step != self._timing.step:
            return None
        end = int(one.start.timestamp()) + (length - 1) * int(one.step.total_seconds())
        kept, row, count = self._continued(one, length, end)
        new = np.arange(length - count, length)
        timing, last = self._timing, np.array([length - 1])
        clock = clock_of(one, timing.ahead, self._longest)
        week = shape_places(new, timing, clock)
        earlier = earlier_places(last, timing, clock)[0]
        return _Look(
            place, one.item_id, length, end, kept, row,
            one.values[new].astype(np.float32),
            samples_at(one.values, week),
            samples_at(one.values, earlier),
            length - 1 - week, length - 1 - earlier,
            calendar_of(one), clock,
        )  # fmt: skip

    def _continued(self, one: Series, length: int, end: int) -> tuple[_Kept | None, int, int]:
        """Return what a history continues, its row there, and the number of its new samples."""
        for kept in (self._kept, self._restored):
            row = -1 if kept is None else kept.rows.get(one.item_id, -1)
            if kept is None or row < 0 or kept.zones[row] != calendar_of(one):
                continue
            count, rest = divmod(end - int(kept.ends[row]), int(one.step.total_seconds()))
            is_ahead = not rest and 0 <= count <= self._timing.day and count < length
            if is_ahead and (kept is self._restored or _agree(kept, row, one, length - count)):
                return kept, row, count
        return None, -1, 0

    def _updated(self, looks: Sequence[_Look], series: Sequence[Series]) -> AnchorState:
        """Return the state of the items in order."""
        parts = list(self._parts(looks, series))
        order = [place for places, _ in parts for place in places]
        state = parts[0][1] if len(parts) == 1 else AnchorState.join([part for _, part in parts])
        return state if order == sorted(order) else state.take(np.argsort(order))

    def _parts(
        self, looks: Sequence[_Look], series: Sequence[Series]
    ) -> Iterator[tuple[list[int], AnchorState]]:
        """Yield states of items with their indices in ``looks``."""
        continued: dict[tuple[bool, int], list[int]] = {}
        computed: dict[tuple[int, LocalClock | None], list[int]] = {}
        for i, look in enumerate(looks):
            if look.kept is None:
                computed.setdefault((look.length, look.clock), []).append(i)
            else:
                group = look.kept is self._kept, len(look.samples)
                continued.setdefault(group, []).append(i)
        for places in continued.values():
            yield places, _after([looks[i] for i in places])
        for (length, clock), places in computed.items():
            for first in range(0, len(places), ITEMS_AT_ONCE):
                block = places[first : first + ITEMS_AT_ONCE]
                values = [series[looks[i].place].values[:length] for i in block]
                history = np.stack(values).astype(np.float32)
                yield block, AnchorState.of(history, self._timing, self._context_length, clock)

    def arrays(self) -> dict[str, npt.NDArray[Any]]:
        """Return all that is kept as arrays by name; see `restore`. Empty if nothing is kept."""
        parts = [kept for kept in (self._kept, self._restored) if kept is not None]
        if not parts:
            return {}
        state = AnchorState.join([part.state for part in parts])
        return {
            "items": np.array([item for part in parts for item in part.rows]),
            "ends": np.concatenate([part.ends for part in parts]),
            "zones": np.concatenate([part.zones for part in parts]),
            **{f"{_STATE}{name}": array for name, array in state.arrays().items()},
        }

    def restore(self, arrays: Mapping[str, npt.NDArray[Any]]) -> None:
        """Continue from kept arrays.

        The samples behind them are not compared with the next histories: what a server returns for
        a moment long past may differ from what it returned at that moment.

        Raises:
            KeyError, ValueError: they are of another timing or context length.
        """
        kept = {
            name.removeprefix(_STATE): array
            for name, array in arrays.items()
            if name.startswith(_STATE)
        }
        state = AnchorState.from_arrays(kept, self._timing, self._context_length)
        items, ends = [str(item) for item in arrays["items"]], arrays["ends"].astype(np.int64)
        zones = arrays.get("zones", np.full(len(items), ""))  # before 0.2.0 there were none
        if not len(items) == len(set(items)) == len(ends) == len(zones) == len(state):
            raise ValueError(f"{len(items)} items and {len(ends)} ends, but {len(state)} states")
        self._restored = _Kept(state, {item: row for row, item in enumerate(items)}, ends, zones)


def _agree(kept: _Kept, row: int, one: Series, length: int) -> bool:
    """Return whether the first ``length`` samples of a history end with those that are kept."""
    values = kept.state.track.values[row]
    there = min(len(values), length)
    recent = one.values[length - there : length].astype(np.float32)
    return np.array_equal(values[len(values) - there :], recent, equal_nan=True)


def _after(looks: Sequence[_Look]) -> AnchorState:
    """Return the state of items after their new samples; all continue the same, by as many."""
    kept = looks[0].kept
    assert kept is not None
    rows = np.array([look.row for look in looks])
    is_all = len(rows) == len(kept.state) and (rows == np.arange(len(rows))).all()
    state = kept.state if is_all else kept.state.take(rows)
    if not len(looks[0].samples):
        return state
    return state.after(
        np.stack([look.samples for look in looks]),
        np.stack([look.week for look in looks]),
        np.stack([look.week_ages for look in looks]),
    )


def _known_length(values: FloatArray) -> int:
    """Return the number of samples up to the last known one."""
    if len(values) and np.isfinite(values[-1]):
        return len(values)
    known = np.flatnonzero(np.isfinite(values))
    return int(known[-1]) + 1 if len(known) else 0
