"""A page that opens without a network: values for its templates, and how they are rendered.

Rules of this file: templates escape every value by themselves, and only a figure's data, whose
``<`` are escaped here, goes around that; a content security policy lets the page run its own two
scripts and nothing else, and load nothing.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import plotly.graph_objects as go
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from forecaster.plots.style import DARK, GREY, INK_COLOUR, PAPER

CLEAR = "rgba(0, 0, 0, 0)"


@dataclass(frozen=True)
class Column:
    """One column of a table; words stand left, numbers right."""

    title: str
    words: bool = False


@dataclass(frozen=True)
class PageTable:
    """A table of texts; ``marked`` is the place of the row that is set off."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[str]]
    marked: int | None = None

    def __post_init__(self) -> None:
        for row in self.rows:
            if len(row) != len(self.columns):
                raise ValueError(f"{row} has {len(row)} cells, but must have {len(self.columns)}")


@dataclass(frozen=True)
class Tile:
    """One figure that matters most, and what to hold it against."""

    name: str
    value: str
    below: Sequence[str] = ()


@dataclass(frozen=True)
class Findings:
    """What stands on top of a page: what was found, and what to do next."""

    passed: bool
    verdict: str
    tiles: Sequence[Tile]
    sentences: Sequence[str]
    steps: Sequence[str]


def figure_data(figure: go.Figure) -> Markup:
    """Return a figure as JSON for a page, which gives it colours, and a heading for its title."""
    bare = go.Figure(figure).update_layout(
        title=None,
        margin={"t": 16},
        paper_bgcolor=CLEAR,
        plot_bgcolor=CLEAR,
        hoverlabel={"bgcolor": PAPER, "bordercolor": GREY, "font": {"color": INK_COLOUR}},
    )
    # plotly escapes it too, today; a page must not depend on that.
    return Markup(str(bare.to_json()).replace("<", "\\u003c"))  # noqa: S704 - it cannot end a script


def render_page(template: str, values: Mapping[str, object], *, package: str) -> str:
    """Return a page; it has about 5 MB, for it carries the plotting library.

    Args:
        template: extends ``page.html``, and may import ``parts.html``.
        values: by the names that the template has for them; ``title`` is one.
        package: holds the template in its folder ``templates``.
    """
    environment = Environment(
        loader=ChoiceLoader([PackageLoader(package), PackageLoader("forecaster.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    drawing = environment.get_template("figures.js").render(dark=DARK)
    plotly = get_plotlyjs().replace("\r\n", "\n").replace("</script", "<\\/script")
    scripts = [plotly, drawing]
    allowed = " ".join(f"'sha256-{_digest(script)}'" for script in scripts)
    return environment.get_template(template).render(
        values,
        policy=f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; "
        "img-src data: blob:; base-uri 'none'; form-action 'none'",
        scripts=[Markup(script) for script in scripts],  # noqa: S704 - both are ours
    )


def _digest(script: str) -> str:
    return base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
