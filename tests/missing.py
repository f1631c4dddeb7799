"""Real parts that a machine lacks: a server, a browser, a tool."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def missing(part: object) -> NoReturn:
    """Skip a test for want of a part, by its name; in CI that is a failure, as nothing is skipped.

    Args:
        part: what is missing, and how to get it.
    """
    if "CI" in os.environ:  # noqa: TID251 - the test set-up decides what CI may skip
        pytest.fail(f"CI must test with every real part: {part}")
    pytest.skip(str(part))
