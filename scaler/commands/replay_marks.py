"""What `demand.maskQuery` marks of a recorded history: asked of Prometheus, or given as spans."""

from __future__ import annotations

import argparse
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

from forecaster.commands.masks import windows
from forecaster.commands.sources import add_access_arguments, add_retry_arguments, settings_from
from scaler.errors import ReplayError

if TYPE_CHECKING:
    from forecaster.data.series import FloatArray, Series
    from scaler.policy.policy import Policy

NOT_ASKED = (
    "a file does not hold what demand.maskQuery marks, so nothing is marked; "
    "have it asked by --prometheus URL, or give its spans by --mask"
)


def add_mark_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--mask``, ``--prometheus`` and the options that belong to it."""
    group = parser.add_argument_group("what demand.maskQuery marks")
    group.add_argument(
        "--mask", metavar="START/END", action="append", default=[],
        help="a span that it marks, e.g. 2026-03-01T10:00Z/2026-03-01T11:00Z; repeatable",
    )  # fmt: skip
    group.add_argument("--prometheus", metavar="URL", help="ask it there over the history")
    add_access_arguments(group)
    add_retry_arguments(group, timeout="30s", retries=5)


def check_marks(args: argparse.Namespace) -> None:
    """Raise before anything is loaded if something is wrong with the options alone."""
    if args.prometheus is not None:
        if args.mask:
            raise ReplayError("--mask and --prometheus exclude each other; choose one")
        settings_from(args)
    windows(args.mask)


def marks_of(args: argparse.Namespace, policy: Policy, series: Series) -> FloatArray | None:
    """Return what is above 0 where a sample of the history is marked; None: nothing is known.

    Raises:
        ReplayError: a span is of another item, or the query cannot be asked.
    """
    from scaler.simulation.marks import marks_on_grid, marks_within

    if args.mask:
        spans = windows(args.mask)
        other = next((one for one in spans if one.item_id not in (None, series.item_id)), None)
        if other is not None:
            raise ReplayError(
                f"--mask names the item {other.item_id!r}, but the replay is of {series.item_id!r}"
            )
        ends = [(one.start.timestamp(), one.end.timestamp()) for one in spans]
        return marks_within(ends, series)
    if args.prometheus is not None:
        return marks_on_grid(_answered(args, policy, series), series)
    if policy.mask_query is not None:
        print(NOT_ASKED, file=sys.stderr)
    return None


def _answered(args: argparse.Namespace, policy: Policy, series: Series) -> Series:
    from scaler.adapters.current_metrics import GRID_S
    from scaler.adapters.prometheus_traffic import PrometheusTraffic

    if policy.mask_query is None:
        raise ReplayError(
            "--prometheus is asked for demand.maskQuery alone, which the policy does not have"
        )
    if series.step % timedelta(seconds=GRID_S):
        raise ReplayError(
            f"demand.maskQuery is asked for at multiples of {GRID_S} s, but the step of the "
            f"history is {series.step}; give its spans by --mask"
        )
    traffic = PrometheusTraffic(settings_from(args), series.step, workers=1)
    try:
        queries = [(policy.item_id, policy.mask_query)]
        length, last = len(series) * series.step, float(series.stamps[-1])
        (found,) = traffic.histories(queries, length, last)
    finally:
        traffic.close()
    if isinstance(found, str):
        raise ReplayError(f"demand.maskQuery could not be asked: {found}")
    return found
