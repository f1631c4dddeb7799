"""`forecaster train`: fit, calibrate, backtest and store a forecaster of a history."""

from __future__ import annotations

import argparse
import itertools
import os
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from forecaster.commands.histories import add_history_arguments, check_source, history_from
from forecaster.commands.progress import Work, working
from forecaster.commands.spans import span
from forecaster.commands.stored_models import add_registry_argument
from forecaster.errors import ConfigError, RegistryError

if TYPE_CHECKING:
    from forecaster.data.series import History
    from forecaster.evaluation.gate import Judgement
    from forecaster.evaluation.selection import Fitted
    from forecaster.models.candidate import EpochReport
    from forecaster.models.config import TrainConfig

NAMED_ITEMS = 8  # of those that are told of in one line
FINEST_STEP = timedelta(seconds=1)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_history_arguments(parser)
    stored = parser.add_argument_group("where it is stored")
    add_registry_argument(stored, "--out")
    stored.add_argument("--name", required=True, help="name of the forecaster in the registry")
    stored.add_argument(
        "--promote",
        choices=("gate", "always", "never"),
        default="gate",
        help="make it champion: if no baseline beats it by more than chance, nor last value at "
        "peaks (gate; in the first one such a baseline serves), always, or never (%(default)s)",
    )
    stored.add_argument("--resume", action="store_true", help="continue a run that was killed")
    _add_fit_arguments(parser.add_argument_group("how it is fitted"))


def _add_fit_arguments(fit: argparse._ArgumentGroup) -> None:
    for option, default, meaning in (
        ("--prediction-length", 30, "steps that are forecast"),
        ("--context-length", 60, "past steps that are read"),
        ("--seed", 0, "of the random numbers"),
        ("--members", 3, "networks in the ensemble"),
        ("--epochs", 7, "of each network, at most"),
    ):
        text = f"{meaning} (default %(default)s)"
        fit.add_argument(option, metavar="N", type=int, default=default, help=text)
    fit.add_argument(
        "--time-budget",
        metavar="SPAN",
        help="time for all once the history is there, backtest included, e.g. 60s: boosting and "
        "the networks get what the rest leaves of it",
    )
    fit.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    fit.add_argument(
        "--test-share", metavar="RATIO", type=float, default=0.125,
        help="last part of the history, kept for the backtest (default %(default)s)",
    )  # fmt: skip
    fit.add_argument(
        "--calibration-share", metavar="RATIO", type=float, default=0.125,
        help="part of the history before that, kept for calibration (default %(default)s)",
    )  # fmt: skip


def run(args: argparse.Namespace, *, now: datetime | None = None) -> int:
    now = now or datetime.now(UTC)  # noqa: TID251 - a command reads the clock
    check_source(args, now=now)
    config = _config(args)
    _check_registry(args)
    with working("reading the history"):
        history = history_from(args, now=now)
        config = replace(config, model=replace(config.model, step=history.step))

        from forecaster.adapters.registry.checkpoints import FileCheckpoints, fingerprint
        from forecaster.data.clock_changes import followed_clocks
        from forecaster.evaluation.selection import train
        from forecaster.models.lstm_training import pick_device

        pick_device(config.device)  # before anything is fitted
    if followed := followed_clocks(history):
        print(followed, file=sys.stderr)
    begin = time.perf_counter()
    run_id = fingerprint(history, config)
    checkpoints = FileCheckpoints(_checkpoint_file(args), run_id, resume=args.resume)
    with working("cutting the windows") as work:
        fitted = train(
            history, config, report=_told_to(work), checkpoints=checkpoints, doing=work.now
        )
    _tell_of_unfit(fitted.parts.unfit)

    judged = _judged(args, fitted, history)
    version = _store(args, fitted, judged, now)
    checkpoints.remove()  # only now: after a save that failed, --resume has nothing to fit again
    promoted = args.promote == "always" or (args.promote == "gate" and judged.passed)
    _tell_of_champion(args, version, judged.reason, promoted=promoted)
    _tell_of_time(config, timedelta(seconds=round(time.perf_counter() - begin)))
    return 0


def _judged(args: argparse.Namespace, fitted: Fitted, history: History) -> Judgement:
    """Return whether it may serve, by a backtest."""
    from forecaster.evaluation.gate import judge

    first = args.promote == "gate" and not _has_champion(args)
    doing = "backtesting every candidate on the last part"
    tested, done = fitted.tested(history), itertools.count(1)
    with working(doing) as work:
        work.now(doing, line=f"{doing} ...")
        return judge(
            fitted.forecaster, tested, first=first,
            on_item=lambda _: work.now(f"{doing}, items", next(done), len(tested)),
        )  # fmt: skip


