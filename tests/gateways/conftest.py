"""The parts that gateways are made of."""

from __future__ import annotations

import pytest

from tests.missing import missing
from tests.peers.install import NotOfferedError
from tests.peers.nginx import Nginx


@pytest.fixture(scope="session")
def nginx_parts() -> Nginx:
    try:
        return Nginx()
    except NotOfferedError as reason:
        missing(f"no real nginx with Lua is offered here: {reason}")
