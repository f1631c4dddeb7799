"""What README and docs/ show is true: examples in Python, commands, links, the table of figures."""

import contextlib
import math
import re
import shlex
from itertools import takewhile

import pytest

import forecaster.cli
import scaler.cli
from tests.forecaster.evaluation.fitting_samples import TINY, traffic
from tests.paths import ROOT

README = (ROOT / "README.md").read_text("utf-8")
BENCHMARKS = (ROOT / "benchmarks" / "README.md").read_text("utf-8")
DOCUMENTS = [
    *ROOT.glob("*.md"),
    *(path for folder in ("docs", "deploy") for path in (ROOT / folder).rglob("*.md")),
    *(ROOT / folder / "README.md" for folder in ("benchmarks", "client", "models")),
]
BLOCK = re.compile(r"^```python\n(.*?)^```", re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r"^ {4,}((?:forecaster|scaler) (?=\S)(?:.*\\\n)*.*)$", re.MULTILINE)
PARSERS = {
    "forecaster": forecaster.cli.COMMAND_LINE.parser(),
    "scaler": scaler.cli.COMMAND_LINE.parser(),
}
# A row of README's table: the kind, the names in brackets, and the contenders' cells.
KIND = re.compile(r"^\| (\w+).*? \((.+?)\) \| (.+) \|$", re.MULTILINE)
# A row of the table behind it: the trace, the strength of its season, and the contenders' cells.
TRACE = re.compile(r"^\| (\w+) \| (0\.\d+) \| ((?:[\d.]+, [\d.]+ %(?: \| )?)+) \|$", re.MULTILINE)
# Who is in the table of the promotion, with the column in README; Prophet is in the latter alone.
PROMOTED = {
    "HPA": 0, "KEDA prometheus": 1, "KEDA + offset 7d": 2, "KEDA + offset 1d": 3,
    "predictive scaling": 5, "tidegate": 6,
}  # fmt: skip


def table_of_kinds(document: str) -> str:
    """Return the table of costs by kind of traffic."""
    return document.partition("\n| traffic |")[2].partition("\n\n")[0]


def kinds() -> dict[str, tuple[list[str], list[str]]]:
    """Return by kind of traffic what README names there, and its cells."""
    rows = KIND.findall(table_of_kinds(README))
    return {kind: (names.split(", "), cells.split(" | ")) for kind, names, cells in rows}


def traces() -> dict[str, tuple[float, list[tuple[float, float]]]]:
    """Return by trace the strength of its season, and each contender's cost and what it broke."""
    return {
        name: (
            float(season),
            [tuple(map(float, cell.removesuffix(" %").split(", "))) for cell in cells.split(" | ")],
        )
        for name, season, cells in TRACE.findall(BENCHMARKS)
    }


def commands():
    guides = [path for path in DOCUMENTS if path.parent in (ROOT, ROOT / "docs")]
    found = ((path, COMMAND.findall(path.read_text("utf-8"))) for path in guides)
    return [
        pytest.param(command.replace("\\\n", " "), id=f"{path.relative_to(ROOT)}-{i}")
        for path, shown in found
        for i, command in enumerate(shown)
        if " ..." not in command  # which leaves out options
    ]


@pytest.mark.parametrize("command", commands())
def test_a_command_that_is_shown_is_understood(command, capsys):
    name, *words = takewhile(
        lambda word: word not in {"|", ">", "&&"}, shlex.split(command, comments=True)
    )
    with contextlib.suppress(SystemExit):  # as --help and --print-completion end
        PARSERS[name].parse_args(words)

    assert "error:" not in capsys.readouterr().err


@pytest.mark.parametrize(("document", "blocks"), [("README.md", 1), ("docs/library.md", 2)])
def test_the_examples_run(document, blocks, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    found = BLOCK.findall((ROOT / document).read_text("utf-8"))
    code = "\n".join(found).replace("train(history,", "train(history, TINY,")
    names = {"df": traffic(days=9).to_nixtla(), "TINY": TINY}

    exec(compile(code, document, "exec"), names)

    assert len(found) == blocks
    assert "epoch 2/2" in capsys.readouterr().out
    assert names["scores"].loc[("shop/checkout", "served"), "crps"] > 0
    if document == "docs/library.md":
        assert len(names["forecast"]) == 3 * TINY.model.prediction_length
        assert (tmp_path / "models" / "web" / "v0001").is_dir()
        assert len(names["table"]) == 3 * len(names["found"].table)


def slugs(text: str) -> set[str]:
    """Return the anchors of a document's headings, as code-hosting sites make them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_between_documents_lead_somewhere(path):
    dead = []
    for link in re.findall(r"\]\((?!https?://)([^)]+)\)", path.read_text("utf-8")):
        name, _, anchor = link.partition("#")
        target = path.parent / name if name else path
        if not target.exists() or (anchor and anchor not in slugs(target.read_text("utf-8"))):
            dead.append(link)

    assert dead == []


def test_readme_links_every_page():
    pages = {f"docs/{path.name}" for path in (ROOT / "docs").glob("*.md")}

    assert pages - set(re.findall(r"\]\(([^)]+)\)", README)) == set()


def test_each_path_has_at_most_ten_lines():
    paths = README.partition("## Three paths")[2].partition("\n## ")[0].split("\n### ")[1:]

    lengths = [len([line for line in path.splitlines()[1:] if line]) for path in paths]

    assert len(lengths) == 3
    assert max(lengths) <= 10


def test_the_table_by_kind_of_traffic_is_the_printed_one():
    assert table_of_kinds(README) == table_of_kinds(BENCHMARKS) != ""


@pytest.mark.parametrize("kind", ["seasonal", "little", "bursty"])
def test_a_row_of_traces_is_their_geometric_mean(kind):
    names, cells = kinds()[kind]
    of_these = zip(*(traces()[name][1] for name in names), strict=True)
    means = [
        [math.prod(figures) ** (1 / len(names)) for figures in zip(*one, strict=True)]
        for one in of_these
    ]

    assert cells == [f"{cost:.2f}, {broken:#.2g} %" for cost, broken in means]


def test_every_trace_is_of_the_kind_that_its_figures_say():
    expected = {
        name: "bursty" if hpa[1] > 1 else "seasonal" if season >= 0.64 else "little"
        for name, (season, (hpa, *_)) in traces().items()
    }

    shown = {name: kind for kind in expected.values() for name in kinds()[kind][0]}

    assert len(expected) == 10
    assert shown == expected


def test_the_announced_row_agrees_with_the_promotion():
    row = r"^\| ([\w +]+) \| [\d.]+ \| [\d,]+ ms \| ([\d.]+ %) \| ([\d.]+) \|"
    figures = {name: found for name, *found in re.findall(row, BENCHMARKS, re.MULTILINE)}
    least = float(figures["clairvoyant"][1])
    cells = kinds()["announced"][1]

    for name, column in PROMOTED.items():
        broken, hours = figures[name]
        assert cells[column] == f"{float(hours) / least:.2f}, {broken}"
