"""`scaler files`: what comes along with the code, written for who has no checkout."""

from __future__ import annotations

import pytest

from scaler.cli import main
from tests.paths import ROOT

WRITTEN = [
    "deploy/base/crd.yaml",
    "deploy/gateways/lua/tidegate/core/limiter.lua",
    "deploy/overlays/monitoring/dashboard.json",
    "examples/policies/checkout.yaml",
    "models/pretrained/v0001/weights.safetensors",
]


@pytest.mark.parametrize("path", WRITTEN)
def test_files_are_written_as_they_are_and_listed(path, tmp_path, capsys):
    assert main(["files", str(tmp_path / "new" / "folder")]) == 0

    said = capsys.readouterr().out.splitlines()
    assert (tmp_path / "new" / "folder" / path).read_bytes() == (ROOT / path).read_bytes()
    assert path in said
    assert said[-1] == f"{len(said) - 1} files were written to {tmp_path / 'new' / 'folder'}."


def test_what_is_there_already_is_left(tmp_path, capsys):
    main(["files", str(tmp_path)])
    (tmp_path / WRITTEN[0]).unlink()
    before = (tmp_path / WRITTEN[1]).stat().st_mtime_ns
    capsys.readouterr()

    assert main(["files", str(tmp_path)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        WRITTEN[0],
        f"1 files were written to {tmp_path}.",
    ]
    assert (tmp_path / WRITTEN[1]).stat().st_mtime_ns == before


def test_a_file_that_is_different_is_replaced_by_force_alone(tmp_path, capsys):
    mine = tmp_path / WRITTEN[0]
    mine.parent.mkdir(parents=True)
    mine.write_text("mine")

    assert main(["files", str(tmp_path)]) == 2
    assert f"different: {WRITTEN[0]}; nothing was written" in capsys.readouterr().err
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == [mine]
    assert mine.read_text() == "mine"

    assert main(["files", str(tmp_path), "--force"]) == 0
    assert mine.read_bytes() == (ROOT / WRITTEN[0]).read_bytes()


def test_many_that_are_different_are_counted(tmp_path, capsys):
    main(["files", str(tmp_path)])
    for path in (tmp_path / "models").rglob("*.json"):
        path.write_text("mine")
    for path in (tmp_path / "examples").rglob("*.yaml"):
        path.write_text("mine")
    capsys.readouterr()

    assert main(["files", str(tmp_path)]) == 2
    assert "and 2 more; nothing" in capsys.readouterr().err


def test_a_folder_that_is_a_file_is_refused(tmp_path, capsys):
    (tmp_path / "file").write_text("mine")

    assert main(["files", str(tmp_path / "file")]) == 2
    assert "cannot be written" in capsys.readouterr().err
