"""`forecaster train`: history -> fitted, calibrated, backtested forecaster in the registry."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from forecaster.commands.histories import add_history_arguments, history_from
from forecaster.commands.spans import span
from forecaster.errors import ConfigError, RegistryError

if TYPE_CHECKING:
    from forecaster.data.series import History
    from forecaster.evaluation.backtest import Backtest
    from forecaster.evaluation.selection import Fitted
    from forecaster.models.candidate import EpochReport
    from forecaster.models.config import TrainConfig


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_history_arguments(parser)
    stored = parser.add_argument_group("where it is stored")
    stored.add_argument("--out", metavar="PATH", default="models/", help="registry (%(default)s)")
    stored.add_argument("--name", required=True, help="name of the forecaster in the registry")
    stored.add_argument(
        "--promote",
        choices=("gate", "always", "never"),
        default="gate",
        help="make it champion if no baseline beats it (gate), in any case, or not (%(default)s)",
    )
    stored.add_argument("--resume", action="store_true", help="go on with a run that was killed")
    fit = parser.add_argument_group("how it is fitted")
    fit.add_argument(
        "--prediction-length", metavar="N", type=int, default=30, help="steps ahead (%(default)s)"
    )
    fit.add_argument(
        "--context-length", metavar="N", type=int, default=60, help="steps back (%(default)s)"
    )
    fit.add_argument("--time-budget", metavar="SPAN", help="for fitting the networks, e.g. 60s")
    fit.add_argument("--seed", metavar="N", type=int, default=0, help="default %(default)s")
    fit.add_argument("--members", metavar="N", type=int, default=3, help="networks (%(default)s)")
    fit.add_argument("--epochs", metavar="N", type=int, default=7, help="at most (%(default)s)")
    fit.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    fit.add_argument(
        "--test-share", metavar="RATIO", type=float, default=0.125,
        help="last share of the time, which only judges (%(default)s)",
    )  # fmt: skip
    fit.add_argument(
        "--calibration-share", metavar="RATIO", type=float, default=0.125,
        help="share of the time before it, which calibrates (%(default)s)",
    )  # fmt: skip


def run(args: argparse.Namespace, *, now: datetime | None = None) -> int:
    now = now or datetime.now(UTC)  # noqa: TID251 - a command reads the clock
    _check_place(args)
    history = history_from(args, now=now)
    config = _config(args, history)

    from forecaster.adapters.registry.checkpoints import FileCheckpoints, fingerprint
    from forecaster.evaluation.backtest import backtest, beats_all
    from forecaster.evaluation.selection import train

    run_of = fingerprint(history, config)
    checkpoints = FileCheckpoints(_checkpoint_file(args), run_of, resume=args.resume)
    with _progress() as report:
        fitted = train(history, config, report=report, checkpoints=checkpoints)

    print("backtesting every candidate on the last part ...", file=sys.stderr)
    result = backtest(fitted.forecaster, history)
    passed, verdict = beats_all(result.summary)
    version = _store(args, fitted, result, now)
    checkpoints.remove()  # not before: a save that fails is repeated by --resume in no time
    if args.promote == "always" or (args.promote == "gate" and passed):
        from forecaster.adapters.registry.registry import Registry

        Registry(args.out).promote(args.name, version)
        print(f"{args.name} {version} is champion: {verdict}")
    else:
        print(f"{args.name} {version} is stored, not champion: {verdict}")
    return 0


def _config(args: argparse.Namespace, history: History) -> TrainConfig:
    from forecaster.models.config import ModelConfig, TrainConfig

    return TrainConfig(
        model=ModelConfig(
            step=history.step,
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


def _check_place(args: argparse.Namespace) -> None:
    """Raise before anything is fetched or fitted if it could not be stored in the end."""
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
    """Return where the run's state lies: beside the registry, or here if that is remote."""
    return _local_root(args) / f".training-{args.name}.safetensors"


def _store(args: argparse.Namespace, fitted: Fitted, result: Backtest, now: datetime) -> str:
    from forecaster.adapters.registry.registry import Artifact, Registry
    from forecaster.models.artifact import pack

    config, tensors = pack(fitted.forecaster, fitted.config)
    try:
        artifact = Artifact(
            config, tensors, {**result.record(), "fit_seconds": dict(fitted.seconds)}
        )
        return Registry(args.out).save(args.name, artifact, now=now)
    except RegistryError as error:
        raise RegistryError(
            f"{error}\n  the champion before it, if any, serves on; --resume goes on from the "
            "last checkpoint"
        ) from error


@contextmanager
def _progress() -> Iterator[Callable[[EpochReport], None]]:
    """Show a bar with the losses on a terminal; elsewhere a line per epoch."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda done: print(_line(done), file=sys.stderr, flush=True)
        return
    columns = (
        TextColumn("{task.description}"), BarColumn(), TextColumn("{task.fields[losses]}"),
        TimeRemainingColumn(),
    )  # fmt: skip
    with Progress(*columns, console=console) as bar:
        task = bar.add_task("fitting", total=None, losses="")

        def advance(done: EpochReport) -> None:
            bar.update(
                task,
                total=done.members * done.epochs,
                completed=done.member * done.epochs + done.epoch,
                losses=f"loss {done.loss:.4f}, calibration {done.calibration_loss:.4f}",
            )

        yield advance


def _line(done: EpochReport) -> str:
    return (
        f"member {done.member + 1}/{done.members} epoch {done.epoch}/{done.epochs} "
        f"loss {done.loss:.4f} calibration {done.calibration_loss:.4f} {done.seconds:.1f} s"
    )
