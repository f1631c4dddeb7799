"""README's examples in Python run as they stand, one after the other, on a tiny training run."""

import re

from tests.forecaster.evaluation.fitting_samples import TINY, traffic
from tests.paths import ROOT

BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)


def test_the_examples_run(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    blocks = BLOCK.findall((ROOT / "README.md").read_text("utf-8"))
    code = "\n".join(blocks).replace("train(history,", "train(history, TINY,")
    names = {"df": traffic().to_nixtla(), "TINY": TINY}

    exec(compile(code, "README.md", "exec"), names)

    assert len(blocks) == 2
    assert "epoch 2/2" in capsys.readouterr().out
    assert names["scores"].loc[("shop/checkout", "served"), "crps"] > 0
    assert len(names["forecast"]) == 3 * TINY.model.prediction_length
    assert (tmp_path / "models" / "web" / "v0001").is_dir()
    assert len(names["table"]) == 3 * len(names["found"].table)
