"""A service never seen: trains the model that ships, and judges such models one kind at a time.

Each kind of recorded traffic is forecast by a model that has seen none of it, from histories of
eight days to an hour. Nothing after the third quarter of a trace is trained on; the last quarter is
judged, at moments that fall on all minutes of the hour alike, by what the scaler calls.
"""

from __future__ import annotations

import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from benchmarks.accuracy import CONFIG, UPPER, fit, say
from benchmarks.tables import markdown
from benchmarks.traces import FIVE_MINUTES, ONE_MINUTE, load
from forecaster import save_forecaster
from forecaster.data.augmentation import split
from forecaster.data.series import Block, FloatArray
from forecaster.data.synthetic import MONDAY, generate_history
from forecaster.evaluation.metrics import coverage, geometric_mean, pinball_loss
from forecaster.evaluation.origins import off_the_hour
from forecaster.evaluation.pretraining import Recorded, cut_at, pretrain
from forecaster.evaluation.splits import boundaries
from forecaster.features.track import Indices
from forecaster.models.conformal import calibrated, conformal_shifts
from forecaster.models.forecaster import Forecaster
from forecaster.models.naive import LAST_VALUE, Spread
from scaler.adapters.shipped_model import PRETRAINED

MODEL = CONFIG.model
CRANE = tuple(f"aux_crane_{number}" for number in ("00", "02", "08", "11", "12", "14"))
SERVEGEN = ("aux_servegen_m_large", "aux_servegen_m_mid")
# Kinds by how the names of their traces begin. What has no licence is only judged.
KINDS = ("wc98", "nasa", "twitter", "ms", "nab", "aux_crane", "aux_servegen")
UNLICENSED = "twitter"
HISTORIES = {"8 d": 8 * 1440, "3 d": 3 * 1440, "1 d": 1440, "1 h": 60}
MOST_ORIGINS = 500  # of a trace
MINUTE_S = 60
LEAST_QPS = 0.02
# Of steady services, relative to their demand.
STEADY_NOISE = (0.0, 0.0, 0.001, 0.003, 0.01, 0.03)


@dataclass(frozen=True)
class Judged:
    """How well a trace is forecast from one length of history.

    Attributes:
        relative: pinball loss, of that of last value.
        known: the same of the model that was trained on the trace too, with eight days of history.
        coverage: at 0.95.
    """

    kind: str
    trace: str
    history: str
    relative: float
    coverage: float
    known: float


def unseen(traces: Path) -> None:
    """Train a model without each kind and judge it, and at last the one that ships."""
    kinds = recorded_kinds(traces)
    known = fit(load(traces, ONE_MINUTE), CONFIG).forecaster
    rows: list[Judged] = []
    for kind in KINDS:
        if kind != UNLICENSED:
            rows += judge_all(pretrain(seen(kinds, kind), report=say), kinds[kind], known)
    shipped = pretrain(seen(kinds, None), report=say)
    rows += judge_all(shipped, kinds[UNLICENSED], known)
    shutil.rmtree(Path("models") / PRETRAINED, ignore_errors=True)
    save_forecaster(shipped, "models", PRETRAINED)
    print("\n## A service the model has never seen: loss of last value's; coverage at 0.95\n")
    print(_by_trace(rows))
    print("\n### All traces\n")
    print(_pooled(rows))


def judge_all(
    forecaster: Forecaster, services: Sequence[Recorded], known: Forecaster
) -> list[Judged]:
    found = [row for one in services for row in judge(forecaster, one, known)]
    for row in found:
        print(row, file=sys.stderr, flush=True)
    return found


