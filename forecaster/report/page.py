"""The parts of a page that opens without a network: escaped text, tables, figures, its script.

Rules of this file: every text passes `html.escape` exactly once, where it becomes markup; a
content security policy lets the page run its own two scripts and nothing else, and load nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import plotly.graph_objects as go
from plotly.offline import get_plotlyjs

from forecaster.plots.style import BLUE_RGB, INK

CLEAR = "rgba(0, 0, 0, 0)"
STYLE = """
:root { color-scheme: light dark; --ink: #1f252b; --quiet: #5b646e; --page: #ffffff;
  --line: #d9dde2; --band: #f3f5f7; --good: #00805d; --bad: #b93d17; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e3e7eb; --quiet: #9aa4ae; --page: #14181c; --line: #343b42; --band: #1c2227;
    --good: #3fc49b; --bad: #ff8a63; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 60rem; padding: 1.5rem 1rem 4rem; color: var(--ink);
  background: var(--page); font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", sans-serif;
  overflow-wrap: anywhere; }
h1 { font-size: 1.6rem; line-height: 1.25; margin: 0 0 .25rem; }
h2 { font-size: 1.2rem; margin: 2.5rem 0 .5rem; }
h3 { font-size: 1rem; margin: 1.5rem 0 .25rem; }
p { margin: .4rem 0; max-width: 44rem; }
.quiet { color: var(--quiet); font-size: .9rem; }
.verdict { border-left: .3rem solid var(--bad); padding: .1rem 0 .1rem 1rem; margin: 1.25rem 0; }
.verdict.passed { border-color: var(--good); }
.verdict .first { font-size: 1.15rem; font-weight: 600; }
.scroll { overflow-x: auto; margin: .75rem 0; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums;
  overflow-wrap: normal; }
th, td { padding: .35rem .75rem; border-bottom: 1px solid var(--line); text-align: right;
  white-space: nowrap; }
th { color: var(--quiet); font-weight: 600; vertical-align: bottom; }
.text { text-align: left; white-space: normal; }
td.text { min-width: 9rem; max-width: 26rem; overflow-wrap: anywhere; }
td.text:last-child { min-width: 16rem; }
tr.first td { background: var(--band); font-weight: 600; }
.figure { width: 100%; margin: .5rem 0 1rem; }
dt { font-weight: 600; margin-top: .75rem; }
dd { margin: 0; max-width: 44rem; }
summary { cursor: pointer; }
"""

# Draws each figure from the data beside it, in the colours of a light or a dark page. On a narrow
# page it is drawn higher, for the legend takes more rows, and a finger scrolls instead of zooming.
SCRIPT = """
"use strict";
(() => {
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const colours = () => dark.matches
    ? { ink: "#e3e7eb", box: "#1c2227", edge: "#343b42", band: "rgba(98, 176, 236, " }
    : { ink: "#333a42", box: "#ffffff", edge: "#d9dde2", band: "rgba(BAND, " };
  const paint = (data, layout) => {
    const { ink, box, edge, band } = colours();
    layout.font = { ...layout.font, color: ink };
    layout.hoverlabel = { bgcolor: box, bordercolor: edge, font: { color: ink } };
    for (const trace of data) {
      if (trace.fillcolor) trace.fillcolor = trace.fillcolor.replace(/^rgba\\((\\d+, ){3}/, band);
      if (trace.meta !== "INK") continue;
      trace.line = { ...trace.line, color: ink };
      trace.marker = { ...trace.marker, color: ink };
    }
  };
  const config = { responsive: true, displayModeBar: false };
  const figures = [...document.querySelectorAll(".figure")].map((place) => {
    const source = place.querySelector("script");
    const { data, layout } = JSON.parse(source.textContent);
    source.remove();
    if (place.clientWidth < 520) layout.height = Math.round(1.35 * layout.height);
    if (matchMedia("(pointer: coarse)").matches) layout.dragmode = false;
    return { place, data, layout };
  });
  const draw = () => {
    for (const { place, data, layout } of figures) {
      paint(data, layout);
      Plotly.react(place, data, layout, config);
    }
  };
  dark.addEventListener("change", draw);
  draw();
})();
""".replace("INK", INK).replace("BAND", BLUE_RGB)


@dataclass(frozen=True)
class Column:
    """One column of a table; words stand left, numbers right."""

    title: str
    words: bool = False


def text(content: str, tag: str = "p", kind: str = "") -> str:
    """Return one element around escaped content.

    >>> text("a < b", "h2")
    '<h2>a &lt; b</h2>'
    """
    attribute = f' class="{kind}"' if kind else ""
    return f"<{tag}{attribute}>{escape(content)}</{tag}>"


def table(columns: Sequence[Column], rows: Sequence[Sequence[str]], *, first: bool = False) -> str:
    """Return a table that scrolls where the page is narrow; ``first`` sets its first row off."""
    kinds = ["text" if column.words else "" for column in columns]

    def line(cells: Sequence[str], tag: str) -> str:
        return "".join(text(cell, tag, kind) for cell, kind in zip(cells, kinds, strict=True))

    body = [
        ('<tr class="first">' if first and i == 0 else "<tr>") + line(row, "td") + "</tr>"
        for i, row in enumerate(rows)
    ]
    head = f"<thead><tr>{line([c.title for c in columns], 'th')}</tr></thead>"
    return f'<div class="scroll"><table>{head}<tbody>{"".join(body)}</tbody></table></div>'


def drawing(figure: go.Figure, described: str) -> str:
    """Return the place of a figure, with its data; the heading above it replaces its title."""
    bare = go.Figure(figure).update_layout(
        title=None, margin={"t": 16}, paper_bgcolor=CLEAR, plot_bgcolor=CLEAR
    )
    # plotly escapes it too, today; a page must not depend on that.
    data = str(bare.to_json()).replace("<", "\\u003c")
    return (
        f'<div class="figure" role="img" aria-label="{escape(described)}">'
        f'<script type="application/json">{data}</script></div>'
    )


def document(title: str, body: Sequence[str]) -> str:
    """Return the whole page; only the scripts written here can run in it."""
    scripts = [get_plotlyjs().replace("\r\n", "\n").replace("</script", "<\\/script"), SCRIPT]
    allowed = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'"
    )
    content = "\n".join(body)
    running = "\n".join(f"<script>{script}</script>" for script in scripts)
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
{content}
<noscript><p>The figures need JavaScript; the tables do not.</p></noscript>
{running}
</body>
</html>
"""


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
