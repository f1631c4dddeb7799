"""A gateway that is known by its command alone is tested like any other."""

from __future__ import annotations

import shlex
import sys

import pytest

from tests.conformance.bucket_law import Bucket, excess
from tests.conformance.gateways import Capability
from tests.conformance.gateways.command import CommandGateway
from tests.conformance.load import offer
from tests.conformance.site import site
from tests.paths import ROOT


def test_a_command_is_told_what_it_needs_to_obey(tmp_path):
    script = tmp_path / "start-mine.sh"
    script.write_text(
        f"#!/bin/sh\nPYTHONPATH={shlex.quote(str(ROOT))} exec {shlex.quote(sys.executable)} "
        '-m uvicorn --factory tests.conformance.asgi_app:create --port "$LISTEN_PORT"\n'
    )
    script.chmod(0o755)

    with site(CommandGateway(str(script)), tmp_path / "mine") as here:
        here.hand_out(5.0, burst=1)
        offered = offer(here.url, 50, 1)

        assert excess(offered.answers, Bucket(5.0, 1)) <= 2
        assert 429 in offered.statuses()
        assert "Uvicorn running" in here.log


def test_a_command_that_does_not_listen_says_what_it_wrote(tmp_path):
    mine = CommandGateway("sh -c 'echo no such thing; exit 3'")
    with (
        pytest.raises(RuntimeError, match=r"(?s)exit 3.*no such thing"),
        site(mine, tmp_path / "mine"),
    ):
        pass


def test_what_is_said_to_be_unsupported_must_be_known():
    with pytest.raises(ValueError, match="everything"):
        Capability("everything")