def _tell_of_time(config: TrainConfig, taken: timedelta) -> None:
    """Say that the time budget was exceeded."""
    if config.time_budget is not None and taken > config.time_budget:
        print(
            f"--time-budget is {config.time_budget}, but it took {taken}: the calibration and the "
            "backtest are not shortened; train on a shorter history",
            file=sys.stderr,
        )


def _has_champion(args: argparse.Namespace) -> bool:
    from forecaster.adapters.registry.registry import Registry

    registry = Registry(args.out)
    return args.name in registry.names() and registry.has_champion(args.name)


def _tell_of_champion(
    args: argparse.Namespace, version: str, reason: str, *, promoted: bool
) -> None:
    """Make the version champion or not, and say why; if not, with the command that would."""
    from forecaster.adapters.registry.registry import Registry, promotion
    from forecaster.plots.labels import reason_text

    reason = reason_text(reason)
    if promoted:
        Registry(args.out).promote(args.name, version)
        print(f"{args.name} {version} is champion: {reason}")
    else:
        print(f"{args.name} {version} is stored, not champion: {reason}")
        print(f"to make it champion all the same: {promotion(args.out, args.name, version)}")


def _config(args: argparse.Namespace) -> TrainConfig:
    """Return what is asked for, at the finest step: a history that is read has a step of its own.

    Raises:
        ConfigError: an option is wrong, whatever the history.
    """
    from forecaster.models.config import ModelConfig, TrainConfig

    return TrainConfig(
        model=ModelConfig(
            step=FINEST_STEP,
            context_length=args.context_length,
            prediction_length=args.prediction_length,
        ),
        seed=args.seed,
        members=args.members,
        epochs=args.epochs,
        calibration_share=args.calibration_share,
        test_share=args.test_share,
        time_budget=None if args.time_budget is None else span(args.time_budget, "--time-budget"),
        device=args.device,
    )


def _tell_of_unfit(unfit: Mapping[str, str]) -> None:
    """Say in one line which items the model does not know, and of one of them why."""
    if unfit:
        few = ", ".join(list(unfit)[:NAMED_ITEMS])
        more = f" and {len(unfit) - NAMED_ITEMS} more" if len(unfit) > NAMED_ITEMS else ""
        print(
            f"served by the shared model, as items that it does not know: {few}{more} "
            f"({next(iter(unfit.values()))})",
            file=sys.stderr,
        )


def _check_registry(args: argparse.Namespace) -> None:
    """Raise before anything is fetched or fitted if the result could not be stored."""
    from forecaster.adapters.registry.registry import Registry, check_name

    check_name(args.name)
    Registry(args.out)
    root = _local_root(args)
    above = next(
        folder for folder in (root, *root.absolute().parents) if os.access(folder, os.F_OK)
    )
    if not above.is_dir():
        raise ConfigError(f"--out is {root}, but {above} is a file; name a folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise ConfigError(
            f"--out is {root}, but {above} cannot be written to; name another folder, or change "
            "its access rights"
        )


def _local_root(args: argparse.Namespace) -> Path:
    return Path() if "://" in args.out else Path(args.out)


def _checkpoint_file(args: argparse.Namespace) -> Path:
    """Return where the run's state is kept: in the registry's folder, or here if that is remote."""
    return _local_root(args) / f".training-{args.name}.safetensors"


def _store(args: argparse.Namespace, fitted: Fitted, judged: Judgement, now: datetime) -> str:
    from forecaster.adapters.registry.registry import Artifact, Registry
    from forecaster.models.artifact import pack

    config, tensors = pack(judged.forecaster, fitted.config)
    try:
        artifact = Artifact(
            config, tensors, {**judged.result.record(), "fit_seconds": dict(fitted.seconds)}
        )
        return Registry(args.out).save(args.name, artifact, now=now)
    except RegistryError as error:
        raise RegistryError(
            f"{error}\n  the champion before it, if any, still serves; --resume continues from "
            "the last checkpoint"
        ) from error


def _told_to(work: Work) -> Callable[[EpochReport], None]:
    """Return what shows how far the networks are."""

    def advance(at: EpochReport) -> None:
        done, total = at.member * at.epochs + at.epoch, at.members * at.epochs
        work.now("fitting the networks, epochs", done, total, str(at))

    return advance
