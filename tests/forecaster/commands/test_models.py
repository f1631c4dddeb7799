"""`forecaster models` as its user meets it."""

import argparse
import json
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from forecaster.adapters.registry.registry import Artifact, Registry
from forecaster.commands import models
from forecaster.commands.models_output import headline
from forecaster.errors import RegistryError

NOW = datetime(2026, 3, 1, 12, 30, tzinfo=UTC)


def artifact(relative_pinball: float | None = 0.6128) -> Artifact:
    return Artifact(
        config={"units": 64, "step": "60s"},
        tensors={"lstm.weight": np.ones((4, 2), np.float32), "calibration.count": np.array(7)},
        report={"summary": {"relative_pinball": relative_pinball}},
    )


@pytest.fixture
def root(tmp_path: Path) -> str:
    return str(tmp_path / "models")


@pytest.fixture
def registry(root: str) -> Registry:
    """A registry with two versions of ``web``; the first one is champion."""
    registry = Registry(root)
    registry.save("web", artifact(), now=NOW)
    registry.save("web", artifact(0.59), now=NOW)
    registry.promote("web", "v0001")
    return registry


def call(*argv: str) -> int:
    parser = argparse.ArgumentParser()
    models.add_arguments(parser)
    return models.run(parser.parse_args(argv))


@pytest.mark.usefixtures("registry")
def test_list_shows_each_champion_with_its_score(root: str, capsys: pytest.CaptureFixture[str]):
    Registry(root).save("api", artifact(None), now=NOW)
    assert call("list", "--models", root) == 0
    lines = capsys.readouterr().out.splitlines()
    api, web = (next(line for line in lines if name in line) for name in ("api", "web"))
    for cell in ("api", "none", " 1 ", "2026-03-01 12:30", "unknown"):
        assert cell in api
    for cell in ("web", "v0001", " 2 ", "2026-03-01 12:30", "0.613"):
        assert cell in web


@pytest.mark.usefixtures("registry")
def test_list_as_json_holds_the_same(root: str, capsys: pytest.CaptureFixture[str]):
    assert call("list", "--models", root, "--json") == 0
    (row,) = json.loads(capsys.readouterr().out)
    size = sum(file.stat().st_size for file in Path(root, "web/v0001").iterdir())
    assert row == {
        "name": "web",
        "champion": "v0001",
        "versions": ["v0001", "v0002"],
        "created": "2026-03-01T12:30:00+00:00",
        "size_bytes": size,
        "relative_pinball": 0.6128,
        "problem": None,
    }


def test_list_of_an_empty_registry_says_how_to_fill_it(
    root: str, capsys: pytest.CaptureFixture[str]
):
    assert call("list", "--models", root) == 0
    assert capsys.readouterr().out == f"no models in {root}; 'forecaster train' stores one\n"
    assert call("list", "--models", root, "--json") == 0
    assert json.loads(capsys.readouterr().out) == []


def test_one_broken_model_does_not_hide_the_others(
    registry: Registry, root: str, capsys: pytest.CaptureFixture[str]
):
    registry.save("api", artifact(), now=NOW)
    Path(root, "api/v0001/config.json").unlink()
    Path(root, "web/champion.json").write_text("{")
    registry.save("jobs", artifact(), now=NOW)
    assert call("list", "--models", root) == 0
    out = capsys.readouterr().out
    assert "jobs" in out
    assert "web" in out
    assert f"api: {root}/api/v0001/config.json is missing" in out
    assert f"web: {root}/web/champion.json is not valid JSON" in out


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        pytest.param("web", "web@v0001 (champion)\n", id="the champion by default"),
        pytest.param("web@v0002", "web@v0002\n", id="a version by name"),
    ],
)
@pytest.mark.usefixtures("registry")
def test_show_prints_what_a_version_holds(
    root: str, capsys: pytest.CaptureFixture[str], model: str, expected: str
):
    assert call("show", model, "--models", root) == 0
    out = capsys.readouterr().out
    assert out.startswith(expected)
    for cell in ("weights.safetensors", "lstm.weight", "float32", "4 x 2", "scalar", "units", "64"):
        assert cell in out


@pytest.mark.usefixtures("registry")
def test_show_as_json_holds_config_report_and_shapes(root: str, capsys: pytest.CaptureFixture[str]):
    assert call("show", "web@v0002", "--models", root, "--json") == 0
    shown = json.loads(capsys.readouterr().out)
    assert (shown["version"], shown["is_champion"]) == ("v0002", False)
    assert shown["config"] == {"units": 64, "step": "60s"}
    assert shown["report"] == {"summary": {"relative_pinball": 0.59}}
    assert shown["tensors"]["lstm.weight"] == {"dtype": "float32", "shape": [4, 2]}


def test_promote_and_rollback_say_what_they_changed(
    registry: Registry, root: str, capsys: pytest.CaptureFixture[str]
):
    assert call("promote", "web", "v0002", "--models", root) == 0
    assert capsys.readouterr().out == "web: the champion is v0002; before, it was v0001\n"
    assert registry.champion("web") == "v0002"
    assert call("rollback", "web", "--models", root, "--json") == 0
    moved = json.loads(capsys.readouterr().out)
    assert moved == {"name": "web", "champion": "v0001", "before": "v0002"}
    assert registry.champion("web") == "v0001"


def test_a_first_promotion_had_no_champion_before(root: str, capsys: pytest.CaptureFixture[str]):
    Registry(root).save("web", artifact(), now=NOW)
    assert call("promote", "web", "v0001", "--models", root) == 0
    assert capsys.readouterr().out == "web: the champion is v0001; before, it was none\n"


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        pytest.param(("show", "api"), "no model 'api' .* there are: web", id="unknown model"),
        pytest.param(("show", "web@v9"), "no version 'v9' .* v0001, v0002", id="unknown version"),
        pytest.param(("show", "web@"), "no version '' .* v0001, v0002", id="nothing after @"),
        pytest.param(("show", "../web"), "is no model name", id="a path"),
        pytest.param(("promote", "web", "v9"), "no version 'v9'", id="promote the unknown"),
        pytest.param(("rollback", "web"), "no earlier champion", id="nothing to go back to"),
    ],
)
@pytest.mark.usefixtures("registry")
def test_what_cannot_be_done_is_refused(root: str, argv: tuple[str, ...], message: str):
    with pytest.raises(RegistryError, match=message):
        call(*argv, "--models", root)


@pytest.mark.parametrize(
    "report",
    [{}, {"summary": None}, {"summary": {}}, {"summary": {"relative_pinball": "good"}}],
    ids=str,
)
def test_a_report_without_a_score_has_none(report: dict[str, Any]):
    assert headline(report) is None


def test_the_options_load_nothing_heavy():
    code = (
        "import sys, forecaster.commands.models\n"
        "heavy = {'numpy', 'rich', 'fsspec', 'safetensors', 'torch', 'pandas'}\n"
        "assert not heavy & sys.modules.keys(), heavy & sys.modules.keys()"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_list_fits_into_80_columns_with_whole_names(root, capsys):
    Registry(root).save("checkout-and-payment", artifact(), now=NOW)
    assert call("list", "--models", root) == 0
    lines = [line.rstrip() for line in capsys.readouterr().out.splitlines()]
    size = sum(file.stat().st_size for file in Path(root, "checkout-and-payment/v0001").iterdir())
    assert lines[3:4] == [
        f"checkout-and-payment  none             1  2026-03-01 12:30  {size} bytes     0.613"
    ]
    assert max(map(len, lines)) <= 80
