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
# The cost of HPA, offset query and tidegate, and what each breaks.
TRACE = re.compile(
    r"^\| (\w+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| ([\d.]+) \| \d d "
    r"\| ([\d.]+) \| ([\d.]+) \| [\d.]+ \|$",
    re.MULTILINE,
)
CONTENDERS = ("HPA", "KEDA prometheus", "KEDA + offset query", "tidegate")
SEASON = re.compile(r"^\| (\w+) \| (0\.\d+) \| .* s \|$", re.MULTILINE)


def kinds() -> dict[str, tuple[list[str], list[str]]]:
    """Return by kind of traffic what README names there, and its cells."""
    rows = KIND.findall(README.partition("| traffic |")[2].partition("\n\n")[0])
    return {kind: (names.split(", "), cells.split(" | ")) for kind, names, cells in rows}


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
    names = {"df": traffic().to_nixtla(), "TINY": TINY}

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


@pytest.mark.parametrize("kind", ["seasonal", "little", "bursty"])
def test_a_row_of_traces_is_their_geometric_mean(kind):
    by_name = {name: [float(x) for x in rest] for name, *rest in TRACE.findall(BENCHMARKS)}
    names, cells = kinds()[kind]

    of_these = zip(*(by_name[name] for name in names), strict=True)
    means = [math.prod(one) ** (1 / len(names)) for one in of_these]
    hpa, offset, ours = (
        f"{cost:.2f}, {broken:#.2g} %" for cost, broken in zip(means[::2], means[1::2], strict=True)
    )

    assert cells == [hpa, "-", offset, ours]


def test_every_trace_is_of_the_kind_that_its_figures_say():
    broken = {name: float(hpa) for name, _, hpa, *_ in TRACE.findall(BENCHMARKS)}
    season = {name: float(strength) for name, strength in SEASON.findall(BENCHMARKS)[:10]}
    expected = {
        name: "bursty" if broken[name] > 1 else "seasonal" if season[name] >= 0.64 else "little"
        for name in broken
    }

    shown = {name: kind for kind in expected.values() for name in kinds()[kind][0]}

    assert len(expected) == 10
    assert shown == expected


def test_the_announced_row_is_the_printed_one():
    row = r"^\| ([\w +]+) \| [\d.]+ \| [\d,]+ ms \| ([\d.]+ %) \| ([\d.]+) \|"
    figures = {name: found for name, *found in re.findall(row, BENCHMARKS, re.MULTILINE)}
    least = float(figures["clairvoyant"][1])
    shown = [
        f"{float(hours) / least:.2f}, {broken}"
        for broken, hours in (figures[name] for name in CONTENDERS)
    ]

    assert kinds()["announced"][1] == shown