def recorded_kinds(traces: Path) -> dict[str, list[Recorded]]:
    """Return all traces by kind, at steps of a minute: longer ones are split by chance."""
    rng = np.random.default_rng(0)
    found: dict[str, list[Recorded]] = {kind: [] for kind in KINDS}
    for names in (ONE_MINUTE, FIVE_MINUTES, CRANE, SERVEGEN):
        for series in load(traces, names):
            seconds = series.step.total_seconds()
            values = series.values
            if seconds > MINUTE_S:
                values = split(values, seconds, int(seconds) // MINUTE_S, rng)
            kind = next(kind for kind in KINDS if series.item_id.startswith(kind))
            found[kind].append(Recorded(series.item_id, kind, values))
    return found


def seen(kinds: Mapping[str, Sequence[Recorded]], left_out: str | None) -> list[Recorded]:
    """Return what may be trained on: three quarters of each licensed trace, and generated ones.

    Traces of about a request a minute or less are left out: they are single events.
    """
    chosen = [
        replace(one, values=one.values[: _third_quarter(one.values)])
        for kind, services in kinds.items()
        if kind not in {left_out, UNLICENSED}
        for one in services
        if np.nanmean(one.values) > LEAST_QPS
    ]
    generated = generate_history(16, 14, seed=3).history
    chosen += [Recorded(one.item_id, "generated", one.values) for one in generated]
    return chosen + steady_services()


def steady_services() -> list[Recorded]:
    """Return services whose demand hardly changes, such as probes: constant, noisy, or drifting."""
    rng, length = np.random.default_rng(0), 14 * 1440
    found = []
    for number, noise in enumerate(STEADY_NOISE):
        level = 10 ** rng.uniform(-1, 4)
        drift = np.cumsum(rng.normal(0, 0.05 / np.sqrt(length), length)) if number % 2 else 0.0
        values = level * np.exp(drift + rng.normal(0, 1, length) * noise)
        found.append(Recorded(f"steady/{number}", "steady", values))
    return found


def judge(forecaster: Forecaster, one: Recorded, known: Forecaster) -> Iterator[Judged]:
    """Yield how well a trace is forecast from each length of history."""
    origins = judged(one.values)
    ahead = origins[:, None] + np.arange(1, MODEL.prediction_length + 1)
    target = one.values[ahead].astype(np.float32)
    its, best = _loss(last_value(one.values, origins), target), np.nan
    if one.name in ONE_MINUTE:
        best = _loss(_said(known, one, origins, HISTORIES["8 d"]), target) / its
    for name, history in HISTORIES.items():
        if origins[0] + 1 < history:
            continue
        said = _said(forecaster, one, origins, history)
        covered = float(coverage(target, said)[MODEL.quantile_levels.index(0.95)])
        yield Judged(one.kind, one.name, name, _loss(said, target) / its, covered, best)


def _said(forecaster: Forecaster, one: Recorded, origins: Indices, history: int) -> Block:
    """Return what is served from so many samples before each origin."""
    cases = cut_at(one.values, origins, history, MODEL)
    stamps = [MONDAY + int(at) * MODEL.step for at in origins]
    names = [one.name] * len(origins)
    forecast = forecaster.predict_windows(names, stamps, cases.windows, cases.naive)
    return forecast.values[:, :, : len(MODEL.quantile_levels)].astype(np.float32)


def _loss(quantiles: Block, target: Block) -> float:
    loss = pinball_loss(target, quantiles, MODEL.quantile_levels)
    return float(loss[np.isfinite(target)][:, UPPER].mean())


def _third_quarter(values: FloatArray) -> int:
    return boundaries(len(values), CONFIG)[1]


def judged(values: FloatArray) -> Indices:
    """Return the origins in the last quarter, at a stride that meets all minutes of the hour."""
    first, ahead = _third_quarter(values), MODEL.prediction_length
    possible = len(values) - ahead - first
    stride = off_the_hour(max(possible // MOST_ORIGINS, 7), MODEL.timing)
    origins = np.arange(first - 1, len(values) - ahead - 1, stride)
    known = np.isfinite(values[origins]) & np.isfinite(values[origins + 1])
    return origins[known]


def last_value(values: FloatArray, at: Indices) -> Block:
    """Return last value's quantiles, calibrated on the tenth of the trace before those judged."""
    end = _third_quarter(values)
    begin = end - round(len(values) * CONFIG.calibration_share)
    before = np.arange(begin, end - MODEL.prediction_length, 7)
    before = before[np.isfinite(values[before])]
    history = min(1440, int(before[0]))
    calibrating, test = (_last(values, origins, history) for origins in (before, at))
    shifts = conformal_shifts(calibrating[0], calibrating[1], MODEL.quantile_levels)
    return calibrated(test[0], shifts)


def _last(values: FloatArray, origins: Indices, history: int) -> tuple[Spread, Block]:
    cases = cut_at(values, origins, history, MODEL)
    return cases.naive[LAST_VALUE].spread(len(MODEL.quantile_levels)), cases.windows.target


def _by_trace(rows: Sequence[Judged]) -> str:
    """Return a row of each trace; first the loss, from eight days, of the model that knows it."""
    by_trace: dict[str, dict[str, Judged]] = {}
    for row in rows:
        by_trace.setdefault(row.trace, {})[row.history] = row
    columns = ("trace", "trained on it too", *HISTORIES, *(f"cov {name}" for name in HISTORIES))
    shown = [
        (
            trace,
            next(iter(found.values())).known,
            *(found[name].relative if name in found else np.nan for name in HISTORIES),
            *(found[name].coverage if name in found else np.nan for name in HISTORIES),
        )
        for trace, found in by_trace.items()
    ]
    return markdown(columns, shown)


def _pooled(rows: Sequence[Judged]) -> str:
    """Return a row of each length of history; the model that knows the traces has eight days."""
    columns = ("history", "traces", "mean", "worst", "of trained on it too", "coverage", "lowest",
               "highest")  # fmt: skip
    shown = []
    for name in HISTORIES:
        mine = [row for row in rows if row.history == name]
        covered = [row.coverage for row in mine]
        both = [row.relative / row.known for row in mine if np.isfinite(row.known)]
        shown.append(
            (
                name,
                str(len(mine)),
                geometric_mean(row.relative for row in mine),
                max(row.relative for row in mine),
                geometric_mean(both),
                float(np.mean(covered)),
                min(covered),
                max(covered),
            )
        )
    return markdown(columns, shown)
