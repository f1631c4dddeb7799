"""What is not installed is named in the message, with how to get it: extras, and what all need."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

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
        ("prophet", ("benchmarks", "objective")),
    ],
}


def ended_without(
    absent: str, command: tuple[str, ...], folder: Path
) -> subprocess.CompletedProcess[str]:
    """Run a command where a module cannot be imported; return how it ended."""
    run = "run_path" if command[0].endswith(".py") else "run_module"
    code = (
        f"import runpy, sys; sys.modules[{absent!r}] = None; sys.argv = {[*command]!r}; "
        f"runpy.{run}({command[0]!r}, run_name='__main__')"
    )
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**os.environ, "PYTHONPATH": str(ROOT)}, cwd=folder,  # noqa: TID251
        capture_output=True, text=True, check=False,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("extra", "absent", "command"),
    [
        pytest.param(extra, absent, command, id=f"{absent} of {extra}")
        for extra, cases in NEEDED.items()
        for absent, command in cases
    ],
)
def test_the_message_names_the_extra(extra, absent, command, tmp_path):
    done = ended_without(absent, command, tmp_path)

    last = done.stderr.splitlines()[-1]
    assert done.returncode == (2 if command[0].endswith("cli") else 1)
    assert absent.partition(".")[0] in last
    assert f"pip install 'tidegate[{extra}]'" in last or f"pip install '.[{extra}]'" in last


def test_every_extra_is_named_but_that_of_who_works_on_tidegate():
    named = {one for extra in NEEDED for one in extra.split(",")}

    assert named == PROJECT["optional-dependencies"].keys() - {"dev"}


FETCH = (
    *("forecaster.cli", "fetch", "--prometheus", "http://127.0.0.1:9", "--start", "-1d"),
    *("--query", "up", "--item-label", "job", "--out", "history.parquet"),
)
LIST = ("forecaster.cli", "models", "list", "--models", "models")
CHECK = ("forecaster.cli", "check", "--history", str(ROOT / "constraints.txt"))
SHARED = {
    **dict.fromkeys(("fastapi", "promql_parser", "pydantic", "uvicorn", "yaml"), RUN),
    "kubernetes": tuple(word for word in RUN if word != "--no-cluster"),
    **dict.fromkeys(("fsspec", "rich"), LIST),
    **dict.fromkeys(("pandas", "pyarrow"), CHECK),
    "prometheus_api_client": FETCH,
}


@pytest.mark.parametrize(("absent", "command"), SHARED.items(), ids=SHARED)
def test_a_damaged_installation_is_told_in_one_line(absent, command, tmp_path):
    done = ended_without(absent, command, tmp_path)

    said = f"{absent} is not installed, but tidegate needs it; install again"
    assert done.returncode == 2
    assert said in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
