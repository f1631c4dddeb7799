"""`python -m benchmarks.picture`: draw README's picture from what `make demo` has left.

The announced promotion of examples/demo.yaml, replayed by the classes of `scaler replay`: demand
and tidegate's limit above, replicas below. It is an SVG with colours for light and dark pages.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np

from forecaster.adapters.registry.loading import load
from forecaster.adapters.tables.history_files import read_history
from forecaster.data.series import FloatArray
from forecaster.plots.style import BLUE, DARK, GREY, INK_COLOUR, ORANGE, PAPER, VERMILION
from scaler.policy.files import read_policies
from scaler.simulation.contenders import TidegateContender, run
from scaler.simulation.contest import (
    HPA,
    TIDEGATE,
    ContestJob,
    ContestSetting,
    carried_out,
    tidegate_contender,
)
from scaler.simulation.preparation import ReplayPart, prepared
from scaler.simulation.world import SimulatedService

DEMO, POLICY = Path("demo-output"), Path("examples/demo.yaml")
OUT = Path("docs/picture.svg")
BEFORE, AFTER = timedelta(minutes=30), timedelta(minutes=60)
WIDTH, HEIGHT, LEFT, RIGHT = 880, 500, 56, 24
PANEL = 160
TOPS = (66, 294)


@dataclass(frozen=True, eq=False)
class Curve:
    """One line of a panel: a value per tick; ``style`` is its class in the SVG."""

    name: str
    style: str
    values: FloatArray


@dataclass(frozen=True, eq=False)
class Panel:
    """Curves over one axis that begins at 0."""

    title: str
    curves: tuple[Curve, ...]


class WatchedTidegate:
    """tidegate as it decides, and the floor and the limit of each tick."""

    name = TIDEGATE

    def __init__(self, who: TidegateContender) -> None:
        self._who = who
        self.floors: list[float] = []
        self.limits: list[float] = []

    def decide(self, tick: int, now: float, service: SimulatedService) -> float:
        limit = self._who.decide(tick, now, service)
        self.floors.append(service.floor)
        self.limits.append(limit)
        return limit


def main() -> None:
    if not (DEMO / "models").is_dir():
        raise SystemExit(f"{DEMO} holds no model: run `DEMO=once make demo` first")
    policy, settings = next((one.policy, one.replay) for one in read_policies(POLICY))
    series = read_history(DEMO / "history.parquet").history[policy.item_id]
    forecaster = load(DEMO / "models", str(policy.model)).forecaster
    begins = datetime.fromtimestamp(policy.events[0].starts, UTC)
    # The control loop has run for a while when the picture begins.
    start = begins - BEFORE - timedelta(hours=3)
    part = series.between(series.start, begins + AFTER)
    setting = prepared(part, policy, settings, forecaster, ReplayPart(start))
    OUT.write_text(drawing(panels(setting), begins), "utf-8")
    print(f"{OUT}: {OUT.stat().st_size / 1000:.0f} kB")


def panels(setting: ContestSetting) -> tuple[Panel, Panel]:
    """Return demand and limit, and everybody's replicas, over the end of what is replayed."""
    scene = setting.scene
    job = ContestJob(TIDEGATE, setting.policy.scale.target_utilization)
    watched = WatchedTidegate(tidegate_contender(setting, job))
    ours = run(scene, watched, SimulatedService(scene, setting.net))
    alone, _ = carried_out(setting, ContestJob(HPA, setting.own_target))
    traffic = Panel(
        "requests per second",
        (
            Curve("tidegate's limit", "limit", np.array(watched.limits)),
            Curve("demand", "ink", scene.demand),
        ),
    )
    replicas = Panel(
        "replicas",
        (
            Curve("HPA alone", "hpa", alone.replicas),
            Curve("with tidegate", "ours", ours.replicas),
            Curve("tidegate's floor", "floor", np.array(watched.floors)),
        ),
    )
    shown = round((BEFORE + AFTER).total_seconds() / scene.timing.tick_s)
    return _last(traffic, shown), _last(replicas, shown)


def _last(panel: Panel, ticks: int) -> Panel:
    curves = tuple(replace(curve, values=curve.values[-ticks:]) for curve in panel.curves)
    return replace(panel, curves=curves)


