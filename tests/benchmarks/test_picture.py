"""README's picture: what a replay says, as lines of an SVG that any page can show."""

import re
from datetime import UTC, datetime
from xml.etree import ElementTree

import numpy as np
import pytest

from benchmarks.picture import Curve, Panel, drawing
from forecaster.plots.style import BLUE, DARK, INK_COLOUR, ORANGE, VERMILION
from tests.paths import ROOT

DRAWN = (ROOT / "docs" / "picture.svg").read_text("utf-8")
BEGINS = datetime(2026, 2, 1, 11, tzinfo=UTC)


def paths(svg: str, style: str) -> list[str]:
    """Return the lines of a style: its sample in the legend, then the line itself."""
    return [
        str(found.get("d"))
        for found in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}path")
        if found.get("class") == style
    ]


def test_an_unknown_value_leaves_a_gap_and_a_count_moves_in_steps():
    demand = Curve("demand", "ink", np.array([0.0, 50.0, np.nan, 100.0]))
    replicas = Curve("HPA alone", "hpa", np.array([1.0, 1.0, 4.0, 4.0]))

    svg = drawing((Panel("requests per second", (demand,)), Panel("replicas", (replicas,))), BEGINS)

    assert len(re.findall("M", paths(svg, "ink")[1])) == 2
    # From 1 of 4 replicas, three quarters down the panel, to its top, at half the time.
    assert paths(svg, "hpa")[1] == "M56.0 414.0H456.0V294.0H856.0"


@pytest.mark.parametrize("colour", [INK_COLOUR, BLUE, ORANGE, VERMILION])
def test_the_picture_has_colours_for_light_and_dark_pages(colour):
    light, dark = DRAWN.split("@media(prefers-color-scheme:dark)")

    assert f"stroke:{colour}" in light
    assert f"stroke:{DARK[colour]}" in dark


def test_the_floor_rises_before_the_traffic():
    def rises(style: str, top: float) -> float:
        """Return where a line first passes the middle of its panel."""
        line = paths(DRAWN, style)[1]
        places = re.findall(r"([\d.]+)[V ]([\d.]+)", line)
        return next(float(x) for x, y in places if float(y) < top + 80)

    assert rises("floor", 294) < rises("ink", 66) < rises("hpa", 294)
    assert len(DRAWN) < 200_000
