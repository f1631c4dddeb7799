"""What is read by the commands that replay a history: it, the policy, and the model."""

from __future__ import annotations

import argparse
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from forecaster.commands.file_hints import add_file_arguments, stamp_zone
from forecaster.commands.histories import FILE_HELP, check_file
from forecaster.commands.stored_models import add_registry_argument
from scaler.errors import PolicyError, ReplayError

if TYPE_CHECKING:
    from forecaster.models.forecaster import Forecaster
    from scaler.policy.policy import Policy
    from scaler.policy.replay_settings import ReplaySettings


def add_input_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options of what is read."""
    parser.add_argument("--history", metavar="FILE", type=Path, help=FILE_HELP)
    parser.add_argument(
        "--policy", metavar="FILE.yaml", type=Path,
        help="a DemandPolicy; its 'hpa' is the autoscaler to compare with",
    )  # fmt: skip
    add_registry_argument(parser)
    parser.add_argument(
        "--model", metavar="NAME",
        help="forecaster in the registry (default: the policy's; if it names none, Holt-Winters)",
    )  # fmt: skip
    parser.add_argument("--version", help="of the model, such as v0003 (default: the champion)")
    parser.add_argument(
        "--capacity", metavar="QPS", type=float,
        help="requests per second that one ready replica sustains (default: the policy's)",
    )  # fmt: skip
    add_file_arguments(parser)


def check_inputs(args: argparse.Namespace) -> None:
    """Raise before anything is loaded if something is wrong with these options alone."""
    if args.capacity is not None and not 0 < args.capacity < float("inf"):
        raise ReplayError(f"--capacity is {args.capacity}, but must be above 0")
    check_file(args.history)
    stamp_zone(args)


def policy_of(args: argparse.Namespace) -> tuple[Policy, ReplaySettings]:
    """Return the one policy of the file, with the capacity that is given; raises PolicyError."""
    from scaler.policy.files import read_policies

    found = read_policies(args.policy)
    if len(found) != 1:
        names = ", ".join(one.policy.item_id for one in found)
        raise PolicyError(
            f"{args.policy} holds {len(found)} policies ({names}), but a replay is of one; "
            "give a file with that one"
        )
    policy = found[0].policy
    if args.capacity is not None:
        policy = replace(policy, capacity_qps=args.capacity)
    return policy, found[0].replay


def forecaster_of(args: argparse.Namespace, policy: Policy) -> Forecaster | None:
    """Return the model that is named, and tell of another one; None: Holt-Winters forecasts."""
    from forecaster.adapters.registry.loading import load
    from scaler.adapters.shipped_model import trained_or_shipped

    name = args.model or policy.model
    if name is None:
        print(
            "no model is named, so Holt-Winters forecasts; train one and name it by --model",
            file=sys.stderr,
        )
        return None
    if args.model is not None or args.version is not None:
        return load(args.models, name, args.version).forecaster
    found, fault = trained_or_shipped(args.models, name)
    if fault is not None:
        print(f"{fault}. The pretrained one forecasts, as in `scaler run`", file=sys.stderr)
    return found.forecaster


def with_shipped(forecaster: Forecaster) -> list[Forecaster]:
    """Return a forecaster, and the one that ships for the days that the first has seen.

    Raises:
        RegistryError: the one that ships cannot be loaded.
    """
    from scaler.adapters.shipped_model import shipped_model

    return [forecaster, shipped_model().forecaster]
