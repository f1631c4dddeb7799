"""What `forecaster train` refuses before it fits anything, leaving everything as it was."""

import re
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch

from forecaster.adapters.registry.registry import Registry
from forecaster.adapters.tables.history_files import write_history
from forecaster.cli import main
from forecaster.data.series import History, Series, utc
from forecaster.data.synthetic import generate_history

DAY = 96  # samples of a quarter of an hour


@pytest.fixture(scope="module")
def traffic_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("traffic") / "traffic.parquet"
    write_history(path, generate_history(2, 14, step=timedelta(minutes=15), seed=3).history, ())
    return path


def files_in(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in root.rglob("*") if path.is_file()}


REFUSED = [
    pytest.param(["--history", "none.parquet"], r"none\.parquet.*(not|no such)", id="no such file"),
    pytest.param([], r"either --history FILE or --prometheus URL \(got neither\)", id="no source"),
    pytest.param(
        ["--history", "{traffic}", "--prometheus", "http://127.0.0.1:1"], "got both", id="two"
    ),
    pytest.param(["--prometheus", "http://127.0.0.1:1"], "needs --query", id="no query"),
    pytest.param(
        ["--prometheus", "http://127.0.0.1:1", "--unit", "rpm"],
        "--unit, --decimal and --dates are of --history FILE",
        id="an option of files",
    ),
    pytest.param(["--history", "{text}"], r"h\.csv.*'lots'", id="text in a number column"),
    pytest.param(["--history", "{zero}"], r"nothing to learn.*constant \(0 req", id="all zero"),
    pytest.param(
        ["--history", "{traffic}", "--step", "20m"],
        r"cannot bring a step of 0:15:00 to 0:20:00; give a multiple",
        id="no multiple of the step",
    ),
    pytest.param(
        ["--history", "{traffic}", "--step", "5m"], "cannot bring a step of", id="a finer step"
    ),
    pytest.param(
        ["--history", "{traffic}", "--time-budget", "soon"],
        r"--time-budget is 'soon', but must be a duration: 60s",
        id="no time budget",
    ),
    pytest.param(
        ["--history", "{traffic}", "--test-share", "0.6"], "at most half", id="too much to judge"
    ),
    pytest.param(
        ["--history", "{traffic}", "--mask", "yesterday"],
        r"--mask is 'yesterday'.*write \[ITEM=\]START/END",
        id="no span to mark",
    ),
    pytest.param(["--history", "{traffic}", "--members", "0"], "members is 0", id="no members"),
    pytest.param(["--history", "{traffic}", "--seed", "-1"], "seed is -1", id="a negative seed"),
    pytest.param(
        ["--history", "{traffic}", "--prediction-length", "97"],
        r"prediction_length is 97, but .* at most a day \(96 steps",
        id="further than a day ahead",
    ),
    pytest.param(
        ["--history", "{traffic}", "--prediction-length", "0"], "is 0, but", id="nothing ahead"
    ),
    pytest.param(
        ["--history", "{traffic}", "--context-length", "0"], "context_length is 0", id="no context"
    ),
    pytest.param(
        ["--history", "{traffic}", "--name", "../web"], r"'\.\./web' is no model name", id="name"
    ),
    pytest.param(
        ["--history", "{traffic}", "--out", "{traffic}"],
        r"traffic\.parquet is a file",
        id="out is a file",
    ),
    pytest.param(
        ["--history", "{traffic}", "--out", "{traffic}/below/it"],
        r"traffic\.parquet is a file; name a folder",
        id="out lies below a file",
    ),
    pytest.param(
        ["--history", "{traffic}", "--out", "ftq://bucket/models"], "ftq", id="unknown protocol"
    ),
    pytest.param(
        ["--history", "{traffic}", "--device", "cuda"],
        "sees no CUDA device; use --device cpu",
        id="no CUDA device",
        marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device"),
    ),
]


@pytest.fixture
def sources(tmp_path, traffic_file, monkeypatch) -> dict[str, Path]:
    """Files that the table names in braces; all is run where they lie."""
    monkeypatch.chdir(tmp_path)
    text, zero = tmp_path / "h.csv", tmp_path / "zero.parquet"
    text.write_text("timestamp,shop/api\n2026-01-05T00:00:00Z,100\n2026-01-05T00:15:00Z,lots\n")
    silent = np.zeros(14 * DAY)
    series = Series("shop/api", utc("2026-01-05T00:00:00Z"), timedelta(minutes=15), silent)
    write_history(zero, History((series,)), ())
    return {"traffic": traffic_file, "text": text, "zero": zero}


@pytest.mark.parametrize(("argv", "words"), REFUSED)
def test_what_cannot_work_is_refused_at_once_and_changes_nothing(
    tmp_path, sources, models, argv, words, capsys
):
    before = files_in(tmp_path)

    place = ["--out", str(models), "--name", "web"]
    code = main(["train", *place, *(word.format(**sources) for word in argv)])

    said = capsys.readouterr().err
    assert code == 2
    assert re.search(words, " ".join(said.split())), said
    assert "forecaster train: " in said
    assert "Traceback" not in said
    assert "epoch" not in said  # refused before anything is fitted
    assert files_in(tmp_path) == before
    assert Registry(models).champion("web") == "v0001"
