"""Training of a forecaster: fits and calibrates all candidates, and chooses one for each item.

The choice is made on the calibration part of the history, so that the test part measures the served
forecast without having influenced it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from forecaster.data.series import Block, FloatArray, History
from forecaster.errors import HistoryError
from forecaster.evaluation.choice import choose, hourly_losses, relative
from forecaster.evaluation.splits import MIN_WINDOWS, Cases, ItemCases, Parts, prepare
from forecaster.evaluation.time_budget import RESERVE, plan_line, time_left
from forecaster.features.windows import Windows
from forecaster.models.candidate import (
    Candidate,
    CandidateKind,
    Checkpoints,
    Doing,
    EpochReport,
    FitTask,
    FittingData,
    silently,
)
from forecaster.models.candidates import KINDS, Candidates
from forecaster.models.config import ModelConfig, TrainConfig
from forecaster.models.conformal import HeldOut, calibrations
from forecaster.models.forecaster import Forecaster, ItemModel
from forecaster.models.lstm_ensemble import LSTM
from forecaster.models.naive import Spread
from forecaster.models.tabular import BOOSTING
from forecaster.models.tail import TailLaw

# Rows for fitting ridge and boosting; more rows took longer without better results.
TABLE_ROWS = 150_000


@dataclass(frozen=True, eq=False)
class Fitted:
    """The result of a training run.

    Attributes:
        forecaster: the trained forecaster.
        config: the config that was used, after the time budget was applied.
        parts: windows for training and calibration of the items that it knows, and why it does
            not know the others.
        seconds: time for fitting, by trained candidate.
    """

    forecaster: Forecaster
    config: TrainConfig
    parts: Parts
    seconds: Mapping[str, float]

    def tested(self, history: History) -> History:
        """Return the items of ``history`` that have a test part."""
        return History(tuple(history[part.item_id] for part in self.parts.items if part.tested))


def train(
    history: History,
    config: TrainConfig | None = None,
    *,
    report: Callable[[EpochReport], None] = lambda _: None,
    checkpoints: Checkpoints | None = None,
    kinds: Sequence[CandidateKind] = KINDS,
    doing: Doing = silently,
) -> Fitted:
    """Train a forecaster on ``history`` as ``config`` specifies, with candidates of all kinds.

    Args:
        history: recorded demand.
        config: None: the defaults, at the step of the history.
        report: called with the result of each epoch; ``report=print`` shows the progress.
        checkpoints: storage for what a run that is killed can go on from.
        kinds: of the trained candidates.
        doing: called with what is being done.

    Raises:
        HistoryError: the step is not the model's, every item is too short, or all are constant.
    """
    begin = time.perf_counter()
    config = config or TrainConfig(ModelConfig(step=history.step))
    _refuse_constant(history)
    doing("cutting the windows")
    parts = prepare(history, config)
    data = FittingData(
        [part.train for part in parts.items if len(part.train)],
        [part.calibration.windows for part in parts.items if part.pooled],
    )
    rng = np.random.default_rng(config.seed)
    joined = Windows.join(
        balanced_sample(data.train, TABLE_ROWS // config.model.prediction_length, rng)
    )
    _require_known(joined)
    task = FitTask(config, data, joined, report, checkpoints, doing)
    learned: dict[str, Candidate] = {}
    seconds: dict[str, float] = {}
    used_config = config
    reserve = RESERVE * (time.perf_counter() - begin)
    if config.time_budget is not None:
        line = plan_line(config.time_budget, time.perf_counter() - begin, reserve)
        doing("fitting the candidates", line=line)
    # Networks first, so that their errors come early; last where they get what is left of a budget.
    for kind in reversed(kinds) if config.time_budget is None else kinds:
        doing(f"fitting {kind.name}")
        started = time.perf_counter()
        left = time_left(config.time_budget, started - begin + reserve)
        learned[kind.name], used_config = kind.fit(
            replace(task, config=replace(used_config, time_budget=left))
        )
        seconds[kind.name] = time.perf_counter() - started
    used_config = replace(used_config, time_budget=config.time_budget)
    fitted = {kind.name: learned[kind.name] for kind in kinds}
    candidates = Candidates(config.model, fitted, has_blend={LSTM, BOOSTING} <= set(fitted))
    forecaster = calibrate(candidates, parts.items, doing)
    return Fitted(forecaster, used_config, parts, seconds)


def _refuse_constant(history: History) -> None:
    known = [series.values[np.isfinite(series.values)] for series in history]
    if all(len(values) == 0 or values.min() == values.max() for values in known):
        found = sorted({f"{values[0]:g}" for values in known if len(values)})
        raise HistoryError(
            f"nothing to learn: every item is constant ({', '.join(found) or 'nothing known'} "
            "requests per second throughout); check the query, or fetch a span with traffic"
        )


def _require_known(joined: Windows) -> None:
    known = int(np.isfinite(joined.target).sum(axis=0).min())
    if known < MIN_WINDOWS:
        raise HistoryError(
            f"only {known} of {len(joined)} training windows have a known target at each step, but "
            f"{MIN_WINDOWS} are needed; fetch a span with fewer gaps"
        )


def balanced_sample(
    train: Sequence[Windows], count: int, rng: np.random.Generator
) -> list[Windows]:
    """Return about ``count`` windows; items are sampled in proportion to the root of their size."""
    root = np.sqrt([len(windows) for windows in train])
    counts = np.maximum(count * root / root.sum(), 1).astype(np.int64)
    return [
        windows.take(np.sort(rng.choice(len(windows), min(len(windows), n), replace=False)))
        for windows, n in zip(train, counts, strict=True)
    ]


def calibrate(
    candidates: Candidates, parts: Sequence[ItemCases], doing: Doing = silently
) -> Forecaster:
    """Return the forecaster with calibrated candidates and the best candidate for each item."""
    model, names = candidates.model, candidates.names
    shifts: list[dict[str, Block]] = [{} for _ in (*parts, None)]  # the last: of unknown items
    tails: list[dict[str, TailLaw]] = [{} for _ in (*parts, None)]
    losses: list[dict[str, FloatArray]] = [{} for _ in parts]
    spreads = [
        candidates.spreads(part.calibration.windows, part.calibration.naive) for part in parts
    ]
    for done, name in enumerate(names):
        doing("calibrating, candidates", done, len(names))
        said = [next(each)[1] for each in spreads]
        held_out = [
            held_out_of(spread, part.calibration, model, pooled=part.pooled)
            for spread, part in zip(said, parts, strict=True)
        ]
        own, unknown = calibrations(held_out, model.quantile_levels)
        for i, found in enumerate((*own, unknown)):
            shifts[i][name] = found.shifts
            if found.law is not None:
                tails[i][name] = found.law
        for i, part in enumerate(parts):
            item_model = ItemModel(name, "", shifts[i], tails=tails[i])
            qps = item_model.calibrated(name, held_out[i].spread, model.quantile_levels)
            losses[i][name] = hourly_losses(part.calibration, qps, model)
    item_models = {
        part.item_id: ItemModel(
            *choose(losses[i]), shifts[i], part.test_start, part.timezone, tails[i]
        )
        for i, part in enumerate(parts)
    }
    pooled = [relative(losses[i]) for i, part in enumerate(parts) if part.pooled]
    choice = choose(
        {name: np.concatenate([loss[name] for loss in pooled], axis=1) for name in names}
    )
    zones = {part.timezone for part in parts}
    shared = zones.pop() if len(zones) == 1 else None
    default = ItemModel(*choice, shifts[-1], timezone=shared, tails=tails[-1])
    holidays = tuple(sorted({day for part in parts for day in part.holidays}))
    return Forecaster(candidates, item_models, default, holidays)


def held_out_of(
    spread: Spread, cases: Cases, model: ModelConfig, *, pooled: bool = True
) -> HeldOut:
    """Return what a candidate says of an item's held-out cases, and what happened."""
    return HeldOut(spread, cases.windows.target, cases.origins // model.timing.memory, pooled)
