"""The pages in a real browser, wide and narrow, light and dark: nothing is cut off, all is legible.

The pages are that of a backtest, that of a replay, and the live page.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from forecaster.plots.labels import NAMES
from forecaster.report import html_report as backtest_page
from scaler.adapters import dashboard
from scaler.adapters.http.app import add_page, create_app
from scaler.adapters.http.server import Address, ApiServer
from scaler.adapters.http.settings import ApiSettings
from scaler.adapters.http.snapshot_holder import SnapshotHolder
from scaler.decision.demand import AnnouncedEvent
from scaler.simulation.report import html_report as replay_page
from tests.forecaster.evaluation.backtest_samples import backtest_of, item
from tests.scaler.adapters.chromium import Tab
from tests.scaler.adapters.http.snapshots import AT, snapshot, view
from tests.scaler.simulation.contest_samples import small_contest
from tests.scaler.simulation.gateway_samples import FOUND

PAGES = ("backtest", "replay", "live")
# A phone, where a table just about fits (66 rem), and a screen.
WIDTHS = (390, 1060, 1400)
LONG = "a-long-namespace-of-a-team/and-a-long-name-of-a-service"
# What counts something or measures a rate must be drawn from zero.
COUNTED = {"replicas", "requests", "req/s", "demand (req/s)"}
# The least contrast of WCAG 2.2: 1.4.3 for texts and large texts, 1.4.11 for lines.
TEXT, LARGE, LINE = 4.5, 3.0, 3.0

SCRIPT = r"""
(() => {
  const rect = (e) => e.getBoundingClientRect();
  const style = (e) => getComputedStyle(e);
  const said = (e) => `${e.tagName} ${e.getAttribute("class")}: ${e.textContent.slice(0, 60)}`;
  const head = (e) => e.closest("thead");
  const hidden = (e) => head(e) && style(head(e)).clipPath !== "none";
  const scrolls = (e) => e && (["auto", "scroll"].includes(style(e).overflowX)
    || scrolls(e.parentElement));
  const all = [...document.body.querySelectorAll(":not(svg *)")]
    .filter((e) => e.checkVisibility() && !hidden(e) && !e.matches("script, style, option"));
  const figures = [...document.querySelectorAll(".js-plotly-plot")];
  const texts = figures.flatMap((f) => [...f.querySelectorAll(".main-svg text")]
    .filter((t) => t.textContent.trim() && t.checkVisibility({ opacityProperty: true }))
    .map((t) => [f, t]));
  const inside = (e, f) => rect(e).left >= rect(f).left - 1 && rect(e).right <= rect(f).right + 1;

  const parts = (text) => (text.startsWith("#")
    ? [1, 3, 5].map((i) => parseInt(text.slice(i, i + 2), 16))
    : (text.match(/[\d.]+/g) ?? [0, 0, 0, 0]).map(Number));
  const behind = (e) => {
    if (!e) return [255, 255, 255];
    const [r, g, b, a = 1] = parts(style(e).backgroundColor);
    return a === 1 ? [r, g, b] : behind(e.parentElement);
  };
  const luminance = (colour) => colour.slice(0, 3).map((v) => v / 255)
    .map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const contrast = (colour, e) => {
    const [low, high] = [luminance(parts(colour)), luminance(behind(e))].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
  };
  const large = (e) => parseFloat(style(e).fontSize)
    >= (Number(style(e).fontWeight) >= 700 ? 18.66 : 24);
  const worded = (e) => [...e.childNodes].some((n) => n.nodeType === 3 && n.data.trim());

  return {
    width: document.documentElement.scrollWidth,
    wide: all.filter((e) => rect(e).right > innerWidth + 1 && !scrolls(e.parentElement)).map(said),
    scrolled: all.filter((e) => e.matches(".scroll") && e.scrollWidth > e.clientWidth).map(said),
    cells: all.filter((e) => e.matches("td, th, .tile, .bars li")
      && e.scrollWidth > e.clientWidth + 1).map(said),
    cut: texts.filter(([f, t]) => !inside(t, f)).map(([, t]) => said(t)),
    texts: [
      ...all.filter(worded).map((e) => [contrast(style(e).color, e), large(e), said(e)]),
      ...texts.map(([f, t]) => [contrast(style(t).fill, f), large(t), said(t)]),
    ],
    lines: figures.flatMap((f) => f.data.flatMap((t) => [t.line, t.marker]
      .filter((s) => s?.color && s.width !== 0)
      .map((s) => [contrast(s.color, f), t.name, s.color]))),
    names: figures.map((f) => f.data.map((t) => t.name)),
    axes: figures.flatMap((f) => Object.entries(f._fullLayout)
      .filter(([name]) => /^[xy]axis\d*$/.test(name))
      .map(([, axis]) => [axis.title.text ?? "", axis.range[0]])),
  };
})()
"""
# Of each place of a figure, whether it is drawn.
DRAWN = """
(() => {
  const places = [...document.querySelectorAll("div.figure, div#figure")];
  return document.readyState === "complete" && places.length > 0
    && places.every((place) => place.querySelector(".main-svg .ytick"));
})()
"""


@dataclass(frozen=True)
class Site:
    """The addresses of the pages, by name."""

    urls: dict[str, str]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("pages")
    tested = backtest_of(item("shop/web"), item(LONG, 1.4))
    seconds = {"lstm": 41.25}
    pages = {
        "backtest": backtest_page(tested, "web v0003", facts={"Model": LONG}, fit_seconds=seconds),
        "replay": replay_page(small_contest(), f"Replay of {LONG}", limited=FOUND),
    }
    holder = SnapshotHolder()
    holder.publish(snapshot(*(_announced(name) for name in (LONG, "shop/web"))))
    app = create_app(holder, ApiSettings(allow_anonymous=True))
    add_page(app, dashboard.page)
    with ApiServer(app, Address(port=0)) as server:
        urls = {"live": server.url}
        for name, source in pages.items():
            (folder / f"{name}.html").write_text(source)
            urls[name] = Path(folder / f"{name}.html").as_uri()
        yield Site(urls)


def _announced(name: str):
    shop = view(name)
    event = AnnouncedEvent("the promotion of a whole year", AT - 600, AT + 600, qps=2000.0)
    return replace(shop, policy=replace(shop.policy, events=(event,)))


_looked_at: dict[tuple[str, int, bool], dict] = {}


@pytest.fixture(
    params=itertools.product(PAGES, WIDTHS, (False, True)),
    ids=lambda case: f"{case[0]} {case[1]} {'dark' if case[2] else 'light'}",
)
def seen(request: pytest.FixtureRequest, browser: Tab, site: Site) -> dict:
    """Return what is to be seen on a page at a width in a scheme; each is opened once."""
    name, width, dark = case = request.param
    if case not in _looked_at:
        browser.open("about:blank")
        browser.open(site.urls[name], width=width, dark=dark)
        browser.until(DRAWN)
        _looked_at[case] = {**browser.js(SCRIPT), "page": name, "asked": width}
    return _looked_at[case]


def test_nothing_is_wider_than_the_page(seen):
    assert seen["width"] <= seen["asked"]
    assert seen["wide"] == []


def test_no_column_is_cut_off_and_no_text_of_a_cell(seen):
    assert seen["scrolled"] == []
    assert seen["cells"] == []


def test_no_text_of_a_chart_is_cut_off(seen):
    assert seen["cut"] == []


def test_texts_stand_out_from_what_is_behind_them(seen):
    texts = seen["texts"]
    assert len(texts) > 40
    assert [said for ratio, large, said in texts if ratio < (LARGE if large else TEXT)] == []


def test_lines_stand_out_from_what_is_behind_them(seen):
    assert len(seen["lines"]) > 5
    assert [(name, colour) for ratio, name, colour in seen["lines"] if ratio < LINE] == []


def test_what_is_counted_is_drawn_from_zero(seen):
    counted = [(title, low) for title, low in seen["axes"] if title in COUNTED]
    assert counted
    assert {low for _, low in counted} == {0}


def test_every_contender_is_in_every_chart(seen):
    contests = {
        "backtest": (3, set(NAMES.values()) - {"served", "last value"}),
        "replay": (3, set(small_contest().runs)),
        "live": (1, {"replicas", "plain HPA would have"}),
    }
    charts, contenders = contests[seen["page"]]
    for names in seen["names"][:charts]:
        assert contenders <= set(names)


@pytest.mark.parametrize("page", PAGES)
def test_a_dark_page_has_its_own_colours(browser, site, page):
    colours = []
    for dark in (False, True):
        browser.open("about:blank")
        browser.open(site.urls[page], width=1400, dark=dark)
        browser.until(DRAWN)
        found = "document.querySelector('.js-plotly-plot').data.map((t) => t.line?.color)"
        colours.append(set(filter(None, browser.js(found))))
    assert colours[0].isdisjoint(colours[1])


def test_a_page_that_is_open_turns_dark_with_the_reader(browser, site):
    browser.open(site.urls["replay"], width=1400)
    font = "document.querySelector('.js-plotly-plot')?._fullLayout?.font.color"
    light = browser.until(font)
    dark = [{"name": "prefers-color-scheme", "value": "dark"}]
    browser.do("Emulation.setEmulatedMedia", features=dark)
    browser.until(f"{font} !== '{light}'")
