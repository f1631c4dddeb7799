"""The results of a backtest in sentences, for the page and for the terminal."""

from __future__ import annotations

import math
from collections import Counter
from datetime import UTC, datetime

from forecaster.evaluation.backtest import SERVED, Backtest, ItemResult
from forecaster.evaluation.choice import INCOMPARABLE
from forecaster.evaluation.minutes import FALSE_ALARM, MinuteCoverage, worst_minute
from forecaster.evaluation.outcome import minute_place
from forecaster.evaluation.scores import Score
from forecaster.models.candidates import BLEND
from forecaster.models.lstm_ensemble import LSTM
from forecaster.plots.labels import duration, name_of

UNKNOWN = "–"
HIGH = 0.9  # capacity is provisioned for quantiles from this level on


def number(value: float, digits: int = 3) -> str:
    """Return a number as text; one that is not known is a dash, never 0.

    >>> number(0.2014), number(float("nan"))
    ('0.201', '–')
    """
    return f"{value:.{digits}f}" if math.isfinite(value) else UNKNOWN


def high_levels(backtest: Backtest) -> list[tuple[int, float]]:
    """Return index and value of the levels that capacity is provisioned for, the lowest three."""
    levels = list(enumerate(backtest.quantile_levels))
    return [(i, level) for i, level in levels if level >= HIGH][:3] or levels[-1:]


def verdict(backtest: Backtest) -> tuple[bool, str]:
    """Return whether the served forecast may be champion, and a sentence that says so."""
    summary = backtest.summary
    if not math.isfinite(summary[SERVED].relative) or backtest.winner[1] == INCOMPARABLE:
        return False, "Nothing can be compared: no item had both demand and an error of last value."
    winner, reason = backtest.winner
    rivals = rivals_of(summary)
    if not backtest.holds_at_peaks and summary[SERVED].relative <= min(rivals.values()):
        return False, f"The champion gate is not passed: {name_of(winner)} is {reason}."
    best = min(rivals, key=lambda name: rivals[name]) if winner == SERVED else winner
    found = (
        f"what is served by more than chance ({number(summary[SERVED].relative)} against "
        f"{number(rivals[best])} of {name_of(best)})."
    )
    if winner == SERVED:
        return True, f"The champion gate is passed: no baseline beats {found}"
    return False, f"The champion gate is not passed: a baseline beats {found}"


def backtest_findings(backtest: Backtest) -> tuple[str, ...]:
    """Return the verdict, and the other findings behind it."""
    return verdict(backtest)[1], *sentences(backtest)


def sentences(backtest: Backtest) -> tuple[str, ...]:
    """Return the findings besides the verdict, the most important first."""
    summary = backtest.summary
    if not math.isfinite(summary[SERVED].relative):
        return (_who_serves(backtest),)
    warning = minute_warning(backtest)
    found = _against_last_value(summary), _lstm(summary), _who_serves(backtest), _coverage(backtest)
    return found if warning is None else (*found, warning)


def minute_warning(backtest: Backtest) -> str | None:
    """Return a sentence about the minute that is covered far below its level; None if none is.

    So few covered hours must be less likely than one false alarm in a hundred backtests (binomial,
    with all minutes of all items taken into account) at the level, or at what the item's whole
    hour is covered by where that is less: then it is no matter of one minute.
    """
    level = backtest.quantile_levels[minute_place(backtest.quantile_levels)]
    minutes = sum(sum(map(bool, item.scores[SERVED].minute_hours)) for item in backtest.items)
    odd = [
        (item, worst)
        for item, worst, chance in least_covered_minutes(backtest)
        if chance * minutes < FALSE_ALARM
    ]
    if not odd:
        return None
    item, worst = odd[0]
    more = f" ({counted(len(odd) - 1, 'more item')} alike)" if odd[1:] else ""
    return (
        f"{item.item_id}: at :{worst.minute:02d} only {100 * worst.covered:.0f} % of {worst.hours} "
        f"hours lie below the {level:g} quantile: a job at that minute?{more}"
    )


