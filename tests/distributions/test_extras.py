"""What an extra brings is missing where it was not installed: the message says how to get it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.paths import EXAMPLES, ROOT
from tests.test_packaging import PROJECT

RUN = (
    *("scaler.cli", "run", "--prometheus", "http://127.0.0.1:9", "--no-cluster"),
    *("--policies", str(EXAMPLES / "policies"), "--listen", "127.0.0.1:0"),
)
RLS = ("scaler.cli", "rls", "--endpoint", "http://127.0.0.1:9", "--service", "shop/checkout")
GRPC, RENDER = ("--grpc-listen", "127.0.0.1:0"), str(ROOT / "notebooks" / "render.py")
NEEDED = {
    "s3": [("s3fs", ("forecaster.cli", "models", "list", "--models", "s3://bucket/models"))],
    "grpc": [(name, (*RUN, *GRPC)) for name in ("grpc", "grpc_health", "envoy", "google.protobuf")],
    "otel": [("opentelemetry", (*RUN, "--otlp", "http://127.0.0.1:9"))],
    "client": [("httpx", ("scaler.gateway.middleware",))],
    "client,grpc": [("httpx", RLS), ("grpc", RLS)],
    "notebooks": [("nbformat", (RENDER,)), ("nbclient", (RENDER,))],
    "bench": [
        ("neuralforecast", ("benchmarks", "speed")),
        ("prophet", ("benchmarks", "default_policy")),
    ],
}


@pytest.mark.parametrize(
    ("extra", "absent", "command"),
    [
        pytest.param(extra, absent, command, id=f"{absent} of {extra}")
        for extra, cases in NEEDED.items()
        for absent, command in cases
    ],
)
def test_the_message_names_the_extra(extra, absent, command, tmp_path):
    run = "run_path" if command[0].endswith(".py") else "run_module"
    code = (
        f"import runpy, sys; sys.modules[{absent!r}] = None; sys.argv = {[*command]!r}; "
        f"runpy.{run}({command[0]!r}, run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=tmp_path,  # noqa: TID251
        capture_output=True, text=True, check=False,
    )  # fmt: skip

    last = done.stderr.splitlines()[-1]
    assert done.returncode == (2 if command[0].endswith("cli") else 1)
    assert absent.partition(".")[0] in last
    assert f"pip install 'tidegate[{extra}]'" in last or f"pip install '.[{extra}]'" in last


def test_every_extra_is_named_but_that_of_who_works_on_tidegate():
    named = {one for extra in NEEDED for one in extra.split(",")}

    assert named == PROJECT["optional-dependencies"].keys() - {"dev"}
