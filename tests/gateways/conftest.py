"""The parts that gateways are made of."""

from __future__ import annotations

import os

import pytest

from tests.peers.install import NotOfferedError
from tests.peers.nginx import Nginx


@pytest.fixture(scope="session")
def nginx_parts() -> Nginx:
    try:
        return Nginx()
    except NotOfferedError as reason:
        if "CI" in os.environ:  # noqa: TID251 - the test set-up decides what CI may skip
            pytest.fail(f"CI must test the real nginx: {reason}")
        pytest.skip(f"no real nginx with Lua is offered here: {reason}")
