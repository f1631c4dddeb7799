"""Training of a model for services that it has never seen, whatever their history is like.

The model that ships is trained on variations of recorded traffic, cut into pieces, so that it knows
how to forecast from an hour of history as well as from weeks. It has one calibration for each
length of history, as its forecasts from an hour are less sure.

Every recorded series is split by time: what comes last calibrates, and no variation holds it.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta

import numpy as np

from forecaster.data.augmentation import Augmentation
from forecaster.data.series import Block, FloatArray
from forecaster.evaluation.selection import TABLE_ROWS, balanced_sample, held_out_of
from forecaster.evaluation.splits import Cases, cases_at
from forecaster.features.anchors import build_track
from forecaster.features.track import Indices
from forecaster.features.windows import Windows, cut_windows
from forecaster.models.candidate import Candidate, EpochReport, FitTask, FittingData
from forecaster.models.candidates import BLEND, KINDS, Candidates
from forecaster.models.config import ModelConfig, TrainConfig
from forecaster.models.conformal import calibrations
from forecaster.models.forecaster import ITEMS_AT_ONCE, Forecaster, ItemModel
from forecaster.models.naive import naive_forecasts
from forecaster.models.tail import TailLaw

# Histories shorter than the first span have a calibration of their own, and so on; the last is that
# of all longer ones.
SPANS = (
    *(timedelta(minutes=minutes) for minutes in (30, 90, 240)),
    *(timedelta(days=days) for days in (1, 2, 5)),
)
OLDEST = timedelta(days=8)
# Pieces of a variation: their length, the least history in them, and their windows.
PIECES = (
    (timedelta(hours=2), timedelta(minutes=10), 200),
    (timedelta(hours=6), timedelta(hours=1), 150),
    (timedelta(days=1.5), timedelta(hours=4), 200),
    (timedelta(days=4), timedelta(days=1), 250),
    (timedelta(days=11), timedelta(days=3), 350),
)
# Of each recorded series, the last part calibrates; so many windows of each length of history.
HELD_OUT, HELD_OUT_WINDOWS = 0.2, 240
REASON = "serves what nothing was trained for yet"


@dataclass(frozen=True, eq=False)
class Recorded:
    """The samples of one service, and of what kind it is: those of a kind are not independent.

    Attributes:
        name: of the service.
        kind: services of a kind share a source; all kinds are varied alike.
        values: ``(time,)`` QPS, NaN where missing.
    """

    name: str
    kind: str
    values: FloatArray


@dataclass(frozen=True)
class PretrainConfig:
    """How the model that ships is trained.

    Attributes:
        train: of the networks.
        variations: of each kind of service.
    """

    train: TrainConfig = field(default_factory=lambda: TrainConfig(members=2, epochs=8))
    variations: int = 24


def pretrain(
    recorded: Sequence[Recorded],
    config: PretrainConfig | None = None,
    report: Callable[[EpochReport], None] = lambda _: None,
) -> Forecaster:
    """Return a forecaster that knows no item, fitted on variations of what was recorded.

    Args:
        recorded: services, each with days of samples at the model's step.
        config: None: as for the model that ships.
        report: called with the result of each epoch.
    """
    config = config or PretrainConfig()
    model, rng = config.train.model, np.random.default_rng(config.train.seed)
    fitted = [_before(one) for one in recorded]
    held_out = [
        [part for one in recorded if (part := _held_out(one, age, model, rng)) is not None]
        for age in itertools.pairwise((timedelta(0), *SPANS, OLDEST))
    ]
    data = FittingData(
        list(_varied(fitted, config, rng)),
        [part.windows for parts in held_out for part in parts],
    )
    table = Windows.join(balanced_sample(data.train, TABLE_ROWS // model.prediction_length, rng))
    task = FitTask(config.train, data, table, report)
    learned: dict[str, Candidate] = {kind.name: kind.fit(task)[0] for kind in KINDS}
    candidates = Candidates(model, learned, has_blend=True)
    *young, default = (_calibration(candidates, parts) for parts in held_out)
    return Forecaster(candidates, {}, default, young_models=tuple(zip(SPANS, young, strict=True)))


def _before(one: Recorded) -> Recorded:
    return replace(one, values=one.values[: round(len(one.values) * (1 - HELD_OUT))])


def _varied(
    fitted: Sequence[Recorded], config: PretrainConfig, rng: np.random.Generator
) -> Iterator[Windows]:
    """Yield windows of every kind, recorded and varied, with histories of all lengths."""
    model = config.train.model
    augmentation = Augmentation(model.step)
    kinds: dict[str, list[FloatArray]] = {}
    for one in fitted:
        kinds.setdefault(one.kind, []).append(one.values)
    every = [one.values for one in fitted]
    for services in kinds.values():
        for number in range(config.variations):
            if number % 4 == 0:  # as recorded
                values = services[(number // 4) % len(services)]
            else:
                values = augmentation.vary(services[number % len(services)], every, rng)
            for piece in PIECES:
                if (windows := _piece(values, piece, model, rng)) is not None:
                    yield windows


def _piece(
    values: FloatArray,
    piece: tuple[timedelta, timedelta, int],
    model: ModelConfig,
    rng: np.random.Generator,
) -> Windows | None:
    """Return windows with histories of one kind of length; None where there are none."""
    span, least, count = piece
    length = min(span // model.step, len(values))
    pieces = max(min(count // 20, 8), 1) if length < len(values) else 1
    starts = rng.integers(len(values) - length + 1, size=pieces)
    block = np.stack([values[start : start + length] for start in starts]).astype(np.float32)
    first, last = least // model.step, length - model.prediction_length
    if last <= first:
        return None
    rows = rng.integers(pieces, size=count)
    origins = rng.integers(first, last, size=count)
    track = build_track(block, model.timing)
    known = np.isfinite(track.filled[rows, origins])
    windows = cut_windows(track, rows[known], origins[known], model.context_length)
    useful = np.isfinite(windows.target).any(axis=1) & np.isfinite(windows.scale)
    return windows.take(np.flatnonzero(useful)) if useful.any() else None


def cut_at(values: FloatArray, origins: Indices, history: int, model: ModelConfig) -> Cases:
    """Return the cases at origins, as if recording had begun just before each of them.

    Args:
        values: ``(time,)`` QPS, with the targets.
        origins: places in them.
        history: samples before and at each origin, that are all that is known.
        model: the shape of the model.
    """
    ahead = model.prediction_length
    places = origins[:, None] + np.arange(1 - history, 1)
    found = []
    for first in range(0, len(origins), ITEMS_AT_ONCE):
        block = values[places[first : first + ITEMS_AT_ONCE]].astype(np.float32)
        at = origins[first : first + len(block)]
        track = build_track(block, model.timing)
        rows, newest = np.arange(len(block)), np.full(len(block), history - 1)
        windows = cut_windows(track, rows, newest, model.context_length)
        target = values[at[:, None] + np.arange(1, ahead + 1)]
        windows = replace(windows, target=target.astype(np.float32))
        found.append(Cases(windows, naive_forecasts(track, rows, newest), at))
    return Cases.join(found)


def _held_out(
    one: Recorded, age: tuple[timedelta, timedelta], model: ModelConfig, rng: np.random.Generator
) -> Cases | None:
    """Return cases at the end of a service with histories between two ages; None if too short."""
    first = round(len(one.values) * (1 - HELD_OUT))
    least, most = max(age[0] // model.step, model.timing.hour // 6), age[1] // model.step
    room = len(one.values) - first - model.prediction_length - 1
    pieces = int(np.clip(room // most, 1, 24))
    parts = []
    for until in np.linspace(first + room / pieces, first + room, pieces).astype(np.int64):
        start = max(int(until) - most, 0)  # the piece; its origins are held out
        begin = max(start + least, int(until) - room // pieces)
        origins = np.arange(begin, int(until))
        origins = origins[np.isfinite(one.values[origins])]
        if not len(origins) or not np.isfinite(one.values[start : begin + 1]).any():
            continue
        count = min(HELD_OUT_WINDOWS // pieces, len(origins))
        chosen = np.sort(rng.choice(origins, count, replace=False))
        piece = one.values[None, start : int(until) + model.prediction_length + 1]
        cases = cases_at(build_track(piece.astype(np.float32), model.timing), chosen - start, model)
        parts.append(replace(cases, origins=chosen))
    return Cases.join(parts) if parts else None


def _calibration(candidates: Candidates, parts: Sequence[Cases]) -> ItemModel:
    """Return what calibrates all services with histories of one length.

    It is the median over the services: pooled, the wildest of them would calibrate all others.
    """
    shifts: dict[str, Block] = {}
    tails: dict[str, TailLaw] = {}
    for said in zip(*(candidates.spreads(part.windows, part.naive) for part in parts), strict=True):
        name = said[0][0]
        held_out = [
            held_out_of(spread, part, candidates.model)
            for (_, spread), part in zip(said, parts, strict=True)
        ]
        own, common = calibrations(held_out, candidates.model.quantile_levels)
        shifts[name] = np.median([found.shifts for found in own], axis=0)
        if common.law is not None:
            tails[name] = common.law
    return ItemModel(BLEND, REASON, shifts, tails=tails)
