"""The options that name the registry and a stored forecaster in it."""

from __future__ import annotations

import argparse


def add_registry_argument(parser: argparse._ActionsContainer, option: str = "--models") -> None:
    """Add the registry's place, as ``--models`` or under another name."""
    parser.add_argument(
        option,
        metavar="PATH",
        default="models/",
        help="registry: a directory, or a URL such as s3://bucket/models (default %(default)s)",
    )


def add_stored_arguments(parser: argparse.ArgumentParser) -> None:
    """Add ``--models``, ``--name`` and ``--version``."""
    add_registry_argument(parser)
    parser.add_argument("--name", required=True, help="name of the forecaster in the registry")
    parser.add_argument("--version", help="such as v0003 (default: the champion)")