def drawing(both: tuple[Panel, Panel], begins: datetime) -> str:
    """Return the SVG of two panels of one time axis, in which an event begins at ``begins``."""
    x = _x(BEFORE / (BEFORE + AFTER))
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
        "<title>An announced promotion, replayed: the floor rises before the traffic</title>",
        f"<style>{_css()}</style>",
        f'<rect class="page" width="{WIDTH}" height="{HEIGHT}" rx="8"/>',
    ]
    for panel, top in zip(both, TOPS, strict=True):
        parts += _panel(panel, top)
        parts.append(f'<path class="event" d="M{x} {top - 6}V{top + PANEL}"/>')
    parts.append(f'<text x="{x + 6}" y="{TOPS[0] + PANEL - 8}">the promotion begins</text>')
    parts += _time_axis(begins)
    return "\n".join([*parts, "</svg>", ""])


def _panel(panel: Panel, top: int) -> Iterable[str]:
    step, highest = _axis(max(float(np.nanmax(curve.values)) for curve in panel.curves))
    yield f'<text class="head" x="{LEFT}" y="{top - 36}">{panel.title}</text>'
    place = LEFT
    for curve in panel.curves:
        yield f'<path class="{curve.style}" d="M{place} {top - 18}h26"/>'
        yield f'<text x="{place + 32}" y="{top - 13}">{curve.name}</text>'
        place += 56 + 7 * len(curve.name)
    for value in range(0, highest + 1, step):
        y = top + PANEL * (1 - value / highest)
        yield f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
        yield f'<text x="{LEFT - 8}" y="{y + 4.5:.1f}" text-anchor="end">{value}</text>'
    for curve in panel.curves:
        yield f'<path class="{curve.style}" d="{_path(curve, top, highest)}"/>'


def _axis(most: float) -> tuple[int, int]:
    """Return the spacing of an axis' labels, and its end: at most six steps from 0.

    >>> _axis(37.0), _axis(520.0)
    ((10, 40), (100, 600))
    """
    step = next(
        step * 10**power for power in range(9) for step in (1, 2, 5) if most <= 6 * step * 10**power
    )
    return step, -int(-most // step) * step


def _path(curve: Curve, top: int, highest: int) -> str:
    """Return the line, in steps; values that are unknown leave a gap."""
    parts: list[str] = []
    before = np.nan
    # The last tick lasts, too.
    for i, value in enumerate([*curve.values.tolist(), np.nan]):
        x, y = _x(i / len(curve.values)), f"{top + PANEL * (1 - value / highest):.1f}"
        if np.isfinite(before) and value != before:
            parts.append(f"H{x}")
        if np.isfinite(value) and value != before:
            parts.append(f"V{y}" if np.isfinite(before) else f"M{x} {y}")
        before = value
    return "".join(parts)


def _time_axis(begins: datetime) -> Iterable[str]:
    span, y = BEFORE + AFTER, TOPS[1] + PANEL + 22
    for minutes in range(0, round(span.total_seconds() / 60) + 1, 15):
        at = begins - BEFORE + timedelta(minutes=minutes)
        x = _x(timedelta(minutes=minutes) / span)
        yield f'<text x="{x}" y="{y}" text-anchor="middle">{at:%H:%M}</text>'


def _x(share: float) -> float:
    return round(LEFT + (WIDTH - LEFT - RIGHT) * share, 1)


def _css() -> str:
    strokes = {"ink": INK_COLOUR, "limit": ORANGE, "hpa": VERMILION, "ours": BLUE, "floor": BLUE}
    light = _coloured(strokes | {"event": GREY}, INK_COLOUR, PAPER)
    dark = _coloured(
        {name: DARK[colour] for name, colour in (strokes | {"event": GREY}).items()},
        DARK[INK_COLOUR],
        DARK[PAPER],
    )
    return (
        "text{font:13px system-ui,sans-serif}.head{font-weight:600}path{fill:none;stroke-width:2}"
        ".ours{stroke-width:3}.floor,.event{stroke-width:1.5}.floor{stroke-dasharray:5 4}"
        f".grid{{stroke:{GREY};stroke-opacity:.28;stroke-width:1}}"
        f"{light}@media(prefers-color-scheme:dark){{{dark}}}"
    )


def _coloured(strokes: dict[str, str], ink: str, paper: str) -> str:
    lines = "".join(f".{name}{{stroke:{colour}}}" for name, colour in strokes.items())
    return f"text{{fill:{ink}}}.page{{fill:{paper}}}{lines}"


if __name__ == "__main__":
    main()
