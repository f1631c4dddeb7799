"""What a time budget leaves for fitting, and what is said of it beforehand."""

from __future__ import annotations

from datetime import timedelta

# Calibration and backtest take some ten times as long as the windows: measured on 3 items of 28
# days at 1 minute, 0.5 s of CPU for the windows, 2.7 s and 2.6 s for the two.
RESERVE = 10
LEAST_BUDGET = timedelta(seconds=1)  # for the networks, where the rest takes all of the budget


def plan_line(budget: timedelta, seconds: float, reserve: float) -> str:
    """Return what is said beforehand of a time budget.

    Args:
        budget: for all.
        seconds: that have passed.
        reserve: seconds that calibration and backtest are likely to take.

    >>> plan_line(timedelta(seconds=60), 1.0, 5.0)
    'of 60 s, calibration and backtest take about 5 s, and fitting gets 54 s'
    """
    total, left = budget.total_seconds(), budget.total_seconds() - seconds - reserve
    parts = f"calibration and backtest take about {reserve:.0f} s"
    if left > 0:
        return f"of {total:g} s, {parts}, and fitting gets {left:.0f} s"
    return (
        f"{total:g} s are not enough: {parts}, which are not shortened, and what is fitted is as "
        "small as it can be; give more time, or a shorter history"
    )


def time_left(budget: timedelta | None, seconds: float) -> timedelta | None:
    """Return what is left of a budget after ``seconds``, of which some may be yet to come.

    >>> time_left(timedelta(seconds=60), 20.0)
    datetime.timedelta(seconds=40)
    """
    if budget is None:
        return None
    return max(budget - timedelta(seconds=seconds), LEAST_BUDGET)
