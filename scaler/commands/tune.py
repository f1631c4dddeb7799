"""`scaler tune`: which settings a policy is best run with, by its own past."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING

from forecaster.commands.documents import TABLE, add_output_argument, print_document
from forecaster.commands.histories import file_history
from forecaster.commands.holidays import add_holidays_argument, with_holidays
from forecaster.commands.output_files import (
    add_report_arguments,
    check_reports,
    write_file,
    write_report,
)
from forecaster.commands.progress import working
from scaler.commands.replay_inputs import (
    add_input_arguments,
    check_inputs,
    forecaster_of,
    policy_of,
    with_shipped,
)
from scaler.errors import ReplayError

if TYPE_CHECKING:
    from scaler.simulation.tuning import Tuned


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_input_arguments(parser)
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = (
        "what is asked is the policy's spec.objective; without one, what its SLO leaves.\n"
        "settings that the policy states are kept, but with --suggest.\n\n"
        "examples:\n"
        "  scaler tune --history traffic.parquet --policy shop.yaml --report shop.html\n"
        "  scaler tune --history traffic.parquet --policy shop.yaml --suggest"
    )
    parser.add_argument(
        "--suggest", action="store_true",
        help="choose also what the policy states; print the settings as keys of a policy",
    )  # fmt: skip
    add_holidays_argument(parser)
    add_output_argument(parser)
    add_report_arguments(parser)


def run(args: argparse.Namespace) -> int:
    missing = [f"--{name}" for name in ("history", "policy") if getattr(args, name) is None]
    if missing:
        raise ReplayError(f"{' and '.join(missing)} must be given")
    check_inputs(args)
    check_reports(args)
    policy, settings = policy_of(args)
    with working("reading the history and the model"):
        from scaler.decision.objective import ChoiceReason, Overrides
        from scaler.simulation.replay import series_of
        from scaler.simulation.review import Subject
        from scaler.simulation.tuning import rules_of, tune

        forecaster = forecaster_of(args, policy)
        history = with_holidays(file_history(args), args)
        series = series_of(history, policy, forecaster)
    rules = rules_of(policy, policy.capacity_qps or 1.0)
    if args.suggest:
        rules = replace(rules, overrides=Overrides())
    forecasters = [] if forecaster is None else with_shipped(forecaster)
    subject = Subject(policy, settings, forecasters)
    with _counted() as doing:
        found = tune(subject, series, rules, doing)
    _tell(args, found, series.item_id)
    return int(found.review.choice.reason is ChoiceReason.UNREACHABLE)


@contextmanager
def _counted() -> Iterator[Callable[[str], None]]:
    """Yield a function that counts a replay, and says of what."""
    done = itertools.count(1)
    with working("working out the forecasts") as work:
        yield lambda what: work.now(f"replay {next(done)}, {what}")


def _tell(args: argparse.Namespace, found: Tuned, item_id: str) -> None:
    from forecaster.adapters.exact_json import json_bytes
    from scaler.commands.tune_output import print_tuned
    from scaler.simulation.tuning_report import html_report, record, suggestion

    figures = record(found)
    if args.output != TABLE:
        print_document(figures, args.output)
    else:
        print_tuned(found)
        if args.suggest:
            print(suggestion(found))
    if args.json is not None:
        write_file(args.json, "--json", json_bytes(figures))
    if args.report is not None:
        write_report(args, html_report(found, f"Settings of {item_id}"))