def least_covered_minutes(
    backtest: Backtest,
) -> list[tuple[ItemResult, MinuteCoverage, float]]:
    """Return each item's least covered minute with its chance, the least likely first."""
    place = minute_place(backtest.quantile_levels)
    found = []
    for item in backtest.items:
        score = item.scores[SERVED]
        expected = min(backtest.quantile_levels[place], score.coverage[place])
        worst = worst_minute(score.minute_coverage, score.minute_hours, expected)
        if worst is not None:
            found.append((item, worst, worst.chance(expected)))
    return sorted(found, key=lambda one: (one[2], one[1].covered))


def extent(backtest: Backtest) -> str:
    """Return what the backtest covers: items, origins, span, steps.

    An item's origins are those of its own test part, so their number may differ.
    """
    counts = sorted({len(item.origins) for item in backtest.items})
    origins = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    first = min(int(item.origins[0]) for item in backtest.items)
    last = max(int(item.origins[-1]) for item in backtest.items)
    span = " to ".join(f"{datetime.fromtimestamp(s, UTC):%Y-%m-%d %H:%M}" for s in (first, last))
    horizon = int(backtest.items[0].actual.shape[1])
    ahead = f"{horizon} steps of {duration(backtest.step_seconds)} ahead"
    return f"{counted(len(backtest.items), 'item')}, {origins} origins each, {span} UTC, {ahead}"


def rivals_of(summary: dict[str, Score]) -> dict[str, float]:
    """Return the relative loss of each baseline for which it is known."""
    ours = {SERVED, LSTM, BLEND}
    found = {name: score.relative for name, score in summary.items() if name not in ours}
    return {name: value for name, value in found.items() if math.isfinite(value)}


def _against_last_value(summary: dict[str, Score]) -> str:
    served = summary[SERVED]
    text = f"What is served loses {_change(served.relative)} than repeating the last value"
    if math.isfinite(served.relative_peaks):
        text += f"; in the top 5 % of moments, {_change(served.relative_peaks)}"
    return text + "."


def _change(ratio: float) -> str:
    """Return a ratio of losses in words.

    >>> _change(0.8), _change(1.1)
    ('20.0 % less', '10.0 % more')
    """
    return f"{abs(1 - ratio) * 100:.1f} % {'less' if ratio <= 1 else 'more'}"


def _lstm(summary: dict[str, Score]) -> str:
    rivals, mine = rivals_of(summary), summary[LSTM].relative
    best = min(rivals, key=lambda name: rivals[name])
    how = "beats every baseline" if mine < rivals[best] else f"does not beat {name_of(best)}"
    return f"Alone on all items, the LSTM {how}: {number(mine)} against {number(rivals[best])}."


def _who_serves(backtest: Backtest) -> str:
    counts = Counter(item.source for item in backtest.items).most_common()
    shares = [
        f"{name_of(source)} {'' if i else 'serves '}{count}"
        for i, (source, count) in enumerate(counts)
    ]
    text = f"{listed(shares)} of {counted(len(backtest.items), 'item')}"
    return f"{text[:1].upper()}{text[1:]}, each chosen on time before the backtest."


def _coverage(backtest: Backtest) -> str:
    served, levels = backtest.summary[SERVED], high_levels(backtest)
    promised = listed([f"{level:g}" for _, level in levels])
    found = listed([percent(served.coverage[i]) for i, _ in levels])
    peaks = listed([percent(served.peak_coverage[i]) for i, _ in levels])
    noun = "quantile" if len(levels) == 1 else "quantiles"
    return f"The {noun} {promised} covered {found} of moments; at peaks, {peaks}."


def percent(share: float) -> str:
    return f"{100 * share:.1f} %" if math.isfinite(share) else UNKNOWN


def listed(words: list[str]) -> str:
    """Return words as a list within a sentence.

    >>> listed(["a", "b", "c"])
    'a, b and c'
    """
    return " and ".join(part for part in (", ".join(words[:-1]), words[-1]) if part)


def counted(count: int, thing: str) -> str:
    return f"{count} {thing}{'' if count == 1 else 's'}"
